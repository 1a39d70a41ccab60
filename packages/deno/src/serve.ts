/**
 * A server of Vel's own on Deno.
 *
 * @module
 */
import type { Clock, CloseOptions, Vel } from "@vel/core";
import { handler, type DenoInfo, type HandlerOptions } from "./handler.ts";
import { transport } from "./transport.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends HandlerOptions<DenoInfo> {
  /** The port to listen on. Default: 0, a free one; {@link RunningServer.port} tells which. */
  port?: number;
  /** The address to listen on. Default: Deno's, all addresses of IPv4 (`0.0.0.0`). */
  hostname?: string;
  /**
   * Answers what is no WebSocket request: the `fetch` of Hono or any web framework. Default: 426 on the paths of
   * routes, 404 elsewhere.
   */
  fetch?: (request: Request, info: DenoInfo) => Response | Promise<Response>;
  /**
   * Closes the server on the first of these signals, after which the process ends by itself if nothing else keeps
   * it; while that lasts, further ones are ignored. Default: none.
   */
  signals?: readonly `SIG${string}`[];
}

/** A running server, see {@link serve}. */
export interface RunningServer {
  /** The port that it listens on. */
  readonly port: number;
  /** The address that it listens on, as the system names it. */
  readonly hostname: string;
  /**
   * Closes every connection ({@link Vel.close}, whose options these are), then the server: HTTP requests in flight get
   * 10,000 ms to be answered, new ones meanwhile a 503, then listening stops and idle HTTP connections end. Resolves
   * when all sockets are gone, and nothing keeps the process alive. A further call gives the same promise.
   */
  close(options?: CloseOptions): Promise<void>;
}

/** What this file needs of the runtime. */
interface Runtime {
  serve(
    options: object,
    handler: (request: Request, info: Info) => Promise<Response>,
  ): {
    readonly addr: { readonly hostname: string; readonly port: number };
    readonly finished: Promise<void>;
  };
  addSignalListener(signal: string, listener: () => void): void;
  removeSignalListener(signal: string, listener: () => void): void;
}

interface Info extends DenoInfo {
  /** Resolves when the answer has been handed to the socket, rejects when it cannot be. */
  readonly completed: Promise<void>;
}

/** How long HTTP requests in flight may take once the server closes, in milliseconds. */
const requestTimeout = 10_000;

/** How long an answer that has been handed to the socket may take to leave, in milliseconds. */
const flushTime = 100;

/**
 * Serves WebSockets, and with `fetch` a web application too.
 *
 * What `fetch` throws is reported to `onError`, and answered with 500.
 *
 * @throws {Error} Deno's own error with `code` `EADDRINUSE`, `EACCES` ... when it cannot listen.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Deno lacks.
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
  const { Deno } = globalThis as unknown as { Deno: Runtime };
  const host = vel.bind(transport);

  const withoutFetch = ({ url }: Request): Response =>
    host.matches(new URL(url).pathname)
      ? plain(426, "Upgrade Required", new Headers({ upgrade: "websocket" }))
      : plain(404, "Not Found");
  const { fetch = withoutFetch } = options;
  const inFlight = new Set<Promise<unknown>>();
  let isStopping = false;
  const answer = async (request: Request, info: Info): Promise<Response> => {
    if (isStopping) return plain(503, "Service Unavailable");
    const completed = info.completed.catch(() => undefined).finally(() => inFlight.delete(completed));
    inFlight.add(completed);
    try {
      return await fetch(request, info);
    } catch (error) {
      // Somebody who went away in the middle of a request is no fault of the server's.
      if (!request.signal.aborted) host.error(undefined, error);
      return plain(500, "Internal Server Error");
    }
  };
  const stop = new AbortController();
  const listen = { port, ...(hostname !== undefined && { hostname }), signal: stop.signal, onListen: () => undefined };
  const server = Deno.serve(listen, handler(vel, { fetch: answer }));

  let closing: Promise<void> | undefined;
  const close = (closeOptions?: CloseOptions): Promise<void> => (closing ??= shutDown(closeOptions));
  const onSignal = (): void => {
    void close();
  };
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);

  const shutDown = async (closeOptions?: CloseOptions): Promise<void> => {
    await vel.close(closeOptions);
    isStopping = true;
    await atMost(requestTimeout, Promise.all(inFlight), vel.clock);
    await new Promise<void>((resolve) => setTimeout(resolve, flushTime)); // the socket's time, not the clock's
    // Not `shutdown()`: it waits without end for a peer that does not read, and nothing can be cut off after it.
    stop.abort();
    await server.finished;
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  };

  return { port: server.addr.port, hostname: server.addr.hostname, close };
}

/** Waits for a promise that does not reject, but not longer than so many milliseconds. */
async function atMost(duration: number, promise: Promise<unknown>, clock: Clock): Promise<void> {
  let timer: unknown;
  await Promise.race([promise, new Promise<void>((resolve) => (timer = clock.setTimeout(resolve, duration)))]);
  clock.clearTimeout(timer);
}

function plain(status: number, text: string, headers: Headers = new Headers()): Response {
  return new Response(text, { status, headers });
}
