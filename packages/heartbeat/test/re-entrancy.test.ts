/** Listeners and hooks that do something at the worst moment. */
import { ManualClock, settle } from "@vel/testing";
import { createVel, type Connection } from "@vel/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Heartbeat, HeartbeatManager } from "../src/index.ts";
import { expectNothingLeft, join, joinSilently, setup, type World } from "./kit.ts";

/** Short, so that time goes by in few beats. */
const policy = { pingInterval: 1_000, pongTimeout: 200, maxFailures: 2 };

afterEach(() => {
  vi.restoreAllMocks();
});

/** Where user code is called. */
const moments = [
  "ping",
  "pong",
  "miss",
  "recover",
  "dead",
  "onPingSent",
  "onPongReceived",
  "onHeartbeatFailed",
] as const;
type Moment = (typeof moments)[number];

/** Makes a world in which `act` is called at one moment, each time it comes. */
function setupAt(moment: Moment, act: (connection: Connection, world: World) => unknown): World {
  class Acting extends Heartbeat {
    override onPingSent(connection: Connection): void {
      if (moment === "onPingSent") return act(connection, world) as undefined;
    }
    override onPongReceived(connection: Connection): void {
      if (moment === "onPongReceived") return act(connection, world) as undefined;
    }
    override onHeartbeatFailed(connection: Connection): void {
      if (moment === "onHeartbeatFailed") return act(connection, world) as undefined;
    }
  }
  const world: World = setup(new Acting(policy), { closeTimeout: 1_000 });
  if (!moment.startsWith("on")) {
    world.manager.on(moment as "dead", (connection) => act(connection, world) as undefined);
  }
  return world;
}

/** Brings all moments about: a healthy peer, one that misses and recovers, one that dies. */
async function live(world: World): Promise<Connection[]> {
  const [healthy, faltering, dead] = [await join(world), await joinSilently(world), await joinSilently(world)];
  const answer = world.manager.on("miss", (connection) => {
    if (connection === faltering.connection) faltering.client.send("here");
  });
  await world.clock.advance(6_000);
  answer();
  return [healthy, faltering, dead].map(({ connection }) => connection);
}

const acts: Record<string, (connection: Connection, world: World) => unknown> = {
  "stops it": (connection, { manager }) => manager.stop(connection),
  "suspends it": (connection, { manager }) => manager.suspend(connection),
  "suspends and resumes it": (connection, { manager }) => {
    manager.suspend(connection);
    manager.resume(connection);
  },
  "stops and starts it": (connection, { manager }) => {
    manager.stop(connection);
    manager.start(connection);
  },
  "starts it": (connection, { manager }) => manager.start(connection),
  "closes it": (connection) => {
    connection.close(4000, "enough");
  },
  "terminates it": (connection) => {
    connection.terminate("enough");
  },
  "stops all": (_, { manager, vel }) => {
    for (const each of vel.connections) manager.stop(each);
  },
  "suspends all": (_, { manager, vel }) => {
    for (const each of vel.connections) manager.suspend(each);
  },
  "terminates all": (_, { vel }) => {
    for (const each of vel.connections) each.terminate();
  },
  "closes the manager": (_, { manager }) => {
    manager.close();
  },
  "observes anew": (_, { manager, vel }) => {
    manager.close();
    manager.observe(vel);
  },
  throws: () => {
    throw new Error("enough");
  },
  rejects: () => Promise.reject(new Error("enough")),
  "gives a thenable that rejects": () => ({
    then: (_: unknown, reject: (error: Error) => void) => {
      reject(new Error("enough"));
    },
  }),
};

describe.each(moments)("At %s", (moment) => {
  it.each(Object.entries(acts))("user code that %s breaks nothing", async (name, act) => {
    let times = 0;
    const world = setupAt(moment, (connection, at) => {
      times++;
      return act(connection, at);
    });
    const { manager, vel, clock, errors, events } = world;
    manager.observe(vel);
    const connections = await live(world);
    expect(times).toBeGreaterThan(0);
    if (/throws|rejects/.test(name)) {
      expect(errors).toHaveLength(times);
      expect(new Set(errors)).toEqual(new Set([`${moment.startsWith("on") ? moment : "listener"}: Error: enough`]));
    } else expect(errors).toEqual([]);
    // Nothing is watched that is not a live connection, and who is not watched hears nothing more.
    for (const connection of connections) if (!connection.isOpen) expect(manager.roundTrip(connection)).toBeUndefined();
    expect(manager.size).toBeLessThanOrEqual(vel.connections.size);
    manager.close();
    expect(clock.pending).toBe(0);
    events.length = 0;
    await clock.advance(6_000);
    expect(events).toEqual([]);
    // And it goes on working.
    const undo = manager.observe(vel);
    const peer = await joinSilently(world);
    const later = new HeartbeatManager(policy, { clock });
    later.start(peer.connection);
    undo();
    await clock.advance(1_470);
    expect(peer.info?.reason).toBe("heartbeat timeout");
    await expectNothingLeft(world);
  });
});

describe("What user code does", () => {
  it("at recover is not undone: who is stopped then is not asked again", async () => {
    const world = setupAt("recover", (connection, { manager }) => manager.stop(connection));
    world.manager.observe(world.vel);
    const { client, connection, pings } = await joinSilently(world);
    await world.clock.advance(1_300);
    expect(pings).toHaveLength(2);
    client.send("here");
    await world.clock.advance(10_000);
    expect(world.events).toEqual(["ping", "miss 1", "ping", "recover"]);
    expect(pings).toHaveLength(2);
    expect(connection.isOpen).toBe(true);
    await expectNothingLeft(world);
  });

  it("at recover holds also in the turn that found it", async () => {
    const world = setup({ pingInterval: 500, pongTimeout: 500, maxFailures: 3 });
    world.manager.observe(world.vel);
    world.manager.on("recover", (connection) => world.manager.stop(connection));
    const { client, pings } = await joinSilently(world);
    await world.clock.advance(1_050);
    client.send("here"); // heard in its turn at 1.5 s, before its answer is due
    await world.clock.advance(10_000);
    expect(pings).toHaveLength(2);
    await expectNothingLeft(world);
  });

  it("at miss holds: a connection that is suspended then is not asked again", async () => {
    const world = setupAt("miss", (connection, { manager }) => manager.suspend(connection));
    world.manager.observe(world.vel);
    const { pings, connection } = await joinSilently(world);
    await world.clock.advance(10_000);
    expect(pings).toHaveLength(1);
    expect(world.manager.resume(connection)).toBe(true);
    await expectNothingLeft(world);
  });

  it("to others of the same turn holds: who is stopped before its turn is not asked", async () => {
    // One slot for all: the first one's listener stops the second.
    const clock = new ManualClock();
    const vel = createVel({ clock });
    vel.websocket("/ws", {});
    const manager = new HeartbeatManager({ pingInterval: 10, pongTimeout: 10 }, { clock });
    const world = { ...setup(), clock, vel, manager };
    manager.observe(vel);
    const [first, second, third] = [await join(world), await join(world), await join(world)];
    manager.on("ping", () => manager.stop(second.connection));
    await clock.advance(10);
    expect([first, second, third].map(({ pings }) => pings.length)).toEqual([1, 0, 1]);
    await expectNothingLeft(world);
  });

  it("at death comes too late to say that all is well", async () => {
    for (const moment of ["miss", "dead", "onHeartbeatFailed"] as const) {
      const world = setupAt(moment, (connection, { manager }) => {
        if (manager.size === 0) connection.close(1000, "Heartbeat failed"); // given up
      });
      world.manager.observe(world.vel);
      const peer = await joinSilently(world);
      const closed: unknown[] = [];
      world.vel.on("close", (_, info) => closed.push(info));
      await world.clock.advance(1_500);
      expect(closed).toEqual([{ code: 1006, reason: "heartbeat timeout", wasClean: false, by: "local" }]);
      expect(peer.connection.isOpen).toBe(false);
      await expectNothingLeft(world);
    }
  });

  it("to whoever holds connections is known first: they have let go when a death is told", async () => {
    const world = setup(policy);
    world.manager.observe(world.vel);
    const { connection } = await joinSilently(world);
    const order: string[] = [];
    connection.onClosing(() => order.push("left the room"));
    world.manager.on("dead", () => order.push("dead"));
    await world.clock.advance(1_500);
    expect(order).toEqual(["left the room", "dead"]);
    await expectNothingLeft(world);
  });
});

describe("HeartbeatManagerOptions.onError", () => {
  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("of onError");
      },
    ],
    ["rejects", () => Promise.reject(new Error("of onError"))],
  ])("loses nothing when it %s, and the heart goes on", async (_, onError) => {
    const clock = new ManualClock();
    const vel = createVel({ clock });
    vel.websocket("/ws", {});
    const manager = new HeartbeatManager(policy, { clock, onError });
    const world = { ...setup(), clock, vel, manager };
    manager.observe(vel);
    manager.on("ping", () => {
      throw new Error("of a listener");
    });
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const peer = await joinSilently(world);
    await clock.advance(1_470);
    await settle();
    expect(peer.info?.reason).toBe("heartbeat timeout");
    const lines = log.mock.calls.map(([line]) => String(line).replace(/\\n.*/, ""));
    expect(lines).toEqual([
      "vel: onError: Error: of onError",
      "vel: listener: Error: of a listener",
      "vel: onError: Error: of onError",
      "vel: listener: Error: of a listener",
    ]);
    await expectNothingLeft(world);
  });
});
