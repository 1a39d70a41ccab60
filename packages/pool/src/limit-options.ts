/**
 * Settings of connection limits, checked at the door.
 *
 * @module
 */
import { logError, systemClock, type Clock, type ErrorContext } from "@vel/core";
import type { AttemptRate, LimitStore } from "./limit-store.ts";
import { MemoryLimitStore } from "./memory-limit-store.ts";
import {
  assertChoice,
  assertCount,
  assertFunctions,
  assertObject,
  assertSome,
  assertTime,
  assertTogether,
} from "./option-checks.ts";

/** Whether a limit holds, or only counts whom it would have held up. */
export type LimitMode = "enforce" | "report";

/**
 * What a connection limit is about.
 *
 * - `attempts`: how often an address tries.
 * - `ip`: connections of an address.
 * - `user`: connections of a user.
 * - `total`: connections in all.
 */
export type LimitScope = "attempts" | "ip" | "user" | "total";

/** Settings of {@link connectionLimit}. At least one limit is needed; what is left out is not limited. */
export interface ConnectionLimitOptions {
  /** How many connections there may be; more are refused with 503. */
  total?: number;
  /**
   * How many connections an address may have; more are refused with 429. The addresses of an IPv6 network (/64) count as
   * one. Connections without an address (a Unix socket, without `trustProxy`) are not limited by this.
   */
  perIp?: number;
  /**
   * How many connections a user may have; more are refused with 429, or closed with 4429 where the user is only known
   * once the connection is open. The guard that knows the user comes before this one.
   */
  perUser?: number;
  /**
   * Reads the user's id out of the data of the request or the connection; undefined where it is not known. An id of more
   * than 256 characters is not limited by: who has one is refused with 500, or closed with 1011, and `onError` is told
   * `ERR_VEL_LIMIT`. Default: the `userId`, when that is a string.
   */
  user?: (data: unknown) => string | undefined;
  /**
   * How often an address may try to connect: `limit` times at once, and so often in every `per` milliseconds; more are
   * refused with 429. What this guard, those after it or the handler refuse for other reasons counts too; what core
   * refuses before any guard runs does not: a path that no route has (404), what is no handshake (400), a foreign origin
   * (403), a server that is full or closing (503). Addresses are told apart as for `perIp`.
   */
  attempts?: AttemptRate;
  /**
   * What `Retry-After` says to whoever was refused for want of a place, in milliseconds, rounded up to seconds. Who
   * tried too often is told the true time. Default: 5,000.
   */
  retryAfter?: number;
  /**
   * `report` lets everybody in, counts, and tells of those whom `enforce` would have refused; `onError` (stage `limit`) of
   * those whose user `perUser` cannot know. Default: `enforce`.
   */
  mode?: LimitMode;
  /** Where the counts are. Default: a {@link MemoryLimitStore} of this limit's own. */
  store?: LimitStore;
  /** What the store that is the default takes time from. Default: core's `systemClock`. */
  clock?: Clock;
  /**
   * Is told of what listeners (stage `listener`) and the store (stage `store`) throw; of a store that fails once, until it
   * works again. With the mode `report` also of users who are not known (stage `limit`). Default: core's `logError`, a line on `console.error`.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** What holds in a connection limit: its options with the defaults filled in. */
export interface LimitSettings {
  /** How many there may be, of attempts at once. In the order in which they are asked. */
  readonly limits: ReadonlyMap<LimitScope, number>;
  readonly attempts: AttemptRate | undefined;
  readonly user: (data: unknown) => string | undefined;
  readonly retryAfter: number;
  readonly mode: LimitMode;
  readonly store: LimitStore;
  /** The store, where nobody else has it. */
  readonly ownStore: MemoryLimitStore | undefined;
  readonly onError: (error: unknown, context: ErrorContext) => unknown;
}

/**
 * Fills in what is left out.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When there are no options, nothing is limited, the mode is unknown, `store` is none, or `user` is no
 * function or has no `perUser`.
 */
export function limitSettings(options: ConnectionLimitOptions): LimitSettings {
  assertObject("Options of connectionLimit()", options);
  const { total, perIp, perUser, user, attempts, retryAfter = 5_000, mode = "enforce", onError = logError } = options;
  assertSome({ total, perIp, perUser, attempts });
  if (attempts !== undefined) assertObject('Option "attempts"', attempts);
  if (attempts) assertTime("attempts.per", attempts.per);
  const limits = new Map<LimitScope, number>();
  const limit = (scope: LimitScope, name: string, value: number): void => {
    assertCount(name, value);
    limits.set(scope, value);
  };
  if (attempts) limit("attempts", "attempts.limit", attempts.limit);
  if (perIp !== undefined) limit("ip", "perIp", perIp);
  if (perUser !== undefined) limit("user", "perUser", perUser);
  // Last: who is refused by a limit of his own does not even for a moment hold one of everybody's places.
  if (total !== undefined) limit("total", "total", total);
  assertTogether("user", user, "perUser", perUser);
  if (user !== undefined && typeof user !== "function") {
    throw new TypeError(`Option "user" must be a function, got ${typeof user}`);
  }
  assertTime("retryAfter", retryAfter);
  assertChoice("mode", mode, ["enforce", "report"]);
  if (options.store !== undefined) assertFunctions("store", options.store, ["take", "release", "attempt"]);
  const ownStore = options.store ? undefined : new MemoryLimitStore({ clock: options.clock ?? systemClock });
  return {
    limits,
    attempts: attempts && { limit: attempts.limit, per: attempts.per },
    user: user ?? userIdOf,
    retryAfter,
    mode,
    store: options.store ?? (ownStore as LimitStore),
    ownStore,
    onError,
  };
}

function userIdOf(data: unknown): string | undefined {
  const { userId } = data as { userId?: unknown };
  return typeof userId === "string" ? userId : undefined;
}
