/** Clients that reset their connection at each moment of an async upgrade: the long run of the test of that name. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const fixture = join(import.meta.dirname, "../packages/node/test/fixtures/resets.ts");

interface Left {
  readonly heap: number;
}

test("10,000 resets at five moments of an async upgrade leave nothing behind", async () => {
  const { stdout } = await run(process.execPath, ["--expose-gc", "--conditions=@vel/source", fixture, "10000"]);
  const { start, first, all, counts, errors, uncaught } = JSON.parse(stdout) as {
    readonly [name in "start" | "first" | "all"]: Left;
  } & { readonly counts: Readonly<Record<string, number>>; readonly errors: unknown; readonly uncaught: unknown };
  console.log(`heap after 1,000: ${String(first.heap)} bytes, after 10,000: ${String(all.heap)} bytes`);
  expect({ errors, uncaught }).toEqual({ errors: [], uncaught: [] });
  const { heap: _heap, ...before } = start;
  expect(all).toMatchObject({ ...before, connections: 0 });
  expect(all.heap - first.heap).toBeLessThan(2 ** 21);
  expect(counts["released"]).toBe(counts["deferred"]);
  expect(counts["closed"]).toBe(counts["opened"]);
});
