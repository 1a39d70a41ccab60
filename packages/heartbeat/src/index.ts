export { HeartbeatManager, type HeartbeatEvents, type HeartbeatManagerOptions } from "./heartbeat-manager.ts";
export { Heartbeat, type HeartbeatMode, type HeartbeatOptions } from "./heartbeat.ts";
