/** Who is in a pool, who has to go, and that nothing is left behind. */
import { createVel, VelError, type Connection, type ErrorContext } from "@vel/core";
import { ConnectionPool, type PoolOptions } from "@vel/pool";
import { connect, ManualClock, settle } from "@vel/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { counted, log, measured, peers, type Peer } from "./peers.ts";

const clocks: ManualClock[] = [];
const pools: ConnectionPool[] = [];

/** A pool, its clock, and so many peers that are not in it yet. */
async function setup(count: number, options: PoolOptions = {}) {
  const clock = new ManualClock();
  const { vel, some, peer } = peers({ clock, closeTimeout: 1_000 });
  const reported: [error: unknown, context: ErrorContext][] = [];
  const pool = new ConnectionPool({ clock, onError: (...args) => void reported.push(args), ...options });
  const all = await some(count);
  clocks.push(clock);
  pools.push(pool);
  return { clock, vel, peer, pool, all, events: log(pool, all), reported };
}

/** Numbers of the peers that are in, in the order in which they came. */
const inside = (pool: ConnectionPool, all: readonly Peer[]): number[] =>
  [...pool.connections].map((connection) => all.findIndex((each) => each.connection === connection));

function addAll(pool: ConnectionPool, all: readonly Peer[]): void {
  for (const { connection } of all) pool.add(connection);
}

/** What `call` threw, a VelError. */
function errorOf(call: () => unknown): VelError<string> | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(VelError);
    return error as VelError<string>;
  }
}

afterEach(async () => {
  for (const pool of pools.splice(0)) pool.close();
  for (const clock of clocks.splice(0)) {
    await settle();
    await clock.advance(1_000); // the close timeout of peers that do not answer
    expect(clock.pending).toBe(0);
  }
});

describe("ConnectionPool", () => {
  it.each<[string, PoolOptions, new () => Error]>([
    ["maxConnections", { maxConnections: 0 }, RangeError],
    ["maxConnections", { maxConnections: 1.5 }, RangeError],
    ["maxConnections", { maxConnections: NaN }, RangeError],
    ["maxConnections", { maxConnections: "10" as never }, RangeError],
    ["cleanupInterval", { cleanupInterval: 0 }, RangeError],
    ["cleanupInterval", { cleanupInterval: "10" as never }, RangeError],
    ["idleTimeout", { idleTimeout: -1 }, RangeError],
    ["idleTimeout", { idleTimeout: NaN }, RangeError],
    ["cleanupStrategy", { cleanupStrategy: "least_recently_used" as never }, TypeError],
    ["cleanupStrategy", { cleanupStrategy: "__proto__" as never }, TypeError],
    ["memory.limit", { memory: { limit: 0 } }, RangeError],
    ["memory.limit", { memory: { limit: Infinity } }, RangeError],
    ["memory.limit", { memory: {} as never }, RangeError],
    ["memory.threshold", { memory: { limit: 1, threshold: 0 } }, RangeError],
    ["memory.threshold", { memory: { limit: 1, threshold: 1.1 } }, RangeError],
    ["memory.interval", { memory: { limit: 1, interval: 0 } }, RangeError],
    ["memory.interval", { memory: { limit: 1, interval: Infinity } }, RangeError],
    ["memory.sample", { memory: { limit: 1, sample: 5 as never } }, TypeError],
    ["maxConnections", { maxConnections: {} as never }, RangeError],
  ])("throws when %s is %j", (name, options, error) => {
    expect(() => new ConnectionPool(options)).toThrow(error);
    expect(() => new ConnectionPool(options)).toThrow(`Option "${name}" must be `);
  });

  it("shows a text in quotes where a number is wanted", () => {
    expect(() => new ConnectionPool({ idleTimeout: "10" as never })).toThrow('must be a positive number, got "10"');
  });

  it("takes an unlimited number and no idle timeout", async () => {
    const { pool, all, clock, events } = await setup(3, { maxConnections: Infinity, idleTimeout: Infinity });
    addAll(pool, all);
    await clock.advance(10_000_000);
    expect(pool.size).toBe(3);
    expect(events).toEqual([]);
  });

  it("has its defaults: 10,000 connections, 5 minutes, 10 minutes, least recently used", async () => {
    const { pool, all, clock, events } = await setup(2);
    addAll(pool, all);
    expect(clock.pending).toBe(1);
    await clock.advance(300_000);
    all[0]!.connection.send("used");
    await clock.advance(600_000);
    expect(events).toEqual(["evict 1 idle"]);
    await clock.advance(299_999);
    expect(events).toHaveLength(1);
    await clock.advance(1);
    expect(events).toEqual(["evict 1 idle", "evict 0 idle"]);
  });

  it("takes the clock and the reporter of core by default", async () => {
    const { all } = await setup(2);
    const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const pool = new ConnectionPool({ maxConnections: 1 });
    pool.on("evict", () => {
      throw new Error("listener");
    });
    addAll(pool, all);
    pool.close();
    expect(lines.mock.calls.map(([line]) => String(line).slice(0, 30))).toEqual(["vel: listener: Error: listener"]);
    lines.mockRestore();
  });
});

describe("ConnectionPool.add()", () => {
  it("lets a connection in, which leaves by itself at the peer's close, drop, and closes of this side", async () => {
    const { pool, all } = await setup(5);
    addAll(pool, all);
    expect(inside(pool, all)).toEqual([0, 1, 2, 3, 4]);
    expect(pool.has(all[0]!.connection)).toBe(true);
    all[0]!.client.close();
    all[1]!.client.drop();
    await settle();
    expect(inside(pool, all)).toEqual([2, 3, 4]);
    all[2]!.connection.close();
    expect(inside(pool, all)).toEqual([3, 4]);
    all[3]!.connection.terminate();
    expect(inside(pool, all)).toEqual([4]);
    expect(pool.has(all[0]!.connection)).toBe(false);
  });

  it("is one membership when called twice", async () => {
    const { pool, all } = await setup(1);
    const counting = counted(all[0]!.connection);
    const off = pool.add(counting.connection);
    expect(pool.add(counting.connection)).toBe(off);
    expect(pool.size).toBe(1);
    expect(counting.listeners()).toBe(1);
    off();
    expect(pool.size).toBe(0);
    expect(counting.listeners()).toBe(0);
  });

  it("returns what takes back that membership, and no later one", async () => {
    const { pool, all } = await setup(1);
    const [{ connection }] = all as [Peer];
    const off = pool.add(connection);
    pool.remove(connection);
    pool.add(connection);
    off();
    expect(pool.has(connection)).toBe(true);
  });

  it("does nothing with a connection that is not open", async () => {
    const { pool, all, clock, events } = await setup(2, { maxConnections: 1 });
    all[1]!.connection.close();
    pool.add(all[0]!.connection);
    pool.add(all[1]!.connection)();
    expect(inside(pool, all)).toEqual([0]);
    expect(events).toEqual([]);
    pool.close();
    await clock.advance(0);
  });

  it("evicts the oldest, used or not, with the strategy oldest", async () => {
    const { pool, all, events } = await setup(3, { maxConnections: 2, cleanupStrategy: "oldest" });
    pool.add(all[0]!.connection);
    pool.add(all[1]!.connection);
    all[0]!.client.send("used");
    await settle();
    pool.add(all[2]!.connection);
    expect(inside(pool, all)).toEqual([1, 2]);
    expect(events).toEqual(["evict 0 full"]);
    expect(await all[0]!.client.closed).toMatchObject({ code: 1013, reason: "evicted" });
  });

  it("does not forget who is oldest at a sweep", async () => {
    const { pool, all, clock, events } = await setup(3, { maxConnections: 2, cleanupStrategy: "oldest" });
    pool.add(all[0]!.connection);
    pool.add(all[1]!.connection);
    all[0]!.connection.send("used");
    await clock.advance(300_000);
    pool.add(all[2]!.connection);
    expect(events).toEqual(["evict 0 full"]);
  });

  it("evicts the least recently used by default: received and sent messages are use", async () => {
    const { pool, all, events } = await setup(6, { maxConnections: 3 });
    addAll(pool, all.slice(0, 3));
    all[0]!.client.send("received");
    all[1]!.connection.send("sent");
    await settle();
    pool.add(all[3]!.connection);
    expect(events).toEqual(["evict 2 full"]);
    // Since then 0 and 1 have been found used, and 3 came before that.
    pool.add(all[4]!.connection);
    expect(events.at(-1)).toBe("evict 0 full");
    pool.add(all[5]!.connection);
    expect(events.at(-1)).toBe("evict 1 full");
    expect(inside(pool, all)).toEqual([3, 4, 5]);
  });

  it("evicts who was first in line when all were used", async () => {
    const { pool, all, events } = await setup(4, { maxConnections: 3 });
    addAll(pool, all.slice(0, 3));
    for (const { connection } of all) connection.send("used");
    pool.add(all[3]!.connection);
    expect(events).toEqual(["evict 0 full"]);
  });

  it("takes a sweep's word for who was used before it", async () => {
    const { pool, all, events, clock } = await setup(5, { maxConnections: 3 });
    addAll(pool, all.slice(0, 3));
    all[0]!.connection.send("long ago");
    await clock.advance(300_000);
    all[1]!.connection.send("lately");
    pool.add(all[3]!.connection);
    pool.add(all[4]!.connection);
    expect(events).toEqual(["evict 2 full", "evict 0 full"]);
  });

  it("does not take pings and pongs for use", async () => {
    const { pool, all, events } = await setup(3, { maxConnections: 2 });
    addAll(pool, all.slice(0, 2));
    await all[0]!.client.ping();
    all[0]!.client.pong();
    all[0]!.connection.ping();
    await settle();
    expect(all[0]!.connection.framesReceived).toBe(3);
    pool.add(all[2]!.connection);
    expect(events).toEqual(["evict 0 full"]);
  });

  it("never evicts the newcomer, with room for one alone", async () => {
    const { pool, all, events, clock } = await setup(3, { maxConnections: 1 });
    for (const { connection } of all) {
      pool.add(connection);
      expect([...pool.connections]).toEqual([connection]);
      connection.send("used");
    }
    expect(events).toEqual(["evict 0 full", "evict 1 full"]);
    expect(clock.pending).toBeGreaterThan(0);
  });

  it("Limit 16: throws ERR_VEL_POOL_FULL when full, with the strategy reject", async () => {
    const { pool, all, events, clock } = await setup(3, { maxConnections: 2, cleanupStrategy: "reject" });
    addAll(pool, all.slice(0, 2));
    await clock.advance(100_000);
    const error = errorOf(() => pool.add(all[2]!.connection));
    expect(error).toMatchObject({ code: "ERR_VEL_POOL_FULL", retryAfter: 200_000 });
    expect(error?.message).toBe(`Cannot add connection "${all[2]!.connection.id}" to the pool: 2 connections are in`);
    expect(events).toEqual(["refuse 2 full"]);
    expect(all[2]!.connection.isOpen).toBe(true);
    expect(pool.add(all[1]!.connection)).toBeInstanceOf(Function); // who is in stays in
    all[0]!.client.close();
    await settle();
    pool.add(all[2]!.connection);
    expect(inside(pool, all)).toEqual([1, 2]);
  });

  it("throws without retryAfter when nobody knows", async () => {
    const options = { maxConnections: 1, cleanupStrategy: "reject", idleTimeout: Infinity } as const;
    const { pool, all, clock } = await setup(2, options);
    pool.add(all[0]!.connection);
    expect(clock.pending).toBe(0);
    expect(errorOf(() => pool.add(all[1]!.connection))?.retryAfter).toBeUndefined();
  });

  it("has the evicted out at once, even if its peer never answers", async () => {
    const { pool, all, clock } = await setup(2, { maxConnections: 1 });
    all[0]!.client.silence();
    addAll(pool, all);
    expect(all[0]!.connection.isOpen).toBe(false);
    expect(all[0]!.connection.closeInfo).toBeUndefined();
    expect(inside(pool, all)).toEqual([1]);
    await clock.advance(1_000);
    expect(all[0]!.connection.closeInfo).toMatchObject({ code: 1013, by: "local" });
    expect(inside(pool, all)).toEqual([1]);
  });
});

describe("ConnectionPool.remove()", () => {
  it("lets out and leaves open, and says whether it was in", async () => {
    const { pool, all, clock, events } = await setup(2);
    addAll(pool, all);
    expect(pool.remove(all[0]!.connection)).toBe(true);
    expect(pool.remove(all[0]!.connection)).toBe(false);
    expect(all[0]!.connection.isOpen).toBe(true);
    expect(clock.pending).toBe(1);
    expect(pool.remove(all[1]!.connection)).toBe(true);
    expect(clock.pending).toBe(0);
    expect(events).toEqual([]);
  });

  it("leaves the order of the others as it was, wherever in line it stood", async () => {
    const { pool, all, events } = await setup(8, { maxConnections: 5 });
    addAll(pool, all.slice(0, 5));
    for (const gone of [0, 2, 4]) pool.remove(all[gone]!.connection);
    addAll(pool, all.slice(5));
    expect(events).toEqual([]);
    expect(inside(pool, all)).toEqual([1, 3, 5, 6, 7]);
    for (const again of [0, 2, 4]) pool.add(all[again]!.connection);
    expect(events).toEqual(["evict 1 full", "evict 3 full", "evict 5 full"]);
  });
});

describe("ConnectionPool's idle timeout", () => {
  it("Limit 17: closes with 4408 who had no message, no earlier than the timeout and within two looks after it", async () => {
    const { pool, all, clock, events } = await setup(3, { idleTimeout: 1_000, cleanupInterval: 100 });
    pool.add(all[0]!.connection);
    await clock.advance(50);
    pool.add(all[1]!.connection);
    all[2]!.connection.send("before it came in");
    pool.add(all[2]!.connection);
    await clock.advance(100); // 150
    all[0]!.client.send("received");
    await settle();
    await clock.advance(899); // 1,049
    expect(events).toEqual([]);
    await clock.advance(51); // 1,100: 1 and 2 came at 50
    expect(events).toEqual(["evict 1 idle", "evict 2 idle"]);
    await clock.advance(49); // 1,149
    expect(events).toHaveLength(2);
    await clock.advance(51); // 1,200: the last message of 0 was at 150
    expect(events).toHaveLength(3);
    for (const { client } of all) expect(await client.closed).toMatchObject({ code: 4408, reason: "idle timeout" });
    expect(clock.pending).toBe(0);
  });

  it("is not moved by pings and pongs, nor by others that speak", async () => {
    const { pool, all, clock, events } = await setup(2, { idleTimeout: 1_000, cleanupInterval: 100 });
    addAll(pool, all);
    for (let time = 0; time < 1_100; time += 100) {
      await all[0]!.client.ping();
      all[0]!.connection.ping();
      all[1]!.client.send("used");
      await clock.advance(100);
    }
    expect(events).toEqual(["evict 0 idle"]);
  });

  it("is shorter than cleanupInterval: then it is looked twice as often as it says", async () => {
    const { pool, all, clock, events } = await setup(2, { idleTimeout: 100 });
    pool.add(all[0]!.connection);
    await clock.advance(40);
    pool.add(all[1]!.connection);
    await clock.advance(100);
    expect(events).toEqual([]);
    await clock.advance(10);
    expect(events).toEqual(["evict 0 idle", "evict 1 idle"]);
  });

  it("is no multiple of cleanupInterval: it is not cut short", async () => {
    const { pool, all, clock, events } = await setup(1, { idleTimeout: 250, cleanupInterval: 100 });
    addAll(pool, all);
    await clock.advance(399);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(events).toEqual(["evict 0 idle"]);
  });

  it("is not over because the clock jumped: a machine that slept wakes with its connections", async () => {
    const time = new ManualClock();
    let slept = 0;
    const { pool, all, events } = await setup(2, {
      maxConnections: 1,
      cleanupStrategy: "reject",
      idleTimeout: 1_000,
      cleanupInterval: 500,
      clock: {
        now: () => time.now() + slept,
        wall: () => time.wall(),
        setTimeout: (callback, delay) => time.setTimeout(callback, delay),
        clearTimeout: (timer) => {
          time.clearTimeout(timer);
        },
      },
    });
    pool.add(all[0]!.connection);
    await time.advance(400);
    slept = 10_000_000; // the timer that is due at 500 comes much too late
    time.shiftWall(-10_000_000);
    expect(errorOf(() => pool.add(all[1]!.connection))?.retryAfter).toBe(0);
    await time.advance(100);
    expect(errorOf(() => pool.add(all[1]!.connection))?.retryAfter).toBe(500);
    await time.advance(999);
    expect(events).not.toContain("evict 0 idle");
    await time.advance(1);
    expect(events).toContain("evict 0 idle");
    expect(time.pending).toBe(0);
  });

  it("takes a search for a victim for a look, and counts from there", async () => {
    const { pool, all, clock, events } = await setup(3, { maxConnections: 2, idleTimeout: 200, cleanupInterval: 100 });
    addAll(pool, all.slice(0, 2));
    await clock.advance(110);
    all[0]!.connection.send("used");
    pool.add(all[2]!.connection);
    expect(events).toEqual(["evict 1 full"]);
    await clock.advance(289); // 399
    expect(events).toHaveLength(1);
    await clock.advance(1);
    expect(events).toEqual(["evict 1 full", "evict 0 idle", "evict 2 idle"]);
  });

  it("has its timer only while somebody is in", async () => {
    const { pool, all, clock } = await setup(2);
    expect(clock.pending).toBe(0);
    addAll(pool, all);
    expect(clock.pending).toBe(1);
    all[0]!.client.close();
    all[1]!.client.close();
    await settle();
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
    const again = await setup(1);
    pool.add(again.all[0]!.connection);
    expect(clock.pending).toBe(1);
    pool.close();
  });

  it("has no timer where there is nothing to look for", async () => {
    const { pool, all, clock } = await setup(1, { idleTimeout: Infinity, cleanupStrategy: "oldest" });
    addAll(pool, all);
    expect(clock.pending).toBe(0);
  });
});

describe("ConnectionPool's memory", () => {
  /** A pool that sees as much memory in use as the test says, of 1,000 bytes. */
  async function memorySetup(count: number, options: PoolOptions = {}) {
    const memory = { used: 0, samples: 0 };
    const sample = (): number => {
      memory.samples++;
      return memory.used;
    };
    const limits = { limit: 1_000, interval: 10, sample };
    return { memory, ...(await setup(count, { idleTimeout: Infinity, ...options, memory: limits })) };
  }

  it("Limit 18: evicts a batch at each look from above 80 % until below 70 %", async () => {
    const { pool, all, clock, events, memory } = await memorySetup(45);
    addAll(pool, all);
    memory.used = 800;
    await clock.advance(10);
    expect(events).toEqual([]);
    memory.used = 801;
    await clock.advance(9);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(events).toEqual(["evict 0 memory", "evict 1 memory", "evict 2 memory"]); // 5 % of 45, rounded up
    memory.used = 700;
    await clock.advance(10);
    expect(pool.size).toBe(39); // 5 % of 42, rounded up
    memory.used = 699;
    await clock.advance(10);
    memory.used = 800;
    await clock.advance(100);
    expect(pool.size).toBe(39);
    memory.used = 900;
    await clock.advance(10);
    expect(pool.size).toBe(37);
    expect(await all[0]!.client.closed).toMatchObject({ code: 1013, reason: "evicted" });
  });

  it("evicts one of few, by the strategy, and the last one too", async () => {
    const { pool, all, clock, events, memory } = await memorySetup(3);
    addAll(pool, all);
    all[0]!.connection.send("used");
    memory.used = 1_000;
    await clock.advance(10);
    expect(events).toEqual(["evict 1 memory"]);
    await clock.advance(20);
    expect(events).toEqual(["evict 1 memory", "evict 2 memory", "evict 0 memory"]);
    expect(clock.pending).toBe(0);
  });

  it("evicts the oldest with that strategy", async () => {
    const { pool, all, clock, events, memory } = await memorySetup(2, { cleanupStrategy: "oldest" });
    addAll(pool, all);
    all[0]!.connection.send("used");
    memory.used = 1_000;
    await clock.advance(10);
    expect(events).toEqual(["evict 0 memory"]);
  });

  it("lets newcomers in while it evicts", async () => {
    const { pool, all, clock, memory } = await memorySetup(3);
    addAll(pool, all.slice(0, 2));
    memory.used = 1_000;
    await clock.advance(10);
    pool.add(all[2]!.connection);
    expect(inside(pool, all)).toEqual([1, 2]);
  });

  it("goes on looking while the only member gives way again and again", async () => {
    const { pool, all, clock, memory } = await memorySetup(4, { maxConnections: 1 });
    for (const { connection } of all) {
      pool.add(connection);
      await clock.advance(4);
    }
    expect(memory.samples).toBe(1);
  });

  it("refuses newcomers with reject, evicts nobody, and lets in again below 70 %", async () => {
    const { pool, all, clock, events, memory } = await memorySetup(3, { cleanupStrategy: "reject" });
    pool.add(all[0]!.connection);
    memory.used = 801;
    pool.add(all[1]!.connection); // nobody has looked since
    await clock.advance(10);
    const error = errorOf(() => pool.add(all[2]!.connection));
    expect(error).toMatchObject({ code: "ERR_VEL_POOL_FULL", retryAfter: 10 });
    expect(error?.message).toBe(`Cannot add connection "${all[2]!.connection.id}" to the pool: memory is short`);
    memory.used = 700;
    await clock.advance(10);
    expect(errorOf(() => pool.add(all[2]!.connection))).toBeDefined();
    memory.used = 699;
    await clock.advance(10);
    pool.add(all[2]!.connection);
    expect(inside(pool, all)).toEqual([0, 1, 2]);
    expect(events).toEqual(["refuse 2 memory", "refuse 2 memory"]);
  });

  it("looks before the first comes in with reject, since nobody looks while it is empty", async () => {
    const { pool, all, clock, memory } = await memorySetup(1, { cleanupStrategy: "reject" });
    memory.used = 801;
    expect(errorOf(() => pool.add(all[0]!.connection))).toMatchObject({ retryAfter: 10 });
    expect(clock.pending).toBe(0);
    memory.used = 700;
    expect(errorOf(() => pool.add(all[0]!.connection))).toBeDefined();
    memory.used = 699;
    pool.add(all[0]!.connection);
    expect(pool.size).toBe(1);
    expect(memory.samples).toBe(3);
  });

  it("starts anew once it was empty", async () => {
    const { pool, all, clock, events, memory } = await memorySetup(2);
    pool.add(all[0]!.connection);
    memory.used = 900;
    await clock.advance(10);
    memory.used = 750;
    pool.add(all[1]!.connection);
    await clock.advance(100);
    expect(events).toEqual(["evict 0 memory"]);
  });

  it("reports once why there is no sample, evicts nobody, and reports again after a good one", async () => {
    let next: () => unknown = () => 900;
    const failure = new Error("no /proc");
    const memory = { limit: 1_000, interval: 10, sample: () => next() as number };
    const { pool, all, clock, events, reported } = await setup(5, { idleTimeout: Infinity, memory });
    addAll(pool, all);
    await clock.advance(10);
    expect(events).toHaveLength(1);
    next = () => {
      throw failure;
    };
    await clock.advance(100);
    expect(reported).toEqual([[failure, { stage: "sample" }]]);
    for (const bad of [NaN, Infinity, -1, "900", undefined]) {
      next = () => bad;
      await clock.advance(50);
    }
    expect(reported).toHaveLength(1);
    expect(events).toHaveLength(1);
    next = () => 750; // it was short before, which was forgotten meanwhile
    await clock.advance(10);
    expect(events).toHaveLength(1);
    next = () => NaN;
    await clock.advance(50);
    expect(reported).toHaveLength(2);
    expect(String(reported[1]![0])).toBe('TypeError: Option "memory.sample" must return a number of bytes, got NaN');
    expect(events).toHaveLength(1);
  });

  it("does not let a reporter that fails stop it", async () => {
    const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
    for (const onError of [
      () => {
        throw new Error("reporter");
      },
      async () => {
        throw new Error("reporter");
      },
    ]) {
      const memory = { limit: 1_000, interval: 10, sample: () => NaN };
      const { pool, all, clock } = await setup(1, { idleTimeout: Infinity, memory, onError });
      addAll(pool, all);
      await clock.advance(10);
      expect(clock.pending).toBe(2);
    }
    expect(lines.mock.calls.map(([line]) => String(line).slice(0, 20))).toEqual([
      "vel: onError: Error:",
      "vel: sample: TypeErr",
      "vel: onError: Error:",
      "vel: sample: TypeErr",
    ]);
    lines.mockRestore();
  });

  describe("by default", () => {
    afterEach(() => {
      vi.unstubAllGlobals();
    });

    it.each([
      ["process", "Deno"],
      ["Deno", "process"],
    ])("is the resident memory that %s tells", async (teller, other) => {
      const memoryUsage = vi.fn(() => ({ rss: 900, heapUsed: 1 }));
      const clock = new ManualClock();
      const { some } = peers({ clock });
      const all = await some(2);
      vi.stubGlobal(teller, { memoryUsage });
      vi.stubGlobal(other, undefined);
      const pool = new ConnectionPool({ clock, memory: { limit: 1_000, threshold: 0.8, interval: 10 } });
      vi.unstubAllGlobals();
      addAll(pool, all);
      await clock.advance(10);
      expect(memoryUsage).toHaveBeenCalledOnce();
      expect(pool.size).toBe(1);
      pool.close();
    });

    it("is that of this process", async () => {
      const rss = process.memoryUsage().rss;
      const { pool, all, clock } = await setup(2, { memory: { limit: rss * 100, interval: 10 } });
      const { pool: tight } = await setup(0, { clock, memory: { limit: rss / 2, interval: 10 } });
      addAll(pool, all);
      addAll(tight, all);
      await clock.advance(10);
      expect([pool.size, tight.size]).toEqual([1, 1]);
    });

    it("throws where no runtime tells and nobody says how", () => {
      vi.stubGlobal("process", {});
      vi.stubGlobal("Deno", undefined);
      expect(() => new ConnectionPool({ memory: { limit: 1 } })).toThrow(TypeError);
      expect(() => new ConnectionPool({ memory: { limit: 1 } })).toThrow('Option "memory.sample" must be given');
      expect(() => new ConnectionPool({ memory: { limit: 1, sample: () => 0 } })).not.toThrow();
    });
  });
});

describe("ConnectionPool.observe()", () => {
  it("lets in who is there and who comes, until it is taken back", async () => {
    const { vel, pool, all, peer } = await setup(2);
    const stop = pool.observe(vel);
    expect(inside(pool, all)).toEqual([0, 1]);
    const third = await peer();
    expect(pool.has(third.connection)).toBe(true);
    third.client.close();
    await settle();
    expect(pool.size).toBe(2);
    stop();
    stop();
    await peer();
    expect(inside(pool, all)).toEqual([0, 1]); // who is in stays in
  });

  it("closes with 1013 whom add() would throw at, and tells", async () => {
    const clock = new ManualClock();
    const vel = createVel({ clock });
    const seen: string[] = [];
    vel.websocket("/ws", {
      message: (_, message) => seen.push(String(message)),
    });
    const pool = new ConnectionPool({ clock, maxConnections: 1, cleanupStrategy: "reject" });
    const refused: [Connection, string][] = [];
    pool.on("refuse", (...args) => refused.push(args));
    const first = await connect(vel, "/ws");
    await connect(vel, "/ws");
    pool.observe(vel);
    expect(refused).toHaveLength(1);
    const third = await connect(vel, "/ws", { early: ["too early"] });
    expect(await third.closed).toMatchObject({ code: 1013, reason: "pool full" });
    expect(refused.map(([{ closeInfo }, reason]) => [closeInfo?.code, reason])).toEqual([
      [1013, "full"],
      [1013, "full"],
    ]);
    expect(first.isOpen).toBe(true);
    expect(seen).toEqual([]);
    expect(measured(pool)["vel_pool_refusals_total{full}"]).toBe(2);
    await vel.close();
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("evicts for those who come, with the handler of the newcomer running", async () => {
    const { vel, pool, all, peer, events } = await setup(2, { maxConnections: 2 });
    pool.observe(vel);
    const { connection, client } = await peer();
    expect(events).toEqual(["evict 0 full"]);
    expect(all[0]!.connection.isOpen).toBe(false);
    connection.send("welcome");
    expect(await client.receiveText()).toBe("welcome");
  });

  it("may be called twice, for one server or several", async () => {
    const { vel, pool, all } = await setup(2);
    const other = peers();
    pool.observe(vel);
    pool.observe(vel);
    pool.observe(other.vel);
    await other.peer();
    expect(pool.size).toBe(3);
    expect(inside(pool, all)).toEqual([0, 1, -1]);
    await other.vel.close();
    expect(pool.size).toBe(2);
  });

  it("lets go of a server once", async () => {
    const { vel, pool } = await setup(0);
    let ends = 0;
    const server = Object.create(vel, { on: { value: () => () => void ends++ } }) as typeof vel;
    pool.observe(server)();
    pool.observe(server);
    pool.close();
    expect(ends).toBe(2);
  });
});

describe("ConnectionPool.connections", () => {
  it("is live, can be gone through several times, and while members leave", async () => {
    const { pool, all } = await setup(3);
    const { connections } = pool;
    expect([...connections]).toEqual([]);
    addAll(pool, all);
    expect([...connections]).toHaveLength(3);
    for (const connection of connections) pool.remove(connection);
    expect([...connections]).toEqual([]);
  });
});

describe("ConnectionPool.on()", () => {
  it("tells of evictions when the pool is right already", async () => {
    const { pool, all } = await setup(2, { maxConnections: 1 });
    pool.add(all[0]!.connection);
    const seen: unknown[] = [];
    const off = pool.on("evict", (connection, reason) => {
      seen.push([connection.isOpen, reason, inside(pool, all), measured(pool)["vel_evictions_total{full}"]]);
    });
    pool.add(all[1]!.connection);
    off();
    pool.add(all[1]!.connection);
    expect(seen).toEqual([[false, "full", [1], 1]]);
  });

  it("tells of the first idle one when all of them are out", async () => {
    const { pool, all, clock } = await setup(3, { idleTimeout: 100 });
    addAll(pool, all);
    const sizes: number[] = [];
    pool.on("evict", () => sizes.push(pool.size));
    await clock.advance(150);
    expect(sizes).toEqual([0, 0, 0]);
  });

  it("does not let a listener's error stop anything, and reports it", async () => {
    const { pool, all, events, reported } = await setup(3, { maxConnections: 1 });
    const bad = new Error("listener");
    pool.on("evict", () => {
      throw bad;
    });
    pool.on("evict", async () => {
      throw bad;
    });
    addAll(pool, all);
    await settle();
    expect(events).toEqual(["evict 0 full", "evict 1 full"]);
    expect(reported).toEqual(Array.from({ length: 4 }, () => [bad, { stage: "listener" }]));
    expect(inside(pool, all)).toEqual([2]);
  });

  it("lets a listener add, also the one that was evicted, which does not come back", async () => {
    const { pool, all, events } = await setup(4, { maxConnections: 1 });
    pool.on("evict", (connection) => {
      pool.add(connection);
      pool.add(all[3]!.connection);
    });
    pool.add(all[0]!.connection);
    const off = pool.add(all[1]!.connection);
    expect(inside(pool, all)).toEqual([3]);
    expect(events).toEqual(["evict 0 full", "evict 1 full"]);
    off();
    expect(inside(pool, all)).toEqual([3]);
  });

  it("lets a listener remove others, close others and close the pool during a sweep", async () => {
    const { pool, all, clock, events } = await setup(6, { idleTimeout: 100, cleanupInterval: 50 });
    addAll(pool, all);
    let told = 0;
    pool.on("evict", () => {
      told++;
      if (told === 1) {
        pool.add(all[2]!.connection); // idle as well, not closed yet
        all[3]!.connection.close(4000, "by a listener");
        pool.remove(all[4]!.connection);
      }
      if (told === 6) pool.close();
    });
    await clock.advance(150);
    expect(events).toEqual([0, 1, 2, 3, 4, 5].map((each) => `evict ${String(each)} idle`));
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
    expect((await all[3]!.client.closed).code).toBe(4000);
  });

  it("does not start a timer again that a listener stopped", async () => {
    const { pool, all, clock } = await setup(2, { idleTimeout: 100, cleanupInterval: 50 });
    pool.add(all[0]!.connection);
    await clock.advance(50);
    pool.add(all[1]!.connection);
    pool.on("evict", () => {
      pool.close();
    });
    await clock.advance(100);
    expect(all[1]!.connection.isOpen).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("lets a listener take it in hand when a connection is refused", async () => {
    const { vel, pool, peer } = await setup(0, { maxConnections: 1, cleanupStrategy: "reject" });
    pool.on("refuse", (connection) => {
      connection.close(4500, "no more today");
    });
    pool.observe(vel);
    await peer();
    const client = await connect(vel, "/peer");
    expect(await client.closed).toMatchObject({ code: 4500 });
  });

  it("leaves nobody behind when a closing connection's own listeners add and remove", async () => {
    const { pool, all } = await setup(3, { maxConnections: 1 });
    all[0]!.connection.onClosing(() => {
      pool.add(all[2]!.connection);
    });
    pool.add(all[0]!.connection);
    pool.add(all[1]!.connection);
    expect(inside(pool, all)).toEqual([2]);
  });
});

describe("ConnectionPool.measure()", () => {
  it("tells how many are in, and were evicted and refused, from the start", async () => {
    const { pool, all, clock } = await setup(3, { maxConnections: 2, idleTimeout: 100 });
    expect([...pool.measure()]).toEqual([
      { name: "vel_pool_connections", kind: "gauge", value: 0 },
      { name: "vel_evictions_total", kind: "counter", value: 0, labels: { reason: "idle" } },
      { name: "vel_evictions_total", kind: "counter", value: 0, labels: { reason: "full" } },
      { name: "vel_evictions_total", kind: "counter", value: 0, labels: { reason: "memory" } },
      { name: "vel_pool_refusals_total", kind: "counter", value: 0, labels: { reason: "full" } },
      { name: "vel_pool_refusals_total", kind: "counter", value: 0, labels: { reason: "memory" } },
    ]);
    addAll(pool, all);
    expect(measured(pool)).toMatchObject({ vel_pool_connections: 2, "vel_evictions_total{full}": 1 });
    await clock.advance(200);
    expect(measured(pool)).toMatchObject({ vel_pool_connections: 0, "vel_evictions_total{idle}": 2 });
  });

  it("counts what memory did", async () => {
    const memory = { limit: 1, interval: 10, sample: () => 1 };
    const evicting = await setup(1, { memory });
    addAll(evicting.pool, evicting.all);
    await evicting.clock.advance(10);
    expect(measured(evicting.pool)["vel_evictions_total{memory}"]).toBe(1);
    const refusing = await setup(1, { memory, cleanupStrategy: "reject" });
    expect(() => {
      addAll(refusing.pool, refusing.all);
    }).toThrow(VelError);
    expect(measured(refusing.pool)["vel_pool_refusals_total{memory}"]).toBe(1);
  });
});

describe("ConnectionPool.close()", () => {
  it("forgets all, who stay open, ends observations, and leaves no timer and no listener", async () => {
    const memory = { limit: 1_000, interval: 10, sample: () => 0 };
    const { vel, pool, all, clock, events, peer } = await setup(2, { memory });
    const counting = all.map(({ connection }) => counted(connection));
    pool.observe(vel);
    for (const { connection } of counting) pool.add(connection);
    expect(pool.size).toBe(4);
    expect(clock.pending).toBe(2);
    pool.close();
    pool.close();
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
    expect(counting.map(({ listeners }) => listeners())).toEqual([0, 0]);
    expect(all.every(({ connection }) => connection.isOpen)).toBe(true);
    await peer();
    expect(pool.size).toBe(0);
    expect(events).toEqual([]);
  });

  it("is no end: who is added later is in", async () => {
    const { pool, all, clock, events } = await setup(1, { idleTimeout: 100 });
    pool.close();
    addAll(pool, all);
    await clock.advance(200);
    expect(events).toEqual(["evict 0 idle"]);
  });
});

describe("ConnectionPool under churn", () => {
  it.each(["leastRecentlyUsed", "oldest", "reject"] as const)(
    "is empty after 100,000 came and went, with no listener left (%s)",
    async (cleanupStrategy) => {
      const { pool, all, clock } = await setup(200, { maxConnections: 100, cleanupStrategy });
      const counting = all.map(({ connection }) => counted(connection));
      let refused = 0;
      for (let i = 0; i < 100_000; i++) {
        // A fixed walk over all, so that each order of coming and going occurs.
        const { connection } = counting[(i * 7_919) % 200]!;
        try {
          if (i % 3 === 0) pool.remove(connection);
          else if (cleanupStrategy === "reject" || pool.size < 100 || pool.has(connection)) pool.add(connection);
        } catch {
          refused++;
        }
        expect(pool.size).toBeLessThanOrEqual(100);
      }
      expect(refused > 0).toBe(cleanupStrategy === "reject");
      const isIn = counting.filter(({ connection }) => pool.has(connection)).length;
      expect(counting.reduce((sum, { listeners }) => sum + listeners(), 0)).toBe(isIn);
      for (const { connection } of counting) pool.remove(connection);
      expect(pool.size).toBe(0);
      expect(clock.pending).toBe(0);
      expect(counting.every(({ listeners }) => listeners() === 0)).toBe(true);
    },
  );

  it("lets go of everything when connections end, evictions included", async () => {
    const { pool, all, clock } = await setup(1_000, { maxConnections: 100 });
    const counting = all.map(({ connection }) => counted(connection));
    for (const { connection } of counting) pool.add(connection);
    expect(pool.size).toBe(100);
    expect(measured(pool)["vel_evictions_total{full}"]).toBe(900);
    for (const { client } of all) client.close();
    await settle();
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
    expect(counting.every(({ listeners }) => listeners() === 0)).toBe(true);
  });
});
