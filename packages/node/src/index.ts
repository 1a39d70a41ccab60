export { adopt } from "./adopt.ts";
export { attach, type AttachOptions, type Attachment, type UpgradeServer } from "./attach.ts";
export { serve, type NodeServer, type ServeOptions } from "./serve.ts";
export { upgradeHandler, type UpgradeHandler, type UpgradeHandlerOptions } from "./upgrade.ts";
export type { WsSocket } from "./ws.ts";
