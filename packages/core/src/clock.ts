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
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (timer) => {
    clearTimeout(timer as Parameters<typeof clearTimeout>[0]);
  },
};
