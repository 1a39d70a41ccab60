/**
 * An even rate with room for a burst.
 *
 * @module
 */

/** How much may come. */
export interface Rate {
  /** So many tokens come back in every {@link Rate.per}. */
  readonly tokens: number;
  /** Milliseconds. */
  readonly per: number;
  /** How many tokens a full bucket holds. */
  readonly burst: number;
}

/**
 * A bucket that begins full, is taken from, and fills up at an even rate. It has no timer: what came back since is
 * reckoned when somebody asks.
 *
 * In any span of time no more is taken than `burst` and what comes back in that span; who stays below the rate never
 * waits.
 */
export class TokenBucket {
  readonly #rate: Rate;
  /** What is missing to a full bucket, in tokens times {@link Rate.per}: whole numbers where all options are. */
  #debt = 0;
  /** When the debt was so high. */
  #at: number;

  /** @param now Any clock's time in milliseconds; the same clock's from then on. */
  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#at = now;
  }

  /** Tells in how many milliseconds there are so many tokens: 0 when they are there, Infinity when they never will be. */
  wait(tokens: number, now: number): number {
    const { per, burst } = this.#rate;
    this.#debt = Math.max(0, this.#debt - (now - this.#at) * this.#rate.tokens);
    this.#at = now;
    if (tokens > burst) return Infinity;
    return Math.max(0, this.#debt + (tokens - burst) * per) / this.#rate.tokens;
  }

  /** Takes tokens that {@link TokenBucket.wait} has found to be there. */
  take(tokens: number): void {
    this.#debt += tokens * this.#rate.per;
  }
}
