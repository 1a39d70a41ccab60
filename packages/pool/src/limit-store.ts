/**
 * Where connection limits count.
 *
 * @module
 */
import type { MaybePromise } from "@vel/core";

/** How many attempts there may be. */
export interface AttemptRate {
  /** How many may come at once, and in every {@link AttemptRate.per} from then on. */
  limit: number;
  /** Milliseconds. */
  per: number;
}

/**
 * Counts for connection limits. A {@link MemoryLimitStore} counts for one process; one that asks a server may count for many.
 *
 * Each method is one step: no other call may come between its look and its change, or more get in than may. What
 * answers at once costs the handshake no turn of the event loop.
 *
 * A store that throws or rejects limits nothing: who asked is let in, and it is reported. One that may not be reached has
 * to give up by itself, well before `handshakeTimeout`, when everybody is answered with 503; it also has to free the
 * places of a process that died. Limits that share a store share its counts.
 */
export interface LimitStore {
  /**
   * Takes a place, if fewer than `limit` of its key are in use.
   *
   * @param key A few words of the limit's own, or of those an address or a user's id: `ip:192.0.2.7`. Of any characters,
   * 300 at most.
   * @param limit `Infinity` takes one however many are in use.
   * @returns How many were in use before: a place was taken if they were fewer than the limit.
   */
  take(key: string, limit: number): MaybePromise<number>;
  /** Gives a place back. Called once for each that was taken. */
  release(key: string): MaybePromise<void>;
  /**
   * Counts an attempt, unless there were too many.
   *
   * @returns In how many milliseconds the next one is counted; 0 when this one was.
   */
  attempt(key: string, rate: AttemptRate): MaybePromise<number>;
}
