/**
 * Who may look at the page.
 *
 * @module
 */
import { networkOf, type Clock } from "@vel/core";

/** How many wrong tries there may be from one network in so many milliseconds. */
const mostTries = 5;
const period = 60_000;

/** How many networks are kept in mind: about 2 MB. */
const mostNetworks = 10_000;

/** The shortest token, in UTF-16 units: what nobody guesses, from however many networks. */
const shortestToken = 16;

/** What became of a try. `retryAfter` is in milliseconds. */
export type Verdict = "right" | "wrong" | { readonly retryAfter: number };

/** The wrong tries of one network, until they are forgotten. */
interface Tries {
  readonly until: number;
  wrong: number;
}

/** One token, guarded against guessing. */
export class PageToken {
  readonly #token: string;
  readonly #clock: Pick<Clock, "now">;
  /** By network, in the order in which they are forgotten. */
  readonly #tries = new Map<string, Tries>();

  /** @throws {TypeError} When it is not a string of 16 characters or more. What it is instead is not said: it may be half a secret. */
  constructor(token: string, clock: Pick<Clock, "now">) {
    if (typeof token !== "string" || token.length < shortestToken) {
      throw new TypeError(`Option "token" must be a string of ${shortestToken} characters or more`);
    }
    this.#token = token;
    this.#clock = clock;
  }

  /**
   * Tries a token. After too many wrong ones from a network none from there is looked at until a minute after the first, or
   * whoever tries would still learn which one is right. Other networks come in meanwhile: nobody locks out everybody.
   *
   * @param address Where it came from. Those of whom none is known are one network.
   */
  try(token: string | undefined, address = ""): Verdict {
    const now = this.#clock.now();
    for (const [network, { until }] of this.#tries) {
      if (until > now) break;
      this.#tries.delete(network);
    }
    const network = networkOf(address);
    const tries = this.#tries.get(network) ?? { until: now + period, wrong: 0 };
    if (tries.wrong >= mostTries) return { retryAfter: tries.until - now };
    if (token !== undefined && isSame(token, this.#token)) return "right";
    tries.wrong++;
    this.#tries.set(network, tries);
    // Beyond that the oldest is forgotten: to refuse newcomers instead would lock out the owner.
    const [oldest] = this.#tries.keys();
    if (this.#tries.size > mostNetworks && oldest !== undefined) this.#tries.delete(oldest);
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
