/** Clients that are gone all of a sudden, at every moment of an upgrade that takes its time. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const fixture = fileURLToPath(new URL("fixtures/resets.ts", import.meta.url));

interface Left {
  readonly heap: number;
}

interface Report {
  readonly start: Left;
  readonly first: Left;
  readonly all: Left;
  readonly counts: Readonly<Record<string, number>>;
  readonly errors: readonly string[];
  readonly uncaught: readonly string[];
}

test("2,000 resets at five moments of an async upgrade leave nothing behind", { timeout: 120_000 }, async () => {
  const { stdout } = await run(process.execPath, ["--expose-gc", "--conditions=@vel/source", fixture, "2000"]);
  const { start, first, all, counts, errors, uncaught } = JSON.parse(stdout) as Report;
  expect({ errors, uncaught }).toEqual({ errors: [], uncaught: [] });
  // Descriptors, timers, sockets, listeners and connections are as before.
  const { heap: _heap, ...before } = start;
  expect(first).toMatchObject(before);
  expect(all).toMatchObject({ ...before, connections: 0 });
  expect(all.heap - first.heap).toBeLessThan(2 ** 21);
  // Who came so far was let go of, each once.
  expect(counts["accepted"]).toBe(400);
  expect(counts["released"]).toBe(counts["deferred"]);
  expect(counts["closed"]).toBe(counts["opened"]);
});
