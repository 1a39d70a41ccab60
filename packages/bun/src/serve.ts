/**
 * A server of Vel's own on Bun.
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { handler, type BunServer, type HandlerOptions } from "./handler.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends HandlerOptions<BunServer> {
  /** The port to listen on. Default: 0, a free one; {@link RunningServer.port} tells which. */
  port?: number;
  /** The address to listen on. Default: Bun's, all addresses. */
  hostname?: string;
}

/** A running server, see {@link serve}. */
export interface RunningServer {
  /** The port that it listens on. */
  readonly port: number;
  /** Closes every connection (`vel.close()`), then the server. */
  close(): Promise<void>;
}

/** What this file needs of the runtime. */
interface Runtime {
  serve(options: object): { readonly port: number; stop(closeConnections: boolean): Promise<void> };
}

/**
 * Serves WebSockets, and with `fetch` a web application too.
 *
 * @throws {Error} Bun's own error when it cannot listen.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Bun lacks.
 * @example
 * const server = serve(vel, { port: 3000, fetch: () => new Response("hello") });
 */
export function serve(vel: Vel, { port = 0, hostname, ...options }: ServeOptions = {}): RunningServer {
  const { Bun } = globalThis as unknown as { Bun: Runtime };
  const server = Bun.serve({ port, ...(hostname !== undefined && { hostname }), ...handler(vel, options) });
  return {
    port: server.port,
    async close() {
      await vel.close();
      await server.stop(true);
    },
  };
}
