/**
 * Calls that nobody waits for.
 *
 * @module
 */

/** Calls; what that throws or rejects with goes to `onError`. */
export function notify(call: () => unknown, onError: (error: unknown) => void): void {
  try {
    const result = call();
    if (result !== undefined) Promise.resolve(result).catch(onError);
  } catch (error) {
    onError(error);
  }
}
