/**
 * A server of Vel's own on Bun.
 *
 * @module
 */
import type { CloseOptions, Vel } from "@vel/core";
import { handler, type BunServer, type HandlerOptions } from "./handler.ts";
import { transport } from "./transport.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends HandlerOptions<BunServer> {
  /** The port to listen on. Default: 0, a free one; {@link RunningServer.port} tells which. */
  port?: number;
  /** The address to listen on. Default: Bun's, all addresses (`::`, or `0.0.0.0` without IPv6). */
  hostname?: string;
  /**
   * Answers what is no WebSocket request: the `fetch` of Hono or any web framework. Default: 426 on the paths of
   * routes, 404 elsewhere.
   */
  fetch?: (request: Request, server: BunServer) => Response | Promise<Response>;
  /**
   * Closes the server on the first of these signals, after which the process ends by itself if nothing else keeps
   * it; while that lasts, further ones are ignored. Default: none.
   */
  signals?: readonly NodeJS.Signals[];
}

/** A running server, see {@link serve}. */
export interface RunningServer {
  /** The port that it listens on. */
  readonly port: number;
  /** The address that it listens on, as the system names it. */
  readonly hostname: string;
  /**
   * Closes every connection ({@link Vel.close}, whose options these are), then the server: listening stops, idle HTTP
   * connections end, HTTP requests in flight get 10,000 ms to be answered. Resolves when all sockets are gone, and
   * nothing keeps the process alive. A further call gives the same promise.
   */
  close(options?: CloseOptions): Promise<void>;
}

/** What this file needs of the runtime. */
interface Runtime {
  serve(options: object): {
    readonly port: number;
    readonly address: { readonly address: string };
    stop(closeConnections: boolean): Promise<void>;
  };
}

/** How long HTTP requests in flight may take once the server closes, in milliseconds. */
const requestTimeout = 10_000;

/**
 * Serves WebSockets, and with `fetch` a web application too.
 *
 * What `fetch` throws is reported to `onError`, and answered with 500.
 *
 * @throws {Error} Bun's own error with `code` `EADDRINUSE`, `EACCES` ... when it cannot listen.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Bun lacks.
 * @example
 * const { port } = await serve(vel, {
 *   port: 3000,
 *   fetch: () => new Response("hello"),
 *   signals: ["SIGTERM", "SIGINT"],
 * });
 */
// eslint-disable-next-line @typescript-eslint/require-await -- a promise, as on every runtime
export async function serve(vel: Vel, options: ServeOptions = {}): Promise<RunningServer> {
  const { port = 0, hostname, signals = [] } = options;
  const { Bun } = globalThis as unknown as { Bun: Runtime };
  const host = vel.bind(transport);

  const withoutFetch = ({ url }: Request): Response =>
    host.matches(new URL(url).pathname)
      ? new Response("Upgrade Required", { status: 426, headers: { upgrade: "websocket" } })
      : new Response("Not Found", { status: 404 });
  const { fetch = withoutFetch } = options;
  const answer = async (request: Request, server: BunServer): Promise<Response> => {
    try {
      return await fetch(request, server);
    } catch (error) {
      // Somebody who went away in the middle of a request is no fault of the server's.
      if (!request.signal.aborted) host.error(undefined, error);
      return new Response("Internal Server Error", { status: 500 });
    }
  };
  const address = hostname === undefined ? {} : { hostname };
  const server = Bun.serve({ port, ...address, ...handler(vel, { fetch: answer }) });

  let closing: Promise<void> | undefined;
  const close = (closeOptions?: CloseOptions): Promise<void> => (closing ??= shutDown(closeOptions));
  const onSignal = (): void => {
    void close();
  };
  for (const signal of signals) process.on(signal, onSignal);

  const shutDown = async (closeOptions?: CloseOptions): Promise<void> => {
    await vel.close(closeOptions);
    const timer = vel.clock.setTimeout(() => void server.stop(true), requestTimeout);
    await server.stop(false);
    vel.clock.clearTimeout(timer);
    for (const signal of signals) process.off(signal, onSignal);
  };

  return { port: server.port, hostname: server.address.address, close };
}
