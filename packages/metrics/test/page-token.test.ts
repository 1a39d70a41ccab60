/** How wrong tokens are counted. */
import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { expect, it } from "vitest";
import { PageToken } from "../src/page-token.ts";

const right = "sesame, sesame, sesame";

it("PageToken.try() looks at nothing from a network for a minute after the first of five wrong ones", async () => {
  const clock = new ManualClock();
  const token = new PageToken(right, clock);
  for (let i = 0; i < 5; i++) {
    expect(token.try(`${right}!`, "192.0.2.7")).toBe("wrong");
    await clock.advance(10_000);
  }
  expect(token.try(right, "192.0.2.7")).toEqual({ retryAfter: 10_000 });
  expect(token.try(right, "192.0.2.8")).toBe("right");
  await clock.advance(9_999);
  expect(token.try(right, "192.0.2.7")).toEqual({ retryAfter: 1 });
  await clock.advance(1);
  expect(token.try(right, "192.0.2.7")).toBe("right");
});

it("PageToken.try() takes those of whom no address is known for one network", () => {
  const token = new PageToken(right, new ManualClock());
  for (let i = 0; i < 5; i++) token.try(undefined);
  expect(token.try(right)).toEqual({ retryAfter: 60_000 });
  expect(token.try(right, "192.0.2.8")).toBe("right");
});

it("PageToken.try() keeps 10,000 networks in mind, and forgets the oldest for the next", () => {
  const token = new PageToken(right, new ManualClock());
  const address = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  for (let i = 0; i < 10_000; i++) for (let j = 0; j < 5; j++) token.try("wrong", address(i));
  // Who tries again pushes out nobody, himself neither.
  for (let i = 0; i < 10_000; i++) expect(token.try("wrong", address(i))).toEqual({ retryAfter: 60_000 });
  expect(token.try("wrong", address(10_000))).toBe("wrong");
  expect(token.try("wrong", address(1))).toEqual({ retryAfter: 60_000 });
  expect(token.try("wrong", address(0))).toBe("wrong");
  expect(token.try(right, address(20_000))).toBe("right");
});

it("PageToken.try() says what a plain count of each network says", () => {
  const tries = fc.record({
    network: fc.integer({ min: 0, max: 2 }),
    isRight: fc.boolean(),
    wait: fc.oneof(fc.constant(0), fc.nat(30_000)),
  });
  fc.assert(
    fc.property(fc.array(tries, { maxLength: 60 }), (steps) => {
      let now = 0;
      const token = new PageToken(right, { now: () => now });
      const wrong: number[][] = [[], [], []]; // when, since the first of a minute
      for (const { network, isRight, wait } of steps) {
        now += wait;
        if (now >= (wrong[network]![0] ?? now) + 60_000) wrong[network] = [];
        const times = wrong[network]!;
        const verdict = token.try(isRight ? right : "wrong", `192.0.2.${network}`);
        if (times.length === 5) expect(verdict).toEqual({ retryAfter: times[0]! + 60_000 - now });
        else expect(verdict).toBe(isRight ? "right" : "wrong");
        if (verdict === "wrong") times.push(now);
      }
    }),
    { numRuns: 1_000 },
  );
});
