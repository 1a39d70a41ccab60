/**
 * Settings of a pool, checked at the door.
 *
 * @module
 */
import type { Clock, ErrorContext } from "@vel/core";
import { assertRange } from "./option-checks.ts";
import { residentMemory } from "./resident-memory.ts";

/**
 * Who gives way when the pool is full or memory is short.
 *
 * - `leastRecentlyUsed`: the connection whose last message, in either direction, is longest ago.
 * - `oldest`: the connection that has been in the pool longest.
 * - `reject`: nobody; newcomers are refused.
 */
export type CleanupStrategy = "reject" | "leastRecentlyUsed" | "oldest";

/** How a pool answers to memory that runs short. */
export interface MemoryOptions {
  /** The bytes that the process may use. */
  limit: number;
  /**
   * The part of the limit above which memory is short, more than 0 and at most 1. It stays short until less than seven
   * eighths of that is used. Default: 0.8, so that it is short above 80 % and until below 70 %.
   */
  threshold?: number;
  /** How often the pool looks, in milliseconds, and evicts one batch while memory is short. Default: 5,000. */
  interval?: number;
  /**
   * Reads the bytes in use. Default: the resident memory of the process, on Node, Bun and Deno. While it throws or returns
   * what is no number of bytes, memory counts as not short.
   */
  sample?: () => number;
}

/** Settings of a {@link ConnectionPool}. */
export interface PoolOptions {
  /** How many connections may be in the pool; Infinity for any number. Default: 10,000. */
  maxConnections?: number;
  /**
   * How often the pool looks who was used, in milliseconds; more often where half of `idleTimeout` is less. Default:
   * 300,000.
   */
  cleanupInterval?: number;
  /**
   * How long a connection may stay without a message in either direction, in milliseconds; then it is closed with 4408.
   * Pings and pongs are no messages. It is closed no earlier, and at the latest two looks (see `cleanupInterval`) later.
   * Infinity: never. Default: 600,000.
   */
  idleTimeout?: number;
  /** Who gives way when there is no room. Default: `leastRecentlyUsed`. */
  cleanupStrategy?: CleanupStrategy;
  /** Lets connections go, or no more in, when memory runs short. Default: memory is not looked at. */
  memory?: MemoryOptions;
  /** Default: core's `systemClock`. */
  clock?: Clock;
  /**
   * Is told of what listeners (stage `listener`) and `memory.sample` (stage `sample`) throw. Default: core's `logError`,
   * a line on `console.error`.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** What holds in a pool: its options with the defaults filled in. */
export interface PoolSettings {
  readonly maxConnections: number;
  readonly cleanupStrategy: CleanupStrategy;
  /** Milliseconds between two sweeps; Infinity where a sweep would have nothing to do. */
  readonly sweepInterval: number;
  /** How many sweeps a connection may stay quiet after the one that began its silence. */
  readonly patience: number;
  readonly memory: MemorySettings | undefined;
}

/** What holds for the memory of a pool, in bytes and milliseconds. */
export interface MemorySettings {
  /** Above this memory becomes short. */
  readonly high: number;
  /** Below this it is not short any more. */
  readonly low: number;
  readonly interval: number;
  readonly sample: () => number;
}

/** The part of the upper bound below which memory is not short any more. */
const relief = 7 / 8;

const strategies: readonly string[] = ["reject", "leastRecentlyUsed", "oldest"] satisfies CleanupStrategy[];

/**
 * Fills in what is left out.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When the strategy is unknown, or nobody says how memory is read.
 */
export function poolSettings(options: PoolOptions): PoolSettings {
  const { maxConnections = 10_000, cleanupInterval = 300_000, idleTimeout = 600_000, memory } = options;
  const { cleanupStrategy = "leastRecentlyUsed" } = options;
  const isCount = maxConnections === Infinity || Number.isSafeInteger(maxConnections);
  assertRange("maxConnections", isCount && maxConnections >= 1, "a positive integer or Infinity", maxConnections);
  assertRange("cleanupInterval", isPositive(cleanupInterval), "a positive number", cleanupInterval);
  assertRange("idleTimeout", isPositive(idleTimeout), "a positive number", idleTimeout);
  if (!strategies.includes(cleanupStrategy)) {
    const names = strategies.map((each) => `"${each}"`).join(", ");
    throw new TypeError(`Option "cleanupStrategy" must be one of ${names}, got ${JSON.stringify(cleanupStrategy)}`);
  }
  const isSwept = idleTimeout < Infinity || cleanupStrategy === "leastRecentlyUsed";
  const sweepInterval = isSwept ? Math.min(cleanupInterval, idleTimeout / 2) : Infinity;
  return {
    maxConnections,
    cleanupStrategy,
    sweepInterval,
    patience: idleTimeout === Infinity ? Infinity : Math.ceil(idleTimeout / sweepInterval),
    memory: memory && memorySettings(memory),
  };
}

function memorySettings({ limit, threshold = 0.8, interval = 5_000, sample }: MemoryOptions): MemorySettings {
  assertRange("memory.limit", isPositive(limit) && limit < Infinity, "a positive number of bytes", limit);
  assertRange("memory.threshold", isPositive(threshold) && threshold <= 1, "more than 0 and at most 1", threshold);
  assertRange("memory.interval", isPositive(interval) && interval < Infinity, "a positive number", interval);
  if (sample !== undefined && typeof sample !== "function") {
    throw new TypeError(`Option "memory.sample" must be a function, got ${typeof sample}`);
  }
  const read = sample ?? residentMemory();
  if (!read) throw new TypeError('Option "memory.sample" must be given: this runtime does not tell how much it uses');
  const high = limit * threshold;
  return { high, low: high * relief, interval, sample: read };
}

function isPositive(value: number): boolean {
  return typeof value === "number" && value > 0;
}
