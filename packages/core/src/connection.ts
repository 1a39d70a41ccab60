/**
 * One accepted WebSocket, on any runtime, as handlers and features see it.
 *
 * @module
 */
import type { CloseInfo } from "./close.ts";
import type { Unsubscribe } from "./emitter.ts";
import type { MaybePromise } from "./maybe-promise.ts";
import type { AnyParams } from "./path.ts";
import type { Json, Payload, SendStatus } from "./payload.ts";
import type { StandardSchemaV1 } from "./standard-schema.ts";
import type { Capabilities, Remote } from "./transport.ts";

/** How long a receiving method waits. */
export interface ReceiveOptions {
  /** Gives up when it aborts, and rejects with its reason. */
  signal?: AbortSignal;
  /** Gives up after so many milliseconds with `ERR_VEL_TIMEOUT`. Default: waits for ever. */
  timeout?: number;
}

/** How one message is sent. */
export interface SendOptions {
  /** Compresses it where the connection negotiated that. Default: true. */
  compress?: boolean;
}

/**
 * One accepted WebSocket. An interface, so that two installed copies of core stay compatible.
 *
 * The request's headers, url and query are not kept: what is wanted later is put into `data` by a guard, an
 * `upgrade` hook or `accept()`.
 *
 * @example
 * vel.websocket("/ws", async (request) => {
 *   const connection = await request.accept();
 *   for await (const text of connection.texts()) connection.send(`Echo: ${text}`);
 * });
 */
export interface Connection<Data = unknown, Params = AnyParams> {
  /** Random, never reused. */
  readonly id: string;
  /** The path of the route as it was registered: `/ws/chat/:room`. */
  readonly route: string;
  /** What stood in the path, percent-decoded. */
  readonly params: Params;
  /** What guards, `upgrade` and `accept()` gave. The properties are the application's to change. */
  readonly data: Data;
  /** The subprotocol in use; empty when there is none. */
  readonly protocol: string;
  /** Where it comes from: the socket's other end, or whom a trusted proxy names, see {@link VelOptions.trustProxy}. */
  readonly remote: Remote | undefined;
  /** When it was opened, in milliseconds by the server's {@link Clock.now}. */
  readonly openedAt: number;
  /** What the transport can do. */
  readonly capabilities: Capabilities;

  /** Whether messages can be sent. False from the first of: `close()`, `terminate()`, the peer's close, a drop. */
  readonly isOpen: boolean;
  /**
   * Whether its socket is not read for now, because too much waits for the handler, see {@link LimitOptions.receiveBuffer}:
   * whatever the peer says meanwhile, pongs included, is heard later.
   */
  readonly isPaused: boolean;
  /** How it ended; undefined until it has. */
  readonly closeInfo: CloseInfo | undefined;
  /** Aborts as soon as the connection is not open any more. Made on first read. */
  readonly signal: AbortSignal;
  /** Bytes that wait to leave; undefined where the transport cannot tell. */
  readonly bufferedAmount: number | undefined;

  /** Messages received, whether or not the handler has seen them yet. */
  readonly messagesReceived: number;
  /** Payload bytes received. */
  readonly bytesReceived: number;
  /** Messages that {@link Connection.send} took. */
  readonly messagesSent: number;
  /** Payload bytes that {@link Connection.send} took. */
  readonly bytesSent: number;
  /** Messages that were dropped: by the send buffer's policy, or taken in the turn in which the connection ended. */
  readonly messagesDropped: number;
  /** Messages, pings and pongs received: a sweep that finds it unchanged found a silent peer. */
  readonly framesReceived: number;

  /**
   * Sends a string as a text frame, bytes as a binary frame. Never throws for the connection's sake.
   *
   * @throws {TypeError} When the payload is neither.
   */
  send(payload: Payload, options?: SendOptions): SendStatus;
  /**
   * Sends a value as a JSON text frame.
   *
   * @throws {TypeError} When the value has no JSON form.
   */
  sendJson(value: Json, options?: SendOptions): SendStatus;
  /** Resolves when less than half of the send buffer's limit waits, and on close; never rejects. */
  drained(): Promise<void>;
  /**
   * Sends a protocol ping of at most 125 bytes.
   *
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` where `capabilities.ping` is false.
   * @throws {RangeError} When the data is longer than a control frame holds (RFC 6455, section 5.5).
   */
  ping(data?: Uint8Array): void;
  /**
   * Closes with the closing handshake; a peer that does not answer within `closeTimeout` is cut off. A second call
   * does nothing. Messages that were received and not handled yet are discarded.
   *
   * @param code Default: 1000.
   * @param reason Cut to 123 bytes of UTF-8. Default: empty.
   * @throws {RangeError} When the code may not be sent.
   */
  close(code?: number, reason?: string): void;
  /**
   * Cuts the connection without a close frame where the transport can, else closes with 1001 and forgets it.
   *
   * @param reason What `closeInfo` says, beside 1006; the peer learns nothing. Default: empty.
   */
  terminate(reason?: string): void;

  /**
   * Waits for the next message, a text.
   *
   * @throws {DisconnectError} When the connection has ended.
   * @throws {InvalidMessageError} When it was a binary frame; it is consumed, the connection stays open.
   * @throws {VelError} `ERR_VEL_TIMEOUT`; `ERR_VEL_STATE` when a message hook already gets the messages.
   */
  receiveText(options?: ReceiveOptions): Promise<string>;
  /** Waits for the next message, bytes. Throws as {@link Connection.receiveText} does. */
  receiveBytes(options?: ReceiveOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Waits for the next message, JSON in a text frame. Throws as {@link Connection.receiveText} does. */
  receiveJson(options?: ReceiveOptions): Promise<unknown>;
  /** Waits for the next message, JSON that fits a schema. Throws as {@link Connection.receiveText} does. */
  receiveJson<Schema extends StandardSchemaV1>(
    schema: Schema,
    options?: ReceiveOptions,
  ): Promise<StandardSchemaV1.InferOutput<Schema>>;

  /**
   * Iterates over text messages until the connection ends, however it ends. Leaving the loop does not close.
   * A wrong message throws {@link InvalidMessageError} and the same iterator can be read on.
   */
  texts(): AsyncIterableIterator<string>;
  /** Iterates over binary messages, as {@link Connection.texts} does over texts. */
  bytes(): AsyncIterableIterator<Uint8Array<ArrayBuffer>>;
  /** Iterates over JSON messages, as {@link Connection.texts} does over texts. */
  jsons(): AsyncIterableIterator<unknown>;
  /** Iterates over JSON messages that fit a schema. */
  jsons<Schema extends StandardSchemaV1>(schema: Schema): AsyncIterableIterator<StandardSchemaV1.InferOutput<Schema>>;

  /**
   * Calls back once, as soon as the connection is not open any more: at this server's `close()` already, when the
   * peer has not answered yet. For those who hold connections; called at once when that has happened.
   */
  onClosing(listener: () => void): Unsubscribe;
  /** Calls back once, when the connection has ended; called at once when it has. */
  onClose(listener: (info: CloseInfo) => void): Unsubscribe;
  /**
   * Lays new values over {@link Connection.data}, and tells those who decided by the old ones: rooms ask `canJoin` again,
   * channels `authorize`, and let go of the connection where the answer is no. Resolves when all have decided.
   *
   * @example
   * await connection.renew({ role: "guest" });
   */
  renew(data: Partial<Data>): Promise<void>;
  /**
   * Calls back after each {@link Connection.renew}, for those who let the connection in by what its data said. A promise is
   * waited for; what it throws or rejects with is reported, so deciding for "no" then is the listener's own business.
   */
  onRenew(listener: () => MaybePromise<void>): Unsubscribe;
  /** Calls back on each pong, with the ping's data. */
  onPong(listener: (data: Uint8Array) => void): Unsubscribe;
}
