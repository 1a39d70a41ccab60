/**
 * A token in use.
 *
 * @module
 */
import type { VerifiedToken } from "./verified-token.ts";

/** A verified token with its end on the monotonic clock: from here on the wall clock may jump as it likes. */
export interface TimedToken<Claims> extends VerifiedToken<Claims> {
  /** When it is not good any more, tolerance included, in the milliseconds of `Clock.now()`; Infinity for never. */
  readonly deadline: number;
}
