/**
 * The buckets against what they promise.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import type { Connection } from "@vel/core";
import { MemoryLimitStore, rateLimit } from "@vel/pool";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mayPass, Sundial, type Passed } from "./limit-kit.ts";

const numRuns = 1_000;

/** When messages come, each so many milliseconds after the one before, and how large they are. */
const traffic = fc.array(
  fc.record({
    pause: fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 2, arbitrary: fc.nat(60) }, fc.constant(1_000)),
    size: fc.nat(12),
  }),
  { minLength: 1, maxLength: 80 },
);
const per = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(7, 1_000));
const count = fc.integer({ min: 1, max: 8 });
const rate = fc.record({ tokens: count, burst: count });

/** A connection that is nothing but itself. */
const nobody = (): Connection => ({}) as Connection;

describe("rateLimit()", () => {
  // Fault: `take()` counts only one of the buckets, or counts a message that does not pass; an empty message costs nothing; `wait()`
  // without the max().
  it("lets exactly those messages pass that are within both rates in every span of time", () => {
    fc.assert(
      fc.property(
        fc
          .record({ messages: fc.option(rate), bytes: fc.option(rate) })
          .filter((each) => !!(each.messages ?? each.bytes)),
        per,
        traffic,
        ({ messages, bytes }, per, traffic) => {
          const clock = new Sundial();
          const limit = rateLimit({
            clock,
            per,
            onExceed: "drop",
            ...(messages && { messages: messages.tokens, burst: messages.burst }),
            ...(bytes && { bytes: bytes.tokens, burstBytes: bytes.burst }),
          });
          const connection = nobody();
          const byCount: Passed = [];
          const bySize: Passed = [];
          for (const { pause, size } of traffic) {
            clock.advance(pause);
            const at = clock.now();
            const expected =
              (!messages || mayPass(byCount, messages, per, at, 1)) &&
              (!bytes || mayPass(bySize, bytes, per, at, Math.max(1, size)));
            expect(limit.inspect(connection, "", size)).toBe(expected);
            if (!expected) continue;
            byCount.push({ at, cost: 1 });
            bySize.push({ at, cost: Math.max(1, size) });
          }
        },
      ),
      { numRuns },
    );
  });

  // Fault: `retryAfter` is rounded down; the wait of one bucket instead of the longer one.
  it("says the true time: after it the same message passes, and not a millisecond before", () => {
    fc.assert(
      fc.property(rate, rate, per, traffic, fc.boolean(), (messages, bytes, per, traffic, isEarly) => {
        const clock = new Sundial();
        const limit = rateLimit({
          clock,
          per,
          onExceed: "drop",
          messages: messages.tokens,
          burst: messages.burst,
          bytes: bytes.tokens,
          burstBytes: bytes.burst,
        });
        const connection = nobody();
        let wait = 0;
        limit.on("exceed", (_, { retryAfter }) => (wait = retryAfter));
        for (const { pause, size } of traffic) {
          clock.advance(pause);
          if (limit.inspect(connection, "", size)) continue;
          expect(wait === Infinity).toBe(size > bytes.burst);
          if (wait === Infinity) continue;
          expect(wait).toBe(Math.ceil(wait));
          clock.advance(isEarly ? wait - 1 : wait);
          expect(limit.inspect(connection, "", size)).toBe(!isEarly);
        }
      }),
      { numRuns },
    );
  });

  // Fault: a bucket for all connections.
  it("counts each connection as if it were alone", () => {
    fc.assert(
      fc.property(
        rate,
        per,
        traffic,
        fc.array(fc.nat(2), { minLength: 80, maxLength: 80 }),
        (rate, per, traffic, who) => {
          const clock = new Sundial();
          const make = () => rateLimit({ clock, per, onExceed: "drop", messages: rate.tokens, burst: rate.burst });
          const all = [nobody(), nobody(), nobody()];
          const together = make();
          const alone = all.map(make);
          for (const [index, { pause }] of traffic.entries()) {
            clock.advance(pause);
            const number = who[index]!;
            const connection = all[number]!;
            expect(together.inspect(connection, "", 1)).toBe(alone[number]!.inspect(connection, "", 1));
          }
        },
      ),
      { numRuns },
    );
  });
});

describe("MemoryLimitStore.attempt()", () => {
  // Fault: `#forget()` drops those that came within `per`; attempts that are refused count.
  it("counts exactly those attempts that are within the rate in every span of time, whoever else comes", () => {
    fc.assert(
      fc.property(count, per, traffic, (limit, per, traffic) => {
        const clock = new Sundial();
        const store = new MemoryLimitStore({ clock });
        const passed = new Map<string, Passed>();
        for (const { pause, size } of traffic) {
          clock.advance(pause);
          const key = String(size % 3);
          const at = clock.now();
          const own = passed.get(key) ?? [];
          passed.set(key, own);
          const expected = mayPass(own, { tokens: limit, burst: limit }, per, at, 1);
          const wait = store.attempt(key, { limit, per });
          expect(wait === 0).toBe(expected);
          if (expected) own.push({ at, cost: 1 });
          else expect(mayPass(own, { tokens: limit, burst: limit }, per, at + Math.ceil(wait), 1)).toBe(true);
        }
      }),
      { numRuns },
    );
  });
});
