/**
 * Every recipe. To add one, write its file and add its line here: `main.ts` serves it and the page at `/` lists it.
 *
 * @module
 */
export { keyed as apiKey } from "./api-key.ts";
export { authenticated } from "./authenticated.ts";
export { binary } from "./binary.ts";
export { channels } from "./channels.ts";
export { limited as connectionLimit } from "./connection-limit.ts";
export { echo } from "./echo.ts";
export { heartbeat } from "./heartbeat.ts";
export { json } from "./json.ts";
export { liveData } from "./live-data.ts";
export { liveUpdates } from "./live-updates.ts";
export { memoryManagement } from "./memory-management.ts";
export { monitored } from "./monitored.ts";
export { notification } from "./notification.ts";
export { optimizedConnection } from "./optimized-connection.ts";
export { pooled } from "./pooled.ts";
