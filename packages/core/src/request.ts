/**
 * A handshake as guards and handlers see it, and the one answer that lets it in.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import type { HeadersLike } from "./headers.ts";
import type { MaybePromise } from "./maybe-promise.ts";
import type { AnyParams } from "./path.ts";
import type { Refusal, RejectOptions } from "./refusal.ts";
import type { Remote } from "./transport.ts";

/** The one answer of guards, `upgrade` hooks and `accept()`. */
export interface Admission<Data = unknown> {
  /** Becomes part of `request.data` and `connection.data`: own properties are merged, later ones win. */
  data?: Data;
  /**
   * The subprotocol to use. Named to the client only if it offered it (RFC 6455, section 4.2.2); otherwise there is
   * none. Default: the first of the route's `protocols` that the client offered.
   */
  protocol?: string;
  /** Further headers of the 101 response. Those of guards, `upgrade` and `accept()` are all sent. */
  headers?: HeadersLike;
  /**
   * Runs on the open connection before its handler does, in the order of the guards: messages that come meanwhile wait,
   * so it may take the first of them. The properties of what it gives or resolves to are laid over `connection.data`,
   * but for those that later guards and `upgrade` have given: these have run by then, did not see it, and have the last
   * word. The handler never starts when it closes the connection or throws (1011; 1007 for an {@link InvalidMessageError}).
   * It gets what came before where the peer has left meanwhile.
   *
   * Until then the connection is not among `vel.connections`, but counts as one of `maxConnections`. Nothing but itself
   * limits how long it takes: give what waits for the peer a `timeout`.
   */
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most have nothing to add
  prepare?(connection: Connection): MaybePromise<Partial<Data> | undefined | void>;
}

/** A handshake that is being decided on. Guards and `upgrade` hooks get this; they cannot accept. */
export interface UpgradeRequest<Params = AnyParams, Data = unknown> {
  /** The path of the route as it was registered. */
  readonly route: string;
  /** The path of the request, not decoded. */
  readonly path: string;
  /** What stood in the path, percent-decoded. */
  readonly params: Params;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** The cookies by name; the first of a name wins. */
  readonly cookies: ReadonlyMap<string, string>;
  /** The subprotocols that the client offered, in its order. */
  readonly protocols: readonly string[];
  /** Where it comes from: the socket's other end, or whom a trusted proxy names, see {@link VelOptions.trustProxy}. */
  readonly remote: Remote | undefined;
  /**
   * Whether only pages that may connect can be behind the request. False where `origins` is `any`: then it can be anybody's
   * page, with the cookies of its visitor.
   */
  readonly isOriginChecked: boolean;
  /** What earlier guards gave. */
  readonly data: Data;
  /** Aborts when the client leaves before it was answered. */
  readonly signal: AbortSignal;
  /** The runtime's own request. */
  readonly raw: unknown;
  /**
   * Refuses with an HTTP status: return it or throw it. Throws as {@link reject} does.
   *
   * @throws {VelError} `ERR_VEL_STATE` when the request was accepted already.
   */
  reject(this: object, status: number, options?: RejectOptions): Refusal;
  /**
   * Refuses by accepting and closing at once, with a code that browsers can see: return it or throw it.
   *
   * @param options.protocol The subprotocol to use, as in {@link Admission}: a browser that offered some and is told none
   * sees 1006 instead of the code.
   * @throws {RangeError} When the code may not be sent.
   * @throws {VelError} `ERR_VEL_STATE` when the request was accepted already.
   */
  close(this: object, code: number, reason?: string, options?: { protocol?: string }): Refusal;
  /** Calls `release` once, when the request was refused or aborted, or its connection has ended; at once if it has. */
  defer(this: object, release: () => void): void;
}

/** A handshake in the hands of a pull handler, which alone can accept. */
export interface PendingRequest<Params = AnyParams, Data = unknown> extends UpgradeRequest<Params, Data> {
  /**
   * Accepts, and resolves once the connection is open and prepared, see {@link Admission.prepare}.
   *
   * @throws {DisconnectError} When the client left meanwhile, or a preparation has ended the connection.
   * @throws {VelError} `ERR_VEL_STATE` when the request was answered already.
   */
  accept<Added = unknown>(admission?: Admission<Added>): Promise<Connection<Data & Added, Params>>;
}
