/** What the tests of the recipes share: a server without sockets that has one recipe. */
import { createVel, type Vel, type VelOptions } from "@vel/core";
import { expect, onTestFinished, vi } from "vitest";

export const largest = 1024 * 1024;
/** Any time as the specification's examples write it. */
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Makes a server with one recipe; `said` is what the recipe prints. No connection is left when the test is over. */
export function setUp(recipe: (vel: Vel) => void, options: VelOptions = {}): { vel: Vel; said: unknown[] } {
  const said: unknown[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => said.push(line));
  const vel = createVel(options);
  recipe(vel);
  onTestFinished(async () => {
    await vel.close();
    log.mockRestore();
    expect(vel.connections.size).toBe(0);
  });
  return { vel, said };
}
