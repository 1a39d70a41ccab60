/**
 * The server: routes, guards, connections and their end.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { CloseInfo } from "./close.ts";
import type { Connection } from "./connection.ts";
import type { Emitter, Unsubscribe } from "./emitter.ts";
import type { InvalidMessageError } from "./errors.ts";
import type { JsonLimits } from "./json.ts";
import type { MaybePromise } from "./maybe-promise.ts";
import type { AnyParams, PathParams } from "./path.ts";
import type { Measurable } from "./measurement.ts";
import type { Received } from "./payload.ts";
import type { Refusal } from "./refusal.ts";
import type { ErrorContext } from "./report.ts";
import type { Admission, PendingRequest, UpgradeRequest } from "./request.ts";
import type { StandardSchemaV1 } from "./standard-schema.ts";
import type { Capabilities, Host, Transport } from "./transport.ts";

/** What happens when a connection's peer reads more slowly than it is sent to. */
export interface SendBuffer {
  /** Bytes that may wait to leave; a message that comes while more wait is dropped. Default: 1 MiB. */
  limit?: number;
  /** What follows the first drop: the connection is closed with 1013, or stays and only counts. Default: `close`. */
  onFull?: "close" | "drop";
}

/** What one connection may cost. Every size is in bytes. */
export interface LimitOptions {
  /** The largest message to let in, after inflation; a larger one closes with 1009. Default: 1 MiB. */
  maxPayload?: number;
  /** What a JSON message may cost, checked before it is parsed. Default: 64 KiB, depth 64, 1,000 keys. */
  json?: JsonLimits;
  /**
   * How much may wait for the handler before the socket is not read any more; reading goes on at half of it. Each
   * message counts 64 bytes more than its payload. Nothing is lost: where a transport cannot pause, the connection is
   * closed with 1008. Default: 1 MiB.
   */
  receiveBuffer?: { limit?: number };
  /** How much may wait for a peer that reads slowly. Default: 1 MiB, then `close`. */
  sendBuffer?: SendBuffer;
}

/** How messages are compressed (permessage-deflate, RFC 7692). Contexts are never kept from message to message. */
export interface CompressionOptions {
  /** Messages smaller than so many bytes are sent as they are. Default: 1,024. */
  threshold?: number;
  /** The window of both sides as a power of two, 9 to 15; larger compresses better. Default: 13, which is 8 KiB. */
  windowBits?: number;
  /**
   * How many bytes all compressed connections of the server may hold for inflating; the next connections are not
   * offered compression. Default: 64 MiB.
   */
  memoryLimit?: number;
}

/** Settings of one route; those of the server are the default. */
export interface RouteOptions extends LimitOptions {
  /** The subprotocols that the route speaks, best first. Default: none. */
  protocols?: readonly string[];
  /**
   * `true` or options: compress, and refuse to run on a transport that cannot; `auto`: compress where the transport
   * can; `false`: never. It costs memory and CPU, and secrets beside text of an attacker's choice can leak through the
   * compressed length. Default: false.
   */
  compression?: boolean | "auto" | CompressionOptions;
  /** Whether an async `message` hook is awaited before the next message is handed in. Default: true. */
  serial?: boolean;
}

/**
 * A handler in the hook form: the fast one. `upgrade` stands first, or the data that it adds is not inferred.
 *
 * A throw or rejection of any hook touches this connection alone (1011) and is reported to `onError`.
 */
export interface Hooks<Data = unknown, Params = AnyParams, Added = unknown, In = Received> extends RouteOptions {
  /** Makes text frames arrive as JSON that was parsed and checked; `message` gets the schema's output. */
  schema?: StandardSchemaV1<unknown, In>;
  /** Decides on the request, after the guards. */
  upgrade?(request: UpgradeRequest<Params, Data>): MaybePromise<Admission<Added> | Refusal>;
  /** Runs first; messages that come meanwhile wait for it. */
  open?(connection: Connection<Data & Added, Params>): unknown;
  /** Gets each message, in order. */
  message?(connection: Connection<Data & Added, Params>, message: In): unknown;
  /** Gets what the schema refused. Default: closes with 1007. */
  invalid?(connection: Connection<Data & Added, Params>, error: InvalidMessageError): unknown;
  /** Tells that less than half of the send buffer's limit waits, after more did. */
  drain?(connection: Connection<Data & Added, Params>): unknown;
  /** Runs last, exactly once, after the messages that came before the close. */
  close?(connection: Connection<Data & Added, Params>, info: CloseInfo): unknown;
}

/** What handles a socket that somebody else accepted. */
export interface AdoptOptions<Data = unknown, In = Received> extends Omit<
  Hooks<Data, AnyParams, unknown, In>,
  "upgrade" | "protocols"
> {
  /** Becomes `connection.data`. */
  data?: Data;
}

/**
 * A handler in the pull form: it accepts, receives and sends until it is done.
 *
 * Returning closes with 1000, a throw with 1011, an uncaught {@link InvalidMessageError} with 1007; an uncaught
 * {@link DisconnectError} is a normal end. Before `accept()`, a {@link Refusal} refuses and a throw is a 500.
 */
export type PullHandler<Data = unknown, Params = AnyParams> = (
  request: PendingRequest<Params, Data>,
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- plain async handlers return nothing
) => MaybePromise<Refusal | void>;

/** A guard that only checks. */
export type CheckingGuard<Data = unknown> = (
  request: UpgradeRequest<AnyParams, Data>,
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- plain async guards return nothing
) => MaybePromise<Refusal | void>;

/** A guard that adds to `request.data` and `connection.data`. */
export type ProvidingGuard<Data, Added> = (
  request: UpgradeRequest<AnyParams, Data>,
) => MaybePromise<Admission<Added> | Refusal>;

/** Looks at each message before anybody else does: the place of rate limits. */
export interface Inspector {
  /**
   * Lets a message through, or swallows it with `false`. Called as it comes, before it is queued or decoded, when it is
   * counted already. It may close the connection. A throw is the connection's end (1011).
   *
   * @param size The payload's bytes; a text's in UTF-8.
   */
  inspect(connection: Connection, payload: Received, size: number): boolean;
}

/** Something that routes can be registered on. `Data` is what the guards before it give. */
export interface Routes<Data = unknown> {
  /**
   * Registers a handler for a path: literal segments, `:name`, a final `*`. The first route that fits wins.
   *
   * @throws {TypeError} When the path is malformed or taken.
   * @example
   * vel.websocket("/ws/chat/:room", async (request) => {
   *   const connection = await request.accept();
   *   for await (const text of connection.texts()) connection.send(`${request.params.room}: ${text}`);
   * });
   */
  websocket<Path extends string>(path: Path, handler: PullHandler<Data, PathParams<Path>>): this;
  /** Registers a pull handler with settings of its own. */
  websocket<Path extends string>(path: Path, options: RouteOptions, handler: PullHandler<Data, PathParams<Path>>): this;
  /** Registers a handler in the hook form. */
  websocket<Path extends string, Added = unknown, In = Received>(
    path: Path,
    hooks: Hooks<Data, PathParams<Path>, Added, In>,
  ): this;
  /**
   * Makes a typed scope whose routes run this guard too; changes nothing else. Forgetting the result registers
   * nothing.
   *
   * @example
   * const members = vel.with((request) => {
   *   const key = request.headers.get("x-key");
   *   return key ? { data: { key } } : request.reject(401);
   * });
   * members.websocket("/ws", { open(connection) { connection.send(connection.data.key); } });
   */
  with<Added>(guard: ProvidingGuard<Data, Added>): Routes<Data & Added>;
  with(guard: CheckingGuard<Data>): Routes<Data>;
}

/** What a {@link Vel} tells its listeners. */
export interface VelEvents {
  /** A connection is open and its handler starts. */
  open: [connection: Connection];
  /** A connection has ended; once for each `open`. */
  close: [connection: Connection, info: CloseInfo];
  /** A request to a route was refused, with this HTTP status or close code. */
  refuse: [request: UpgradeRequest, code: number];
  /** A message of so many bytes was dropped, because the send buffer is full. */
  drop: [connection: Connection, size: number];
}

/** Settings of a server. */
export interface VelOptions extends Omit<RouteOptions, "protocols"> {
  /**
   * Whose pages may connect. `same`: the Origin's host must equal the Host header; a list: exact origins
   * (`https://app.example.com`), `same` among them if wanted; `any`: everybody. A request without Origin passes
   * unless it carries a Cookie, since only browsers send cookies by themselves and they send an Origin too.
   * Default: `same`.
   */
  origins?: "same" | "any" | readonly string[];
  /**
   * Whose word on where a request comes from is believed. `false`: nobody's, `remote` is the socket's other end. A
   * list of addresses, networks (`10.0.0.0/8`, `fd00::/8`) and names (`loopback`, `linklocal`, `uniquelocal`, `private`
   * for these three, `unix` for sockets without an address): the proxies; `remote` is the last address of
   * `X-Forwarded-For` that is none of them. A number from 1 to 32: so many proxies stand before the server, whatever
   * their addresses. Default: `false`.
   *
   * Each proxy must append to the header, or set it. What stands left of the first address that is not trusted is the
   * client's own invention and never read; where an entry is no address, the proxy that wrote it counts. A client that
   * has left already may have no address either: say `unix` where nobody else reaches the server.
   */
  trustProxy?: false | number | readonly string[];
  /** How long a peer may take to answer a close, in milliseconds, before it is cut off. Default: 10,000. */
  closeTimeout?: number;
  /**
   * How long guards and handlers may take to answer a request, in milliseconds; then it is a 503. Where an adapter
   * accepts the TCP connections itself (`serve`), also how long one may take to send a whole request. Default: 5,000.
   */
  handshakeTimeout?: number;
  /**
   * How many sockets there may be at once, handshakes included; more are answered with 503. Default: what the
   * transport can hold (on Node the descriptor limit less a reserve), or else 10,000.
   */
  maxConnections?: number;
  /** Default: {@link systemClock}. */
  clock?: Clock;
  /** Is told of each error that user code or the runtime threw. Default: a line on `console.error`. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** How a server ends. */
export interface CloseOptions {
  /** The code that each connection is closed with. Default: 1001. */
  code?: number;
  /** The reason that goes with it. Default: empty. */
  reason?: string;
}

/** A WebSocket server without a runtime. Made by {@link createVel}, run by an adapter. */
export interface Vel<Data = unknown> extends Routes<Data>, Emitter<VelEvents>, Measurable, AsyncDisposable {
  /** Every connection whose handler has started and that has not ended. */
  readonly connections: ReadonlySet<Connection>;
  readonly clock: Clock;
  /** False once {@link Vel.close} was called. */
  readonly accepting: boolean;
  /**
   * Adds a guard for all routes, or an inspector of the messages of all connections.
   *
   * Guards run in the order of their registration, after the origin check. Inspectors are asked in the order of theirs,
   * until one says no.
   *
   * @throws {TypeError} When it is neither.
   * @throws {VelError} `ERR_VEL_STATE` once a route exists, which would miss it.
   * @example
   * const vel = createVel().use((request) => ({ data: { language: request.headers.get("accept-language") } }));
   */
  use<Added>(guard: ProvidingGuard<Data, Added>): Vel<Data & Added>;
  use(guard: CheckingGuard<Data> | Inspector): Vel<Data>;
  /**
   * States what a feature needs of the transport. The later of this and {@link Vel.bind} throws where it is missing.
   *
   * @throws {VelError} `ERR_VEL_UNSUPPORTED`, with the hint as the way out.
   */
  require(capability: keyof Capabilities, hint: string): void;
  /**
   * Asks for connections of silent peers to be ended after so many milliseconds, by the runtimes that do so themselves; the
   * shortest that was asked for holds. For features that look after the peers' lives.
   */
  setIdleTimeout(timeout: number): Unsubscribe;
  /**
   * Connects a transport; called by adapters.
   *
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what the transport lacks.
   */
  bind<Socket, Frame = never>(transport: Transport<Socket, Frame>): Host<Socket>;
  /**
   * Refuses new requests with 503, closes every connection, and resolves when all have ended and their handlers have
   * settled; a peer or handler that does not within `closeTimeout` is not waited for. No timer is left.
   */
  close(options?: CloseOptions): Promise<void>;
}
