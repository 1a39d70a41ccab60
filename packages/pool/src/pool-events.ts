/**
 * What a pool tells its listeners.
 *
 * @module
 */
import type { Connection } from "@vel/core";

/**
 * Why a connection was closed by the pool.
 *
 * - `idle`: no message came or went for {@link PoolOptions.idleTimeout}.
 * - `full`: it gave way to a newcomer.
 * - `memory`: it gave way because memory is short, see {@link PoolOptions.memory}.
 */
export type EvictionReason = "idle" | "full" | "memory";

/** Why a connection was not let in, where the strategy is `reject`: the pool is full, or memory is short. */
export type PoolRefusalReason = "full" | "memory";

/** What a {@link ConnectionPool} tells its listeners. */
export interface PoolEvents {
  /** The pool has closed a connection. It is out of the pool, whatever its peer does. */
  evict: [connection: Connection, reason: EvictionReason];
  /** A connection was not let in. What follows is up to who brought it: `add()` throws, `observe()` closes it. */
  refuse: [connection: Connection, reason: PoolRefusalReason];
}
