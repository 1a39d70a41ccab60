/**
 * The transport over `ws` sockets, and the listeners that carry what happens on one to core.
 *
 * @module
 */
import type { Accepted, Connection, Host, Transport } from "@vel/core";
import type { WsSocket } from "./ws.ts";

/** `ws`'s name for a socket that is open. */
const OPEN = 1;

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
  connection: Connection | undefined;

  constructor(host: Host<WsSocket>) {
    this.host = host;
  }

  /**
   * Told of each write that has left. The net socket's own `drain` would be cheaper but comes only after more than
   * its high-water mark (16 or 64 KiB) waited, which a small `sendBuffer.limit` never lets happen.
   */
  readonly flushed = (error?: Error | null): void => {
    if (!error && this.connection) this.host.drain(this.connection);
  };
}

/** Runs Vel's connections over the `ws` package. */
export const transport: Transport<WsSocket> = {
  name: "node",
  capabilities: Object.freeze({
    ping: true,
    terminate: true,
    compression: false,
    pause: true,
    buffered: true,
    maxPayload: undefined,
  }),
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
  ping(ws, data) {
    ws.ping(data && Buffer.from(data));
  },
  pause(ws, paused) {
    if (paused) ws.pause();
    else ws.resume();
  },
};

/**
 * Starts a connection on a socket that `ws` has just made. Call it before anything else happens on the socket: the
 * listeners are on when it returns, so the first message is not missed.
 */
export function openSocket(host: Host<WsSocket>, ws: WsSocket, accepted: Accepted): void {
  const own = new Link(host);
  (ws as LinkedSocket)[link] = own;
  ws.on("message", onMessage);
  ws.on("pong", onPong);
  ws.on("error", onError);
  ws.on("close", onClose);
  own.connection = host.open(ws, accepted);
}

function onMessage(this: LinkedSocket, data: Buffer, isBinary: boolean): void {
  const { host, connection } = this[link];
  if (connection) host.message(connection, isBinary ? toBytes(data) : data.toString(), data.byteLength);
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
 * The close codes that `ws` answers a peer's violations with (its documentation, "Error codes"), less those that
 * are 1002.
 */
const violations: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

function onError(this: LinkedSocket, error: Error & { code?: string }): void {
  const { host, connection } = this[link];
  if (connection && error.code?.startsWith("WS_ERR_")) {
    // The peer's fault and nobody's error. The close frame is on its way already: this only lets core know that it
    // was this side that ended it, and why.
    connection.close(violations[error.code] ?? 1002);
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
