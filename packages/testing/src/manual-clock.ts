/**
 * Time that only a test moves.
 *
 * @module
 */
import type { Clock } from "@vel/core";
import { endTurn, settle } from "./settle.ts";

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

  /**
   * Calls back once, when {@link ManualClock.advance} has come so far; a delay of 0 waits for it too.
   *
   * @param delay Milliseconds; `Infinity` never fires.
   * @throws {RangeError} When the delay is negative or no number. A runtime would fire at once: the mistake shows here.
   */
  setTimeout(callback: () => void, delay: number): unknown {
    if (!(delay >= 0)) throw new RangeError(`Delay must be 0 or more milliseconds, got ${String(delay)}`);
    const timer: Timer = { due: this.#now + delay, callback };
    this.#timers.add(timer);
    return timer;
  }

  /** Cancels a timer; harmless when it already fired. */
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  /**
   * Makes the wall clock jump, as a correction by the system does; backwards if negative. Timers and
   * {@link ManualClock.now} do not notice.
   *
   * @throws {RangeError} When the time is not finite.
   */
  shiftWall(milliseconds: number): void {
    if (!Number.isFinite(milliseconds)) {
      throw new RangeError(`Wall clock cannot jump by ${String(milliseconds)} ms`);
    }
    this.#wall += milliseconds;
  }

  /**
   * Moves time on. Timers fire in the order in which they are due, of two the older first, each at its own time and
   * each followed by all promise callbacks and messages in memory that it caused, so that chains of timers and promises
   * run as they would in real time. At the beginning and the end it waits as {@link settle} does.
   *
   * @throws {RangeError} When the time is negative or not finite.
   * @throws What a timer's callback throws; later timers have not fired then.
   */
  async advance(milliseconds: number): Promise<void> {
    if (!(milliseconds >= 0 && milliseconds < Infinity)) {
      throw new RangeError(`Time cannot go by ${String(milliseconds)} ms`);
    }
    const end = this.#now + milliseconds;
    for (let hasFired = true; hasFired;) {
      await settle();
      hasFired = false;
      for (let next = this.#next(end); next; next = this.#next(end)) {
        hasFired = true;
        this.#timers.delete(next);
        this.#moveTo(next.due);
        next.callback();
        await endTurn();
      }
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

  /** Moves on, never back: somebody else may have advanced further meanwhile. */
  #moveTo(time: number): void {
    const now = Math.max(this.#now, time);
    this.#wall += now - this.#now;
    this.#now = now;
  }
}
