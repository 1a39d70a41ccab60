/** A rate is what was counted over a span that begins with a look: about a window ago, or before that. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Rate } from "../src/rate.ts";

const step = fc.oneof(
  fc.record({ do: fc.constant("wait" as const), for: fc.oneof(fc.nat(100), fc.nat(5_000), fc.nat(100_000)) }),
  fc.record({ do: fc.constant("count" as const), who: fc.nat(2), by: fc.nat(50) }),
  fc.record({ do: fc.constant("come" as const), who: fc.nat(2) }),
  fc.record({ do: fc.constant("go" as const), who: fc.nat(2) }),
  fc.record({ do: fc.constant("look" as const) }),
);

it("Rate.perSecond() is the growth since a look that is a window old, or as near to that as there is", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const window = 6_000;
      let now = 0;
      let growth = 0;
      const rate = new Rate(window, now);
      const keepers = Array.from({ length: 3 }, () => ({ count: 0, seen: 0, isIn: false }));
      const looks = [{ at: 0, growth: 0 }];
      for (const each of steps) {
        const keeper = keepers["who" in each ? each.who : 0]!;
        if (each.do === "wait") now += each.for;
        if (each.do === "count") keeper.count += each.by;
        if (each.do === "come" || each.do === "go") {
          if (keeper.isIn) growth += keeper.count - keeper.seen;
          if (keeper.isIn || each.do === "come") rate.count(keeper, keeper.count);
          keeper.seen = keeper.count;
          keeper.isIn = each.do === "come";
          if (!keeper.isIn) rate.forget(keeper);
        }
        if (each.do !== "look") continue;
        for (const those of keepers.filter(({ isIn }) => isIn)) {
          growth += those.count - those.seen;
          those.seen = those.count;
          rate.count(those, those.count);
        }
        rate.look(now);
        looks.push({ at: now, growth });
        const seen = rate.perSecond(now);
        expect(seen).toBeGreaterThanOrEqual(0);
        // One of the looks explains it, and it is neither newer nor much older than it has to be.
        const before = looks.findLast(({ at }) => at <= now - window)?.at ?? 0;
        const possible = looks.filter(({ at }) => at >= before - window / 60 && (at <= before || at <= now - window));
        const expected = possible.map((look) =>
          now > look.at ? ((growth - look.growth) / (now - look.at)) * 1_000 : 0,
        );
        expect(expected.some((value) => Math.abs(value - seen) < 1e-6)).toBe(true);
      }
    }),
    { numRuns: 1_000 },
  );
});

it("Rate.look() keeps no more than a window needs", async () => {
  const rate = new Rate(60_000, 0);
  const keeper = {};
  rate.count(keeper, 0);
  // A thousand looks a second; were all of them kept, the memory would say so in a soak and this would take long.
  for (let now = 1; now <= 300_000; now++) {
    rate.count(keeper, now);
    rate.look(now);
  }
  expect(rate.perSecond(300_000)).toBeCloseTo(1_000, 6);
});
