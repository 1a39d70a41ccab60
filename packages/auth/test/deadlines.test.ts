import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clock } from "@vel/core";
import { ManualClock } from "@vel/testing";
import { Deadlines } from "../src/deadlines.ts";
import { StepClock } from "./step-clock.ts";

describe("Deadlines", () => {
  it("calls for each item once, in order, at its time, with one timer for all and none for nothing", () => {
    const command = fc.oneof(
      fc.record({ set: fc.nat(20), in: fc.oneof(fc.nat(1_000), fc.constant(Infinity)) }),
      fc.record({ delete: fc.nat(20) }),
      fc.record({ advance: fc.nat(300) }),
      fc.record({ clear: fc.constant(true) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
        const clock = new StepClock();
        const model = new Map<number, number>();
        const due: [number, number][] = [];
        const deadlines = new Deadlines<number>(clock, (item) => due.push([item, clock.now()]));
        for (const step of commands) {
          if ("set" in step) {
            deadlines.set(step.set, clock.now() + step.in);
            model.delete(step.set);
            if (step.in < Infinity) model.set(step.set, clock.now() + step.in);
          } else if ("delete" in step) {
            deadlines.delete(step.delete);
            model.delete(step.delete);
          } else if ("clear" in step) {
            deadlines.clear();
            model.clear();
          } else {
            const end = clock.now() + step.advance;
            const expected = [...model].filter(([, at]) => at <= end).sort((a, b) => a[1] - b[1]);
            for (const [item] of expected) model.delete(item);
            clock.advance(step.advance);
            expect(due.map(([, at]) => at)).toEqual(expected.map(([, at]) => at));
            expect(new Set(due.splice(0).map(String))).toEqual(new Set(expected.map(String)));
          }
          expect(clock.pending).toBe(model.size > 0 ? 1 : 0);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("keeps the order when items are taken out of the middle", () => {
    const times = fc.array(fc.nat(100), { minLength: 4, maxLength: 30, size: "max" });
    fc.assert(
      fc.property(times, fc.array(fc.nat(29), { maxLength: 15, size: "max" }), (all, gone) => {
        const clock = new StepClock();
        const due: number[] = [];
        const deadlines = new Deadlines<number>(clock, (item) => due.push(all[item] ?? NaN));
        for (const [item, time] of all.entries()) deadlines.set(item, time);
        for (const item of gone) deadlines.delete(item);
        const left = all.filter((_, item) => !gone.includes(item)).sort((a, b) => a - b);
        clock.advance(100);
        expect(due).toEqual(left);
      }),
      { numRuns: 1_000 },
    );
  });

  it("is never early when its timer is", () => {
    const timers: (() => void)[] = [];
    let now = 0;
    const clock: Clock = {
      now: () => now,
      wall: () => now,
      setTimeout: (callback) => timers.push(callback),
      clearTimeout: () => undefined,
    };
    const due: string[] = [];
    const deadlines = new Deadlines<string>(clock, (item) => due.push(item));
    deadlines.set("a", 100);
    now = 99.5;
    timers.shift()?.();
    expect(due).toEqual([]);
    now = 100.2;
    timers.shift()?.();
    expect(due).toEqual(["a"]);
    expect(timers).toEqual([]);
  });

  it("lets the one that is called for change the others", async () => {
    const clock = new ManualClock();
    const due: string[] = [];
    const deadlines = new Deadlines<string>(clock, (item) => {
      due.push(item);
      if (item === "a") {
        deadlines.delete("b");
        deadlines.set("c", clock.now());
        deadlines.set("d", clock.now() + 5);
      }
    });
    for (const item of ["a", "b"]) deadlines.set(item, 10);
    await clock.advance(20);
    expect(due).toEqual(["a", "c", "d"]);
    expect(clock.pending).toBe(0);
  });
});
