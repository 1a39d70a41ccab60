/** Frames that are almost right: the long run of the test of that name, with another seed each time. */
import { test } from "vitest";
import { expectUnharmed } from "../../test/load/fuzz.ts";
import { presentRuntimes } from "../../test/load/target.ts";

/** Takes up to two minutes for each runtime. */
const count = 250_000;
const seed = Date.now() % 2 ** 31;
console.log(`seed ${String(seed)}`);

test.each(presentRuntimes)(`${String(count)} mutated frames on $name`, { timeout: 900_000 }, async (runtime) => {
  await expectUnharmed(runtime, count, seed);
});
