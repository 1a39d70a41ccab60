import { ManualClock } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { Pulse, type PulseOwner } from "../src/pulse.ts";
import { LoopClock } from "./loop-clock.ts";

/** Somebody who has something to do on each beat. */
const busy = (onBeat: () => void = () => undefined): PulseOwner => ({ onBeat, wait: () => 0 });

describe("Pulse", () => {
  it("beats when there is something to do, an interval after the last at the earliest, and not later than it may", async () => {
    const clock = new ManualClock();
    const beats: number[] = [];
    const waits = [50, 0, 1_000, -10, 100];
    const pulse = new Pulse(clock, 30, 200, {
      onBeat: () => beats.push(clock.now()),
      wait: () => waits.shift() ?? Infinity,
    });
    pulse.start();
    await clock.advance(450);
    expect(beats).toEqual([50, 80, 280, 310, 410]);
    pulse.stop();
    expect(clock.pending).toBe(0);
  });

  it("counts of a late beat what was planned and an interval", async () => {
    const clock = new LoopClock(0);
    const pulse = new Pulse(clock, 30, 200, { onBeat: () => undefined, wait: () => 100 });
    pulse.start();
    await clock.block(120);
    expect(pulse.time).toBe(120);
    await clock.block(100_000);
    expect(pulse.time).toBe(250);
    pulse.stop();
  });

  it("beats every interval, and knows what was read two beats ago", async () => {
    const clock = new ManualClock();
    const beats: [number, number][] = [];
    const pulse = new Pulse(
      clock,
      30,
      30,
      busy(() => beats.push([pulse.time, pulse.read])),
    );
    pulse.start();
    pulse.start(); // has begun
    await clock.advance(120);
    expect(beats).toEqual([
      [30, 0],
      [60, 0],
      [90, 30],
      [120, 60],
    ]);
    pulse.stop();
    pulse.stop();
    expect(clock.pending).toBe(0);
  });

  it("has no time go by while it is stopped", async () => {
    const clock = new ManualClock();
    const pulse = new Pulse(clock, 30, 30, busy());
    pulse.start();
    await clock.advance(30);
    pulse.stop();
    await clock.advance(100_000);
    expect(pulse.time).toBe(30);
    pulse.start();
    await clock.advance(30);
    expect([pulse.time, pulse.read]).toEqual([60, 0]);
    pulse.stop();
  });

  it("makes up for being late, and counts what is blocked as two intervals at most", async () => {
    const clock = new LoopClock(0);
    const pulse = new Pulse(clock, 30, 30, busy());
    pulse.start();
    await clock.block(45);
    expect(pulse.time).toBe(45);
    await clock.block(100_000);
    expect(pulse.time).toBe(105);
    await clock.block(100_000, 2);
    expect([pulse.time, pulse.read]).toEqual([225, 105]);
    pulse.stop();
  });

  it("can be stopped and started within a beat", async () => {
    const clock = new ManualClock();
    let beats = 0;
    const pulse = new Pulse(
      clock,
      30,
      30,
      busy(() => {
        beats++;
        pulse.stop();
        if (beats < 3) pulse.start();
      }),
    );
    pulse.start();
    await clock.advance(300);
    expect(beats).toBe(3);
    expect(clock.pending).toBe(0);
  });
});
