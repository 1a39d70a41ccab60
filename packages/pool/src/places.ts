/**
 * What one connection holds.
 *
 * @module
 */

/** The places of one request, and of the connection that becomes of it. Each is given back exactly once. */
export class Places {
  readonly #keys: string[] = [];
  readonly #giveBack: (key: string) => void;
  #isReleased = false;

  constructor(giveBack: (key: string) => void) {
    this.#giveBack = giveBack;
  }

  /** Takes charge of a place; gives it back at once when it comes too late, from a store that takes its time. */
  add(key: string): void {
    if (this.#isReleased) this.#giveBack(key);
    else this.#keys.push(key);
  }

  /** Gives all back, now and from now on. */
  release(): void {
    this.#isReleased = true;
    for (const key of this.#keys.splice(0)) this.#giveBack(key);
  }
}
