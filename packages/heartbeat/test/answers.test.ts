/** What counts as an answer, and what it is taken for. */
import { settle } from "@vel/testing";
import { afterEach, describe, expect, it } from "vitest";
import { expectNothingLeft, join, joinSilently, setup, type Peer, type World } from "./kit.ts";

const policy = { pingInterval: 20_000, pongTimeout: 5_000, maxFailures: 3 };
const patience = 35_000;

let world: World;
/** A peer that has just been asked, and whose answers the test makes. */
async function ask(): Promise<World & Peer> {
  world = setup(policy);
  world.manager.observe(world.vel);
  const peer = await joinSilently(world);
  await world.clock.advance(19_700);
  while (peer.pings.length === 0) await world.clock.advance(10);
  expect(world.events.splice(0)).toEqual(["ping"]);
  // Not spread: the peer's end is a getter.
  return Object.assign(Object.create(peer) as Peer, world);
}
afterEach(() => expectNothingLeft(world));

describe("A pong", () => {
  it("gives the round-trip time when it carries the data of the last ping", async () => {
    const { clock, manager, client, connection, pings, events } = await ask();
    const told: number[] = [];
    manager.on("pong", (_, roundTrip) => told.push(roundTrip));
    expect(manager.roundTrip(connection)).toBeUndefined();
    await clock.advance(120);
    client.pong(pings[0]);
    await settle();
    expect(manager.roundTrip(connection)).toBe(120);
    expect(told).toEqual([120]);
    await clock.advance(20_000);
    expect(manager.roundTrip(connection)).toBe(120); // until the next
    client.pong(pings[1]);
    await settle();
    expect(manager.roundTrip(connection)).toBe(120); // asked 20 seconds after the first time
    expect(events).toEqual(["pong", "ping", "pong"]);
    const rtt = [...manager.measure()].find(({ name }) => name === "vel_ping_rtt_seconds");
    expect(rtt?.value).toMatchObject({ counts: [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0], sum: 0.24 });
    manager.stop(connection);
    expect(manager.roundTrip(connection)).toBeUndefined();
  });

  it("counts once when it comes twice", async () => {
    const { client, pings, events } = await ask();
    client.pong(pings[0]);
    client.pong(pings[0]);
    await settle();
    expect(events).toEqual(["pong"]);
  });

  it("is life, but no round trip, when it comes after its time", async () => {
    const { clock, manager, client, connection, pings, events } = await ask();
    await clock.advance(5_500);
    client.pong(pings[0]);
    await clock.advance(5_500);
    expect(events).toEqual(["miss 1", "ping", "recover"]);
    expect(manager.roundTrip(connection)).toBeUndefined();
    client.pong(pings[1]);
    await settle();
    expect(events).toHaveLength(3);
  });

  it.each<[string, (sent: Uint8Array) => Uint8Array]>([
    ["empty", () => new Uint8Array()],
    ["of somebody else's ping", () => new Uint8Array(8)],
    ["with the number of a ping to come", (sent) => sent.map((byte, index) => (index === 7 ? byte + 1 : byte))],
    ["cut", (sent) => sent.subarray(0, 7)],
    ["longer", (sent) => new Uint8Array([...sent, 0])],
    ["of 125 bytes", () => new Uint8Array(125)],
  ])("is life, but no round trip, when it is %s", async (_, forge) => {
    const { clock, manager, client, connection, pings, events } = await ask();
    client.pong(forge(pings[0]!));
    await clock.advance(14_000);
    expect(events).toEqual([]);
    expect(manager.roundTrip(connection)).toBeUndefined();
    await clock.advance(1_000);
    expect(connection.isOpen).toBe(true);
  });

  it("that nobody asked for is none", async () => {
    const { clock, manager, client, connection, pings, events } = await ask();
    client.pong(pings[0]);
    await clock.advance(10_000);
    client.pong(pings[0]);
    client.pong();
    await settle();
    expect(events).toEqual(["pong"]);
    expect(manager.roundTrip(connection)).toBe(0);
  });

  it("answers after misses, at once", async () => {
    const { clock, client, pings, events, connection } = await ask();
    await clock.advance(10_500);
    client.pong(pings[2]);
    await settle();
    expect(events).toEqual(["miss 1", "ping", "miss 2", "ping", "recover", "pong"]);
    // Misses are counted anew, from the next turn on, which is 20 seconds after the last.
    await clock.advance(9_500 + 15_000);
    expect(connection.isOpen).toBe(true);
    await clock.advance(350);
    expect(events.slice(6)).toEqual(["ping", "miss 1", "ping", "miss 2", "ping", "miss 3", "dead 3"]);
  });
});

describe("Any frame", () => {
  it.each(["text", "bytes", "ping", "pong"] as const)(
    "keeps a peer alive that sends one %s within each answer's time",
    async (kind) => {
      const { clock, manager, client, connection, events } = await ask();
      for (let round = 0; round < 10; round++) {
        if (kind === "text") client.send("here");
        else if (kind === "bytes") client.send(new Uint8Array(1));
        else if (kind === "ping") void client.ping();
        else client.pong();
        await clock.advance(20_000);
      }
      expect(events).toEqual(Array<string>(10).fill("ping"));
      expect(connection.isOpen).toBe(true);
      expect(manager.roundTrip(connection)).toBeUndefined();
    },
  );

  it("is no answer when it came before the question", async () => {
    const { clock, client, connection, events } = await ask();
    client.send("one");
    await clock.advance(19_900);
    client.send("two");
    await clock.advance(5_500);
    expect(events).toEqual(["ping", "miss 1", "ping"]);
    expect(connection.isOpen).toBe(true);
  });

  it("recovers who has missed", async () => {
    const { clock, client, connection, events } = await ask();
    await clock.advance(12_000);
    client.send("sorry, a tunnel");
    await clock.advance(8_000);
    expect(events).toEqual(["miss 1", "ping", "miss 2", "ping", "recover", "ping"]);
    expect(connection.isOpen).toBe(true);
  });

  it("counts whenever it comes: who speaks right after a question and dies is found in time", async () => {
    // Counting the next interval from the moment at which the answer was due would find it a pongTimeout too late.
    const { clock, client, connection } = await ask();
    await clock.advance(10);
    client.send("my last words");
    await settle();
    await clock.advance(patience - 100);
    expect(connection.isOpen).toBe(true);
    await clock.advance(100 + patience / 100);
    expect(connection.isOpen).toBe(false);
  });

  it("counts also when a new turn has come before the answer was due", async () => {
    world = setup({ pingInterval: 5_000, pongTimeout: 5_000, maxFailures: 3 });
    const { clock, manager, vel, events } = world;
    manager.observe(vel);
    const { client, connection } = await joinSilently(world);
    await clock.advance(10_100); // asked twice; in its turn at 10 s, 5 s after the first question, it was waited for
    expect(events).toEqual(["ping", "miss 1", "ping"]);
    client.send("here");
    await clock.advance(4_900);
    expect(events).toEqual(["ping", "miss 1", "ping", "recover", "ping"]);
    await clock.advance(15_000);
    expect(connection.isOpen).toBe(true);
    await clock.advance(400);
    expect(connection.isOpen).toBe(false);
  });
});

describe("A peer that is not listened to", () => {
  it("is not asked, since its answer would wait behind the messages that the handler has not taken", async () => {
    const { vel, clock, manager, events, errors, ...rest } = (world = setup(policy, {
      receiveBuffer: { limit: 1_000 },
    }));
    let goOn: () => void = () => undefined;
    vel.websocket("/slow", {
      message: () => new Promise<void>((resolve) => (goOn = resolve)),
    });
    manager.observe(vel);
    const { client, connection } = await join({ vel, ...rest }, "/slow");
    for (let count = 0; count < 20; count++) client.send("x".repeat(100));
    await settle();
    expect(connection.isPaused).toBe(true);
    await clock.advance(1_000_000);
    expect(connection.isOpen).toBe(true);
    expect(events).toEqual([]);

    for (let count = 0; count < 20; count++) {
      goOn();
      await settle();
    }
    expect(connection.isPaused).toBe(false);
    await clock.advance(20_000);
    expect(events).toEqual(["ping", "pong"]);
    client.silence();
    await clock.advance(patience + 350);
    expect(connection.isOpen).toBe(false);
    goOn();
    expect(errors).toEqual([]);
  });
});
