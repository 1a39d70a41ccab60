/** What the tests of the server share. */
import { ManualClock, settle } from "@vel/testing";
import { afterAll, beforeAll, expect } from "vitest";
import { createVel, type Vel, type VelOptions } from "../src/index.ts";

/** Fails a test file in which some promise was rejected and nobody took it; gives those there are so far. */
export function expectNoRejections(): readonly unknown[] {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => void rejections.push(reason);
  beforeAll(() => process.on("unhandledRejection", onRejection));
  afterAll(async () => {
    await settle();
    process.off("unhandledRejection", onRejection);
    expect(rejections).toEqual([]);
  });
  return rejections;
}

/** A server whose time the test moves, and what it told `onError`: the stage and the error. */
export function setup(options: VelOptions = {}): { vel: Vel; clock: ManualClock; errors: string[] } {
  const clock = new ManualClock();
  const errors: string[] = [];
  const vel = createVel({
    clock,
    onError: (error, { stage }) => errors.push(`${stage}: ${String(error)}`),
    ...options,
  });
  return { vel, clock, errors };
}
