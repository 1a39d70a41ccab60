/**
 * From an upgrade request to an open connection or a refusal.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { findHandshakeFault, reject, type Accepted, type Host, type Vel } from "@vel/core";
import { ignore, writeAnswer, type Answer } from "./answer.ts";
import { headersOf, pathOf, remoteOf, targetOf } from "./handshake.ts";
import { deflateOf, flushSocket, openSocket, ownTransport } from "./transport.ts";
import { createWsServer, type WsServer, type WsSocket } from "./ws.ts";

/** Settings of {@link upgradeHandler}. */
export interface UpgradeHandlerOptions {
  /** What happens to a request whose path no route matches: `reject` answers 404, `ignore` leaves it. Default: `reject`. */
  unmatched?: "reject" | "ignore";
}

/** A listener for the `upgrade` event of Node's HTTP servers. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Makes a listener for the `upgrade` event, for those who dispatch upgrade requests themselves. {@link attach} does
 * that for you.
 *
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Node lacks.
 * @example
 * import { createServer } from "node:http";
 * import { createVel } from "@vel/core";
 * import { upgradeHandler } from "@vel/node";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
 * const upgrade = upgradeHandler(vel);
 * const server = createServer();
 * server.on("upgrade", (request, socket, head) => {
 *   if (request.headers.host === "blocked.example.com") socket.destroy();
 *   else upgrade(request, socket, head);
 * });
 * server.listen(3000);
 */
export function upgradeHandler(vel: Vel, { unmatched = "reject" }: UpgradeHandlerOptions = {}): UpgradeHandler {
  const upgrader = new Upgrader(vel.bind(ownTransport));
  return (request, socket, head) => {
    if (upgrader.matches(request)) upgrader.handle(request, socket, head);
    else if (unmatched === "reject") writeAnswer(socket, reject(404));
  };
}

/** Answers the upgrade requests of one host. */
export class Upgrader {
  readonly host: Host<WsSocket>;
  /** `ws` fixes these settings for all sockets of a server, so there is one for each setting in use. */
  readonly #servers = new Map<string, WsServer>();
  /** How many connections inflate. */
  #inflating = 0;
  /** Ways to end the requests that are being decided on. */
  readonly #pending = new Set<() => void>();
  /** What the response that is being written says. Only set while {@link WsServer.handleUpgrade} runs. */
  #accepted: Accepted | undefined;
  /** What that response says of extensions, parameters included. */
  #extensions = "";

  constructor(host: Host<WsSocket>) {
    this.host = host;
  }

  /** Tells whether a route answers the request's path. */
  matches(request: IncomingMessage): boolean {
    return this.host.matches(pathOf(request));
  }

  /** Answers a request; never throws. From now on the socket is in these hands. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const headers = headersOf(request);
    const fault = headers ? findFault(request, headers) : reject(400, { body: "Malformed header" });
    if (headers && !fault) void this.#decide(request, socket, head, headers);
    else if (fault) writeAnswer(socket, request.method === "HEAD" ? { ...fault, body: "" } : fault);
  }

  /** Answers 503 to everybody who is still being decided on. */
  refusePending(): void {
    for (const refuse of this.#pending) refuse();
  }

  async #decide(request: IncomingMessage, socket: Duplex, head: Buffer, headers: Headers): Promise<void> {
    const gone = new AbortController();
    const settle = (): void => {
      this.#pending.delete(refuse);
      socket.off("close", leave).off("end", leave).off("error", leave).on("error", ignore);
    };
    const leave = (): void => {
      settle();
      socket.destroy();
      gone.abort();
    };
    const refuse = (): void => {
      settle();
      writeAnswer(socket, reject(503, { retryAfter: 1_000 }));
      gone.abort();
    };
    // First of all: a reset while a guard thinks must not be an uncaught error.
    socket.on("close", leave).on("end", leave).on("error", leave);
    this.#pending.add(refuse);

    const answer = await this.host.upgrade({
      url: targetOf(request),
      headers,
      remote: remoteOf(socket),
      signal: gone.signal,
      raw: request,
    });
    if (gone.signal.aborted) return;
    settle();
    if (!answer.accept) writeAnswer(socket, answer);
    else if (!this.#open(request, socket, head, answer)) leave();
  }

  /** Writes the 101 response and opens the connection; false when the client is gone. */
  #open(request: IncomingMessage, socket: Duplex, head: Buffer, accepted: Accepted): boolean {
    let isOpen = false;
    this.#accepted = accepted;
    try {
      this.#serverFor(accepted).handleUpgrade(request, socket, head, (ws) => {
        isOpen = true;
        socket.off("error", ignore); // `ws` has its own by now
        const { threshold = 0, windowBits = 0 } = accepted.compression || {};
        const deflate = deflateOf(this.#extensions, threshold, windowBits);
        const connection = openSocket(this.host, ws, socket, deflate, () => this.host.open(ws, accepted));
        if (ws.extensions === "") return;
        this.#inflating++;
        connection.onClose(() => this.#inflating--);
      });
    } catch (error) {
      // Somebody else has made a WebSocket of this socket meanwhile.
      this.host.error(undefined, error);
    }
    this.#accepted = undefined;
    return isOpen;
  }

  #serverFor({ maxPayload, compression }: Accepted): WsServer {
    const compress = compression !== false && (this.#inflating + 1) * inflateCost <= compression.memoryLimit;
    const key = `${String(maxPayload)} ${String(compress)}`;
    let server = this.#servers.get(key);
    if (!server) {
      server = createWsServer({
        maxPayload,
        compress,
        closing: flushSocket,
        chooseProtocol: () => this.#accepted?.protocol,
        responseHeaders: (extensions) => {
          this.#extensions = extensions;
          return this.#accepted?.headers ?? [];
        },
      });
      this.#servers.set(key, server);
    }
    return server;
  }
}

function findFault({ method = "", httpVersion }: IncomingMessage, headers: Headers): Answer | undefined {
  const fault = findHandshakeFault(method, headers);
  return fault ?? (httpVersion === "1.0" ? reject(400, { body: "HTTP version must be 1.1" }) : undefined);
}

/** What inflating costs a connection in bytes: a window of 32 KiB and zlib's state (zlib.h, "inflateInit2"). */
const inflateCost = 2 ** 15 + 11_000;
