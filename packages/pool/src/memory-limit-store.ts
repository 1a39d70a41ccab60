/**
 * Counts of one process.
 *
 * @module
 */
import { systemClock, VelError, type Clock, type Measurable, type Measurement } from "@vel/core";
import type { AttemptRate, LimitStore } from "./limit-store.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How many keys each table holds, which are some 20 MB of addresses, and 60 MB of the longest ids of users. */
const tableSize = 100_000;

/**
 * Counts in the memory of this process, without a timer; all answers are there at once. The default of
 * `connectionLimit()`. Each of its two tables holds 100,000 keys at most.
 *
 * The table of places has a key for each address and user that holds one, so it grows no larger than the number of
 * connections; should it be full, new keys are not limited. `connectionLimit()` asks with keys of 300 characters at most,
 * so that it takes 60 MB at the worst; who calls the store himself bounds his own.
 *
 * The table of attempts has a key for each address that came lately, and forgets it between one and two `per` after its
 * last attempt, when all of its attempts are back. While it is full, addresses that are not in it are not counted: to
 * refuse them would let whoever has so many addresses lock everybody out, and to forget others for them would let him
 * free those that are refused.
 *
 * @example
 * const store = new MemoryLimitStore();
 * vel.use(connectionLimit({ perIp: 10, store }));
 */
export class MemoryLimitStore implements LimitStore, Measurable {
  readonly #clock: Clock;
  /** How many places are in use; never 0. */
  readonly #places = new Map<string, number>();
  /** The buckets of whoever came since {@link MemoryLimitStore.#since}, and of those before who did not come again. */
  #recent = new Map<string, TokenBucket>();
  #earlier = new Map<string, TokenBucket>();
  #since = 0;
  /** The longest time that a bucket takes to be full again. */
  #per = 0;
  #uncounted = 0;

  constructor({ clock = systemClock }: { clock?: Clock } = {}) {
    this.#clock = clock;
  }

  /**
   * Takes a place, if fewer than `limit` of its key are in use.
   *
   * @returns How many were in use before.
   * @throws {VelError} `ERR_VEL_LIMIT` when there are too many keys.
   */
  take(key: string, limit: number): number {
    const used = this.#places.get(key) ?? 0;
    if (used === 0 && this.#places.size >= tableSize) {
      throw new VelError("ERR_VEL_LIMIT", `Cannot count places: ${String(tableSize)} addresses and users hold some`);
    }
    if (used < limit) this.#places.set(key, used + 1);
    return used;
  }

  /** Gives a place back. */
  release(key: string): void {
    const left = (this.#places.get(key) ?? 0) - 1;
    if (left > 0) this.#places.set(key, left);
    else this.#places.delete(key);
  }

  /**
   * Counts an attempt, unless there were too many.
   *
   * @returns In how many milliseconds the next one is counted; 0 when this one was.
   */
  attempt(key: string, { limit, per }: AttemptRate): number {
    const now = this.#clock.now();
    this.#per = Math.max(this.#per, per);
    this.#forget(now);
    let bucket = this.#recent.get(key);
    if (!bucket) {
      bucket = this.#earlier.get(key) ?? new TokenBucket({ tokens: limit, per, burst: limit }, now);
      this.#earlier.delete(key);
      if (this.#recent.size + this.#earlier.size >= tableSize) {
        this.#uncounted++;
        return 0;
      }
      this.#recent.set(key, bucket);
    }
    const wait = bucket.wait(1, now);
    if (wait === 0) bucket.take(1);
    return wait;
  }

  /** Reads how many keys there are, and how many attempts were not counted because there were too many. */
  *measure(): Generator<Measurement, void, undefined> {
    this.#forget(this.#clock.now());
    const attempts = this.#recent.size + this.#earlier.size;
    yield { name: "vel_limit_keys", kind: "gauge", value: this.#places.size, labels: { table: "places" } };
    yield { name: "vel_limit_keys", kind: "gauge", value: attempts, labels: { table: "attempts" } };
    yield { name: "vel_limit_uncounted_total", kind: "counter", value: this.#uncounted };
  }

  /** Drops those at once who did not come for so long that their buckets are full: nobody is looked at one by one. */
  #forget(now: number): void {
    const age = now - this.#since;
    if (age < this.#per) return;
    this.#earlier = age < 2 * this.#per ? this.#recent : new Map<string, TokenBucket>();
    this.#recent = new Map<string, TokenBucket>();
    this.#since = now;
  }
}
