/** What the tests of the recipes share: a server without sockets that has one recipe. */
import { createVel, type Vel, type VelOptions } from "@vel/core";
import { ManualClock, settle, type TestClient } from "@vel/testing";
import { expect, onTestFinished, vi } from "vitest";
import { LiveSource, type LiveSourceOptions } from "../src/live-source.ts";

export const largest = 1024 * 1024;
/** Any time as the specification's examples write it. */
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Makes a server with one recipe; `said` is what the recipe prints, `answer` what it returns. No connection is left when
 * the test is over.
 */
export function setUp<Answer>(
  recipe: (vel: Vel) => Answer,
  options: VelOptions = {},
): { vel: Vel; said: unknown[]; answer: Answer } {
  const said: unknown[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => said.push(line));
  const vel = createVel(options);
  const answer = recipe(vel);
  onTestFinished(async () => {
    await vel.close();
    log.mockRestore();
    expect(vel.connections.size).toBe(0);
  });
  return { vel, said, answer };
}

/**
 * Makes live data that says how often it was asked for; `polls` are the times at which it was. Nobody listens and no
 * timer is left when the test is over.
 */
export function setUpLive(options: Partial<LiveSourceOptions> = {}): {
  live: LiveSource;
  clock: ManualClock;
  polls: number[];
} {
  const clock = new ManualClock();
  const polls: number[] = [];
  const { poll = () => polls.length, ...rest } = options;
  const live = new LiveSource({
    clock,
    poll: (signal) => {
      polls.push(clock.now());
      return poll(signal);
    },
    ...rest,
  });
  onTestFinished(() => {
    expect([live.listeners, clock.pending]).toEqual([0, 0]);
  });
  return { live, clock, polls };
}

/** Takes everything that has arrived, parsed. */
export async function take(client: TestClient): Promise<unknown[]> {
  await settle();
  return (client.received as unknown[]).splice(0).map((payload) => JSON.parse(payload as string) as unknown);
}
