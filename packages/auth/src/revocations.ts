/**
 * Tokens that are not good any more, although they have not expired.
 *
 * @module
 */
import { VelError, type Clock } from "@vel/core";
import type { TargetKey } from "./revoke-target.ts";
import type { VerifiedToken } from "./verified-token.ts";

/** How many revocations are kept: about 20 MB. */
const maxRevocations = 100_000;

interface Revocation {
  /** When it was made, in whole seconds since the epoch: as tokens count. */
  readonly second: number;
  /** When it may be forgotten, on the monotonic clock. */
  readonly until: number;
}

/** What was revoked, each for some time and without a timer: what is over is gone when somebody looks. */
export class Revocations {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Revocation>();
  /** None is over before this, so that a full table is not searched in vain each time. */
  #firstEnd = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Adds a revocation. One of the same is kept for as long as the longer of both.
   *
   * @throws {VelError} `ERR_VEL_LIMIT` when there are too many, none of which is over.
   */
  add([by, name]: TargetKey, keepFor: number): void {
    const key = keyOf(by, name);
    const now = this.#clock.now();
    const known = this.#kept.get(key);
    if (!known) this.#makeRoom(now);
    const until = Math.max(now + keepFor, known?.until ?? 0);
    const second = Math.max(Math.floor(this.#clock.wall() / 1_000), known?.second ?? 0);
    this.#kept.set(key, { second, until });
    this.#firstEnd = Math.min(this.#firstEnd, until);
  }

  /**
   * Tells whether a token is revoked: by its id, or because its user's were when it had been issued already. Tokens tell
   * that to the second, so one of the same second counts as issued before; and one that does not tell it, too.
   */
  covers({ subject, tokenId, issuedAt = -Infinity }: VerifiedToken<unknown>): boolean {
    if (tokenId !== undefined && this.#get(keyOf("tokenId", tokenId))) return true;
    const bySubject = subject === undefined ? undefined : this.#get(keyOf("subject", subject));
    return bySubject !== undefined && Math.floor(issuedAt / 1_000) <= bySubject.second;
  }

  #get(key: string): Revocation | undefined {
    const revocation = this.#kept.get(key);
    if (!revocation || this.#clock.now() < revocation.until) return revocation;
    this.#kept.delete(key);
    return undefined;
  }

  #makeRoom(now: number): void {
    if (this.#kept.size >= maxRevocations && this.#firstEnd <= now) this.#dropEnded(now);
    if (this.#kept.size >= maxRevocations) {
      throw new VelError("ERR_VEL_LIMIT", `Cannot keep the revocation: there are ${maxRevocations} already`);
    }
  }

  #dropEnded(now: number): void {
    this.#firstEnd = Infinity;
    for (const [key, { until }] of this.#kept) {
      if (until <= now) this.#kept.delete(key);
      else this.#firstEnd = Math.min(this.#firstEnd, until);
    }
  }
}

function keyOf(by: TargetKey[0], name: string): string {
  return `${by} ${name}`;
}
