/**
 * The tokens of a handler in use: which are good, and whom they keep connected.
 *
 * @module
 */
import { VelError, type Connection, type Measurement, type UpgradeRequest } from "@vel/core";
import { keysError, tokenError } from "./errors.ts";
import { tokenRules, type JwtOptions, type TokenRules } from "./jwt-options.ts";
import { JwtVerifier } from "./jwt-verifier.ts";
import { Revocations } from "./revocations.ts";
import type { TargetKey } from "./revoke-target.ts";
import { digestSecret, randomSecret } from "./secret.ts";
import { Sessions, type DataOf, type Session } from "./sessions.ts";
import { Tally } from "./tally.ts";
import { Tickets, type TicketTerms } from "./tickets.ts";
import type { TimedToken } from "./timed-token.ts";
import type { VerifiedToken } from "./verified-token.ts";

/** What the parts of a handler share. */
export class LiveTokens<Claims> {
  readonly tally: Tally = new Tally();
  readonly sessions: Sessions<Claims>;
  readonly tickets: Tickets<Claims>;
  readonly verifier: JwtVerifier<Claims>;
  readonly rules: TokenRules;
  readonly #revocations: Revocations;
  /** The last refresh of each connection: they take turns, so that the one that was asked for last wins. */
  readonly #turns = new WeakMap<Connection, Promise<unknown>>();
  #isClosed = false;

  constructor(options: JwtOptions<Claims>) {
    this.verifier = new JwtVerifier(options);
    this.rules = tokenRules(options);
    const { clock } = this.rules;
    this.#revocations = new Revocations(clock);
    this.tickets = new Tickets(clock);
    this.sessions = new Sessions(clock, () => this.tally.count("vel_auth_expirations_total"));
  }

  /**
   * Verifies a token. Whether it is good is for {@link LiveTokens.assertGood} to say, in the same turn in which it is
   * used: anything may happen while somebody waits for this.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`; `ERR_VEL_KEYS` when it cannot be told.
   */
  async check(token: string): Promise<TimedToken<Claims>> {
    const verified = await this.verifier.verify(token);
    const { clock, clockTolerance, maxTokenAge } = this.rules;
    const { expiresAt, issuedAt = Infinity } = verified;
    const left = Math.min(expiresAt, issuedAt + maxTokenAge) + clockTolerance - clock.wall();
    return { ...verified, deadline: clock.now() + left };
  }

  /**
   * Makes sure that a token is not revoked and has not expired.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`; `ERR_VEL_KEYS` when the handler was closed.
   */
  assertGood(token: TimedToken<Claims>): void {
    if (this.#isClosed) throw keysError();
    if (this.rules.clock.now() >= token.deadline || this.#revocations.covers(token)) throw tokenError();
  }

  /** How long a token is good still, in milliseconds, for the client: its clock may be wrong. Undefined is for ever. */
  expiresIn({ deadline }: TimedToken<Claims>): number | undefined {
    const { clock, clockTolerance } = this.rules;
    return deadline === Infinity ? undefined : Math.max(0, Math.floor(deadline - clockTolerance - clock.now()));
  }

  /**
   * Lets a token in: its session lasts until the request was refused, or its connection has ended.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`, `ERR_VEL_KEYS`
   */
  admit(token: TimedToken<Claims>, dataOf: DataOf<Claims>, request: UpgradeRequest): Session<Claims> {
    this.assertGood(token);
    const session = this.sessions.add(token, dataOf);
    request.defer(() => this.sessions.delete(session));
    return session;
  }

  /** Makes a ticket for a token. */
  async issue(token: string, terms: TicketTerms): Promise<string> {
    const ticket = randomSecret(32);
    const digest = await digestSecret(ticket);
    const checked = await this.check(token);
    this.assertGood(checked);
    this.tickets.add(digest, checked, terms);
    return ticket;
  }

  /** Puts a connection on another token, see {@link JwtHandler.refresh}. */
  async refresh(connection: Connection, token: string): Promise<TimedToken<Claims>> {
    const before = this.#turns.get(connection);
    const turn = this.#takeOver(connection, token, before);
    const isOver = (): undefined => undefined;
    this.#turns.set(connection, turn.then(isOver, isOver));
    try {
      const { fresh, renewed } = await turn;
      this.tally.count("vel_auth_refreshes_total", { result: "accepted" });
      await renewed;
      return fresh;
    } catch (error) {
      const result = resultOf(error);
      if (result) this.tally.count("vel_auth_refreshes_total", { result });
      throw error;
    }
  }

  /** Ends what goes by certain tokens, and keeps others of them out. Tells how many connections were closed. */
  revoke(key: TargetKey, keepFor: number): number {
    this.tally.count("vel_auth_revocations_total");
    this.tickets.end(key);
    const closed = this.sessions.end(key);
    this.#revocations.add(key, keepFor);
    return closed;
  }

  *measure(): Iterable<Measurement> {
    yield* this.tally.measure();
    yield { name: "vel_auth_sessions", kind: "gauge", value: this.sessions.size };
  }

  close(): void {
    this.#isClosed = true;
    this.verifier.close();
    this.tickets.clear();
    this.sessions.clear();
  }

  async #takeOver(
    connection: Connection,
    token: string,
    before: Promise<unknown> | undefined,
  ): Promise<{ fresh: TimedToken<Claims>; renewed: Promise<void> }> {
    await before;
    this.#sessionsOf(connection);
    const fresh = await this.check(token);
    const sessions = this.#sessionsOf(connection);
    this.assertGood(fresh);
    if (!sessions.every(({ token }) => isOfSameUser(token, fresh))) throw tokenError();
    const renewals = sessions.map((session) => ({ session, ...changesOf(connection, session, fresh) }));
    // The last guard's word counts, except for what it does not say any more.
    const changes = [...renewals.map(({ blank }) => blank), ...renewals.map(({ given }) => given)];
    const data = changes.reduce((all, each) => ({ ...all, ...each }), {});
    for (const { session, blank, given } of renewals) this.sessions.renew(session, fresh, { ...blank, ...given });
    return { fresh, renewed: connection.renew(data) };
  }

  #sessionsOf(connection: Connection): readonly Session<Claims>[] {
    if (this.#isClosed) throw keysError();
    if (!connection.isOpen) {
      throw new VelError("ERR_VEL_DISCONNECTED", "Cannot refresh: the connection is not open");
    }
    const sessions = [...this.sessions.of(connection)];
    if (sessions.length === 0) {
      throw new VelError(
        "ERR_VEL_STATE",
        "Cannot refresh: the connection has not come through a guard of this handler",
      );
    }
    return sessions;
  }
}

/** Tells whether two tokens are about the same user; one without is about nobody. */
function isOfSameUser(one: VerifiedToken<unknown>, other: VerifiedToken<unknown>): boolean {
  return one.subject !== undefined && one.subject === other.subject && one.issuer === other.issuer;
}

/**
 * Tells what a token changes in the data of a connection: of what the session gave, and of nothing that somebody else has
 * put there under the same name, such as a later guard that has taken a right away.
 */
function changesOf<Claims>(
  { data }: Connection,
  session: Session<Claims>,
  token: TimedToken<Claims>,
): { readonly blank: object; readonly given: object } {
  const present = data as Record<string, unknown>;
  const old = session.data as Record<string, unknown>;
  const isOurs = (name: string): boolean =>
    Object.hasOwn(old, name) ? Object.is(present[name], old[name]) : !Object.hasOwn(present, name);
  // What the old token gave and the new one does not must not stay: it may be a right.
  const blank = Object.keys(old)
    .filter(isOurs)
    .map((name) => [name, undefined]);
  const given = Object.entries(session.dataOf(token)).filter(([name]) => isOurs(name));
  return { blank: Object.fromEntries(blank) as object, given: Object.fromEntries(given) };
}

/** What an error says of a token: that it is refused, or that nothing can be said; undefined for every other error. */
export function resultOf(error: unknown): "refused" | "unavailable" | undefined {
  const code: unknown = error instanceof VelError ? error.code : undefined;
  if (code === "ERR_VEL_TOKEN") return "refused";
  return code === "ERR_VEL_KEYS" ? "unavailable" : undefined;
}
