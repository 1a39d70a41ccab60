/**
 * What is done again and again while there is a reason to.
 *
 * @module
 */
import type { Clock } from "@vel/core";

/** Calls back at a fixed interval between {@link Ticker.start} and {@link Ticker.stop}. */
export class Ticker {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #tick: () => void;
  #timer: unknown;
  /** When the next tick is due; undefined while it is stopped. */
  #due: number | undefined;

  /** @param interval Milliseconds; with Infinity it never starts. */
  constructor(clock: Clock, interval: number, tick: () => void) {
    this.#clock = clock;
    this.#interval = interval;
    this.#tick = tick;
  }

  /** How many milliseconds are left until the next tick; undefined when there will be none. */
  get left(): number | undefined {
    return this.#due === undefined ? undefined : Math.max(0, this.#due - this.#clock.now());
  }

  /** Starts ticking, if it does not tick yet. */
  start(): void {
    if (this.#due === undefined && this.#interval < Infinity) this.#wait();
  }

  /** Stops ticking. No timer is left. */
  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#due = undefined;
  }

  #wait(): void {
    this.#due = this.#clock.now() + this.#interval;
    this.#timer = this.#clock.setTimeout(() => {
      this.#wait(); // first, so that the tick may stop it
      this.#tick();
    }, this.#interval);
  }
}
