/**
 * The seam between core and a runtime: what an adapter implements, and what core gives it.
 *
 * An adapter passes the runtime's sockets raw; core keeps the loop, the policy and the counts.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import type { HeaderList } from "./headers.ts";
import type { MaybePromise } from "./maybe-promise.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Payload, Received, SendStatus } from "./payload.ts";
import type { AdoptOptions, CompressionOptions } from "./vel.ts";

/** What a transport can do. What is false is absent from the {@link Transport}, never a no-op. */
export interface Capabilities {
  /** Sends protocol pings and sees pongs. */
  readonly ping: boolean;
  /** Cuts a connection without a close frame. */
  readonly terminate: boolean;
  /** Negotiates permessage-deflate. */
  readonly compression: boolean;
  /** Stops reading from one socket. */
  readonly pause: boolean;
  /** Ends connections of silent peers by itself, after {@link Host.idleTimeout}. */
  readonly idleTimeout: boolean;
  /** Knows how many bytes wait to leave. */
  readonly buffered: boolean;
  /** The largest message that the runtime lets in at all, in bytes; undefined where core's own limit decides. */
  readonly maxPayload: number | undefined;
}

/** Where a connection comes from. */
export interface Remote {
  /** An IP address without brackets or a port. */
  readonly address: string;
  readonly port?: number;
}

/**
 * What an adapter implements for its runtime's `Socket`.
 *
 * @example
 * const transport: Transport<WebSocket> = {
 *   name: "mine",
 *   capabilities: { ping: false, terminate: false, compression: false, pause: false, idleTimeout: false, buffered: true, maxPayload: undefined },
 *   send: (socket, payload) => (socket.send(payload), "sent"),
 *   close: (socket, code, reason) => socket.close(code, reason),
 *   buffered: (socket) => socket.bufferedAmount,
 * };
 */
export interface Transport<Socket, Frame = never> {
  /** The adapter's name, for errors, logs and metrics. */
  readonly name: string;
  readonly capabilities: Capabilities;
  /** How many sockets the runtime can hold at once. Default: 10,000. */
  readonly maxConnections?: number;
  /**
   * Whether {@link Host.drain} is called. Where the runtime does not tell, core looks every 10 ms, and only while somebody
   * has reason to wait. Default: true.
   */
  readonly drains?: boolean;
  /** Sends one message and says what became of it. `compress` is a wish. Must not keep the payload. */
  send(socket: Socket, payload: Payload, compress: boolean): SendStatus;
  /** Starts the closing handshake. Code and reason are checked already. */
  close(socket: Socket, code: number, reason: string): void;
  /** Cuts the connection. Present where `capabilities.terminate` says so. */
  terminate?(socket: Socket): void;
  /** Counts the bytes that wait to leave. Present where `capabilities.buffered` says so. */
  buffered?(socket: Socket): number;
  /**
   * Sends a ping of at most 125 bytes, behind what was sent before. Present where `capabilities.ping` says so. Must not keep the
   * data.
   */
  ping?(socket: Socket, data?: Uint8Array): void;
  /** Stops or goes on reading. Present where `capabilities.pause` says so. */
  pause?(socket: Socket, paused: boolean): void;
  /** Counts a text's bytes in UTF-8, where the runtime does it faster than core. */
  size?(text: string): number;

  // A transport that can put bytes of its own on the wire has the next three, and then all messages go through them:
  // what one turn of the event loop produced for a socket leaves in one write.

  /** Calls back once, when this turn of the event loop ends. */
  afterTurn?(flush: () => void): void;
  /**
   * Builds what goes on the wire for these messages, in order: once for all sockets that got the same and
   * are of the same {@link Transport.group}.
   */
  frame?(outgoing: readonly Outgoing[], group: unknown): Frame;
  /** Puts a frame on one socket and says what became of it. Does not own it: others get the same. */
  sendFrame?(socket: Socket, frame: Frame): SendStatus;
  /** Tells which sockets understand the same frames, for example by what compression they negotiated. Default: all. */
  group?(socket: Socket): unknown;
}

/** A request as an adapter hands it in. */
export interface Handshake {
  /** The request's target: path and query, as it stood in the request line. */
  readonly url: string;
  readonly headers: Headers;
  /** The socket's other end, whatever headers say: core reads them. Undefined where it has no address. */
  readonly remote: Remote | undefined;
  /** Aborts when the client leaves before it was answered. */
  readonly signal: AbortSignal;
  /** The runtime's own request. */
  readonly raw: unknown;
}

/** Core's answer that lets a request in: write these, then call {@link Host.open}. */
export interface Accepted {
  readonly accept: true;
  /** The subprotocol to name, one that the client offered; undefined for none. */
  readonly protocol: string | undefined;
  /** Further headers of the 101 response, in order, repeated names kept. */
  readonly headers: HeaderList;
  /** The largest message to let in on this connection, in bytes after inflation. */
  readonly maxPayload: number;
  /** What to negotiate of permessage-deflate; false for nothing, and always where the transport cannot. */
  readonly compression: Required<CompressionOptions> | false;
}

/** Core's answer that does not: write it and end the connection. */
export interface Refused {
  readonly accept: false;
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: string;
}

/**
 * What `vel.bind` gives an adapter. Every call is safe and idempotent: nothing throws into the adapter, and what
 * comes twice or too late is ignored.
 */
export interface Host<Socket> {
  /**
   * The largest message that any route lets in now, in bytes: for runtimes that have one limit for the whole server.
   * What is right for one connection stands in {@link Accepted}.
   */
  readonly maxPayload: number;
  /** Whether any route compresses now: for runtimes that have one setting for the whole server. */
  readonly compression: boolean;
  /**
   * After how many milliseconds of silence the runtime should end a connection by itself, where it can: what a heartbeat asked
   * for, to be read at each upgrade. Undefined: as the runtime likes.
   */
  readonly idleTimeout: number | undefined;
  /** How long a handshake may take, in milliseconds: an adapter that accepts TCP connections holds them to it too. */
  readonly handshakeTimeout: number;
  /** Tells whether a route answers this path (the part of the target before `?`). */
  matches(path: string): boolean;
  /** Decides on a request. Never rejects: a failing guard or handler is a 500. */
  upgrade(handshake: Handshake): MaybePromise<Accepted | Refused>;
  /** Tells that an accepted request becomes no connection, where the handshake's signal does not say so. */
  abandon(accepted: Accepted): void;
  /** Starts a connection, once 101 is written and before the first message is handed in. */
  open(socket: Socket, accepted: Accepted): Connection;
  /**
   * Starts a connection on a socket that somebody else accepted: no route, guard or origin check is asked. Without a
   * `message` hook its messages are counted and left to whoever else listens.
   */
  adopt<Data = unknown, In = Received>(
    socket: Socket,
    handshake: Pick<Handshake, "url" | "remote" | "headers">,
    hooks?: AdoptOptions<Data, In>,
  ): Connection<Data>;
  /** Hands in a message. `size` is its size in bytes where the adapter knows it already. */
  message(connection: Connection, payload: Received, size?: number): void;
  /** Tells of a ping, which the adapter or its runtime answers: a sign of life. */
  ping(connection: Connection): void;
  /** Tells of a pong. */
  pong(connection: Connection, data: Uint8Array): void;
  /**
   * Writes at once what waits for the end of the turn. To be called before an adapter, or the library below it, writes
   * something of its own after which nothing may follow: the answer to the peer's close.
   */
  flush(connection: Connection): void;
  /** Tells that bytes have left. */
  drain(connection: Connection): void;
  /** Tells of the end; code 0 or 1006 means that no close frame came. */
  close(connection: Connection, code: number, reason: string, wasClean: boolean): void;
  /** Tells of an error that the runtime reported. */
  error(connection: Connection | undefined, error: unknown): void;
}
