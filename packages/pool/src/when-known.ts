/**
 * What comes after a value that may come later.
 *
 * @module
 */
import type { MaybePromise } from "@vel/core";

/**
 * Tells what has to be waited for: whatever has a `then`, as for `await`. Clients of databases have promises of their own.
 */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** Goes on with a value, in the same turn when it is there at once. */
export function whenKnown<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromise(value) ? value.then(next) : next(value);
}
