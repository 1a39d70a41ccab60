/**
 * Where a guard looks for tokens, and what it does with who has no good one.
 *
 * @module
 */
import type { Refusal, UpgradeRequest } from "@vel/core";

/**
 * Where tokens come from.
 *
 * - `header`: `Authorization: Bearer <token>`. What programs use; browsers cannot.
 * - `subprotocol`: `new WebSocket(url, ["chat", "bearer", token])`: what follows `bearer`. The token is never named back.
 * - `cookie`, `{ cookie: name }`: the cookie `token`, or another name; prefer `__Host-token`. Only where the server checks
 *   origins: otherwise each request fails with `ERR_VEL_STATE` (500), because any page could connect as its visitor.
 * - `query`, `{ query: name }`: `?token=<token>`. Stands in the logs of proxies: prefer any other. Removed from
 *   `request.query`.
 * - `ticket`: `?ticket=<ticket>`, made by {@link JwtHandler.ticket}. Removed from `request.query`.
 * - `message`: the first message on the open connection, `{ "type": "auth", "token": "…" }`. Stands last. Guards behind
 *   this one, and `upgrade`, run before it comes: for them there is no data yet.
 * - a function, for everything else: gives a text at once, not a promise; null, undefined and an empty text are none.
 */
export type TokenSource =
  | "header"
  | "subprotocol"
  | "cookie"
  | "query"
  | "ticket"
  | "message"
  | { readonly cookie: string }
  | { readonly query: string }
  | ((request: UpgradeRequest) => string | undefined | null);

/** Why somebody is refused. More than this is told to nobody. */
export type RefuseReason = "missing" | "invalid";

/**
 * What is done with who has no good token or key.
 *
 * - `reject`: HTTP status 401. Browsers see 1006 only.
 * - `close`: the connection is accepted and closed with 4401, which browsers see.
 * - a function, for everything else.
 */
export type RefuseOption = "reject" | "close" | ((request: UpgradeRequest, why: RefuseReason) => Refusal);

/** How long, and for how many, the first message is waited for. */
export interface FirstMessageOptions {
  /** How long the whole of it may take, in milliseconds; then the connection is closed with 4408. Default: 10,000. */
  timeout?: number;
  /**
   * How many connections of this guard may be there that have not shown a good token; one more is refused with 503. One
   * that was turned away counts until its socket is gone. Each can hold `maxPayload` of memory, 1 MiB by
   * default: give the route a small one. Default: 1,000.
   */
  maxWaiting?: number;
}

/** Settings of {@link JwtHandler.guard}. */
export interface GuardOptions {
  /**
   * Where tokens come from: the first that has one decides, so a wrong token in it is refused and not tried elsewhere.
   * Default: `["header", "subprotocol"]`.
   */
  from?: TokenSource | readonly TokenSource[];
  /** Default: `reject`. Who fails with the first message is always closed with 4401. */
  refuse?: RefuseOption;
  /** For the source `message`. */
  message?: FirstMessageOptions;
}

/** What a guard adds to the data of requests and connections, unless told otherwise. */
export interface Identity<Claims> {
  /** `sub`. */
  readonly userId: string;
  readonly claims: Claims;
}
