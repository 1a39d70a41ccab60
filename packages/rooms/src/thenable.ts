/**
 * Telling what comes later from what is there.
 *
 * @module
 */

/** Tells whether a hook's result has to be waited for. */
export function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
