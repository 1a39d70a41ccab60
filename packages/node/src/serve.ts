/**
 * A server of Vel's own.
 *
 * @module
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Vel } from "@vel/core";
import { attach, type AttachOptions } from "./attach.ts";

/** Settings of {@link serve}. */
export interface ServeOptions extends AttachOptions {
  /** Default: 0, a free one, see {@link NodeServer.port}. */
  port?: number;
  /** The address to listen on. Default: all, as Node has it. */
  hostname?: string;
  /** Answers requests that are no upgrades: `app.fetch` of Hono, say. Default: 404. */
  fetch?: (request: Request) => Response | Promise<Response>;
  /** Signals that end the server as {@link NodeServer.close} does. Default: none. */
  signals?: readonly NodeJS.Signals[];
}

/** A running server. */
export interface NodeServer extends AsyncDisposable {
  /** The port that it listens on. */
  readonly port: number;
  /** The http server below. */
  readonly server: Server;
  /** Closes every connection (`vel.close()`), then the server. Nothing keeps the process alive afterwards. */
  close(): Promise<void>;
}

/**
 * Listens, and resolves once it does.
 *
 * @throws What the system says, such as `EADDRINUSE`.
 * @example
 * const server = await serve(vel, { port: 3000, fetch: app.fetch, signals: ["SIGTERM"] });
 * console.log(`ws://localhost:${server.port}/ws`);
 */
export async function serve(vel: Vel<never>, options: ServeOptions = {}): Promise<NodeServer> {
  const { port = 0, hostname, fetch, signals = [], ...rest } = options;
  const answer: RequestListener = fetch
    ? getRequestListener(fetch)
    : (_request, response) => {
        response.writeHead(404).end();
      };
  const server = createServer(answer);
  const attachment = attach(vel, server, rest);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) }, () => {
      server.off("error", reject);
      resolve();
    });
  });

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= shutDown());
  const onSignal = (): void => {
    void close();
  };
  for (const signal of signals) process.on(signal, onSignal);

  async function shutDown(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    await vel.close();
    server.closeAllConnections(); // requests over keep-alive; upgraded sockets are no concern of theirs
    await closed;
    attachment.detach();
    for (const signal of signals) process.off(signal, onSignal);
  }

  return { port: (server.address() as AddressInfo).port, server, close, [Symbol.asyncDispose]: close };
}
