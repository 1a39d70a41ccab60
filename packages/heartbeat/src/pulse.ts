/**
 * The time of a heartbeat, and its only timer.
 *
 * @module
 */
import type { Clock } from "@vel/core";

/** What is done on a beat. */
export interface PulseOwner {
  onBeat(): void;
  /** Tells how long there is nothing to do, in milliseconds. */
  wait(): number;
}

/**
 * Time that passes only while the process gets to read what comes: a loop that was blocked for a minute, a process that was
 * stopped or a machine that slept has not waited for its peers meanwhile. Monotonic, so a wall clock that is set does not
 * matter.
 *
 * Between beats the event loop reads. One turn of it is not always enough: measured with blocks in microtasks, Deno fires the
 * next timer before it reads what has come, and the one after that when it has. So {@link Pulse.read} is two beats old.
 */
export class Pulse {
  /** The shortest time between two beats, in milliseconds. */
  readonly interval: number;
  readonly #longest: number;
  readonly #clock: Clock;
  readonly #owner: PulseOwner;
  #isRunning = false;
  #timer: unknown;
  #planned = 0;
  #last = 0;
  #time = 0;
  #timeBefore = 0;
  #read = 0;

  /**
   * @param interval The shortest time between two beats, in milliseconds. What a beat is late by more than that does not count.
   * @param longest The longest: a block within it is not seen, so it is what one may count by mistake.
   * @param owner Is called between {@link Pulse.start} and {@link Pulse.stop}, as often as it says.
   */
  constructor(clock: Clock, interval: number, longest: number, owner: PulseOwner) {
    this.#clock = clock;
    this.interval = interval;
    this.#longest = Math.max(interval, longest);
    this.#owner = owner;
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
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#last = this.#clock.now();
    this.#arm();
  }

  /** Leaves no timer. */
  stop(): void {
    this.#isRunning = false;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#planned = Math.min(Math.max(this.#owner.wait(), this.interval), this.#longest);
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      const now = this.#clock.now();
      this.#read = this.#timeBefore;
      this.#timeBefore = this.#time;
      this.#time += Math.min(now - this.#last, this.#planned + this.interval);
      this.#last = now;
      this.#owner.onBeat();
      if (this.#isRunning && this.#timer === undefined) this.#arm(); // unless the beat has stopped it, or begun again
    }, this.#planned);
  }
}
