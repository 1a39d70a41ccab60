import { createVel, encodeJson, VelError, type Connection, type Unsubscribe, type Vel } from "@vel/core";
import { connect, ManualClock, memoryTransport, settle } from "@vel/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { HeartbeatManager } from "../src/index.ts";
import { expectNothingLeft, join, joinSilently, setup, type World } from "./kit.ts";

const policy = { pingInterval: 20_000, pongTimeout: 5_000, maxFailures: 2 };
const cut = { code: 1006, reason: "heartbeat timeout", wasClean: false, by: "local" };

let world: World | undefined;
/** A world that is looked after when the test is over. */
function begin(...[heartbeat = policy, options]: Parameters<typeof setup>): World {
  return (world = setup(heartbeat, options));
}
afterEach(async () => {
  vi.restoreAllMocks();
  if (world) await expectNothingLeft(world);
  world = undefined;
});

describe("HeartbeatManager.start()", () => {
  it("asks a connection once in each interval, for the first time a hundredth before one is over", async () => {
    const { clock, manager, events, ...rest } = begin();
    const { connection, pings } = await join(rest);
    manager.start(connection);
    expect(manager.size).toBe(1);
    await clock.advance(19_700);
    expect(pings).toHaveLength(0);
    await clock.advance(300);
    expect(pings).toHaveLength(1);
    await clock.advance(19_700);
    expect(pings).toHaveLength(1);
    await clock.advance(300 + 8 * 20_000);
    expect(pings).toHaveLength(10);
    expect(events).toEqual(Array.from({ length: 10 }, () => ["ping", "pong"]).flat());
    expect(new Set(pings.map(String)).size).toBe(10); // each ping is another
    expect(connection.isOpen).toBe(true);
  });

  it("leaves a connection that it watches as it is", async () => {
    const { clock, manager, ...rest } = begin();
    const { connection, pings } = await join(rest);
    manager.start(connection);
    await clock.advance(10_000);
    const stop = manager.start(connection);
    await clock.advance(10_000);
    expect(pings).toHaveLength(1);
    stop();
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("gives what stops it, and not what somebody has started since", async () => {
    const { manager, ...rest } = begin();
    const { connection } = await join(rest);
    const stop = manager.start(connection);
    stop();
    expect(manager.stop(connection)).toBe(false);
    manager.start(connection);
    stop();
    expect(manager.size).toBe(1);
    expect(manager.stop(connection)).toBe(true);
  });

  it("does nothing with a connection that is not open", async () => {
    const { clock, manager, ...rest } = begin();
    const { connection } = await joinSilently(rest);
    connection.close();
    manager.start(connection)();
    expect(manager.size).toBe(0);
    await clock.advance(10_000);
    manager.start(connection)();
    expect(clock.pending).toBe(0);
  });

  it.each(["close", "drop"] as const)("watches until the peer's %s, and keeps no timer then", async (how) => {
    const { clock, manager, ...rest } = begin();
    const { client, connection } = await join(rest);
    manager.start(connection);
    expect(clock.pending).toBe(1);
    client[how]();
    await settle();
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("cuts a peer that never answers, and tells", async () => {
    const { clock, manager, events, ...rest } = begin();
    const { connection, client, info } = await joinSilently(rest);
    expect(info).toBeUndefined();
    manager.start(connection);
    const seen: [string, boolean, number][] = [];
    manager.on("miss", (at, failures) => seen.push(["miss", at.isOpen, failures]));
    manager.on("dead", (at, failures) => seen.push(["dead", at.isOpen, failures]));
    await clock.advance(29_700);
    expect(connection.isOpen).toBe(true);
    await clock.advance(500);
    expect(events).toEqual(["ping", "miss 1", "ping", "miss 2", "dead 2"]);
    expect(seen).toEqual([
      ["miss", true, 1],
      ["miss", false, 2],
      ["dead", false, 2],
    ]);
    expect(connection.closeInfo).toEqual(cut);
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("asks again at once when a pong was missed", async () => {
    const { clock, manager, ...rest } = begin();
    const { connection, pings } = await joinSilently(rest);
    manager.start(connection);
    await clock.advance(24_700);
    expect(pings).toHaveLength(1);
    await clock.advance(300);
    expect(pings).toHaveLength(2);
  });

  it("closes with 1001 where the transport cannot cut, and says 1006 all the same", async () => {
    const { clock, manager, ...rest } = begin(policy, { capabilities: { terminate: false } });
    const { connection } = await joinSilently(rest);
    manager.start(connection);
    await clock.advance(31_000);
    expect(connection.closeInfo).toEqual(cut);
  });

  it("works on a transport whose frames leave at the end of the turn", async () => {
    const { clock, manager, vel } = begin();
    const transport = memoryTransport({ batches: true });
    manager.observe(vel);
    const [dead] = [await connect(vel, "/ws", { transport }), await connect(vel, "/ws", { transport })];
    dead.silence();
    await clock.advance(100_000);
    expect(manager.size).toBe(1);
    expect((await dead.closed).code).toBe(1006);
  });

  it("has the specification's heartbeat in a handler: start after accept, stop at the end", async () => {
    const { clock, manager, vel } = begin({ pingInterval: 30_000, pongTimeout: 10_000, maxFailures: 3 });
    vel.websocket("/ws/heartbeat", async (request) => {
      const connection = await request.accept();
      const stop = manager.start(connection);
      for await (const text of connection.texts()) connection.send(`Received: ${text}`);
      stop();
    });
    const client = await connect(vel, "/ws/heartbeat");
    client.send("hello");
    expect(await client.receiveText()).toBe("Received: hello");
    await clock.advance(300_000);
    expect(client.isOpen).toBe(true);
    expect(manager.size).toBe(1);
    client.silence();
    await clock.advance(60_600);
    expect(client.isOpen).toBe(false);
  });
});

describe("HeartbeatManager.stop()", () => {
  it("asks nothing any more, whether or not an answer is waited for", async () => {
    const { clock, manager, events, ...rest } = begin();
    const [resting, asked] = [await joinSilently(rest), await joinSilently(rest)];
    manager.start(resting.connection);
    await clock.advance(10_000);
    manager.start(asked.connection);
    await clock.advance(11_000);
    expect(manager.stop(asked.connection)).toBe(true);
    expect(manager.stop(resting.connection)).toBe(true);
    expect(manager.stop(resting.connection)).toBe(false);
    expect(clock.pending).toBe(0);
    await clock.advance(100_000);
    expect(events).toEqual(["ping"]);
    expect(resting.connection.isOpen && asked.connection.isOpen).toBe(true);
  });

  it("leaves no listener at the connection", async () => {
    const { clock, manager, ...rest } = begin();
    const { connection } = await joinSilently(rest);
    let [added, removed] = [0, 0];
    const count =
      <Args extends unknown[]>(subscribe: (...args: Args) => Unsubscribe) =>
      (...args: Args): Unsubscribe => {
        added++;
        const off = subscribe(...args);
        return () => {
          removed++;
          off();
        };
      };
    const counted: Connection = Object.create(connection, {
      onClosing: { value: count(connection.onClosing.bind(connection)) },
      onPong: { value: count(connection.onPong.bind(connection)) },
      isOpen: { get: () => connection.isOpen },
      isPaused: { get: () => connection.isPaused },
      capabilities: { value: connection.capabilities },
      ping: { value: connection.ping.bind(connection) },
    }) as Connection;
    manager.start(counted);
    await clock.advance(26_000);
    manager.stop(counted);
    expect({ added, removed }).toEqual({ added: 3, removed: 3 }); // the end, and the pongs of two pings
  });
});

describe("HeartbeatManager.suspend() and resume()", () => {
  it("asks nothing in between, keeps no timer, and begins anew", async () => {
    const { clock, manager, events, ...rest } = begin();
    const { connection } = await joinSilently(rest);
    manager.start(connection);
    await clock.advance(25_500);
    expect(events).toEqual(["ping", "miss 1", "ping"]);
    expect(manager.suspend(connection)).toBe(true);
    expect(manager.suspend(connection)).toBe(true);
    expect(manager.size).toBe(1);
    expect(clock.pending).toBe(0);
    await clock.advance(1_000_000);
    expect(events).toHaveLength(3);
    manager.start(connection); // stays as it is
    expect(clock.pending).toBe(0);

    expect(manager.resume(connection)).toBe(true);
    expect(manager.resume(connection)).toBe(false);
    await clock.advance(29_500);
    expect(connection.isOpen).toBe(true);
    await clock.advance(800);
    expect(connection.isOpen).toBe(false);
    expect(events.slice(3)).toEqual(["ping", "miss 1", "ping", "miss 2", "dead 2"]);
  });

  it("does not take the pong of a question that was asked before", async () => {
    const { clock, manager, events, ...rest } = begin();
    const { connection, client, pings } = await joinSilently(rest);
    manager.start(connection);
    await clock.advance(20_000);
    manager.suspend(connection);
    client.pong(pings[0]);
    await settle();
    expect(events).toEqual(["ping"]);
    expect(manager.roundTrip(connection)).toBeUndefined();
    manager.resume(connection);
    client.pong(pings[0]);
    await settle();
    expect(events).toEqual(["ping"]);
  });

  it("tells when there is nothing to suspend or resume", async () => {
    const { manager, ...rest } = begin();
    const { connection } = await join(rest);
    expect(manager.suspend(connection)).toBe(false);
    expect(manager.resume(connection)).toBe(false);
    manager.start(connection);
    expect(manager.resume(connection)).toBe(false);
  });

  it("ends with the connection", async () => {
    const { manager, ...rest } = begin();
    const { connection, client } = await join(rest);
    manager.start(connection);
    manager.suspend(connection);
    client.close();
    await settle();
    expect(manager.size).toBe(0);
    expect(manager.resume(connection)).toBe(false);
  });
});

describe("HeartbeatManager.observe()", () => {
  it("watches the connections that there are and those that come", async () => {
    const { clock, manager, vel, ...rest } = begin();
    const first = await joinSilently({ vel, ...rest });
    manager.observe(vel);
    await clock.advance(5_000);
    const second = await joinSilently({ vel, ...rest });
    const third = await join({ vel, ...rest });
    expect(manager.size).toBe(3);
    await clock.advance(25_300);
    expect([first, second, third].map(({ connection }) => connection.isOpen)).toEqual([false, true, true]);
    await clock.advance(5_000);
    expect([first, second, third].map(({ connection }) => connection.isOpen)).toEqual([false, false, true]);
    third.client.close();
    await settle();
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("gives what ends it; a server that is observed already stays as it is", async () => {
    const { clock, manager, vel, ...rest } = begin();
    const { connection } = await joinSilently({ vel, ...rest });
    const undo = manager.observe(vel);
    expect(manager.observe(vel)).toBe(undo);
    undo();
    undo();
    await joinSilently({ vel, ...rest });
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
    manager.observe(vel);
    expect(manager.size).toBe(2);
    undo(); // of an observation that is over
    expect(manager.size).toBe(2);
    await clock.advance(31_000);
    expect(connection.closeInfo).toEqual(cut);
  });

  it("does not watch a connection that an earlier listener has ended", async () => {
    const { manager, vel, clock, ...rest } = begin();
    const host = vel.bind(memoryTransport());
    const off = vel.on("open", (connection) => {
      host.close(connection, 1001, "", true);
    });
    manager.observe(vel);
    await join({ vel, ...rest });
    off();
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("asks nothing of a connection that waits for the answer to its close; core cuts that in time", async () => {
    // The peer never answers the close either. Without closeTimeout it would hang as long as its TCP connection does.
    const { clock, manager, vel, events, ...rest } = begin(policy, { closeTimeout: 15_000 });
    manager.observe(vel);
    const [before, after] = [await joinSilently({ vel, ...rest }), await joinSilently({ vel, ...rest })];
    await clock.advance(18_000);
    before.connection.close(4000, "bye");
    await clock.advance(4_000); // the other is asked meanwhile
    after.connection.close(4001, "bye too");
    await clock.advance(10_999);
    expect(before.info).toBeUndefined();
    await clock.advance(1);
    expect(before.info).toEqual({ code: 4000, reason: "bye", wasClean: false, by: "local" });
    await clock.advance(4_000);
    expect(after.info).toEqual({ code: 4001, reason: "bye too", wasClean: false, by: "local" });
    expect(events).toEqual(["ping"]);
    expect(manager.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("watches the connections of several servers", async () => {
    const { clock, manager, vel, ...rest } = begin();
    const other = createVel({ clock });
    other.websocket("/ws", {});
    manager.observe(vel);
    const undo = manager.observe(other);
    const mine = await joinSilently({ vel, ...rest });
    const theirs = await joinSilently({ vel: other, ...rest });
    undo();
    expect(manager.size).toBe(1);
    await clock.advance(31_000);
    expect([mine.connection.isOpen, theirs.connection.isOpen]).toEqual([false, true]);
    theirs.client.drop();
    await other.close();
  });

  it("leaves alone what another manager watches beside it", async () => {
    const { clock, manager, vel, ...rest } = begin();
    const other = new HeartbeatManager({ pingInterval: 7_000 }, { clock });
    manager.observe(vel);
    other.observe(vel);
    const { connection, pings } = await join({ vel, ...rest });
    await clock.advance(70_000);
    expect(pings).toHaveLength(13);
    expect(connection.isOpen).toBe(true);
    other.close();
  });
});

describe("HeartbeatManager.close()", () => {
  it("stops everything, and leaves the connections open", async () => {
    const { clock, manager, vel, ...rest } = begin();
    const byHand = await joinSilently({ vel, ...rest });
    manager.start(byHand.connection);
    manager.observe(vel);
    const observed = await joinSilently({ vel, ...rest });
    await clock.advance(21_000);
    manager.close();
    manager.close();
    expect(clock.pending).toBe(0);
    await joinSilently({ vel, ...rest });
    expect(manager.size).toBe(0);
    await clock.advance(100_000);
    expect(byHand.connection.isOpen && observed.connection.isOpen).toBe(true);
  });
});

describe("HeartbeatOptions.mode", () => {
  const noPing = { capabilities: { ping: false } };
  const idle = { capabilities: { ping: false, idleTimeout: true } };

  it("auto pings where the transport can, also where it has a timeout of its own", async () => {
    const { clock, manager, vel, ...rest } = begin(policy, { capabilities: { idleTimeout: true } });
    manager.observe(vel);
    const { pings } = await join({ vel, ...rest });
    await clock.advance(20_000);
    expect(pings).toHaveLength(1);
  });

  it.each(["auto", "idle"] as const)(
    "%s leaves it to the runtime's timeout where that is all there is",
    async (mode) => {
      const { clock, manager, vel, events, ...rest } = begin({ ...policy, mode }, idle);
      const host = vel.bind(memoryTransport(idle));
      const undo = manager.observe(vel);
      expect(host.idleTimeout).toBe(30_000);
      const { connection } = await joinSilently({ vel, ...rest });
      expect(manager.size).toBe(1);
      expect(clock.pending).toBe(0);
      expect(manager.suspend(connection)).toBe(true);
      expect(manager.resume(connection)).toBe(true);
      await clock.advance(1_000_000);
      expect(connection.isOpen).toBe(true);
      expect(events).toEqual([]);
      undo();
      expect(manager.size).toBe(0);
      expect(host.idleTimeout).toBeUndefined();
    },
  );

  it.each(["ping", "message"] as const)("%s leaves the runtime's timeout alone", (mode) => {
    const { manager, vel } = begin({ ...policy, mode });
    const host = vel.bind(memoryTransport());
    manager.observe(vel);
    expect(host.idleTimeout).toBeUndefined();
  });

  it("auto sends messages where there is nothing else, and takes any message as the answer", async () => {
    const { clock, manager, vel, events, ...rest } = begin(policy, noPing);
    manager.observe(vel);
    const answering = await join({ vel, ...rest });
    const silent = await join({ vel, ...rest });
    const answer = (async () => {
      for await (const message of answering.client.messages()) {
        expect(message).toBe('{"type":"ping"}');
        answering.client.sendJson({ type: "whatever" });
      }
    })();
    await clock.advance(120_000);
    expect(answering.connection.isOpen).toBe(true);
    expect(silent.info).toEqual(cut);
    expect(silent.client.received).toEqual(['{"type":"ping"}', '{"type":"ping"}']);
    expect(events).not.toContain("pong");
    expect(manager.roundTrip(answering.connection)).toBeUndefined();
    answering.client.close();
    await answer;
  });

  it("message sends what it is told to, also where the transport can ping", async () => {
    let count = 0;
    const message = (): Uint8Array => new Uint8Array([++count]);
    const { clock, manager, vel, ...rest } = begin({ ...policy, mode: "message", message });
    manager.observe(vel);
    const { client, connection, pings } = await join({ vel, ...rest });
    await clock.advance(20_000);
    client.send("here");
    await clock.advance(20_000);
    expect(client.received).toEqual([new Uint8Array([1]), new Uint8Array([2])]);
    expect(pings).toEqual([]);
    expect(connection.isOpen).toBe(true);
  });

  it.each<[string, () => never, string]>([
    [
      "throws",
      () => {
        throw new Error("no words");
      },
      "heartbeat: Error: no words",
    ],
    [
      "gives no payload",
      () => ({ type: "ping" }) as never,
      "heartbeat: TypeError: Payload must be a string or Uint8Array",
    ],
  ])("message kills nobody when it %s", async (_, message, error) => {
    let isBroken = false;
    const { clock, manager, vel, errors, events, ...rest } = begin({
      ...policy,
      mode: "message",
      message: () => (isBroken ? message() : encodeJson({ type: "ping" })),
    });
    manager.observe(vel);
    const { connection } = await join({ vel, ...rest });
    await clock.advance(20_000);
    isBroken = true; // before the question is asked again
    await clock.advance(200_000);
    expect(connection.isOpen).toBe(true);
    expect(events).toEqual(["ping", "miss 1"]);
    expect(errors).toHaveLength(11);
    expect(errors[0]).toContain(error);
    isBroken = false; // the one that is missing still
    await clock.advance(25_500);
    expect(connection.isOpen).toBe(false);
  });

  it("message survives a connection that the message itself brings down", async () => {
    const { clock, manager, vel, ...rest } = begin(
      { ...policy, mode: "message", message: () => "x".repeat(100) },
      { sendBuffer: { limit: 50 } },
    );
    manager.observe(vel);
    const { client, connection } = await join({ vel, ...rest });
    manager.start(connection);
    client.pause();
    await clock.advance(26_000);
    expect(connection.isOpen).toBe(false);
    expect(connection.closeInfo ?? { code: 1013 }).toMatchObject({ code: 1013 });
    expect(manager.size).toBe(0);
  });

  const explicit: ["ping" | "idle", { capabilities: object }][] = [
    ["ping", idle],
    ["idle", noPing],
  ];
  it.each(explicit)("%s throws where the transport lacks it: at observe, bind and start", async (mode, lacking) => {
    const hint =
      mode === "ping" ? /lacks "ping": set mode to "auto" to use/ : /lacks "idleTimeout": set mode to "auto" to send/;
    const bound = createVel();
    bound.bind(memoryTransport(lacking));
    const manager = new HeartbeatManager({ mode });
    expect(() => manager.observe(bound)).toThrow(hint);
    const unbound: Vel = createVel();
    manager.observe(unbound);
    expect(() => unbound.bind(memoryTransport(lacking))).toThrow(hint);
    expect(() => unbound.bind(memoryTransport(lacking))).toThrow(VelError);
    manager.close();

    const { manager: byHand, ...rest } = begin({ ...policy, mode }, lacking);
    const { connection } = await join(rest);
    expect(() => byHand.start(connection)).toThrow(expect.objectContaining({ code: "ERR_VEL_UNSUPPORTED" }));
    expect(byHand.size).toBe(0);
  });
});

describe("HeartbeatManager.measure()", () => {
  it("counts what it did", async () => {
    const { clock, manager, vel, ...rest } = begin();
    manager.observe(vel);
    await join({ vel, ...rest });
    const suspended = await join({ vel, ...rest });
    manager.suspend(suspended.connection);
    await joinSilently({ vel, ...rest });
    const read = (): Record<string, unknown> =>
      Object.fromEntries(
        [...manager.measure()].map(({ name, kind, value }) => [name, `${kind} ${JSON.stringify(value)}`]),
      );
    const bounds = "[0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10]";
    expect(read()).toEqual({
      vel_heartbeat_connections: "gauge 3",
      vel_heartbeat_pings_total: "counter 0",
      vel_heartbeat_misses_total: "counter 0",
      vel_heartbeat_timeouts_total: "counter 0",
      vel_ping_rtt_seconds: `histogram {"bounds":${bounds},"counts":[0,0,0,0,0,0,0,0,0,0,0,0],"sum":0}`,
    });
    await clock.advance(41_000);
    expect(read()).toEqual({
      vel_heartbeat_connections: "gauge 2",
      vel_heartbeat_pings_total: "counter 4",
      vel_heartbeat_misses_total: "counter 2",
      vel_heartbeat_timeouts_total: "counter 1",
      vel_ping_rtt_seconds: `histogram {"bounds":${bounds},"counts":[2,0,0,0,0,0,0,0,0,0,0,0],"sum":0}`,
    });
  });
});

describe("new HeartbeatManager()", () => {
  it("wakes no more often than every 10 ms, however short the interval is", async () => {
    const { clock, manager, ...rest } = begin({ pingInterval: 100, pongTimeout: 50 });
    const { connection, pings } = await join(rest);
    const timers = vi.spyOn(clock, "setTimeout");
    manager.start(connection);
    await clock.advance(1_000);
    expect(timers.mock.calls.length).toBeLessThanOrEqual(101);
    expect(pings).toHaveLength(10);
  });

  it("wakes every second, however long the interval is: a missed pong does not wait for the next slot", async () => {
    const { clock, manager, ...rest } = begin({ pingInterval: 3_600_000 });
    const { connection } = await joinSilently(rest);
    const asked: number[] = [];
    manager.on("ping", () => asked.push(clock.now()));
    manager.start(connection);
    await clock.advance(3_640_000);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toBeLessThanOrEqual(3_600_000);
    expect(asked[2]! - asked[0]!).toBeLessThanOrEqual(2 * 13_000);
    expect(connection.isOpen).toBe(false);
  });

  it("takes an interval below a millisecond as it is", async () => {
    const { clock, manager, ...rest } = begin({ pingInterval: 0.5 });
    const { connection, pings } = await join(rest);
    manager.start(connection);
    await clock.advance(2);
    expect(pings).toHaveLength(4);
  });

  it("takes time from the runtime when nobody says otherwise", async () => {
    const vel = createVel();
    vel.websocket("/ws", {});
    const manager = new HeartbeatManager({ pingInterval: 20, pongTimeout: 20 });
    manager.observe(vel);
    const ponged = new Promise<number>((resolve) => manager.on("pong", (_, roundTrip) => resolve(roundTrip)));
    const client = await connect(vel, "/ws");
    expect(await ponged).toBeGreaterThanOrEqual(0);
    client.close();
    manager.close();
    await vel.close();
  });

  it("writes a line for an error when nobody says otherwise", async () => {
    const clock = new ManualClock();
    const vel = createVel({ clock });
    vel.websocket("/ws", {});
    const manager = new HeartbeatManager(policy, { clock });
    manager.on("ping", () => {
      throw new Error("a listener's");
    });
    manager.observe(vel);
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const client = await connect(vel, "/ws");
    await clock.advance(20_000);
    expect(log).toHaveBeenCalledOnce();
    expect(log.mock.calls[0]![0]).toContain("vel: listener: Error: a listener's");
    client.close();
    await clock.advance(0);
    expect(clock.pending).toBe(0);
  });
});
