/**
 * Who may look at the page.
 *
 * @module
 */
import type { Clock } from "@vel/core";

/** How many wrong tries there may be in so many milliseconds, of all visitors together. */
const mostTries = 5;
const period = 60_000;

/** The shortest token, in UTF-16 units: what nobody guesses at five tries a minute, even if it is a phrase. */
const shortestToken = 16;

/** What became of a try. `retryAfter` is in milliseconds. */
export type Verdict = "right" | "wrong" | { readonly retryAfter: number };

/** One token, guarded against guessing. */
export class PageToken {
  readonly #token: string;
  readonly #clock: Clock;
  /** When the last wrong tries were, the oldest first. */
  readonly #wrong: number[] = [];

  /** @throws {TypeError} When it is not a string of 16 characters or more. What it is instead is not said: it may be half a secret. */
  constructor(token: string, clock: Clock) {
    if (typeof token !== "string" || token.length < shortestToken) {
      throw new TypeError(`Option "token" must be a string of ${shortestToken} characters or more`);
    }
    this.#token = token;
    this.#clock = clock;
  }

  /**
   * Tries a token. After too many wrong ones nobody's is looked at for a while, or whoever tries would still learn which one
   * is right.
   */
  try(token: string | undefined): Verdict {
    const now = this.#clock.now();
    while (this.#wrong.length > 0 && (this.#wrong[0] as number) <= now - period) this.#wrong.shift();
    if (this.#wrong.length >= mostTries) return { retryAfter: (this.#wrong[0] as number) + period - now };
    if (token !== undefined && isSame(token, this.#token)) return "right";
    this.#wrong.push(now);
    return "wrong";
  }
}

/** Compares texts in a time that says nothing of the second one but, at most, its length. */
function isSame(text: string, secret: string): boolean {
  let difference = text.length ^ secret.length;
  for (let index = 0; index < text.length; index++) {
    difference |= text.charCodeAt(index) ^ secret.charCodeAt(index % secret.length);
  }
  return difference === 0;
}
