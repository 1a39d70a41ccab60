/**
 * What connections and messages leave behind in a server, by the bytes: nothing. And that it would be seen.
 *
 * `VEL_SOAK=long` runs every runtime under a steady load, in 25 minutes all together, or in `VEL_SOAK_MINUTES`.
 */
import { describe, expect, test } from "vitest";
import { mainRuntimes, type Runtime } from "../tools/runtimes.ts";
import { growth, LeakRun, type Reading } from "./leak-run.ts";
import type { Slope } from "./theil-sen.ts";

/** How many bytes a connection, and a message, may seem to leave behind. */
const mostPerConnection = 16;
const mostPerMessage = 0.05;
/**
 * A connection on Deno: what it takes swings by a megabyte from cycle to cycle and grows for the first 25,000 connections,
 * then no more. Over as many minutes as this runs, less than this cannot be told from nothing.
 */
const mostPerConnectionOnDeno = 128;

if (process.env["VEL_SOAK"] === "long") describe("A server of all features under a steady load", underSteadyLoad);
else describe("A server of all features", cycleByCycle);

function cycleByCycle(): void {
  const [node] = mainRuntimes as [Runtime, ...Runtime[]];
  const timeout = 240_000;

  test("keeps nothing of its connections and messages, and ends by itself", { timeout }, async () => {
    await using run = await LeakRun.start(node);
    const readings = await cycles(run, 24, () => run.churn(400));
    expectReturned(readings);
    expect(slope("bytes", "opened", readings).slope).toBeLessThanOrEqual(mostPerConnection);
    await run.lag();
    expectEveryWay(await run.read());

    await run.gather(100);
    await expectNothingOfMessages(run, 12); // 1.1 million
    await run.end();
  });

  test("is caught when it keeps 64 bytes of each connection", { timeout }, async () => {
    await using run = await LeakRun.start(node, { LEAK: "connection" });
    const { low, high } = slope("bytes", "opened", await cycles(run, 12, () => run.churn(300)));
    expect(low).toBeGreaterThan(mostPerConnection);
    expect(high).toBeLessThan(4 * 64);
  });

  test("is caught when it keeps 64 bytes of each question", { timeout }, async () => {
    await using run = await LeakRun.start(node, { LEAK: "message" });
    await run.gather(20);
    const { low, high } = slope("bytes", "messages", await cycles(run, 12, () => run.talk(4)));
    expect(low).toBeGreaterThan(mostPerMessage);
    expect(high).toBeLessThan(64);
  });
}

function underSteadyLoad(): void {
  const runtimes = mainRuntimes.filter(({ command }) => command !== undefined);
  const duration = (Number(process.env["VEL_SOAK_MINUTES"] ?? 25) * 60_000) / runtimes.length;

  test.each(runtimes)("keeps nothing on $name", { timeout: 3 * duration + 600_000 }, async (runtime) => {
    const started = performance.now();
    await using run = await LeakRun.start(runtime);
    await run.gather(100);
    await expectNothingOfMessages(run, 22); // 2.1 million

    await run.gather(400);
    const readings: Reading[] = [];
    while (performance.now() - started < duration || readings.length < 8) {
      // 300 connections a second for ten seconds, beside talk of 500 in 50 rooms; and somebody who does not read, each minute.
      const isMinute = readings.length % 6 === 0;
      await Promise.all([run.churn(3_000, 300), run.talk(2), isMinute && run.lag()]);
      readings.push(await run.read());
    }
    if (runtime.adapter === "bun") slope("objects", "opened", readings);
    slope("resident", "opened", readings); // for whoever reads it: an allocator gives back what it likes
    const most = runtime.adapter === "deno" ? mostPerConnectionOnDeno : mostPerConnection;
    expect(slope("bytes", "opened", readings).slope).toBeLessThanOrEqual(most);
    expectReturned(readings);
    await run.end();
  });
}

async function expectNothingOfMessages(run: LeakRun, rounds: number): Promise<void> {
  const readings = await cycles(run, 24, () => run.talk(rounds));
  expect(slope("bytes", "messages", readings).slope).toBeLessThanOrEqual(mostPerMessage);
  expectReturned(readings);
}

async function cycles(run: LeakRun, count: number, act: () => Promise<unknown>): Promise<Reading[]> {
  const readings: Reading[] = [];
  for (let times = 0; times < count; times++) {
    await act();
    readings.push(await run.read());
  }
  return readings;
}

/** Measures how much more is held for each connection or message, and says so. */
function slope(what: "bytes" | "objects" | "resident", by: "opened" | "messages", readings: readonly Reading[]): Slope {
  const found = growth(what, by, readings);
  const [shown, low, high] = [found.slope, found.low, found.high].map((each) => each.toFixed(3));
  const count = (readings.at(-1)?.[by] ?? 0) - (readings[0]?.[by] ?? 0);
  console.log(`${what} / ${by}: ${String(shown)} [${String(low)}, ${String(high)}], of ${String(count)}`);
  return found;
}

/**
 * Checks that what grows and shrinks is as large after each cycle as after the first. A descriptor and a socket more may be
 * those of the question.
 */
function expectReturned(readings: readonly Reading[]): void {
  const [first, ...others] = readings.map(({ sizes: { descriptors = 0, sockets = 0, ...sizes } }) => {
    return { descriptors, sockets, sizes };
  });
  for (const { descriptors, sockets, sizes } of others) {
    expect(sizes).toEqual(first?.sizes);
    expect(Math.abs(descriptors - (first?.descriptors ?? 0))).toBeLessThanOrEqual(1);
    expect(Math.abs(sockets - (first?.sockets ?? 0))).toBeLessThanOrEqual(1);
  }
}

/** Checks that everything has happened that the cycles are made of. */
function expectEveryWay({ counts }: Reading): void {
  const ways = [
    "vel_connections_closed_total /work 1000 remote",
    "vel_connections_closed_total /work 1006 remote",
    "vel_connections_closed_total /work 1006 local",
    "vel_connections_closed_total /work 1013 local",
    "vel_connections_closed_total /work 4001 local",
    "vel_connections_closed_total /mortal 1006 local",
    "vel_upgrades_total /work 401",
    "vel_upgrades_total /work 403",
    "vel_upgrades_total /scarce 503",
    "vel_heartbeat_timeouts_total",
    "vel_room_leaves_total disconnected",
    "vel_channel_publishes_total",
    "vel_auth_refreshes_total accepted",
  ];
  expect(ways.filter((way) => !counts[way])).toEqual([]);
}
