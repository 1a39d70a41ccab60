/**
 * A handshake as guards and handlers see it, and the one answer that lets it in.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import type { HeadersLike } from "./headers.ts";
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
  readonly remote: Remote | undefined;
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
   * @throws {RangeError} When the code may not be sent.
   * @throws {VelError} `ERR_VEL_STATE` when the request was accepted already.
   */
  close(this: object, code: number, reason?: string): Refusal;
  /** Calls `release` once, when the request was refused or aborted, or its connection has ended; at once if it has. */
  defer(this: object, release: () => void): void;
}

/** A handshake in the hands of a pull handler, which alone can accept. */
export interface PendingRequest<Params = AnyParams, Data = unknown> extends UpgradeRequest<Params, Data> {
  /**
   * Accepts, and resolves once the connection is open.
   *
   * @throws {DisconnectError} When the client left meanwhile.
   * @throws {VelError} `ERR_VEL_STATE` when the request was answered already.
   */
  accept<Added = unknown>(admission?: Admission<Added>): Promise<Connection<Data & Added, Params>>;
}
