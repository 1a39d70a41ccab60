/**
 * What comes after a value that may come later.
 *
 * @module
 */
import { isPromise, type MaybePromise } from "@vel/core";

/** Goes on with a value, in the same turn when it is there at once. */
export function whenKnown<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromise(value) ? value.then(next) : next(value);
}
