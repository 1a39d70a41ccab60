/**
 * Settings of rate limits, checked at the door.
 *
 * @module
 */
import { logError, systemClock, type Clock, type ErrorContext } from "@vel/core";
import type { LimitMode } from "./limit-options.ts";
import { assertChoice, assertCount, assertObject, assertSome, assertTime, assertTogether } from "./option-checks.ts";
import type { Rate } from "./token-bucket.ts";

/** Settings of {@link rateLimit}. At least one of `messages` and `bytes` is needed. */
export interface RateLimitOptions {
  /** How many messages a connection may send in every `per` milliseconds. Default: any number. */
  messages?: number;
  /**
   * How many payload bytes a connection may send in every `per` milliseconds. A message without a payload counts as one
   * byte. Default: any number.
   */
  bytes?: number;
  /** Milliseconds. */
  per: number;
  /** How many messages may come at once, after silence. Default: `messages`. */
  burst?: number;
  /**
   * How many bytes may come at once, after silence. A message that is larger than that never passes: it closes the
   * connection with 1009, or is dropped. Default: `bytes`.
   */
  burstBytes?: number;
  /**
   * `close`: the connection is closed with 4429 and the reason `retry after 1500 ms`. `drop`: the message is swallowed,
   * and the listeners of `exceed` are to tell the client. A client who does not listen costs too: the connection is closed
   * all the same after 1,000 messages that were dropped, if never for `per` milliseconds none was. Default: `close`.
   */
  onExceed?: "close" | "drop";
  /** `report` lets everything pass, counts, and tells of what `enforce` would have stopped. Default: `enforce`. */
  mode?: LimitMode;
  /** Default: core's `systemClock`. */
  clock?: Clock;
  /** Is told of what listeners throw (stage `listener`). Default: core's `logError`, a line on `console.error`. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** What is done with a message that comes too soon. */
export type RateLimitAction = "close" | "drop" | "report";

/** What holds in a rate limit: its options with the defaults filled in. */
export interface RateSettings {
  readonly messages: Rate | undefined;
  readonly bytes: Rate | undefined;
  readonly per: number;
  readonly action: RateLimitAction;
  readonly clock: Clock;
  readonly onError: (error: unknown, context: ErrorContext) => unknown;
}

/**
 * Fills in what is left out.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When there are no options, nothing is limited, a burst is of nothing, or `onExceed` or `mode` is unknown.
 */
export function rateSettings(options: RateLimitOptions): RateSettings {
  assertObject("Options of rateLimit()", options);
  const { messages, bytes, per, burst, burstBytes, onExceed = "close", mode = "enforce" } = options;
  assertSome({ messages, bytes });
  for (const [name, value] of Object.entries({ messages, bytes, burst, burstBytes })) {
    if (value !== undefined) assertCount(name, value);
  }
  assertTime("per", per);
  assertTogether("burst", burst, "messages", messages);
  assertTogether("burstBytes", burstBytes, "bytes", bytes);
  assertChoice("onExceed", onExceed, ["close", "drop"]);
  assertChoice("mode", mode, ["enforce", "report"]);
  return {
    messages: messages === undefined ? undefined : { tokens: messages, per, burst: burst ?? messages },
    bytes: bytes === undefined ? undefined : { tokens: bytes, per, burst: burstBytes ?? bytes },
    per,
    action: mode === "report" ? "report" : onExceed,
    clock: options.clock ?? systemClock,
    onError: options.onError ?? logError,
  };
}
