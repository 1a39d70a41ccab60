/**
 * How fast somebody may write: what comes faster is dropped, and the page is told when to send it again. Who goes on all
 * the same, as only a script does, is closed with 4429.
 *
 * @module
 */
import type { Clock } from "@vel/core";
import { rateLimit, type RateLimit, type RateLimitOptions } from "@vel/pool";
import { toWire } from "./wire.ts";

/** So many messages in so much time, and so many at once. */
export type Pace = Required<Pick<RateLimitOptions, "messages" | "per" | "burst">>;

/** Makes what looks at every message. */
export function keepPace(pace: Pace, clock: Clock): RateLimit {
  const limit = rateLimit({ ...pace, onExceed: "drop", clock });
  limit.on("exceed", (connection, excess) => {
    const retryAfter = Math.ceil(excess.retryAfter);
    connection.sendJson(toWire({ type: "error", code: "too_fast", message: "That was too fast", retryAfter }));
  });
  return limit;
}
