/**
 * Time that only a test moves.
 *
 * @module
 */
import type { Clock } from "@vel/core";
import { settle } from "./settle.ts";

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

/**
 * A clock for `createVel({ clock })` and for the features' `clock` options. Nothing happens until
 * {@link ManualClock.advance} is called.
 *
 * @example
 * const clock = new ManualClock();
 * const vel = createVel({ clock, closeTimeout: 10_000 });
 * // … a peer that does not answer a close is cut off:
 * await clock.advance(10_000);
 */
export class ManualClock implements Clock {
  #now = 0;
  #wall: number;
  readonly #timers = new Set<Timer>();

  /** @param options.wall What {@link ManualClock.wall} starts at. Default: 2026-01-01T00:00:00Z. */
  constructor({ wall = new Date("2026-01-01T00:00:00Z") }: { wall?: Date } = {}) {
    this.#wall = wall.getTime();
  }

  /** How many timers have not fired: 0 when nothing of what was tested is left behind. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds since this clock was made. */
  now(): number {
    return this.#now;
  }

  /** Milliseconds since the epoch. */
  wall(): number {
    return this.#wall;
  }

  setTimeout(callback: () => void, delay: number): unknown {
    const timer: Timer = { due: this.#now + Math.max(0, delay), callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  /** Makes the wall clock jump, as a correction by the system does. Timers and {@link ManualClock.now} do not notice. */
  shiftWall(milliseconds: number): void {
    this.#wall += milliseconds;
  }

  /**
   * Moves time on. Timers fire in the order in which they are due, each at its own time and each followed by all that
   * it caused, so that chains of timers and promises run as they would in real time.
   *
   * @throws {RangeError} When the time is negative or no number.
   * @throws What a timer's callback throws; later timers have not fired then.
   */
  async advance(milliseconds: number): Promise<void> {
    if (!(milliseconds >= 0)) throw new RangeError(`Time cannot go by ${String(milliseconds)} ms`);
    const end = this.#now + milliseconds;
    await settle();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#timers.delete(next);
      this.#moveTo(Math.max(this.#now, next.due));
      next.callback();
      await settle();
    }
    this.#moveTo(end);
  }

  /** The timer that is due first, the older one of two. */
  #next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.due <= end && (!first || timer.due < first.due)) first = timer;
    }
    return first;
  }

  #moveTo(now: number): void {
    this.#wall += now - this.#now;
    this.#now = now;
  }
}
