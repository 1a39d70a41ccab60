import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../src/clock.ts";

describe("systemClock", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("calls back once after the delay, unless it was cleared", () => {
    const calls: string[] = [];
    systemClock.setTimeout(() => calls.push("a"), 100);
    const cleared = systemClock.setTimeout(() => calls.push("b"), 100);
    systemClock.clearTimeout(cleared);
    systemClock.clearTimeout(cleared);
    systemClock.clearTimeout(undefined);
    vi.advanceTimersByTime(99);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(calls).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  // Runtimes fire a timer of more than 2^31 - 1 ms at once: `closeTimeout: Infinity` once cut peers off immediately.
  it("waits longer than the runtime's longest timer, and for ever", () => {
    const calls: string[] = [];
    systemClock.setTimeout(() => calls.push("long"), 2 ** 32);
    const never = systemClock.setTimeout(() => calls.push("never"), Infinity);
    vi.advanceTimersByTime(2 ** 32 - 1);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(calls).toEqual(["long"]);
    vi.advanceTimersByTime(2 ** 33);
    expect(calls).toEqual(["long"]);
    systemClock.clearTimeout(never);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("reads monotonic time and the time since the epoch", () => {
    const started = systemClock.now();
    vi.advanceTimersByTime(5);
    expect(systemClock.now() - started).toBe(5);
    expect(systemClock.wall()).toBe(Date.now());
  });
});
