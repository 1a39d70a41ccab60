/**
 * Half-open connections, in real time: 500 of 600 peers are gone from one moment on, and no packet says so. What was
 * declared has to hold: they are let go of in that time, wholly, and told of once; nobody else notices.
 */
import type { CloseInfo } from "@vel/core";
import { expect, test } from "vitest";
import type { Held } from "../test/fixtures/host.ts";
import { keptAtMost } from "../test/load/target.ts";
import { mainRuntimes, type Runtime } from "../tools/runtimes.ts";
import { Network, type Player } from "./half-open-network.ts";

const lostCount = 500;
const healthyCount = 100;
const [node, bun, deno] = mainRuntimes as [Runtime, Runtime, Runtime];
const runtimes = [node, bun, deno, { ...deno, name: "Node adapter on Deno", adapter: "node" } as const];

/**
 * How much later than declared the last may be let go of, in milliseconds. It is a beat of the heartbeat and what that is
 * late: 100 at most while the machine is quiet. A busy one is late with everything, and time in which the server does not
 * get to read does not count for a heartbeat.
 */
const margin = 5_000;

/** Somebody is gone, and how. */
interface Closing {
  readonly closed: string;
  readonly group: "lost" | "healthy";
  readonly info: CloseInfo;
  readonly at: number;
}

/** What the server says of itself. */
interface Report extends Held {
  readonly connections: number;
  readonly [name: string]: unknown;
}

/** What peers say of themselves. */
interface Answer {
  readonly echoes: number;
  readonly told: readonly object[];
}

function ask<Line>(player: Player, key: keyof Line & string): Promise<Line> {
  const answer = player.next<Line>(key);
  player.kill("SIGUSR2");
  return answer;
}

test.each(runtimes)(
  "500 peers fall silent, which is all that happens, on $name",
  { timeout: 120_000 },
  async (runtime) => {
    await using network = await Network.open();
    const server = network.run(runtime, "half-open-server.ts");
    const { port, patience } = await server.next<{ port: number; patience: number }>("port");
    const closings: Closing[] = [];
    const allFreed = new Promise<void>((resolve) => {
      server.on("closed", (closing: Closing) => {
        closings.push(closing);
        if (closings.length === lostCount) resolve();
      });
    });
    const enter = async (group: string, count: number, address: string): Promise<Player> => {
      const env = { PORT: String(port), GROUP: group, COUNT: String(count), ADDRESS: address };
      const peers = network.run(node, "half-open-peers.ts", env);
      await peers.next("ready");
      return peers;
    };
    const healthy = await enter("healthy", healthyCount, network.healthyAddress);
    const before = await ask<Report>(server, "connections");
    const lost = await enter("lost", lostCount, network.lostAddress);
    expect(closings).toEqual([]);

    // Native Deno sends no pings for us: it looks after its peers by itself, in whole seconds, and can only say so afterwards.
    const isNativeDeno = runtime.adapter === "deno";
    const declared = isNativeDeno ? Math.ceil(patience / 1_000) * 1_000 : patience;
    const reason = isNativeDeno ? "idle timeout" : "heartbeat timeout";
    const lostAt = Date.now();
    await network.lose(lost);
    await Promise.race([allFreed, new Promise((resolve) => setTimeout(resolve, declared + margin))]);
    const times = closings.map(({ at }) => at - lostAt).sort((a, b) => a - b);
    const [first, median, last] = [0, times.length >> 1, times.length - 1].map((index) => String(times[index]));
    console.log(
      `${runtime.name}: ${String(times.length)} let go of after ${String(first)} ms, ${String(median)} ms in the median, ` +
        `${String(last)} ms at last; declared are ${String(declared)} ms`,
    );
    expect(countBy(closings, ({ group, info: { code, reason } }) => `${group} ${String(code)} ${reason}`)).toEqual({
      [`lost 1006 ${reason}`]: lostCount,
    });

    // While those who are gone cannot be reached, nothing of theirs is held.
    const { kept, ...after } = await ask<Report>(server, "connections");
    const { descriptors, timers, sockets, listeners } = before;
    const told = { users: lostCount, times: lostCount };
    expect(after).toMatchObject({
      ...{ descriptors, timers, sockets, listeners },
      ...{ connections: healthyCount, watched: healthyCount, members: healthyCount, present: healthyCount },
      leaves: told,
      errors: [],
      uncaught: [],
    });
    expect(kept).toBeLessThanOrEqual(keptAtMost);

    await network.find(lost);
    const answer = await ask<Answer>(healthy, "echoes");
    expect(answer.echoes).toBe(healthyCount);
    expect(countBy(answer.told, JSON.stringify)).toEqual({ [JSON.stringify(told)]: healthyCount });
    expect(closings).toHaveLength(lostCount);

    healthy.kill("SIGTERM");
    expect(await healthy.ended).toBe(0);
    expect(await ask<Report>(server, "connections")).toMatchObject({
      ...{ descriptors: descriptors - healthyCount, timers: 0, listeners },
      ...{ connections: 0, watched: 0, members: 0, present: 0 },
      leaves: { users: lostCount + healthyCount, times: lostCount + healthyCount },
      errors: [],
      uncaught: [],
    });
  },
);

/** Counts values by what is said of each. */
function countBy<Value>(values: readonly Value[], nameOf: (value: Value) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[nameOf(value)] = (counts[nameOf(value)] ?? 0) + 1;
  return counts;
}
