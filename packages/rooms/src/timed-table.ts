/**
 * What holds for somebody for some time: bans, mutes, the wait of slow mode.
 *
 * @module
 */
import { VelError, type Clock } from "@vel/core";
import type { RoomErrorCode } from "./errors.ts";

/** How many entries each table of a room may hold: who moderates shall not fill the memory. */
export const tableLimit = 10_000;

/** Makes the error of a table that is full. */
export function tableFull(what: string): VelError<RoomErrorCode> {
  return new VelError("ERR_VEL_ROOM_LIMIT", `Cannot add to ${what}: there are ${String(tableLimit)} already`);
}

/** Keys with an end each, without a timer: what has ended is gone when somebody looks, and first to give way. */
export class TimedTable {
  readonly #what: string;
  readonly #clock: Clock;
  readonly #ends = new Map<string, number>();
  /** No entry ends before this, so that a full table is not searched in vain each time. */
  #firstEnd = Infinity;

  /** @param what Whose table it is, for the text of its error. */
  constructor(what: string, clock: Clock) {
    this.#what = what;
    this.#clock = clock;
  }

  /** How long a key is in still, in milliseconds: 0 when it is not, Infinity when it does not end by itself. */
  left(key: string): number {
    const end = this.#ends.get(key);
    if (end === undefined) return 0;
    const left = end - this.#clock.now();
    if (left > 0) return left;
    this.#ends.delete(key);
    return 0;
  }

  /**
   * Adds a key, or gives it another end.
   *
   * @param duration Milliseconds from now; Infinity for good.
   * @throws {VelError} `ERR_VEL_ROOM_LIMIT` when there are too many, none of which has ended.
   */
  set(key: string, duration: number): void {
    const now = this.#clock.now();
    if (!this.#ends.has(key)) {
      if (this.#ends.size >= tableLimit && this.#firstEnd <= now) this.#dropEnded(now);
      if (this.#ends.size >= tableLimit) throw tableFull(this.#what);
    }
    const end = now + duration;
    this.#ends.set(key, end);
    this.#firstEnd = Math.min(this.#firstEnd, end);
  }

  /** Removes a key; false when it was not in any more. */
  delete(key: string): boolean {
    return this.left(key) > 0 && this.#ends.delete(key);
  }

  #dropEnded(now: number): void {
    this.#firstEnd = Infinity;
    for (const [key, end] of this.#ends) {
      if (end <= now) this.#ends.delete(key);
      else this.#firstEnd = Math.min(this.#firstEnd, end);
    }
  }
}
