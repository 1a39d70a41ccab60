/**
 * What has been kept for long enough, without a timer.
 *
 * @module
 */
import type { Clock } from "@vel/core";

/**
 * Things in the order in which they were added, each good for the same time.
 *
 * Nothing happens by itself: whoever adds also takes what expired. So nothing keeps a process alive, and a look costs
 * as much as there is to take.
 */
export class Expiry<T> {
  readonly #ttl: number;
  readonly #clock: Clock;
  /** When each was added. The order of a Map is that of insertion, so the oldest stands first. */
  readonly #added = new Map<T, number>();

  /** @param ttl Milliseconds; 0 expires at once, Infinity never. */
  constructor(ttl: number, clock: Clock) {
    this.#ttl = ttl;
    this.#clock = clock;
  }

  /** Adds something that is not in. */
  add(item: T): void {
    this.#added.set(item, this.#clock.now());
  }

  /** Removes something, if it is in. */
  delete(item: T): void {
    this.#added.delete(item);
  }

  /** Removes and returns the oldest, expired or not. */
  shift(): T | undefined {
    const [oldest] = this.#added.keys();
    if (oldest !== undefined) this.#added.delete(oldest);
    return oldest;
  }

  /** Removes everything. */
  clear(): void {
    this.#added.clear();
  }

  /** Removes and returns what expired. */
  take(): readonly T[] {
    const expired: T[] = [];
    if (this.#added.size === 0) return expired;
    const now = this.#clock.now();
    for (const [item, added] of this.#added) {
      if (now - added < this.#ttl) break;
      this.#added.delete(item);
      expired.push(item);
    }
    return expired;
  }
}
