/** Frames that are almost right, on every runtime. */
import { test } from "vitest";
import { expectUnharmed } from "./fuzz.ts";
import { presentRuntimes } from "./target.ts";

test.each(presentRuntimes)("50,000 mutated frames crash nothing and leave nothing behind on $name", async (runtime) => {
  await expectUnharmed(runtime, 50_000, 1);
});
