export { handler, type DenoInfo, type HandlerOptions } from "./handler.ts";
export { serve, type RunningServer, type ServeOptions } from "./serve.ts";
