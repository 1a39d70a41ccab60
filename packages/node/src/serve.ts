/**
 * An HTTP server of Vel's own.
 *
 * @module
 */
import { createServer, STATUS_CODES, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { CloseOptions, Vel } from "@vel/core";
import { attachUpgrader, type AttachOptions } from "./attach.ts";
import { pathOf } from "./handshake.ts";
import { ownTransport } from "./transport.ts";
import { Upgrader } from "./upgrade.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends AttachOptions {
  /** The port to listen on. Default: 0, a free one; {@link NodeServer.port} tells which. */
  port?: number;
  /** The address to listen on. Default: Node's, all addresses (`::`, or `0.0.0.0` without IPv6). */
  hostname?: string;
  /**
   * Answers what is no WebSocket request: the `fetch` of Hono or any web framework. Default: 426 on the paths of
   * routes, 404 elsewhere.
   */
  fetch?: (request: Request) => Response | Promise<Response>;
  /**
   * Closes the server on the first of these signals, after which the process ends by itself if nothing else keeps
   * it; while that lasts, further ones are ignored. Default: none.
   */
  signals?: readonly NodeJS.Signals[];
}

/** A running server, see {@link serve}. */
export interface NodeServer {
  /** The port that it listens on. */
  readonly port: number;
  /** The address that it listens on, as the system names it. */
  readonly hostname: string;
  /** Node's server, for whatever else there is to do with it. */
  readonly server: Server;
  /**
   * Closes every connection ({@link Vel.close}, whose options these are), then the server: listening stops, idle HTTP
   * connections end, HTTP requests in flight get 10,000 ms to be answered. Resolves when all sockets are gone, and
   * nothing keeps the process alive. A further call gives the same promise.
   *
   * WebSockets of other libraries on the same server are theirs to close; it waits for them.
   */
  close(options?: CloseOptions): Promise<void>;
}

/** How long HTTP requests in flight may take once the server closes, in milliseconds. */
const requestTimeout = 10_000;

/**
 * Serves WebSockets, and with `fetch` a web application too, on an HTTP server of its own.
 *
 * What `fetch` throws is reported to `onError`, and answered with 500.
 *
 * @throws {Error} Node's own error with `code` `EADDRINUSE`, `EACCES` ... when it cannot listen.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Node lacks.
 * @example
 * import { createVel } from "@vel/core";
 * import { serve } from "@vel/node";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
 * const { port } = await serve(vel, {
 *   port: 3000,
 *   fetch: () => new Response("hello"),
 *   signals: ["SIGTERM", "SIGINT"],
 * });
 * console.log(`ws://localhost:${port}/ws`);
 */
export async function serve(vel: Vel, options: ServeOptions = {}): Promise<NodeServer> {
  const { port = 0, hostname, fetch, signals = [] } = options;
  const upgrader = new Upgrader(vel.bind(ownTransport));
  const { handshakeTimeout } = upgrader.host;
  // Counted from accept on, so that it also cuts off who sends nothing, or a byte now and then.
  const limits = {
    headersTimeout: handshakeTimeout,
    connectionsCheckingInterval: Math.min(1_000, handshakeTimeout / 4),
  };
  const server = createServer(limits, fetch ? await fetchListener(fetch, upgrader) : answerWithoutFetch(upgrader));
  const attachment = attachUpgrader(upgrader, server, options);
  try {
    await listen(server, port, hostname);
  } catch (error) {
    attachment.detach();
    throw error;
  }
  server.on("error", (error) => {
    upgrader.host.error(undefined, error);
  });

  let closing: Promise<void> | undefined;
  const close = (closeOptions?: CloseOptions): Promise<void> => (closing ??= shutDown(closeOptions));
  const onSignal = (): void => {
    void close();
  };
  for (const signal of signals) process.on(signal, onSignal);

  const shutDown = async (closeOptions?: CloseOptions): Promise<void> => {
    const closed = vel.close(closeOptions);
    upgrader.refusePending();
    await closed;
    await closeServer(server, vel);
    attachment.detach();
    for (const signal of signals) process.off(signal, onSignal);
  };

  const address = server.address() as AddressInfo;
  return { port: address.port, hostname: address.address, server, close };
}

/** Loaded on demand: an application without `fetch` does without the package behind it. */
async function fetchListener(fetch: NonNullable<ServeOptions["fetch"]>, { host }: Upgrader): Promise<RequestListener> {
  const { getRequestListener } = await import("@hono/node-server");
  // Its own faster Request and Response would replace the globals of the whole process.
  const listener = getRequestListener(
    async (request) => {
      try {
        const response = await fetch(request);
        if (request.method !== "HEAD" || !response.body) return response;
        // Node holds the head back until the body begins, and to HEAD it never does.
        response.body.cancel().catch(() => undefined);
        return new Response(null, response);
      } catch (error) {
        // Somebody who went away in the middle of a request is no fault of the server's.
        if (!request.signal.aborted) host.error(undefined, error);
        return new Response("Internal Server Error", { status: 500 });
      }
    },
    { overrideGlobalObjects: false },
  );
  return (request, response) => {
    void listener(request, response);
  };
}

function answerWithoutFetch(upgrader: Upgrader): RequestListener {
  return (request, response) => {
    // A WebSocket request comes here when a proxy in between does not pass the upgrade on.
    const status = upgrader.host.matches(pathOf(request)) ? 426 : 404;
    if (status === 426) response.setHeader("Upgrade", "websocket").setHeader("Connection", "Upgrade, close");
    response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(STATUS_CODES[status]);
  };
}

function listen(server: Server, port: number, hostname: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: hostname }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Stops listening and waits for the sockets that are left. */
function closeServer(server: Server, { clock }: Vel): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => {
      server.closeAllConnections();
    }, requestTimeout);
    server.keepAliveTimeout = 1; // of those whose request is answered from now on; 0 would mean no limit
    // Node ends idle keep-alive connections by itself here.
    server.close(() => {
      clock.clearTimeout(timer);
      resolve();
    });
  });
}
