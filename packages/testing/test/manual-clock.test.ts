import { ManualClock } from "@vel/testing";
import { describe, expect, it } from "vitest";

describe("ManualClock.advance()", () => {
  it("fires timers in the order in which they are due, each at its own time, of two the older first", async () => {
    const clock = new ManualClock();
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.now()]);
    clock.setTimeout(note("late"), 30);
    clock.setTimeout(note("first"), 10);
    clock.setTimeout(note("second"), 10);
    clock.setTimeout(note("at once"), 0);
    clock.setTimeout(note("past"), -5);
    clock.clearTimeout(clock.setTimeout(note("never"), 5));
    await clock.advance(20);
    expect(fired).toEqual([
      ["at once", 0],
      ["past", 0],
      ["first", 10],
      ["second", 10],
    ]);
    expect([clock.now(), clock.pending]).toEqual([20, 1]);
    await clock.advance(10);
    expect(fired.at(-1)).toEqual(["late", 30]);
    expect(clock.pending).toBe(0);
  });

  it("runs chains of timers and promises as they would run in time", async () => {
    const clock = new ManualClock();
    const seen: number[] = [];
    const sleep = (milliseconds: number): Promise<void> =>
      new Promise((resolve) => clock.setTimeout(resolve, milliseconds));
    const done = (async () => {
      for (let i = 0; i < 5; i++) {
        await sleep(100);
        await Promise.resolve();
        seen.push(clock.now());
      }
    })();
    await clock.advance(1_000);
    await done;
    expect(seen).toEqual([100, 200, 300, 400, 500]);
  });

  it("rejects with what a timer throws, and can go on", async () => {
    const clock = new ManualClock();
    clock.setTimeout(() => {
      throw new Error("timer");
    }, 10);
    await expect(clock.advance(20)).rejects.toThrow("timer");
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it.each([-1, NaN])("refuses %d", async (milliseconds) => {
    await expect(new ManualClock().advance(milliseconds)).rejects.toThrow(RangeError);
  });
});

describe("ManualClock.wall()", () => {
  it("goes with time, and jumps without it", async () => {
    const clock = new ManualClock({ wall: new Date(5_000) });
    await clock.advance(1_000);
    clock.shiftWall(-86_400_000);
    expect([clock.now(), clock.wall()]).toEqual([1_000, 6_000 - 86_400_000]);
    expect(new ManualClock().wall()).toBe(Date.UTC(2026, 0, 1));
  });
});
