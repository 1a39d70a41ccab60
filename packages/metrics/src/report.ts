/**
 * Where errors of user code go that nobody awaits.
 *
 * @module
 */
import { logError, type ErrorContext } from "@vel/core";

/** Tells of an error; never throws, whatever is told. */
export function report(
  onError: (error: unknown, context: ErrorContext) => unknown,
  error: unknown,
  context: ErrorContext,
): void {
  const fail = (failure: unknown): void => {
    logError(failure, { stage: "onError" });
    logError(error, context);
  };
  try {
    const result = onError(error, context);
    if (result instanceof Promise) result.catch(fail);
  } catch (failure) {
    fail(failure);
  }
}
