/**
 * The guard: from a request to a session.
 *
 * @module
 */
import {
  InvalidMessageError,
  VelError,
  type Admission,
  type Connection,
  type Refusal,
  type UpgradeRequest,
} from "@vel/core";
import { receiveToken, WaitingRoom, type Place } from "./first-message.ts";
import type { GuardOptions, RefuseReason } from "./guard-options.ts";
import { resultOf, type LiveTokens } from "./live-tokens.ts";
import { bearerAnswer, refuser, turnAway, unauthorized } from "./refusal.ts";
import type { DataOf } from "./sessions.ts";
import type { AttemptResult } from "./tally.ts";
import type { TimedToken } from "./timed-token.ts";
import { TokenSources, type FoundToken, type Strategy } from "./token-source.ts";

/** When to come back who found no place or no keys, in milliseconds, where nothing better is known. */
const retryAfter = 1_000;

/** How a connection is closed that has not shown a good token in time. */
const tooLate = [4408, "authentication timeout"] as const;

/** What lets requests in that show a good token. */
export class JwtGuard<Claims> {
  readonly #tokens: LiveTokens<Claims>;
  readonly #dataOf: DataOf<Claims>;
  readonly #sources: TokenSources;
  readonly #refuse: (request: UpgradeRequest, why: RefuseReason) => Refusal;
  readonly #waiting: WaitingRoom;

  constructor(tokens: LiveTokens<Claims>, { from, refuse, message }: GuardOptions, dataOf: DataOf<Claims>) {
    this.#tokens = tokens;
    this.#dataOf = dataOf;
    this.#sources = new TokenSources(from);
    this.#refuse = refuser(refuse, "Bearer");
    this.#waiting = new WaitingRoom(message);
  }

  /** Decides on a request. */
  async decide(request: UpgradeRequest): Promise<Admission<never> | Refusal> {
    const found = this.#sources.find(request);
    if (found) return this.#admit(request, found);
    if (this.#sources.endsWithMessage) return this.#wait(request);
    this.#count("none", "refused");
    return this.#refuse(request, "missing");
  }

  async #admit(request: UpgradeRequest, found: FoundToken): Promise<Admission<never> | Refusal> {
    const { strategy } = found;
    try {
      const session = this.#tokens.admit(await this.#check(request, found), this.#dataOf, request);
      this.#count(strategy, "accepted");
      return {
        data: session.data as never,
        ...bearerAnswer(request),
        prepare: (connection) => this.#tokens.sessions.attach(session, connection),
      };
    } catch (error) {
      const result = resultOf(error);
      if (!result) throw error;
      this.#count(strategy, result);
      return result === "refused" ? this.#refuse(request, "invalid") : unavailable(request, error);
    }
  }

  #check(request: UpgradeRequest, { strategy, token }: FoundToken): Promise<TimedToken<Claims>> {
    // No token is empty: one that is missing because there were several is as wrong as that.
    if (strategy === "ticket") return this.#tokens.tickets.redeem(token ?? "", request);
    return this.#tokens.check(token ?? "");
  }

  /** Lets the request in for now, and asks for the token as its first message. */
  #wait(request: UpgradeRequest): Admission<never> | Refusal {
    const place = this.#waiting.enter(request);
    if (place) return { prepare: (connection) => this.#ask(connection, request, place) };
    this.#count("message", "unavailable");
    return unavailable(request, undefined);
  }

  async #ask(connection: Connection, request: UpgradeRequest, place: Place): Promise<never> {
    const { clock } = this.#tokens.rules;
    const timer = clock.setTimeout(() => {
      place.isLate = true;
      this.#count("message", "refused");
      connection.close(...tooLate);
    }, this.#waiting.timeout);
    try {
      const { token, id } = await receiveToken(connection);
      const checked = await this.#tokens.check(token);
      if (place.isLate) return turnAway(connection, tooLate);
      const session = this.#tokens.admit(checked, this.#dataOf, request);
      this.#tokens.sessions.attach(session, connection);
      place.leave();
      this.#count("message", "accepted");
      if (id !== undefined) connection.sendJson({ type: "ok", id, expiresIn: this.#tokens.expiresIn(checked) });
      return session.data as never;
    } catch (error) {
      const result = error instanceof InvalidMessageError ? "refused" : resultOf(error);
      if (!result) throw error;
      if (!place.isLate) this.#count("message", result);
      return turnAway(connection, result === "refused" ? unauthorized : [1013, "try again later"]);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  #count(strategy: Strategy | "message" | "none", result: AttemptResult): void {
    this.#tokens.tally.count("vel_auth_attempts_total", { strategy, result });
  }
}

/** Says that it is not the client's fault. */
function unavailable(request: UpgradeRequest, error: unknown): Refusal {
  const known = error instanceof VelError ? error.retryAfter : undefined;
  return request.reject(503, { retryAfter: known ?? retryAfter });
}
