/**
 * Core's transport over `ws`: `ws` reads, answers pings and closes; messages leave as frames of our own.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import type { Capabilities, Connection, Host, Transport } from "@vel/core";
import { buildFrames } from "./frame.ts";
import type { WsSocket } from "./ws-socket.ts";

/** One socket as core hands it back: `ws` for the protocol, `net` below it for the bytes. */
export interface NodeSocket {
  readonly ws: WsSocket;
  readonly net: Duplex;
}

const capabilities: Capabilities = Object.freeze({
  ping: true,
  terminate: true,
  compression: false,
  pause: true,
  buffered: true,
  maxPayload: undefined,
});

/**
 * Writes frames straight to the socket below `ws`. That is public API of both, and in order with what `ws` writes
 * itself (pongs, the close frame), as long as `ws` is never in the middle of a message: nothing here calls `ws.send`.
 */
export const nodeTransport: Transport<NodeSocket, Buffer> = {
  name: "node",
  capabilities,
  maxConnections: descriptorLimit(),
  size: (text) => Buffer.byteLength(text),
  afterTurn(flush) {
    setImmediate(flush);
  },
  frame: buildFrames,
  sendFrame({ net }, frame) {
    if (net.writable) net.write(frame);
  },
  send({ ws }, payload, compress) {
    ws.send(payload, { binary: typeof payload !== "string", compress }, () => undefined);
    return "sent";
  },
  ping({ ws }, data) {
    ws.ping(data);
  },
  close({ ws }, code, reason) {
    ws.close(code, reason);
  },
  terminate({ ws }) {
    ws.terminate();
  },
  buffered: ({ ws }) => ws.bufferedAmount,
  pause({ ws }, isPaused) {
    if (isPaused) ws.pause();
    else ws.resume();
  },
};

/** What the listeners of a socket need; kept on the socket, so that all sockets share the same functions. */
interface Link {
  readonly host: Host<NodeSocket>;
  readonly connection: Connection;
}

const link = Symbol("vel");

interface Linked {
  [link]?: Link;
}

/** Tells core of everything that happens on a socket from now on. */
export function listen({ ws, net }: NodeSocket, host: Host<NodeSocket>, connection: Connection): void {
  (ws as Linked)[link] = (net as Linked)[link] = { host, connection };
  ws.on("message", onMessage);
  ws.on("pong", onPong);
  ws.on("close", onClose);
  ws.on("error", onError);
  net.on("drain", onDrain);
}

function onMessage(this: Linked, data: Buffer, isBinary: boolean): void {
  const to = this[link];
  if (!to) return;
  // A small message is a view of the chunk that it came in: what the application keeps must be its own.
  const payload = isBinary ? new Uint8Array(data) : data.toString("utf8");
  to.host.message(to.connection, payload, data.byteLength);
}

function onPong(this: Linked, data: Buffer): void {
  const to = this[link];
  to?.host.pong(to.connection, new Uint8Array(data));
}

function onDrain(this: Linked): void {
  const to = this[link];
  to?.host.drain(to.connection);
}

function onClose(this: Linked, code: number, reason: Buffer): void {
  const to = this[link];
  to?.host.close(to.connection, code, reason.toString("utf8"), code !== 1006);
}

function onError(this: Linked, error: Error & { code?: string }): void {
  // Either the peer broke the protocol, and `ws` has answered with a close frame already: then it is this side that
  // closes. Or the connection broke: then `close` follows with 1006. Neither is an error of anybody here.
  const code = closeCodeOf(error.code ?? "");
  if (code !== undefined) this[link]?.connection.close(code);
}

/** What `ws` closes with for each of its errors (ws/doc/ws.md, "Error codes"). */
function closeCodeOf(error: string): number | undefined {
  if (error === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return 1009;
  if (error === "WS_ERR_INVALID_UTF8" || error.startsWith("Z_")) return 1007;
  if (error === "WS_ERR_TOO_MANY_BUFFERED_PARTS") return 1008;
  return error.startsWith("WS_ERR_") ? 1002 : undefined;
}

/** How many sockets this process can have: nine tenths of its descriptors, less a few for files. */
function descriptorLimit(): number {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return Math.max(1, Math.floor(Number(limit ?? 1_024) * 0.9) - 32);
  } catch {
    return 10_000; // no such file: not Linux
  }
}
