import type { Connection } from "@vel/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Beat } from "../src/beat.ts";
import { Wheel } from "../src/wheel.ts";

const beat = (): Beat => new Beat({} as Connection, "ping");

describe("Wheel", () => {
  it("gives each connection once in each turn, the first as late as there is room", () => {
    const wheel = new Wheel(5);
    const [a, b, c] = [beat(), beat(), beat()];
    for (const each of [a, b, c]) wheel.add(each);
    const turns = Array.from({ length: 10 }, (_, slot) => wheel.turnTo(slot + 1));
    expect(turns).toEqual([[], [c], [b], [a], [], [], [c], [b], [a], []]);
    expect(wheel.size).toBe(3);
  });

  it("gives what it passes when it turns by several slots, and nothing twice", () => {
    const wheel = new Wheel(4);
    const beats = [beat(), beat(), beat(), beat()];
    for (const each of beats) wheel.add(each);
    expect(new Set(wheel.turnTo(3))).toEqual(new Set(beats.slice(0, 3)));
    expect(wheel.turnTo(3)).toEqual([]);
    expect(wheel.turnTo(4)).toEqual([beats[3]]);
  });

  it("lets go of what is removed, once", () => {
    const wheel = new Wheel(1);
    const [a, b] = [beat(), beat()];
    wheel.add(a);
    wheel.add(b);
    wheel.remove(a);
    wheel.remove(a);
    expect(wheel.size).toBe(1);
    expect(a.slot).toBeUndefined();
    expect(wheel.turnTo(1)).toEqual([b]);
  });

  it("spreads evenly, and lets nobody wait for more than a turn, whoever comes and goes", () => {
    // Finds: `share` rounded up (slots get one more than their share), the search from the first slot on.
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant("add" as const), count: fc.integer({ min: 1, max: 40 }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), count: fc.nat(40) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const), count: fc.nat(30) }) },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 30 }), (slots, steps) => {
        const wheel = new Wheel(slots);
        const dues = new Map<Beat, number>();
        let [now, most] = [0, 0];
        for (const { do: what, count } of steps) {
          for (let time = 0; time < count; time++) {
            if (what === "add") {
              const added = beat();
              wheel.add(added);
              dues.set(added, now + slots);
              most = Math.max(most, wheel.size);
            } else if (what === "remove") {
              const [first] = dues.keys();
              if (first) wheel.remove(first);
              if (first) dues.delete(first);
            } else {
              const given = wheel.turnTo(++now);
              expect(given.length).toBeLessThanOrEqual(Math.ceil(most / slots));
              for (const each of given) {
                expect(now).toBeLessThanOrEqual(dues.get(each)!);
                dues.set(each, now + slots);
              }
            }
          }
          expect(wheel.size).toBe(dues.size);
          for (const due of dues.values()) expect(due).toBeGreaterThan(now);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
