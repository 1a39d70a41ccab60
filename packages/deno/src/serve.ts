/**
 * A server of Vel's own on Deno.
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { handler, type DenoInfo, type HandlerOptions } from "./handler.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends HandlerOptions<DenoInfo> {
  /** The port to listen on. Default: 0, a free one; {@link RunningServer.port} tells which. */
  port?: number;
  /** The address to listen on. Default: Deno's, all addresses. */
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
  serve(
    options: object,
    handler: object,
  ): { readonly addr: { readonly port: number }; readonly finished: Promise<void> };
}

/**
 * Serves WebSockets, and with `fetch` a web application too.
 *
 * @throws {Error} Deno's own error when it cannot listen.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Deno lacks.
 * @example
 * const server = serve(vel, { port: 3000, fetch: () => new Response("hello") });
 */
export function serve(vel: Vel, { port = 0, hostname, ...options }: ServeOptions = {}): RunningServer {
  const { Deno } = globalThis as unknown as { Deno: Runtime };
  const stop = new AbortController();
  const listen = { port, ...(hostname !== undefined && { hostname }), signal: stop.signal, onListen: () => undefined };
  const server = Deno.serve(listen, handler(vel, options));
  return {
    port: server.addr.port,
    async close() {
      await vel.close();
      // `shutdown()` would wait for connections that browsers keep alive.
      stop.abort();
      await server.finished;
    },
  };
}
