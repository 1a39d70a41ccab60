/**
 * Every recipe. To add one, write its file and add its line here: `main.ts` serves it and the page at `/` lists it.
 *
 * @module
 */
export { binary } from "./binary.ts";
export { channels } from "./channels.ts";
export { echo } from "./echo.ts";
export { json } from "./json.ts";
export { liveData } from "./live-data.ts";
export { liveUpdates } from "./live-updates.ts";
export { notification } from "./notification.ts";
export { optimizedConnection } from "./optimized-connection.ts";
