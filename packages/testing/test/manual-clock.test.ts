import { createVel } from "@vel/core";
import { connect, ManualClock, memoryTransport } from "@vel/testing";
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
    clock.clearTimeout(clock.setTimeout(note("never"), 5));
    await clock.advance(20);
    expect(fired).toEqual([
      ["at once", 0],
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

  it("fires timers that timers set, when they are due within the same time", async () => {
    const clock = new ManualClock();
    const fired: number[] = [];
    clock.setTimeout(() => {
      fired.push(clock.now());
      clock.setTimeout(() => fired.push(clock.now()), 0);
      clock.setTimeout(() => fired.push(clock.now()), 5);
      clock.setTimeout(() => fired.push(clock.now()), 6);
    }, 10);
    await clock.advance(15);
    expect([fired, clock.now(), clock.pending]).toEqual([[10, 10, 15], 15, 1]);
  });

  it("fires no timer of the future when two go on at once, and never moves back", async () => {
    const clock = new ManualClock();
    const times: number[] = [];
    for (const due of [5, 10, 15, 25]) clock.setTimeout(() => times.push(clock.now()), due);
    await Promise.all([clock.advance(10), clock.advance(20)]);
    expect([times, clock.now(), clock.pending]).toEqual([[5, 10, 15], 20, 1]);
    expect(clock.wall()).toBe(Date.UTC(2026, 0, 1) + 20);
  });

  it.each([false, true])("delivers what a timer sent before the next timer fires, batches: %s", async (batches) => {
    const clock = new ManualClock();
    const vel = createVel({ clock });
    const heard: [string, number][] = [];
    vel.websocket("/ws", {
      open(connection) {
        for (const due of [10, 11]) clock.setTimeout(() => connection.send(String(due)), due);
      },
      message: (_, message) => heard.push([message as string, clock.now()]),
    });
    const client = await connect(vel, "/ws", { transport: memoryTransport({ batches }) });
    const answering = (async () => {
      for await (const message of client.messages()) client.send(message);
    })();
    await clock.advance(1_000);
    expect(heard).toEqual([
      ["10", 10],
      ["11", 11],
    ]);
    client.close();
    await answering;
    expect(clock.pending).toBe(0);
  });

  it.each([-1, NaN, Infinity])("refuses %d", async (milliseconds) => {
    const clock = new ManualClock();
    await expect(clock.advance(milliseconds)).rejects.toThrow(RangeError);
    expect(clock.now()).toBe(0);
  });
});

describe("ManualClock.setTimeout()", () => {
  it.each([-1, NaN, undefined as unknown as number])("refuses a delay of %s", (delay) => {
    const clock = new ManualClock();
    expect(() => clock.setTimeout(() => undefined, delay)).toThrow(RangeError);
    expect(clock.pending).toBe(0);
  });

  it("never fires after Infinity, and can be cleared", async () => {
    const clock = new ManualClock();
    const timer = clock.setTimeout(() => {
      throw new Error("fired");
    }, Infinity);
    await clock.advance(Number.MAX_SAFE_INTEGER);
    expect(clock.pending).toBe(1);
    clock.clearTimeout(timer);
    clock.clearTimeout(timer);
    clock.clearTimeout(undefined);
    expect(clock.pending).toBe(0);
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

  it.each([NaN, Infinity])("does not jump by %d", (milliseconds) => {
    const clock = new ManualClock();
    expect(() => clock.shiftWall(milliseconds)).toThrow(RangeError);
    expect(clock.wall()).toBe(Date.UTC(2026, 0, 1));
  });
});
