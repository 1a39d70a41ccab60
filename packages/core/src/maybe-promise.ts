/**
 * Values that may come later, without paying for a promise when they are there at once.
 *
 * @module
 */

/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * Tells whether a hook's result has to be waited for: not only promises of the language are promises.
 *
 * @example
 * isPromise(Promise.resolve()); // true
 */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * Calls somebody whom nobody waits for: what it throws or rejects with goes to `onError`.
 *
 * @example
 * notify(() => Promise.reject(new Error("late")), console.error);
 */
export function notify(call: () => unknown, onError: (error: unknown) => void): void {
  try {
    const result = call();
    if (isPromise(result)) result.then(undefined, onError);
  } catch (error) {
    onError(error);
  }
}
