/**
 * The time of a heartbeat, and its only timer.
 *
 * @module
 */
import type { Clock } from "@vel/core";

/** How many intervals pass between two beats at most: what is more was no time to hear anybody. */
const mostAtOnce = 2;

/**
 * Time that passes only while the process gets to read what comes: a loop that was blocked for a minute, a process that was
 * stopped or a machine that slept has not waited for its peers meanwhile. Monotonic, so a wall clock that is set does not
 * matter.
 *
 * Between beats the event loop reads. One turn of it is not always enough: measured with blocks in microtasks, Deno fires the
 * next timer before it reads what has come, and the one after that when it has. So {@link Pulse.read} is two beats old.
 */
export class Pulse {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #onBeat: () => void;
  #timer: unknown;
  #last = 0;
  #time = 0;
  #timeBefore = 0;
  #read = 0;

  /** @param onBeat Is called every `interval` milliseconds between {@link Pulse.start} and {@link Pulse.stop}. */
  constructor(clock: Clock, interval: number, onBeat: () => void) {
    this.#clock = clock;
    this.#interval = interval;
    this.#onBeat = onBeat;
  }

  /** The time at the last beat, in milliseconds since any moment. */
  get time(): number {
    return this.#time;
  }

  /** The time up to which everything was read that had come: who was silent until then was heard out. */
  get read(): number {
    return this.#read;
  }

  /** Begins, where it has not begun. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#last = this.#clock.now();
    this.#arm();
  }

  /** Leaves no timer. */
  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(() => {
      const now = this.#clock.now();
      this.#read = this.#timeBefore;
      this.#timeBefore = this.#time;
      this.#time += Math.min(now - this.#last, mostAtOnce * this.#interval);
      this.#last = now;
      this.#arm(); // first, since the beat may stop it
      this.#onBeat();
    }, this.#interval);
  }
}
