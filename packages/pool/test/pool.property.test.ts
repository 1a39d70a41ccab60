/**
 * The pool against a model, and what must hold however it finds its victims.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import type { Clock, Connection } from "@vel/core";
import { ConnectionPool, type CleanupStrategy } from "@vel/pool";
import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { counted, log, peers, type Peer } from "./peers.ts";

const numRuns = 1_000;
const strategies: CleanupStrategy[] = ["leastRecentlyUsed", "oldest", "reject"];

const who = fc.nat(5);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("add" as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), who }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("receive", "send" as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("ping", "pinged" as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("close", "closed", "dropped" as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), time: fc.constantFrom(5, 10, 25) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("empty" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const setting = fc.record({
  cleanupStrategy: fc.constantFrom(...strategies),
  maxConnections: fc.integer({ min: 1, max: 4 }),
  cleanupInterval: fc.constantFrom(10, 7, 1_000),
  idleTimeout: fc.constantFrom(20, 35, Infinity),
});
type Setting = typeof setting extends fc.Arbitrary<infer T> ? T : never;

/** What a pool should do, written down as plainly as can be. Peers are known by number. */
class Model {
  /** Those in, the next to give way first. */
  line: number[] = [];
  events: string[] = [];
  now = 0;
  /** When each last had a message or came in. */
  readonly used = new Map<number, number>();
  /** Who had a message since he was last looked at. */
  readonly spoken = new Set<number>();
  /** Since when each is known to be quiet. */
  readonly quiet = new Map<number, number>();
  nextSweep = Infinity;
  readonly #setting: Setting;
  readonly #interval: number;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#interval = Math.min(setting.cleanupInterval, setting.idleTimeout / 2);
  }

  /** What add() does; false when it throws. */
  add(who: number): boolean {
    if (this.line.includes(who)) return true;
    const { cleanupStrategy, maxConnections } = this.#setting;
    let victim: number | undefined;
    if (this.line.length === maxConnections) {
      if (cleanupStrategy === "reject") {
        this.events.push(`refuse ${String(who)} full`);
        return false;
      }
      if (cleanupStrategy === "leastRecentlyUsed") while (this.spoken.has(this.line[0]!)) this.look(this.line[0]!);
      victim = this.line[0];
      this.events.push(`evict ${String(victim)} full`);
    }
    if (this.line.length === 0) this.nextSweep = this.now + this.#interval;
    this.line.push(who);
    this.spoken.delete(who);
    this.used.set(who, this.now);
    this.quiet.set(who, this.nextSweep); // it is not known for how long before that
    if (victim !== undefined) this.remove(victim);
    return true;
  }

  remove(who: number): void {
    this.line = this.line.filter((each) => each !== who);
    if (this.line.length === 0) this.nextSweep = Infinity;
  }

  say(who: number): void {
    this.spoken.add(who);
    this.used.set(who, this.now);
  }

  /** Finds that he had a message. */
  look(who: number, since = this.nextSweep): void {
    this.spoken.delete(who);
    this.quiet.set(who, since);
    if (this.#setting.cleanupStrategy !== "leastRecentlyUsed") return;
    this.line = [...this.line.filter((each) => each !== who), who];
  }

  wait(time: number, came: readonly number[]): void {
    const end = this.now + time;
    while (this.nextSweep <= end) {
      this.now = this.nextSweep;
      this.nextSweep += this.#interval;
      const all = came.filter((who) => this.line.includes(who));
      for (const who of all) if (this.spoken.has(who)) this.look(who, this.now);
      for (const who of all) {
        if (this.now - this.quiet.get(who)! < this.#setting.idleTimeout) continue;
        this.remove(who);
        this.events.push(`evict ${String(who)} idle`);
      }
    }
    this.now = end;
  }

  /** No idle timeout is passed by more than two looks. */
  get latest(): number {
    return this.#setting.idleTimeout + 2 * this.#interval;
  }
}

/** A pool and its model side by side. */
class World {
  readonly clock = new ManualClock();
  readonly server = peers({ clock: this.clock, closeTimeout: 1 });
  readonly all: Peer[] = [];
  readonly listeners: (() => number)[] = [];
  readonly model: Model;
  readonly pool: ConnectionPool;
  readonly events: string[];
  /** The peer that stands for each of the six of the steps: another one once it is closed. */
  readonly #current: number[] = [];
  /** In the order in which they came in last. */
  #came: number[] = [];

  constructor(setting: Setting) {
    this.model = new Model(setting);
    this.pool = new ConnectionPool({ ...setting, clock: this.clock });
    this.events = log(this.pool, this.all);
    this.pool.on("evict", () => {
      expect(this.pool.size).toBeLessThanOrEqual(setting.maxConnections);
    });
  }

  async run(step: Step): Promise<void> {
    const { model, pool, clock } = this;
    if (step.do === "wait") {
      model.wait(step.time, this.#came);
      await clock.advance(step.time);
    } else if (step.do === "empty") {
      pool.close();
      model.line.slice().forEach((each) => {
        model.remove(each);
      });
    } else await this.act(step.do, await this.numberOf(step.who));
    expect(this.events).toEqual(model.events);
    const inside = [...pool.connections].map((connection) =>
      this.all.findIndex((each) => each.connection === connection),
    );
    expect(inside).toEqual(this.#came.filter((each) => model.line.includes(each)));
    expect(pool.size).toBe(model.line.length);
    for (const each of model.line) expect(model.now - model.used.get(each)!).toBeLessThanOrEqual(model.latest);
    for (const [each, count] of this.listeners.entries()) expect(count()).toBe(model.line.includes(each) ? 1 : 0);
  }

  async act(what: Exclude<Step["do"], "wait" | "empty">, who: number): Promise<void> {
    const { model, pool } = this;
    const { connection, client } = this.all[who]!;
    if (what === "add") {
      if (!model.line.includes(who)) this.#came = [...this.#came.filter((each) => each !== who), who];
      const add = (): unknown => pool.add(connection);
      if (model.add(who)) add();
      else expect(add).toThrow(expect.objectContaining({ code: "ERR_VEL_POOL_FULL" }));
    } else if (what === "remove") {
      expect(pool.remove(connection)).toBe(model.line.includes(who));
      model.remove(who);
    } else if (what === "receive" || what === "send") {
      if (what === "receive") client.send("text");
      else connection.send("text");
      model.say(who);
    } else if (what === "ping") connection.ping();
    else if (what === "pinged") void client.ping();
    else {
      if (what === "close") connection.close();
      else if (what === "closed") client.close();
      else client.drop();
      model.remove(who);
    }
    for (let turn = 0; turn < 20; turn++) await Promise.resolve(); // what is on its way in memory takes a few microtasks
  }

  async numberOf(who: number): Promise<number> {
    const current = this.#current[who];
    if (current !== undefined && this.all[current]!.connection.isOpen) return current;
    const { client, connection } = await this.server.peer();
    const counting = counted(connection);
    this.listeners.push(counting.listeners);
    return (this.#current[who] = this.all.push({ client, connection: counting.connection }) - 1);
  }

  /** Nothing of the pool is left. */
  async end(): Promise<void> {
    this.pool.close();
    expect(this.listeners.every((count) => count() === 0)).toBe(true);
    await this.clock.advance(1);
    expect(this.clock.pending).toBe(0);
    expect(this.server.errors).toEqual([]);
  }
}

describe("ConnectionPool", () => {
  // Fails when ConnectionPool's #touch() leaves `quiet` as it is, or #victim() does not ask wasUsed().
  it("follows the model: who is in, who is evicted in which order and why, who is listened to", async () => {
    await fc.assert(
      fc.asyncProperty(setting, fc.array(step, { maxLength: 40, size: "max" }), async (setting, steps) => {
        const world = new World(setting);
        for (const each of steps) await world.run(each);
        await world.end();
      }),
      { numRuns },
    );
  }, 120_000);

  /** A clock whose one timer is fired by hand: a look of the pool. */
  function lookClock(): { clock: Clock; look: () => void } {
    let next: (() => void) | undefined;
    const clock: Clock = {
      now: () => 0,
      wall: () => 0,
      setTimeout: (callback) => (next = callback),
      clearTimeout: () => (next = undefined),
    };
    return { clock, look: () => next?.() };
  }

  /** What a pool needs of a connection, to have very many. */
  function stub(id: number): Connection & { messagesReceived: number } {
    const connection = {
      id: String(id),
      isOpen: true,
      messagesReceived: 0,
      messagesSent: 0,
      onClosing: () => () => undefined,
      close: () => (connection.isOpen = false),
    };
    return connection as unknown as Connection & { messagesReceived: number };
  }

  /** Runs uses, looks and newcomers; `check` gets each victim and the others, with the time when each was last used. */
  function play(
    moves: readonly { speaks: number; looks: boolean; comes: boolean }[],
    room: number,
    looksAfterEach: boolean,
    check: (victim: number, others: readonly number[], lastLook: number) => void,
  ): void {
    const { clock, look } = lookClock();
    const pool = new ConnectionPool({ clock, maxConnections: room, idleTimeout: Infinity });
    let time = 0;
    let lastLook = 0;
    const used = new Map<Connection, number>();
    const lookNow = (): void => {
      lastLook = ++time;
      look();
    };
    pool.on("evict", (victim) => {
      const others = [...pool.connections].slice(0, -1); // less the newcomer
      check(
        used.get(victim)!,
        others.map((each) => used.get(each)!),
        lastLook,
      );
    });
    for (const [id, { speaks, looks, comes }] of moves.entries()) {
      const inside = [...pool.connections] as ReturnType<typeof stub>[];
      if (comes || inside.length === 0) {
        const connection = stub(id);
        used.set(connection, ++time);
        pool.add(connection);
      } else {
        const speaker = inside[speaks % inside.length]!;
        speaker.messagesReceived++;
        used.set(speaker, ++time);
        if (looksAfterEach) lookNow();
      }
      if (looks) lookNow();
    }
  }

  const moves = fc.array(fc.record({ speaks: fc.nat(), looks: fc.boolean(), comes: fc.boolean() }), {
    minLength: 10,
    maxLength: 100,
    size: "max",
  });
  const room = fc.integer({ min: 2, max: 10 });

  // Fails when ConnectionPool's #touch() does not move who was used to the end.
  it("evicts who was used since the last look only when all were", () => {
    let evictions = 0;
    fc.assert(
      fc.property(moves, room, (moves, room) => {
        play(moves, room, false, (victim, others, lastLook) => {
          evictions++;
          if (victim > lastLook) for (const other of others) expect(other).toBeGreaterThan(lastLook);
        });
      }),
      { numRuns },
    );
    expect(evictions).toBeGreaterThan(numRuns);
  });

  // Fails when ConnectionPool's #sweep() does not touch who was used.
  it("evicts exactly the least recently used when it looks after each message", () => {
    let evictions = 0;
    fc.assert(
      fc.property(moves, room, (moves, room) => {
        play(moves, room, true, (victim, others) => {
          evictions++;
          expect(victim).toBeLessThan(Math.min(...others));
        });
      }),
      { numRuns },
    );
    expect(evictions).toBeGreaterThan(numRuns);
  });
});
