/**
 * The heartbeat on real processes: it drops nobody who is well, whatever stops the server or sets its clock, and everybody
 * who is stopped.
 */
import { setTimeout } from "node:timers/promises";
import type { HeartbeatMode, HeartbeatOptions } from "@vel/heartbeat";
import { expect, test, vi } from "vitest";
import { mainRuntimes, type Runtime } from "../../tools/runtimes.ts";
import { presentRuntimes, Target } from "./target.ts";

/**
 * One question without an answer is the death. The time for an answer is long for a machine whose cores are busy: processes of
 * 500 clients were seen to stand still for 370 ms. On Deno's own sockets this is a timeout of 2 s.
 */
const policy = { pingInterval: 600, pongTimeout: 600, maxFailures: 1 } satisfies HeartbeatOptions;
const blocked = 3 * policy.pingInterval;
const stopped = 3_000;
const healthyCount = 1_000;
const lostCount = 100;
const [node] = mainRuntimes as [Runtime, ...Runtime[]];

// Processes that are stopped need no core meanwhile.
vi.setConfig({ maxConcurrency: 4 });

/** What a server says of itself. */
interface Report {
  readonly timeouts: number;
  readonly ends: unknown;
  readonly [name: string]: unknown;
}

function startServer(runtime: Runtime, mode: HeartbeatMode): Promise<Target> {
  return Target.start(runtime, "heartbeat-server.ts", { POLICY: JSON.stringify({ ...policy, mode }) });
}

/** Starts a process of so many clients, and waits until they are connected. */
function startCrowd(server: Target, name: string, count: number, answer?: string): Promise<Target> {
  return Target.start(node, "heartbeat-clients.ts", {
    SERVER: `ws://127.0.0.1:${String(server.port)}/${name}`,
    COUNT: String(count),
    ...(answer !== undefined && { ANSWER: answer }),
  });
}

/** Checks that all who are healthy are asked on, and answered. */
async function expectHealthy(crowd: Target, after: string): Promise<void> {
  const look = await crowd.ask<object>("/look");
  expect({ after, ...look }).toEqual({ after, asked: healthyCount, echoed: healthyCount });
}

/** Stops the server and sets its clock, and checks that this harms nobody. */
async function disturb(server: Target, crowd: Target): Promise<void> {
  await expectHealthy(crowd, "the handshakes");
  for (const times of [1, 2]) {
    await server.ask(`/block?ms=${String(blocked)}&times=${String(times)}`);
    await expectHealthy(crowd, `blocks in a row: ${String(times)}`);
  }
  server.stop();
  await setTimeout(stopped);
  server.resume();
  await expectHealthy(crowd, "the process was stopped");
  // A machine that sleeps, and peers that come back later than the server: they have their time to answer, as ever.
  crowd.stop();
  await server.ask("/asking");
  server.stop();
  await setTimeout(1.5 * policy.pongTimeout);
  server.resume();
  await setTimeout(policy.pongTimeout / 4);
  crowd.resume();
  await expectHealthy(crowd, "the machine slept");
  for (const days of [1, -1]) {
    await server.ask(`/wall?days=${String(days)}`);
    await expectHealthy(crowd, `the wall clock was ${String(days)} days off`);
  }
}

/** Stops the process of some clients, and waits until the server has let go of all of them, and of nobody else. */
async function expectFreed(runtime: Runtime, server: Target, healthy: number, reason: string): Promise<void> {
  await using lost = await startCrowd(server, "lost", lostCount, "here");
  const stoppedAt = performance.now();
  lost.stop();
  const { ends, connections } = await server.ask<Report>(`/ended?crowd=lost&count=${String(lostCount)}`);
  console.log(`${runtime.name} let go of a stopped process after ${(performance.now() - stoppedAt).toFixed(0)} ms`);
  expect(connections).toBe(healthy);
  expect(ends).toMatchObject({ lost: { [`1006 "${reason}", not clean`]: lostCount } });
  expect(ends).not.toHaveProperty("healthy");
}

/** Lets everybody go, and checks that the server holds nothing; gives how many peers the heartbeat has found dead. */
async function expectNothingLeft(server: Target, crowd: Target, healthy: number): Promise<number> {
  expect(await crowd.ask("/leave")).toEqual({ codes: [1000] });
  const { timeouts, ends, ...rest } = await server.ask<Report>(`/ended?crowd=healthy&count=${String(healthy)}`);
  expect(ends).toMatchObject({ healthy: { '1000 "", clean': healthy } });
  expect(rest).toEqual({ connections: 0, watched: 0, timers: 0, errors: [], uncaught: [] });
  return timeouts;
}

const deno = presentRuntimes.filter(({ adapter }) => adapter === "deno");
const others = presentRuntimes.filter(({ adapter }) => adapter !== "deno");

test.concurrent.each(others)("pings find the dead and drop nobody else on $name", async (runtime) => {
  await using server = await startServer(runtime, "auto");
  expect(await server.ask("/modes")).toEqual({ ping: "serves", idle: "ERR_VEL_UNSUPPORTED", message: "serves" });
  await using crowd = await startCrowd(server, "healthy", healthyCount);
  await disturb(server, crowd);
  await expectFreed(runtime, server, healthyCount, "heartbeat timeout");
  await expectHealthy(crowd, "others were let go of");
  expect(await expectNothingLeft(server, crowd, healthyCount)).toBe(lostCount);
});

test.concurrent.each(deno)("messages find the dead and drop nobody else on $name", async (runtime) => {
  await using server = await startServer(runtime, "message");
  await using crowd = await startCrowd(server, "healthy", healthyCount, "anything");
  await using _mute = await startCrowd(server, "mute", lostCount);
  const { ends } = await server.ask<Report>(`/ended?crowd=mute&count=${String(lostCount)}`);
  expect(ends).toEqual({ mute: { '1006 "heartbeat timeout", not clean': lostCount } });
  await disturb(server, crowd);
  await expectFreed(runtime, server, healthyCount, "heartbeat timeout");
  await expectHealthy(crowd, "others were let go of");
  expect(await expectNothingLeft(server, crowd, healthyCount)).toBe(2 * lostCount);
});

// Who is healthy is silent here, and nothing stops the server: Deno's own timeout may drop them then. See the heartbeat's README.
test.concurrent.each(deno)("the runtime's own timeout finds the dead on $name", async (runtime) => {
  const count = 100;
  await using server = await startServer(runtime, "auto");
  expect(await server.ask("/modes")).toEqual({ ping: "ERR_VEL_UNSUPPORTED", idle: "serves", message: "serves" });
  await using crowd = await startCrowd(server, "healthy", count);
  for (let times = 0; times < 6; times++) expect(await crowd.ask("/asked")).toEqual({ asked: count });
  await expectFreed(runtime, server, count, "idle timeout");
  expect(await crowd.ask("/asked")).toEqual({ asked: count });
  expect(await expectNothingLeft(server, crowd, count)).toBe(0);
});
