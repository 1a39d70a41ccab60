/** Frames that are almost right: the long run of the test of that name, with another seed each time. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const fixture = join(import.meta.dirname, "../packages/node/test/fixtures/fuzz.ts");
/** 25,000 by default; `VEL_SOAK=long` makes it 250,000, which takes some two minutes. */
const count = process.env["VEL_SOAK"] === "long" ? 250_000 : 25_000;

test(`${String(count)} mutated frames crash nothing and leave nothing behind`, { timeout: 900_000 }, async () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`seed ${String(seed)}`);
  const { stdout } = await run(
    process.execPath,
    ["--expose-gc", "--conditions=@vel/source", fixture, String(count), String(seed)],
    { maxBuffer: 2 ** 26 },
  );
  const { codes, growth, messages, ...rest } = JSON.parse(stdout) as {
    readonly codes: Readonly<Record<string, number>>;
    readonly growth: number;
    readonly messages: number;
  };
  console.log(`memory grew by ${String(growth)} bytes, ${String(messages)} messages, closed with`, codes);
  expect(rest).toEqual({
    sent: count,
    opened: count,
    closed: count,
    connections: 0,
    isPrototypeClean: true,
    errors: [],
    uncaught: [],
  });
  expect(growth).toBeLessThan(2 ** 25);
});
