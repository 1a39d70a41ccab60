/** Times in which a process cannot hear its peers: a heart that counts them as silence kills the healthy. */
import { createVel, type Vel } from "@vel/core";
import { connect, memoryTransport, type TestClient } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { HeartbeatManager } from "../src/index.ts";
import { expectNothingLeft, join, joinSilently, setup } from "./kit.ts";
import { LoopClock } from "./loop-clock.ts";

const policy = { pingInterval: 6_000, pongTimeout: 2_000, maxFailures: 1 };

/**
 * How long each peer's answer is on its way, in milliseconds: it comes at the last moment. Where the machine sleeps, the end of each
 * sleep counts as two beats in which the peer could not answer.
 */
const [late, lessLate] = [1_990, 1_000];

interface Crowd {
  readonly clock: LoopClock;
  readonly vel: Vel;
  readonly clients: readonly TestClient[];
  /** How many pings were sent. */
  readonly pings: () => number;
}

/**
 * A thousand peers on a loop that can be blocked. All of them answer, and their answers travel also while nobody listens;
 * or not, where it is the machine that sleeps.
 */
async function crowd({ isAsleep = false } = {}): Promise<Crowd> {
  const clock = new LoopClock(0);
  const vel = createVel({ clock });
  vel.websocket("/ws", {});
  const answers: { client: TestClient; data: Uint8Array; at: number }[] = [];
  const time = (): number => (isAsleep ? clock.running : clock.now());
  const latency = isAsleep ? lessLate : late;
  clock.onTime = () => {
    while (answers[0] && answers[0].at <= time()) {
      const { client, data } = answers.shift()!;
      client.pong(data);
    }
  };
  let pings = 0;
  const clients: TestClient[] = [];
  for (let count = 0; count < 1_000; count++) {
    const base = memoryTransport();
    const transport: typeof base = {
      ...base,
      ping(_, data) {
        pings++;
        const client = clients[count]!;
        if (!client.socket.isSilent) answers.push({ client, data: data!, at: time() + latency });
      },
    };
    clients.push(await connect(vel, "/ws", { transport }));
  }
  return { clock, vel, clients, pings: () => pings };
}

/** A crowd that is watched, with one miss allowed only: each wrong verdict is a death. */
async function watched(options?: { isAsleep: boolean }): Promise<Crowd & { manager: HeartbeatManager }> {
  const world = await crowd(options);
  const manager = new HeartbeatManager(policy, { clock: world.clock });
  manager.observe(world.vel);
  return { ...world, manager };
}

async function expectAllAlive({
  clock,
  vel,
  manager,
  clients,
  pings,
}: Awaited<ReturnType<typeof watched>>): Promise<void> {
  expect(vel.connections.size).toBe(1_000);
  expect(manager.size).toBe(1_000);
  // It is not asleep: time goes on, and it finds who is dead.
  const before = pings();
  clients[0]!.silence();
  await clock.run(8_000 + late + 80); // what is on its way still counts
  expect(pings() - before).toBeGreaterThanOrEqual(1_000);
  expect(vel.connections.size).toBe(999);
  await end({ clock, vel, clients, pings }, manager);
}

async function end({ clock, vel, clients }: Crowd, manager?: HeartbeatManager): Promise<void> {
  manager?.close();
  for (const client of clients) client.drop();
  await clock.run(1);
  expect(vel.connections.size).toBe(0);
  expect(clock.pending).toBe(0);
}

describe("A blocked event loop", () => {
  it("kills all 1,000 with the heartbeat that everybody copies", async () => {
    // What ws shows in its README: each interval, who has not answered since the last one is dead. So what follows is no easy test.
    const world = await crowd();
    const { clock, vel } = world;
    const alive = new Map([...vel.connections].map((connection) => [connection, true]));
    for (const connection of vel.connections) connection.onPong(() => void alive.set(connection, true));
    let timer: unknown;
    const beat = (): void => {
      timer = clock.setTimeout(beat, policy.pingInterval);
      for (const connection of vel.connections) {
        if (!alive.get(connection)) connection.terminate();
        alive.set(connection, false);
        connection.ping();
      }
    };
    beat();
    await clock.run(6_001);
    expect(vel.connections.size).toBe(1_000);
    await clock.block(policy.pingInterval * 1.5);
    expect(vel.connections.size).toBe(0);
    clock.clearTimeout(timer);
    await end(world);
  });

  it.each([1, 2] as const)(
    "of 3 intervals drops 0 of 1,000, whose answers wait at the door (%i turns without a read)",
    async (times) => {
      const world = await watched();
      for (let round = 0; round < 60; round++) {
        await world.clock.run(policy.pongTimeout + 7.7);
        await world.clock.block(3 * policy.pingInterval, times);
      }
      await expectAllAlive(world);
    },
  );

  it("drops 0 of 1,000, however often and however long it is", async () => {
    const world = await watched();
    for (let round = 0; round < 3_000; round++) {
      await world.clock.run((round * 7) % 23);
      await world.clock.block((round * 13) % (round < 2_500 ? 41 : 9_973), round % 2 === 0 ? 1 : 2);
    }
    await expectAllAlive(world);
  });

  it("all the time, drops 0 of 1,000", async () => {
    const world = await watched();
    for (let round = 0; round < 2_000; round++) await world.clock.block(500, 2);
    await expectAllAlive(world);
  });

  it("does not hide who is dead: they are found when the loop has run as long as it takes", async () => {
    const world = await watched();
    const { clock, vel, manager, clients } = world;
    for (const client of clients.slice(0, 500)) client.silence();
    for (let round = 0; round < 101; round++) {
      await clock.run(80);
      await clock.block(3_600_000);
    }
    expect(vel.connections.size).toBe(500);
    await end(world, manager);
  });
});

describe.each([
  ["A process that was stopped", { isAsleep: false }],
  ["A machine that slept", { isAsleep: true }],
])("%s", (_, options) => {
  it.each([3_000, 10_000, 3_600_000, 86_400_000])("for %i ms drops 0 of 1,000", async (stop) => {
    const world = await watched(options);
    for (let round = 0; round < 100; round++) {
      await world.clock.run(123.4);
      await world.clock.block(stop, 2);
    }
    await expectAllAlive(world);
  });
});

describe("A wall clock that is set", () => {
  it.each([-86_400_000, 86_400_000])("by %i ms kills nobody, and spares nobody", async (shift) => {
    const world = setup({ pingInterval: 6_000, pongTimeout: 2_000, maxFailures: 1 });
    const { clock, vel, manager, events } = world;
    manager.observe(vel);
    const dead = await joinSilently(world); // the first to come is asked last, at 5.94 s
    const healthy = await Promise.all(Array.from({ length: 10 }, () => join(world)));
    for (let round = 0; round < 6; round++) {
      clock.shiftWall(shift);
      await clock.advance(1_300);
    }
    expect(dead.connection.isOpen).toBe(true);
    clock.shiftWall(shift);
    await clock.advance(280);
    expect(dead.connection.isOpen).toBe(false);
    await clock.advance(20_000);
    expect(healthy.every(({ connection }) => connection.isOpen)).toBe(true);
    expect(events.filter((event) => event === "dead 1")).toHaveLength(1);
    await expectNothingLeft(world);
  });
});
