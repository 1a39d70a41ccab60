/**
 * Where errors of user code go that nobody awaits.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { notify } from "./maybe-promise.ts";

/** Where an error that reached `onError` comes from. */
export interface ErrorContext {
  /**
   * What was running: `handshake`, `guard`, `upgrade`, `prepare`, `inspect`, `handler`, `open`, `message`, `invalid`,
   * `drain`, `close`, `renew`, `listener`, `release`, `transport`; features have their own (`onJoin`).
   */
  readonly stage: string;
  readonly connection?: Connection | undefined;
}

/**
 * Writes an error to `console.error`, on one line: the default of every `onError` option.
 *
 * @example
 * createVel({ onError: (error, context) => (context.stage === "transport" ? undefined : logError(error, context)) });
 */
export function logError(error: unknown, { stage, connection }: ErrorContext): void {
  const where = connection ? `${stage} of connection ${connection.id} on ${connection.route}` : stage;
  console.error(`vel: ${where}: ${oneLine(describe(error))}`);
}

/**
 * Tells an `onError` of an error: for features, which have such an option too. Never throws; an `onError` that throws or
 * rejects is written to `console.error`, and so is what it was told.
 *
 * @example
 * report(logError, new Error("no answer"), { stage: "listener" });
 */
export function report(
  onError: (error: unknown, context: ErrorContext) => unknown,
  error: unknown,
  context: ErrorContext,
): void {
  notify(
    () => onError(error, context),
    (failure) => {
      logError(failure, { stage: "onError" });
      logError(error, context);
    },
  );
}

/** Never throws, whatever was thrown: a report must not be the next error. */
function describe(error: unknown): string {
  try {
    return error instanceof Error && typeof error.stack === "string" ? error.stack : String(error);
  } catch {
    return `a thrown ${typeof error} without a text`;
  }
}

/** Escapes what ends a line or moves a cursor: nobody may forge a line of somebody's log. */
function oneLine(text: string): string {
  const escaped = JSON.stringify(text).slice(1, -1);
  return escaped.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
