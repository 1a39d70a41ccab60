/**
 * Who gets in, against models: capacity, bans, the rooms of a connection, options.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connection, MaybePromise } from "@vel/core";
import { defaultCapabilities, Room, RoomManager, type JoinRequest, type RoomOptions, type RoomUser } from "@vel/rooms";
import { gate, peers, type Gate, type Peer } from "./kit.ts";

const numRuns = 1_000;
const system = { by: "system" } as const;
const ids = ["a", "b", "c", "d", "__proto__"];
type Answer = "yes" | "later" | "no" | "later no" | "throws" | "fails";

const answer = fc.constantFrom<Answer[]>("yes", "later", "later", "no", "later no", "throws", "fails");
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("join" as const), id: fc.nat(4), tab: fc.nat(1), answer }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("open" as const), which: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("leave", "end" as const), id: fc.nat(4), tab: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("kick", "ban", "unban" as const), id: fc.nat(4) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A join about which the room still thinks. */
interface Thought {
  readonly userId: string;
  readonly connection: Connection;
  readonly door: Gate;
  readonly joining: Promise<string | undefined>;
  readonly isYes: boolean;
}

const { peer } = peers();
/** Connections that stay open, for all runs. */
const pool: Peer[] = [];
async function take(count: number): Promise<Connection[]> {
  while (pool.length < count) pool.push(await peer());
  return pool.slice(0, count).map(({ connection }) => connection);
}

/** A room that is asked by the steps, and whom the model lets in. */
class World {
  answer: Answer = "yes";
  readonly thoughts: Thought[] = [];
  readonly inside = new Map<Connection, string>();
  readonly banned = new Set<string>();
  readonly connections: Connection[];
  readonly capacity: number;
  readonly rooms: RoomManager;
  readonly room: Room;
  door: Gate | undefined;

  constructor(connections: Connection[], capacity: number) {
    const ask = (): MaybePromise<boolean> => {
      if (this.answer === "throws") throw new Error("canJoin");
      if (!this.answer.startsWith("later")) return this.answer !== "no";
      const isYes = this.answer === "later";
      this.door = gate();
      return this.door.promise.then(() => isYes);
    };
    const enter = (): void => {
      if (this.answer === "fails") throw new Error("onJoin");
    };
    class AskRoom extends Room {
      override canJoin(): MaybePromise<boolean> {
        return ask();
      }
      override onJoin(): void {
        enter();
      }
    }
    this.connections = connections;
    this.capacity = capacity;
    this.rooms = new RoomManager({ room: AskRoom, defaults: { capacity }, emptyTtl: Infinity });
    this.room = this.rooms.getOrCreate("lobby");
  }

  /** Who has a place: inside, or thought about while still there. */
  get places(): Set<string> {
    const thought = this.thoughts.filter(({ connection }) => connection.isOpen).map(({ userId }) => userId);
    return new Set([...this.inside.values(), ...thought]);
  }

  async run(step: Step): Promise<void> {
    if (step.do === "join") await this.join(step);
    else if (step.do === "open") await this.open(step.which);
    else if (step.do === "leave" || step.do === "end") {
      const connection = this.connections[step.id * 2 + step.tab]!;
      if (step.do === "end") connection.terminate();
      else this.rooms.leave("lobby", connection);
      this.inside.delete(connection);
    } else {
      const userId = ids[step.id]!;
      this.room[step.do](userId, system);
      if (step.do === "ban") this.banned.add(userId);
      if (step.do === "unban") this.banned.delete(userId);
      else for (const [connection, id] of this.inside) if (id === userId) this.inside.delete(connection);
    }
    expect(this.room.connectionCount).toBe(this.inside.size);
    expect(new Set(this.room.users.keys())).toEqual(new Set(this.inside.values()));
    expect(this.room.userCount).toBeLessThanOrEqual(this.capacity);
    for (const userId of this.banned) expect(this.room.users.has(userId)).toBe(false);
  }

  async join(step: Step & { do: "join" }): Promise<void> {
    const userId = ids[step.id]!;
    const connection = this.connections[step.id * 2 + step.tab]!;
    const isFull = !this.places.has(userId) && this.places.size >= this.capacity;
    this.answer = step.answer;
    this.door = undefined;
    const joining = this.rooms.join("lobby", connection, { userId }).then(
      () => undefined,
      (error: unknown) => (error as { code?: string }).code ?? (error as Error).message,
    );
    const expected = this.refusal(userId, connection) ?? (isFull ? "ERR_VEL_ROOM_FULL" : undefined);
    if (expected !== undefined) expect(await joining).toBe(expected);
    else if (this.door) {
      this.thoughts.push({ userId, connection, door: this.door, joining, isYes: step.answer === "later" });
    } else {
      const codes = { no: "ERR_VEL_ROOM_FORBIDDEN", throws: "canJoin", fails: "onJoin" };
      expect(await joining).toBe((codes as Record<string, string>)[step.answer]);
      if (step.answer === "yes") this.inside.set(connection, userId);
    }
  }

  refusal(userId: string, connection: Connection): string | undefined {
    if (!connection.isOpen) return "ERR_VEL_DISCONNECTED";
    if (this.inside.has(connection)) return "ERR_VEL_ROOM_MEMBER";
    return this.banned.has(userId) ? "ERR_VEL_ROOM_BANNED" : undefined;
  }

  async open(which: number): Promise<void> {
    const [thought] = this.thoughts.splice(which % Math.max(1, this.thoughts.length), 1);
    if (!thought) return;
    const { userId, connection, door, joining, isYes } = thought;
    this.answer = "yes"; // of onJoin
    door.open();
    const refusal = this.refusal(userId, connection) ?? (isYes ? undefined : "ERR_VEL_ROOM_FORBIDDEN");
    expect(await joining).toBe(refusal);
    if (refusal === undefined) this.inside.set(connection, userId);
  }
}

async function freshWorld(capacity: number): Promise<World> {
  const connections: Connection[] = [];
  for (let i = 0; i < ids.length * 2; i++) connections.push((await peer()).connection);
  return new World(connections, capacity);
}

describe("joining", () => {
  // Fails when a place is not reserved while canJoin thinks: with `giveBack()` before the await in Membership.join().
  it("follows the model: capacity is never passed, no refusal is wrong, nobody banned is ever in", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 40, size: "max" }),
        async (capacity, steps) => {
          const world = await freshWorld(capacity);
          for (const each of steps) await world.run(each);
          for (const connection of world.connections) connection.terminate();
        },
      ),
      { numRuns },
    );
  }, 120_000);

  // Fails when whoever hangs up does not give a place back: without `connection.onClosing(giveBack)` in Membership.join().
  it("gives every place back: when all are gone, the room takes as many as before", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 25 }), async (capacity, steps) => {
        const world = await freshWorld(capacity);
        for (const each of steps) await world.run(each);
        for (const connection of world.connections) connection.terminate();
        world.answer = "yes";
        const strangers = await take(capacity + 1);
        for (const [i, connection] of strangers.entries()) {
          const joining = world.rooms.join("lobby", connection, { userId: `stranger ${String(i)}` });
          if (i < capacity) await joining;
          else await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_ROOM_FULL" });
        }
        world.rooms.leaveAll(strangers[0]!);
        await world.rooms.join("lobby", strangers[capacity]!, { userId: "one more" });
        for (const { door } of world.thoughts) door.open();
        await world.rooms.close();
      }),
      { numRuns },
    );
  }, 120_000);

  // Fails when bans are not looked at again after canJoin: without the second #assertMayEnter() in Membership.join().
  it("never lets a banned user in, whenever the ban falls", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
        fc.nat(8),
        fc.boolean(),
        async (ticks, when, isAsync) => {
          const entered: string[] = [];
          let isBanned = false;
          let next = 0;
          class SlowRoom extends Room {
            override async canJoin(_connection: Connection, _request: JoinRequest): Promise<boolean> {
              for (let left = ticks[next++ % ticks.length]!; left > 0; left--) await Promise.resolve();
              return true;
            }
            override async onJoin(user: RoomUser): Promise<void> {
              if (isBanned) entered.push(user.id);
              if (isAsync) await Promise.resolve();
            }
          }
          const rooms = new RoomManager({ room: SlowRoom });
          const room = rooms.getOrCreate("lobby");
          const connections = await take(ticks.length);
          const joins = connections.map((connection) => rooms.join("lobby", connection, { userId: "mallory" }));
          const settled = Promise.allSettled(joins);
          for (let left = when; left > 0; left--) await Promise.resolve();
          room.ban("mallory", system);
          isBanned = true;
          expect(room.userCount).toBe(0);
          await settled;
          expect(entered).toEqual([]);
          expect(room.userCount).toBe(0);
          await rooms.close();
        },
      ),
      { numRuns },
    );
  }, 60_000);

  // Fails with `<=` in place of `<` in RoomManager's #assertFewRooms().
  it("never lets a connection into more rooms than it may, and knows in which it is", async () => {
    const names = ["x", "y", "z", "__proto__", "constructor", "*"];
    const move = fc.record({
      do: fc.constantFrom("join", "join", "leave", "kick", "leaveAll"),
      name: fc.constantFrom(...names),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(move, { maxLength: 40 }),
        async (maxRoomsPerConnection, moves) => {
          const rooms = new RoomManager({ maxRoomsPerConnection });
          const [connection] = (await take(1)) as [Connection];
          const inside = new Set<string>();
          for (const { do: what, name } of moves) {
            if (what === "join") {
              const code: unknown = await rooms.join(name, connection, { userId: "ada" }).then(
                () => undefined,
                (error: unknown) => (error as { code: string }).code,
              );
              if (inside.has(name)) expect(code).toBe("ERR_VEL_ROOM_MEMBER");
              else if (inside.size >= maxRoomsPerConnection) expect(code).toBe("ERR_VEL_ROOM_LIMIT");
              else expect(inside.add(name) && code).toBeUndefined();
            } else if (what === "leave") expect(rooms.leave(name, connection)).toBe(inside.delete(name));
            else if (what === "kick") expect(rooms.get(name)?.kick("ada", system) ?? false).toBe(inside.delete(name));
            else {
              expect(rooms.leaveAll(connection)).toBe(inside.size);
              inside.clear();
            }
            expect(rooms.roomsOf(connection).map((room) => room.name)).toEqual([...inside]);
          }
          await rooms.close();
          expect(rooms.roomsOf(connection)).toEqual([]);
        },
      ),
      { numRuns },
    );
  }, 60_000);

  // Fails when RoomOptions of the manager win: with `defaults.capacity ?? options.capacity` in roomSettings().
  it("a room has its own options, else the manager's, else the defaults", () => {
    const options = fc.record(
      {
        capacity: fc.option(fc.integer({ min: 1, max: 99 }), { nil: undefined }),
        private: fc.boolean(),
        history: fc.record({ limit: fc.integer({ min: 1, max: 9 }), replay: fc.nat(9) }),
        slowMode: fc.nat(99),
        validateTimeout: fc.integer({ min: 1, max: 99 }),
        meta: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(options, options, (defaults, own) => {
        const room = new RoomManager({ defaults: defaults }).getOrCreate("x", Room, own as RoomOptions);
        const isGiven = ([, value]: [string, unknown]): boolean => value !== undefined;
        expect(room.options).toEqual({
          ...{ capacity: Infinity, private: false, slowMode: 0, validateTimeout: 5_000 },
          ...{ history: undefined, meta: undefined, capabilities: defaultCapabilities },
          ...Object.fromEntries(Object.entries(defaults).filter(isGiven)),
          ...Object.fromEntries(Object.entries(own).filter(isGiven)),
        });
        expect(room.meta).toEqual(room.options.meta);
      }),
      { numRuns },
    );
  });
});
