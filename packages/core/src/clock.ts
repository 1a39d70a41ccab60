/**
 * Time behind an interface, so that tests own it.
 *
 * @module
 */

/** Where core and the features take time from. All values are milliseconds. */
export interface Clock {
  /** Reads monotonic time; only differences mean something. */
  now(): number;
  /** Reads the time since the epoch. For timestamps and expiry only: it can jump. */
  wall(): number;
  /** Calls back once after `delay` milliseconds; the result is for {@link Clock.clearTimeout}. */
  setTimeout(callback: () => void, delay: number): unknown;
  /** Cancels a timer; harmless when it already fired. */
  clearTimeout(timer: unknown): void;
}

/**
 * The clock of the runtime; the default of {@link VelOptions.clock}.
 *
 * @example
 * const started = systemClock.now();
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (callback, delay) => new LongTimer(callback, delay),
  clearTimeout: (timer) => {
    if (timer instanceof LongTimer) timer.clear();
  },
};

/** The longest delay that runtimes wait for, 24.8 days: at a longer one they fire at once. */
const longest = 2 ** 31 - 1;

/** A timer of any length, `Infinity` included. */
class LongTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(callback: () => void, delay: number) {
    this.#start(callback, delay);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #start(callback: () => void, delay: number): void {
    const isLast = !(delay > longest);
    const next = isLast ? callback : () => this.#start(callback, delay - longest);
    this.#timer = setTimeout(next, isLast ? delay : longest);
  }
}
