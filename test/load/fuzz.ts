/**
 * Clients whose frames are almost right.
 *
 * @module
 */
import { expect } from "vitest";
import type { Held } from "../fixtures/host.ts";
import type { Runtime } from "../../tools/runtimes.ts";
import { Chance, mutatedFrame, properFrame } from "./frames.ts";
import { handshake, keptAtMost, Target, times } from "./target.ts";

/** What a server says of itself. */
interface Report extends Held {
  readonly [name: string]: unknown;
  readonly messages: number;
  readonly codes: Readonly<Record<string, number>>;
}

/** By how many bytes a server may grow once a quarter of the frames was sent: 32 MiB. */
const tolerance = 2 ** 25;

/**
 * What is measured. Deno keeps what belongs to a peer that was cut off for its idle timeout, so the memory that is
 * resident follows how fast the frames come, up and down by 100 MiB, without Vel too: there the program's own objects
 * are looked at.
 */
const measured = ({ name }: Runtime): "heap" | "resident" => (name === "Deno" ? "heap" : "resident");

/** Sends a few proper frames and an almost proper one, and leaves once the server has answered the handshake. */
async function attack(target: Target, chance: Chance): Promise<void> {
  const path = chance.pick(["/echo", "/json", "/deflate", "/pull"]);
  const offer = chance.below(2) === 0 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "";
  const proper = Array.from({ length: chance.below(3) }, () => properFrame(chance));
  const bytes = Buffer.concat([...proper, mutatedFrame(chance)]);
  const early = chance.below(2) === 0 ? bytes.length : chance.below(bytes.length);
  const socket = target.connect();
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.write(Buffer.concat([Buffer.from(handshake(path, offer)), bytes.subarray(0, early)]));
  socket.once("data", () => {
    socket.end(bytes.subarray(early));
    socket.resume();
  });
  await closed;
}

/** Sends so many mutated frames, and checks that the server is as before. */
export async function expectUnharmed(runtime: Runtime, count: number, seed: number): Promise<void> {
  await using target = await Target.start(runtime, "load-app.ts", { ROOM: "1000" });
  const chance = new Chance(seed);
  const warmUp = count / 4;
  await times(warmUp, () => attack(target, chance));
  const before = await target.ask<Report>("/report");
  await times(count - warmUp, () => attack(target, chance));
  const after = await target.ask<Report>("/report");
  expect(after).toMatchObject({
    opened: count,
    closed: count,
    connections: 0,
    isPrototypeClean: true,
    errors: [],
    uncaught: [],
  });
  // They came as far as they should: some are messages still, others are refused for one reason or another.
  expect(after.messages).toBeGreaterThan(0);
  for (const code of ["1006", "1007", "1009"]) expect(after.codes[code], code).toBeGreaterThan(0);
  expect(after.kept).toBeLessThanOrEqual(keptAtMost);
  const what = measured(runtime);
  const growth = after[what] - before[what];
  console.log(
    `${runtime.name}: ${String(after.messages)} messages, ${(growth / 2 ** 20).toFixed(1)} MiB more ${what}, seed ${String(seed)}`,
  );
  expect(growth).toBeLessThan(tolerance);
  await target.expectAlive();
}
