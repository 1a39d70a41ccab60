export { adopt } from "./adopt.ts";
export { attach, upgradeHandler, type AttachOptions, type Attachment } from "./attach.ts";
export { serve, type NodeServer, type ServeOptions } from "./serve.ts";
export type { UpgradeListener } from "./upgrade.ts";
export type { WsSocket } from "./ws-socket.ts";
