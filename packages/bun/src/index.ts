export { handler, type BunHandler, type BunServer, type HandlerOptions } from "./handler.ts";
export { serve, type RunningServer, type ServeOptions } from "./serve.ts";
export type { BunSocket, SocketData } from "./transport.ts";
