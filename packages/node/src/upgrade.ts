/**
 * From an `upgrade` event to a connection, or to a refusal on the bare socket.
 *
 * @module
 */
import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Accepted, HeaderList, Host, Vel } from "@vel/core";
import { WebSocketServer } from "ws";
import { readHeaders, remoteOf, violationOf } from "./handshake.ts";
import { listen, nodeTransport, type NodeSocket } from "./transport.ts";

/** Takes one upgrade request from Node's http server. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** A server's side of the handshake: one for each {@link Vel}, however often it is attached. */
export class Upgrader {
  static readonly #all = new WeakMap<Vel, Upgrader>();
  readonly #host: Host<NodeSocket>;
  /** `ws` fixes the largest message for all sockets of a server, so there is one for each limit in use. */
  readonly #servers = new Map<number, WebSocketServer>();
  /** The answer that is being written: `ws` asks back for its parts. */
  #answer: Accepted | undefined;

  private constructor(vel: Vel) {
    this.#host = vel.bind(nodeTransport);
  }

  /** Finds or makes the upgrader of a server. */
  static of(vel: Vel<never>): Upgrader {
    const key = vel as Vel;
    let upgrader = Upgrader.#all.get(key);
    if (!upgrader) Upgrader.#all.set(key, (upgrader = new Upgrader(key)));
    return upgrader;
  }

  /** Tells whether a route answers this request. */
  matches(request: IncomingMessage): boolean {
    return this.#host.matches((request.url ?? "").split("?", 1)[0] ?? "");
  }

  /** Decides on a request, then opens the connection or refuses it. Never throws or rejects. */
  async upgrade(request: IncomingMessage, net: Duplex, head: Buffer): Promise<void> {
    net.on("error", ignore); // before anything is awaited: a reset must not end the process
    const violation = violationOf(request);
    if (violation) {
      refuse(net, violation.status, violation.headers, violation.body);
      return;
    }
    const headers = readHeaders(request);
    if (!headers) {
      refuse(net, 400, [], "Invalid header");
      return;
    }
    const gone = new AbortController();
    const onGone = (): void => {
      gone.abort();
    };
    net.once("close", onGone);
    const answer = await this.#host.upgrade({
      url: request.url ?? "/",
      headers,
      remote: remoteOf(request),
      signal: gone.signal,
      raw: request,
    });
    if (gone.signal.aborted) return;
    if (answer.accept) this.#open(request, net, head, answer, onGone);
    else refuse(net, answer.status, answer.headers, answer.body);
  }

  #open(request: IncomingMessage, net: Duplex, head: Buffer, answer: Accepted, onGone: () => void): void {
    let isOpen = false;
    this.#answer = answer;
    this.#serverOf(answer.maxPayload).handleUpgrade(request, net, head, (ws) => {
      isOpen = true;
      net.off("close", onGone);
      const socket: NodeSocket = { ws, net };
      // In this same turn, so that what came with the handshake meets its listeners.
      listen(socket, this.#host, this.#host.open(socket, answer));
    });
    this.#answer = undefined;
    // `ws` had a reason of its own: the client has half closed, or its offer of extensions is malformed.
    if (!isOpen) onGone();
  }

  #serverOf(maxPayload: number): WebSocketServer {
    let server = this.#servers.get(maxPayload);
    if (!server) {
      server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload,
        handleProtocols: () => this.#answer?.protocol ?? false,
      });
      server.on("headers", (lines) => {
        for (const [name, value] of this.#answer?.headers ?? []) lines.push(`${name}: ${value}`);
      });
      this.#servers.set(maxPayload, server);
    }
    return server;
  }
}

/** Answers a request on its bare socket, and ends it. */
export function refuse(net: Duplex, status: number, headers: HeaderList, body: string): void {
  const lines = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ""}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body === "" ? [] : ["Content-Type: text/plain; charset=utf-8"]),
    `Content-Length: ${String(Buffer.byteLength(body))}`,
    "Connection: close",
  ];
  net.once("finish", () => net.destroy());
  net.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

function ignore(): void {
  // What a socket error means is told by `close`.
}
