/**
 * The transport over `ws` sockets, and the listeners that carry what happens on one to core.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import type { Connection, Host, Transport } from "@vel/core";
import { buildFrames, buildPing, type Deflate } from "./frame.ts";
import type { WsSocket } from "./ws.ts";

/** `ws`'s name for a socket that is open. */
const OPEN = 1;

const noBytes = new Uint8Array(0);

/** Where a socket keeps its {@link Link}. */
const link: unique symbol = Symbol("vel.link");

/** A socket on which {@link openSocket} was called. */
interface LinkedSocket extends WsSocket {
  [link]: Link;
}

/**
 * What the listeners of a socket need. They are shared functions that find it through `this`: per connection there
 * is this object and one callback, not a closure for each event.
 */
class Link {
  readonly host: Host<WsSocket>;
  /** The socket below `ws`: frames of our own are written to it. */
  readonly net: Duplex;
  /** How this socket compresses; the same object for all that do it in the same way. */
  readonly deflate: Deflate | undefined;
  connection: Connection | undefined;

  constructor(host: Host<WsSocket>, net: Duplex, deflate: Deflate | undefined) {
    this.host = host;
    this.net = net;
    this.deflate = deflate;
  }

  /**
   * Told of each write that has left. The net socket's own `drain` would be cheaper but comes only after more than
   * its high-water mark (16 or 64 KiB) waited, which a small `sendBuffer.limit` never lets happen.
   */
  readonly flushed = (error?: Error | null): void => {
    if (!error && this.connection) this.host.drain(this.connection);
  };
}

/**
 * Runs Vel's connections over the `ws` package: `ws` reads, inflates, answers pings and closes; messages leave as frames
 * of our own.
 *
 * Writing to the socket below `ws` is public API of both, and in order with what `ws` writes there itself (pongs, the
 * close frame), as long as `ws` is never in the middle of a message: on these sockets nobody calls `ws.send`.
 */
const transport: Transport<WsSocket, Buffer> = {
  name: "node",
  capabilities: Object.freeze({
    ping: true,
    terminate: true,
    // On Deno a malformed compressed frame ends the process, or is delivered as a bogus message.
    compression: !("Deno" in globalThis),
    pause: true,
    idleTimeout: false,
    buffered: true,
    maxPayload: undefined,
  }),
  maxConnections: maxConnections(),
  size: (text) => Buffer.byteLength(text),
  afterTurn(flush) {
    setImmediate(flush);
  },
  frame: (outgoing, deflate) => buildFrames(outgoing, deflate as Deflate | undefined),
  group: (ws) => (ws as LinkedSocket)[link].deflate,
  sendFrame(ws, frame) {
    const { net, flushed } = (ws as LinkedSocket)[link];
    if (ws.readyState !== OPEN || !net.writable) return "closed";
    net.write(frame, flushed);
    return "sent";
  },
  send(ws, payload, compress) {
    if (ws.readyState !== OPEN) return "closed";
    const binary = typeof payload !== "string";
    // Bytes that the kernel does not take at once stay queued: they must not be the caller's own.
    ws.send(binary ? Buffer.from(payload) : payload, { binary, compress }, (ws as LinkedSocket)[link].flushed);
    return "sent";
  },
  close(ws, code, reason) {
    ws.close(code, reason);
  },
  terminate(ws) {
    ws.terminate();
  },
  buffered: (ws) => ws.bufferedAmount,
  ping(ws, data = noBytes) {
    const { net } = (ws as LinkedSocket)[link];
    if (ws.readyState === OPEN && net.writable) net.write(buildPing(data));
  },
  pause(ws, paused) {
    if (paused) ws.pause();
    else ws.resume();
  },
};

/**
 * {@link transport} for sockets on which others send through `ws` too, and which `ws` closes as it likes: each message
 * goes through it, so that the order is that of the calls. The socket is corked to the end of the turn, so what the turn
 * produced leaves in one write here too.
 */
export const throughWs: Transport<WsSocket, Buffer> = {
  name: transport.name,
  capabilities: transport.capabilities,
  send(ws, payload, compress) {
    cork((ws as LinkedSocket)[link].net);
    return transport.send(ws, payload, compress);
  },
  close: transport.close.bind(transport),
  ping(ws, data = noBytes) {
    if (ws.readyState === OPEN) ws.ping(Buffer.from(data));
  },
  ...pick("terminate", "buffered", "pause", "size"),
};

/**
 * The transport for sockets that are Vel's alone. Bun has a `ws` of its own in the package's place, which puts what is
 * written below it in the wrong order: there every message goes through it.
 */
export const ownTransport: Transport<WsSocket, Buffer> = "Bun" in globalThis ? throughWs : transport;

function pick<Name extends keyof Transport<WsSocket>>(...names: Name[]): Pick<Transport<WsSocket>, Name> {
  return Object.fromEntries(names.map((name) => [name, transport[name]])) as Pick<Transport<WsSocket>, Name>;
}

/** The sockets that are corked until this turn of the event loop ends. */
const corked = new Set<Duplex>();

function cork(net: Duplex): void {
  if (corked.has(net)) return;
  if (corked.size === 0) setImmediate(uncork);
  corked.add(net);
  net.cork();
}

function uncork(): void {
  const sockets = [...corked];
  corked.clear();
  for (const net of sockets) net.uncork();
}

/** Writes at once what waits for a socket. */
export function flushSocket(ws: WsSocket): void {
  const own = (ws as Partial<LinkedSocket>)[link];
  if (own?.connection) own.host.flush(own.connection);
}

/** Ways to compress that are in use, so that sockets of the same way are of the same group. */
const deflates = new Map<string, Deflate>();

/** Reads off the response's `Sec-WebSocket-Extensions` how to compress; undefined for not at all. */
export function deflateOf(extensions: string, threshold: number, windowBits: number): Deflate | undefined {
  if (!extensions.startsWith("permessage-deflate")) return undefined;
  // A client may ask for a smaller window than ours; 8 is one that zlib cannot make (RFC 7692, section 7.1.2.1).
  const asked = Number(/server_max_window_bits=(\d+)/.exec(extensions)?.[1] ?? 15);
  if (asked < 9) return undefined;
  const bits = Math.min(asked, windowBits);
  const key = `${String(threshold)} ${String(bits)}`;
  let deflate = deflates.get(key);
  if (!deflate) deflates.set(key, (deflate = { threshold, windowBits: bits }));
  return deflate;
}

/**
 * Starts a connection on a socket of `ws`. The listeners are on when it returns, so call it before anything else
 * happens on the socket: the first message is not missed then.
 *
 * @param net The socket below.
 * @param open Makes the connection.
 */
export function openSocket(
  host: Host<WsSocket>,
  ws: WsSocket,
  net: Duplex,
  deflate: Deflate | undefined,
  open: () => Connection,
): Connection {
  const own = new Link(host, net, deflate);
  (ws as LinkedSocket)[link] = own;
  ws.on("message", onMessage);
  ws.on("ping", onPing);
  ws.on("pong", onPong);
  ws.on("error", onError);
  ws.on("close", onClose);
  return (own.connection = open());
}

/** How many sockets the process can hold: nine tenths of its descriptors, less a few for files. */
function maxConnections(): number {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return Math.max(1, Math.floor(Number(limit) * 0.9) - 32) || 10_000;
  } catch {
    return 10_000; // no Linux
  }
}

function onMessage(this: LinkedSocket, data: Buffer, isBinary: boolean): void {
  const { host, connection } = this[link];
  if (connection) host.message(connection, isBinary ? toBytes(data) : data.toString(), data.byteLength);
}

function onPing(this: LinkedSocket): void {
  const { host, connection } = this[link];
  if (connection) host.ping(connection);
}

function onPong(this: LinkedSocket, data: Buffer): void {
  const { host, connection } = this[link];
  if (connection) host.pong(connection, toBytes(data));
}

function onClose(this: LinkedSocket, code: number, reason: Buffer): void {
  const { host, connection } = this[link];
  // 1006 stands for no close frame; 1005 for one without a code, which is a clean end.
  if (connection) host.close(connection, code, reason.toString(), code !== 1006);
}

/**
 * The close codes that `ws` answers a peer's violations with (its documentation, "Error codes"; what cannot be inflated
 * comes as zlib's own error), less those that are 1002.
 */
const violations: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  Z_BUF_ERROR: 1007,
  Z_DATA_ERROR: 1007,
  Z_NEED_DICT: 1007,
};

function onError(this: LinkedSocket, error: Error & { code?: string }): void {
  const { host, connection } = this[link];
  const { code = "" } = error;
  if (connection && (code.startsWith("WS_ERR_") || Object.hasOwn(violations, code))) {
    // The peer's fault and nobody's error. The close frame is on its way already: this only lets core know that it
    // was this side that ended it, and why.
    connection.close(violations[code] ?? 1002);
  } else {
    host.error(connection, error);
  }
}

/** Makes received bytes the receiver's own: a plain Uint8Array over memory that nobody else sees. */
function toBytes(data: Buffer): Uint8Array<ArrayBuffer> {
  // Large messages come in memory of their own, small ones as a view of a chunk or pool that others use too.
  const isAlone = data.byteLength > 0 && data.byteLength === data.buffer.byteLength;
  return isAlone ? new Uint8Array(data.buffer as ArrayBuffer) : new Uint8Array(data);
}
