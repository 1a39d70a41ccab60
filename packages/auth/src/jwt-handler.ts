/**
 * JSON Web Tokens: who comes in, for how long, and who is put out.
 *
 * @module
 */
import type { Connection, FrameHandlers, Measurable, Measurement, ProvidingGuard } from "@vel/core";
import { tokenError } from "./errors.ts";
import { assertToken } from "./first-message.ts";
import type { GuardOptions, Identity } from "./guard-options.ts";
import { JwtGuard } from "./jwt-guard.ts";
import type { JwtOptions } from "./jwt-options.ts";
import { LiveTokens } from "./live-tokens.ts";
import { assertOptions, isData, kindOf, positive, wrongAnswer } from "./option-checks.ts";
import { targetKey, type RevokeTarget } from "./revoke-target.ts";
import type { DataOf } from "./sessions.ts";
import type { SignOptions } from "./sign-options.ts";
import { ticketTerms, type TicketOptions } from "./tickets.ts";
import type { JwtClaims, VerifiedToken } from "./verified-token.ts";

/** For how long tokens stay revoked. */
export interface RevokeOptions {
  /** Milliseconds: at least as long as your tokens live, since one that outlives it is good again. Default: 30 days. */
  keepFor?: number;
}

const thirtyDays = 2_592_000_000;

/**
 * Lets requests in that show a JSON Web Token, watches the connections for as long as their tokens are good, and puts them
 * out when they are not any more.
 *
 * One handler knows the tokens of one issuer (users, `sub`, are told apart by nothing else), and the connections that came through its guards. Those are closed with
 * 4401 when the token expires, within `clockTolerance` after its `exp`, unless they are refreshed.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { JwtHandler } from "@vel/auth";
 * import { createVel } from "@vel/core";
 * import { connect } from "@vel/testing";
 *
 * const jwt = new JwtHandler({ algorithms: ["HS256"], secret: crypto.getRandomValues(new Uint8Array(32)) });
 * const vel = createVel();
 * vel.with(jwt.guard()).websocket("/ws", { open: (connection) => connection.send(`Hello ${connection.data.userId}`) });
 *
 * const token = await jwt.sign({}, { subject: "ada", expiresIn: 600_000 });
 * const client = await connect(vel, "/ws", { headers: { authorization: `Bearer ${token}` } });
 * assert.equal(await client.receiveText(), "Hello ada");
 * await vel.close();
 * jwt.close();
 */
export class JwtHandler<Claims = JwtClaims> implements Measurable {
  readonly #tokens: LiveTokens<Claims>;

  /**
   * @throws {TypeError} When an option is of a wrong kind, an algorithm is unknown or does not fit its key, or there is
   * not exactly one of `secret`, `key` and `jwks`.
   * @throws {RangeError} When a secret or a key is too short, or a number is out of its range.
   */
  constructor(options: JwtOptions<Claims>) {
    this.#tokens = new LiveTokens(options);
  }

  /**
   * Verifies a token, for routes and HTTP endpoints of your own. Does not watch what comes of it: that is for guards.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`, with one text whatever is wrong with it; `ERR_VEL_KEYS` when it cannot be told,
   * because no key could be had or the handler was closed.
   * @example
   * const jwt = new JwtHandler({ algorithms: ["RS256"], jwks: "https://id.example.com/jwks.json" });
   * const claims = await jwt.verify(request.query.get("token") ?? "");
   */
  async verify(token: string): Promise<Claims> {
    const checked = await this.#tokens.check(token);
    this.#tokens.assertGood(checked);
    return checked.claims;
  }

  /**
   * Signs a token that {@link JwtHandler.verify} takes, with the first of the algorithms. `iss`, `aud` and `typ` are those
   * of the options.
   *
   * @throws {TypeError} When the claims are no object, hold one that is for an option, or lack a required one.
   * @throws {RangeError} When a duration is out of its range, or the token would be too long.
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` when there is neither a secret nor a private key.
   * @example
   * const jwt = new JwtHandler({ algorithms: ["HS256"], secret: crypto.getRandomValues(new Uint8Array(32)) });
   * const token = await jwt.sign({ role: "admin" }, { subject: "ada", expiresIn: 600_000 });
   */
  sign(claims: object, options: SignOptions): Promise<string> {
    return this.#tokens.verifier.sign(claims, options);
  }

  /**
   * Makes a guard for `vel.use()` and `vel.with()`: it adds what `data` makes of the claims to the data of requests and
   * connections, by default the user and the claims. Who has no good token is refused; who has one while no key can be
   * had to check it with gets 503.
   *
   * `data` is asked again at each refresh. It must tell everything by the claims: what it gave before and does not give
   * any more becomes undefined. It gives an object, and at once: anything else, a promise too, is a `TypeError` when
   * somebody comes, so the request fails with 500, and `onError` is told.
   *
   * @throws {TypeError} When a source is unknown, `refuse` is none of its kinds, or another option is of a wrong kind.
   * @throws {RangeError} When a number is not positive.
   * @example
   * const jwt = new JwtHandler({ algorithms: ["HS256"], secret: crypto.getRandomValues(new Uint8Array(32)) });
   * const members = vel.with(jwt.guard({ from: ["header", "cookie"], data: ({ sub }) => ({ name: String(sub) }) }));
   * members.websocket("/ws", { open: (connection) => connection.send(connection.data.name) });
   */
  guard<D extends object>(options: GuardOptions & { data: (claims: Claims) => D }): ProvidingGuard<unknown, D>;
  /** Makes a guard that tells the user, `sub`: a token without one is not good for it. */
  guard(options?: GuardOptions): ProvidingGuard<unknown, Identity<Claims>>;
  guard(options: GuardOptions & { data?: (claims: Claims) => unknown } = {}): ProvidingGuard<unknown, never> {
    assertOptions("guard()", options);
    const guard = new JwtGuard(this.#tokens, options, dataOf(options.data));
    return (request) => guard.decide(request);
  }

  /**
   * Makes a ticket for whoever has shown a token to an HTTP endpoint: it stands in the URL of the WebSocket instead of
   * the token, see the source `ticket` of {@link JwtHandler.guard}. 43 characters, good once, for one path, and for a
   * short time. It is known to this process only.
   *
   * @throws {VelError} `ERR_VEL_TOKEN` and `ERR_VEL_KEYS` as {@link JwtHandler.verify}; `ERR_VEL_LIMIT` when there are
   * 10,000 tickets, or 16 of the token's user, that were not used and have not expired.
   * @throws {TypeError} When an option is of a wrong kind, or there are none.
   * @throws {RangeError} When `lifetime` is not a positive number.
   */
  async ticket(token: string, options: TicketOptions): Promise<string> {
    return this.#tokens.issue(token, ticketTerms(options));
  }

  /**
   * Puts a connection that came through a guard of this handler on another token of the same user and issuer: it stays for
   * as long as that one is good, has the data that the guard makes of it, and goes when that one is revoked. Resolves when
   * rooms and channels have decided again by the new data. Where it rejects, the connection is still on its old token.
   *
   * What others have put under the same names into the data, later guards and the application, stays as they left it.
   *
   * Calls for one connection take turns, so the token that was handed in last stays, if it is good.
   *
   * @throws {VelError} `ERR_VEL_TOKEN` when the token is not valid or another user's; `ERR_VEL_KEYS` when that cannot be
   * told; `ERR_VEL_STATE` when the connection did not come through a guard of this handler; `ERR_VEL_DISCONNECTED` when
   * it is not open.
   * @throws {TypeError} When there is no connection.
   */
  async refresh(connection: Connection, token: string): Promise<Claims> {
    if (typeof (Object(connection) as { renew?: unknown }).renew !== "function") {
      throw new TypeError(`What is refreshed must be a connection, got ${kindOf(connection)}`);
    }
    const { claims } = await this.#tokens.refresh(connection, token);
    return claims;
  }

  /**
   * The frame `auth` for core's `Protocol`: {@link JwtHandler.refresh} by the client's own hand. `{ type: "auth", id,
   * token }` is answered with `{ type: "ok", id, expiresIn }`, in milliseconds, or with an error, of which the connection
   * stays as it was.
   *
   * @example
   * const jwt = new JwtHandler({ algorithms: ["HS256"], secret: crypto.getRandomValues(new Uint8Array(32)) });
   * const protocol = new Protocol().add(jwt.frames());
   * vel.with(jwt.guard()).websocket("/ws", protocol.hooks());
   */
  frames(): FrameHandlers {
    return {
      auth: async (connection, frame) => {
        assertToken(frame);
        return { expiresIn: this.#tokens.expiresIn(await this.#tokens.refresh(connection, frame.token)) };
      },
    };
  }

  /**
   * Revokes the tokens of a user that were issued until now, or one token by its id (`jti`): their connections are closed
   * with 4401 at once, their tickets are worth nothing, and from now on they are not valid. Tokens tell when they were
   * issued to the second: one of the same second is revoked too, and so is one that does not tell. Users are told apart by
   * `sub` alone, whoever issued it.
   *
   * What a client had said before it left by itself is handled still, where that has not been done yet.
   *
   * In this process: each has its own list. 100,000 revocations are kept at a time.
   *
   * @returns How many connections it closed.
   * @throws {VelError} `ERR_VEL_LIMIT` when there are too many: connections and tickets have ended all the same, but the
   * tokens can be used again.
   * @throws {TypeError} When it is not exactly one of `subject` and `tokenId`.
   * @throws {RangeError} When `keepFor` is not a positive number.
   * @example
   * const jwt = new JwtHandler({ algorithms: ["HS256"], secret: crypto.getRandomValues(new Uint8Array(32)) });
   * const closed = jwt.revoke({ subject: "ada" }, { keepFor: 86_400_000 });
   */
  revoke(target: RevokeTarget, options: RevokeOptions = {}): number {
    const key = targetKey(target);
    assertOptions("revoke()", options);
    const { keepFor = thirtyDays } = options;
    return this.#tokens.revoke(key, positive("keepFor", keepFor));
  }

  /**
   * Reads what was counted: `vel_auth_attempts_total` by `strategy` (`header`, `subprotocol`, `cookie`, `query`, `ticket`,
   * `message`, `custom`, or `none` for those without a token) and `result` (`accepted`, `refused`, `unavailable`),
   * `vel_auth_refreshes_total` by `result`, `vel_auth_expirations_total` (connections that were closed because their token
   * had expired), `vel_auth_revocations_total` (calls), and how many connections there are, `vel_auth_sessions`.
   */
  measure(): Iterable<Measurement> {
    return this.#tokens.measure();
  }

  /**
   * Ends the watch: no timer is left, and connections stay open for as long as they like. Close the server first. From
   * then on no token can be checked: guards answer with 503.
   */
  close(): void {
    this.#tokens.close();
  }
}

/** Makes of the option `data` what a session asks at each token. */
function dataOf<Claims>(make: unknown): DataOf<Claims> {
  if (make === undefined) return identityOf;
  if (typeof make !== "function") throw new TypeError(`Option "data" must be a function, got ${kindOf(make)}`);
  return ({ claims }) => {
    const data: unknown = (make as (claims: Claims) => unknown)(claims);
    if (!isData(data)) throw wrongAnswer('Option "data" must give an object', data);
    return data;
  };
}

function identityOf<Claims>({ subject, claims }: VerifiedToken<Claims>): Identity<Claims> {
  if (subject === undefined) throw tokenError();
  return { userId: subject, claims };
}
