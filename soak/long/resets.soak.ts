/** Clients that are gone all of a sudden, and ones that never come to a handshake: the long run of the test of that name. */
import { test } from "vitest";
import { expectNothingLeft } from "../../test/load/resets.ts";
import { presentRuntimes } from "../../test/load/target.ts";

test.each(presentRuntimes)("10,000 resets and as much garbage, twice, on $name", async (runtime) => {
  await expectNothingLeft(runtime, 10_000);
});
