/** Clients that are gone all of a sudden, and ones that never come to a handshake, on every runtime. */
import { test } from "vitest";
import { expectNothingLeft } from "./resets.ts";
import { presentRuntimes } from "./target.ts";

/** `VEL_SOAK=long pnpm soak` does it 10,000 times. */
const count = 1_000;

test.each(presentRuntimes)("Resets and garbage leave nothing behind on $name", async (runtime) => {
  await expectNothingLeft(runtime, count);
});
