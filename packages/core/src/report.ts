/**
 * Where errors of user code go that nobody awaits.
 *
 * @module
 */
import type { Connection } from "./connection.ts";

/** Where an error that reached `onError` comes from. */
export interface ErrorContext {
  /**
   * What was running: `handshake`, `guard`, `handler`, `upgrade`, `open`, `message`, `invalid`, `drain`, `close`, `listener`,
   * `release`, `transport`; features have their own (`onJoin`).
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
  const what = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  // One line, whatever an error's text holds: nobody may forge a line of somebody's log.
  console.error(`vel: ${where}: ${JSON.stringify(what).slice(1, -1)}`);
}
