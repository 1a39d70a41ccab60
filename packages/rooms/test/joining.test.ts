import { describe, expect, it } from "vitest";
import type { Connection, MaybePromise } from "@vel/core";
import {
  defaultCapabilities,
  Room,
  RoomManager,
  type JoinOptions,
  type JoinRequest,
  type RoomClass,
  type RoomContext,
  type RoomOptions,
  type RoomUser,
} from "@vel/rooms";
import { ManualClock, settle } from "@vel/testing";
import { gate, LogRoom, peers, refused, type Gate } from "./kit.ts";

const system = { by: "system" } as const;

/** A class of rooms that ask this before they let in. */
function askingRoom(ask: (request: JoinRequest, connection: Connection) => MaybePromise<boolean>): RoomClass<LogRoom> {
  return class extends LogRoom {
    override canJoin(connection: Connection, request: JoinRequest): MaybePromise<boolean> {
      return ask(request, connection);
    }
  };
}

/** Rooms whose `canJoin` waits for a gate of the user. */
function gatedRooms(defaults: RoomOptions = {}, gates = new Map<string, Gate>()) {
  const rooms = new RoomManager({
    room: askingRoom(async ({ userId }) => {
      const door = gates.get(userId) ?? gate();
      gates.set(userId, door);
      await door.promise;
      return true;
    }),
    defaults,
    emptyTtl: 0,
  });
  return { rooms, gates, ...peers() };
}

describe("RoomOptions", () => {
  it("hold by default", () => {
    expect(new RoomManager().getOrCreate("lobby").options).toEqual({
      capacity: Infinity,
      private: false,
      history: undefined,
      slowMode: 0,
      validateTimeout: 5_000,
      capabilities: defaultCapabilities,
      meta: undefined,
    });
  });

  it("are those of getOrCreate() over those of the manager", () => {
    const defaults: RoomOptions = { capacity: 5, slowMode: 10, history: { limit: 9, replay: 3 }, meta: "default" };
    const rooms = new RoomManager({ defaults });
    defaults.capacity = 1;
    const room = rooms.getOrCreate("a", Room, { capacity: 2, private: true, meta: null, history: { limit: 4 } });
    expect(room.options).toMatchObject({ capacity: 2, private: true, slowMode: 10, history: { limit: 4, replay: 0 } });
    expect(room.meta).toBeNull();
    expect(rooms.getOrCreate("a", Room, { capacity: 7 })).toBe(room);
    expect(room.options.capacity).toBe(2);
    expect(rooms.getOrCreate("b").options).toMatchObject({ capacity: 5, meta: "default" });
    expect(Object.isFrozen(room.options) && Object.isFrozen(room.options.capabilities)).toBe(true);
  });

  it("are there for a constructor and for field initialisers", () => {
    class EarlyRoom extends Room {
      readonly early = this.options.capacity;
    }
    expect(new RoomManager().getOrCreate("a", EarlyRoom, { capacity: 3 }).early).toBe(3);
  });

  it("are checked, by the manager's constructor too, and no room is made", () => {
    const numbers: RoomOptions[] = [
      ...[0, -1, 1.5, NaN, "5"].map((capacity) => ({ capacity: capacity as number })),
      ...[-1, NaN, Infinity].map((slowMode) => ({ slowMode })),
      ...[0, -1, NaN].map((validateTimeout) => ({ validateTimeout })),
      ...[0, -1, 1.5, Infinity].map((limit) => ({ history: { limit } })),
      ...[-1, 0.5, NaN].map((replay) => ({ history: { limit: 1, replay } })),
    ];
    const names = [{ fly: "guest" }, { kick: "king" }, { kick: "toString" }, JSON.parse('{"__proto__":"guest"}')];
    const rooms = new RoomManager();
    for (const options of numbers) {
      expect(() => rooms.getOrCreate("a", Room, options), JSON.stringify(options)).toThrow(RangeError);
      expect(() => new RoomManager({ defaults: options })).toThrow(RangeError);
    }
    for (const capabilities of names) {
      expect(() => rooms.getOrCreate("a", Room, { capabilities })).toThrow(TypeError);
      expect(() => new RoomManager({ defaults: { capabilities } })).toThrow(TypeError);
    }
    for (const maxRoomsPerConnection of [0, -1, NaN]) {
      expect(() => new RoomManager({ maxRoomsPerConnection })).toThrow(RangeError);
    }
    expect(rooms.list()).toEqual([]);
  });
});

describe("Room.meta", () => {
  it("may be changed, and is part of info", () => {
    const room = new RoomManager().getOrCreate("lobby", Room, { meta: { topic: "tea" } });
    expect(room.info.meta).toEqual({ topic: "tea" });
    room.meta = { topic: "coffee" };
    expect(JSON.parse(JSON.stringify(room.info))).toEqual({
      name: "lobby",
      userCount: 0,
      connectionCount: 0,
      meta: { topic: "coffee" },
      users: [],
    });
  });
});

describe("RoomManager.list()", () => {
  it("describes rooms with their users, or without", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    rooms.getOrCreate("attic", Room, { private: true });
    const lobby = await rooms.join("lobby", (await peer()).connection, { userId: "ada", meta: { name: "Ada" } });
    await rooms.join("lobby", (await peer()).connection, { userId: "ada" });
    lobby.meta = { topic: "coffee" };
    const summary = { name: "lobby", userCount: 1, connectionCount: 2, meta: { topic: "coffee" } };
    const info = { ...summary, users: [{ id: "ada", role: "member", meta: { name: "Ada" } }] };
    expect(rooms.list()).toEqual([info]);
    expect(rooms.list({ users: true })).toEqual([info]);
    const [listed] = rooms.list({ users: false });
    expect(listed).toEqual(summary);
    expect(listed).not.toHaveProperty("users");
    expect(rooms.list({ users: false, includePrivate: true }).map(({ name }) => name)).toEqual(["attic", "lobby"]);
    // It is the room of that moment.
    await rooms.join("lobby", (await peer()).connection, { userId: "bob" });
    expect(listed?.userCount).toBe(1);
  });

  it("does not look at users who are not wanted", () => {
    class SecretRoom extends Room {
      override get users(): never {
        throw new Error("looked at");
      }
    }
    const rooms = new RoomManager({ room: SecretRoom });
    rooms.getOrCreate("lobby");
    expect(rooms.list({ users: false })).toMatchObject([{ name: "lobby", userCount: 0 }]);
    expect(() => rooms.list()).toThrow("looked at");
  });
});

describe("private rooms", () => {
  it("are listed only when asked for", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    rooms.getOrCreate("open");
    rooms.getOrCreate("secret", Room, { private: true });
    expect(rooms.list().map(({ name }) => name)).toEqual(["open"]);
    expect(rooms.list({ users: false }).map(({ name }) => name)).toEqual(["open"]);
    expect(rooms.list({ includePrivate: true }).map(({ name }) => name)).toEqual(["open", "secret"]);
    const { connection } = await peer();
    expect(await rooms.join("secret", connection)).toBe(rooms.get("secret"));
    expect(rooms.info("secret")?.userCount).toBe(1);
    expect(rooms.broadcastAll("hello")).toBe(1);
  });
});

describe("Room.canJoin()", () => {
  it("is asked with the connection and who it is, before anybody is in", async () => {
    const { peer } = peers();
    const asked: unknown[] = [];
    const rooms: RoomManager<LogRoom> = new RoomManager({
      room: askingRoom((request, connection) => {
        asked.push([request, connection, rooms.get("lobby")?.userCount]);
        return true;
      }),
    });
    const { connection } = await peer();
    await rooms.join("lobby", connection, { role: "guest", meta: 1 });
    expect(asked).toEqual([[{ userId: connection.id, role: "guest", meta: 1 }, connection, 0]]);
  });

  it("refuses with everything but true, at once or later, and nobody was in", async () => {
    for (const answer of [false, undefined, null, 1, "true", {}]) {
      for (const isAsync of [false, true]) {
        const { peer } = peers();
        const rooms = new RoomManager({
          room: askingRoom(() => (isAsync ? Promise.resolve(answer as boolean) : (answer as boolean))),
        });
        const room = rooms.getOrCreate("lobby");
        const { connection } = await peer();
        await expect(rooms.join("lobby", connection, { userId: "ada" })).rejects.toMatchObject({
          code: "ERR_VEL_ROOM_FORBIDDEN",
          message: 'Cannot join room "lobby": "ada" is not let in',
        });
        expect(room.log).toEqual([]);
        expect(room.info.userCount).toBe(0);
      }
    }
  });

  it("rejects join() with what it throws, at once or later", async () => {
    for (const isAsync of [false, true]) {
      const { peer } = peers();
      const rooms = new RoomManager({
        room: askingRoom(() => {
          if (isAsync) return Promise.reject(new Error("no"));
          throw new Error("no");
        }),
        defaults: { capacity: 1 },
        emptyTtl: 0,
      });
      const { connection } = await peer();
      for (let i = 0; i < 3; i++) await expect(rooms.join("lobby", connection)).rejects.toThrow("no");
      expect(rooms.list()).toEqual([]);
    }
  });

  it("changes nothing in the timing of join() when it is synchronous", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: askingRoom(() => true) });
    const joining = rooms.join("lobby", (await peer()).connection, { userId: "ada" });
    expect(rooms.get("lobby")?.log).toEqual(["join ada first 1/1"]);
    await joining;
  });

  it("cannot change who joins", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({
      room: askingRoom((request) => {
        Object.assign(request, { userId: "root", role: "owner" });
        return true;
      }),
    });
    const options: JoinOptions = { userId: "ada" };
    const room = await rooms.join("lobby", (await peer()).connection, options);
    expect(room.info.users).toEqual([{ id: "ada", role: "member", meta: undefined }]);
    expect(options).toEqual({ userId: "ada" });
  });

  it("is followed by all checks again, when it took time: banned meanwhile", async () => {
    const { rooms, gates, peer } = gatedRooms();
    const { connection } = await peer();
    const joining = rooms.join("lobby", connection, { userId: "mallory" });
    rooms.get("lobby")?.ban("mallory", { ...system, for: 1e9 });
    gates.get("mallory")?.open();
    await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_ROOM_BANNED" });
    expect(rooms.list()).toEqual([]);
  });

  it("… a member meanwhile", async () => {
    const { rooms, gates, peer } = gatedRooms();
    const { connection } = await peer();
    const joins = [1, 2].map(() => rooms.join("lobby", connection, { userId: "ada" }));
    gates.get("ada")?.open();
    await joins[0];
    await expect(joins[1]).rejects.toMatchObject({ code: "ERR_VEL_ROOM_MEMBER" });
    expect(rooms.info("lobby")?.connectionCount).toBe(1);
  });

  it("… gone meanwhile", async () => {
    const { rooms, gates, peer } = gatedRooms();
    const { client, connection } = await peer();
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    client.drop();
    await settle();
    gates.get("ada")?.open();
    await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    expect(rooms.list()).toEqual([]);
  });

  it("… the manager closed meanwhile, which waits for it", async () => {
    const { rooms, gates, peer } = gatedRooms();
    const { connection } = await peer();
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    const closing = rooms.close();
    gates.get("ada")?.open();
    await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_ROOM_CLOSED" });
    await closing;
  });

  // An empty room is dropped at once here; the one that somebody is about to enter must not be.
  it("keeps the room while it thinks", async () => {
    const { rooms, gates, peer } = gatedRooms();
    const [a, b] = [await peer(), await peer()];
    const first = rooms.join("lobby", a.connection, { userId: "a" });
    const room = rooms.get("lobby");
    const second = rooms.join("lobby", b.connection, { userId: "b" });
    gates.get("a")?.open();
    await first;
    rooms.leave("lobby", a.connection);
    expect(rooms.get("lobby")).toBe(room);
    gates.get("b")?.open();
    expect(await second).toBe(room);
    rooms.leave("lobby", b.connection);
    expect(rooms.get("lobby")).toBeUndefined();
  });
});

describe("capacity", () => {
  it("counts users: a second tab of somebody inside comes in", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ defaults: { capacity: 1 } });
    const [a, b, c] = [await peer(), await peer(), await peer()];
    await rooms.join("lobby", a.connection, { userId: "ada" });
    await rooms.join("lobby", b.connection, { userId: "ada" });
    await expect(rooms.join("lobby", c.connection, { userId: "bob" })).rejects.toMatchObject({
      code: "ERR_VEL_ROOM_FULL",
      message: 'Cannot join room "lobby": there are 1 users already',
    });
    rooms.leave("lobby", a.connection);
    await expect(rooms.join("lobby", c.connection, { userId: "bob" })).rejects.toEqual(refused("ERR_VEL_ROOM_FULL"));
    rooms.leave("lobby", b.connection);
    await rooms.join("lobby", c.connection, { userId: "bob" });
  });

  it("is given back by a join that fails, and by a kick", async () => {
    const { peer } = peers();
    let isBad = true;
    class BadRoom extends Room {
      override onJoin(): void {
        if (isBad) throw new Error("onJoin");
      }
    }
    const rooms = new RoomManager({ room: BadRoom, defaults: { capacity: 1 } });
    const [a, b] = [await peer(), await peer()];
    await expect(rooms.join("lobby", a.connection)).rejects.toThrow("onJoin");
    isBad = false;
    const room = await rooms.join("lobby", a.connection, { userId: "a" });
    room.kick("a", system);
    await rooms.join("lobby", b.connection);
  });

  it("is reserved while canJoin thinks, once for each user", async () => {
    const { rooms, gates, peer } = gatedRooms({ capacity: 1 });
    const ends = [await peer(), await peer(), await peer()];
    const first = rooms.join("lobby", ends[0]!.connection, { userId: "ada" });
    const tab = rooms.join("lobby", ends[1]!.connection, { userId: "ada" });
    await expect(rooms.join("lobby", ends[2]!.connection, { userId: "bob" })).rejects.toMatchObject({
      code: "ERR_VEL_ROOM_FULL",
    });
    gates.get("ada")?.open();
    await Promise.all([first, tab]);
    expect(rooms.info("lobby")).toMatchObject({ userCount: 1, connectionCount: 2 });
  });

  it("is given back at once by whoever hangs up while canJoin thinks", async () => {
    const { rooms, gates, peer } = gatedRooms({ capacity: 1 });
    const [a, b] = [await peer(), await peer()];
    const first = rooms.join("lobby", a.connection, { userId: "a" });
    a.client.drop();
    await settle();
    const second = rooms.join("lobby", b.connection, { userId: "b" });
    for (const door of gates.values()) door.open();
    await expect(first).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    await second;
    expect(rooms.info("lobby")?.userCount).toBe(1);
  });
});

describe("Room.onEmpty()", () => {
  class EmptyRoom extends LogRoom {
    override onEmpty(): MaybePromise<void> {
      this.log.push(`empty ${String(this.userCount)}`);
    }
  }

  it("runs once, after the last onLeave, each time", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: EmptyRoom });
    const [a, b] = [await peer(), await peer()];
    for (let turn = 0; turn < 2; turn++) {
      const room = await rooms.join("lobby", a.connection, { userId: "a" });
      await rooms.join("lobby", b.connection, { userId: "b" });
      room.log.length = 0;
      rooms.leave("lobby", a.connection);
      rooms.leave("lobby", b.connection);
      expect(room.log).toEqual(["leave a last left 1/1", "leave b last left 0/0", "empty 0"]);
    }
  });

  it("runs when the manager is closed, after all have left, and when all are kicked", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: EmptyRoom });
    const [a, b] = [await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "a" });
    await rooms.join("lobby", b.connection, { userId: "a" });
    room.log.length = 0;
    room.kick("a", system);
    expect(room.log).toEqual(["leave a kicked 0/0", "leave a last kicked 0/0", "empty 0"]);
    await rooms.join("lobby", a.connection, { userId: "a" });
    room.log.length = 0;
    await rooms.close();
    expect(room.log).toEqual(["leave a last closed 0/0", "empty 0"]);
  });

  it("does not run for a room in which nobody was, nor while somebody is on the way in", async () => {
    const { peer } = peers();
    const door = gate();
    class SlowRoom extends EmptyRoom {
      override async onJoin(user: RoomUser): Promise<void> {
        if (user.id === "b") await door.promise;
      }
    }
    const rooms = new RoomManager({ room: SlowRoom });
    const [a, b] = [await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "a" });
    const joining = rooms.join("lobby", b.connection, { userId: "b" });
    rooms.leave("lobby", a.connection);
    expect(room.log).toEqual(["leave a last left 1/1"]);
    door.fail(new Error("no"));
    await expect(joining).rejects.toThrow("no");
    expect(room.log).toEqual(["leave a last left 1/1", "empty 0"]);
    const again = rooms.join("lobby", b.connection, { userId: "b" });
    await expect(again).rejects.toThrow("no");
    expect(room.log.length).toBe(2);
  });

  it("tells onError what it throws, at once or later, and nobody else", async () => {
    for (const isAsync of [false, true]) {
      const { peer } = peers();
      const errors: unknown[] = [];
      class BadRoom extends Room {
        override onEmpty(): MaybePromise<void> {
          if (isAsync) return Promise.reject(new Error("empty"));
          throw new Error("empty");
        }
      }
      const rooms = new RoomManager({ room: BadRoom, onError: (error, { stage }) => errors.push([error, stage]) });
      const { connection } = await peer();
      await rooms.join("lobby", connection);
      rooms.leave("lobby", connection);
      await settle();
      expect(errors).toEqual([[new Error("empty"), "onEmpty"]]);
    }
  });
});

describe("the rooms of a connection", () => {
  it("are listed by roomsOf(), and left by leaveAll()", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const [a, b] = [await peer(), await peer()];
    for (const name of ["x", "y", "z"]) await rooms.join(name, a.connection, { userId: "a" });
    await rooms.join("y", b.connection);
    expect(rooms.roomsOf(a.connection).map(({ name }) => name)).toEqual(["x", "y", "z"]);
    rooms.leave("x", a.connection);
    rooms.get("z")?.kick("a", system);
    expect(rooms.roomsOf(a.connection).map(({ name }) => name)).toEqual(["y"]);
    await rooms.join("x", a.connection, { userId: "a" });
    expect(rooms.leaveAll(a.connection)).toBe(2);
    expect(rooms.leaveAll(a.connection)).toBe(0);
    expect(rooms.roomsOf(a.connection)).toEqual([]);
    expect(rooms.roomsOf(b.connection).map(({ name }) => name)).toEqual(["y"]);
    expect(rooms.get("y")?.log.at(-1)).toBe("leave a last left 1/1");
    expect(a.connection.isOpen).toBe(true);
  });

  it("are out before the first onLeave of leaveAll(), and none when it closes", async () => {
    const { peer } = peers();
    const seen: number[] = [];
    const rooms: RoomManager = new RoomManager({
      room: class extends Room {
        override onLeave(_user: RoomUser, { connection }: { connection: Connection }): void {
          seen.push(rooms.roomsOf(connection).length);
        }
      },
    });
    const { client, connection } = await peer();
    for (const name of ["x", "y"]) await rooms.join(name, connection);
    rooms.leaveAll(connection);
    expect(seen).toEqual([0, 0]);
    await rooms.join("x", connection);
    client.close();
    await settle();
    expect(rooms.roomsOf(connection)).toEqual([]);
  });

  it("are at most maxRoomsPerConnection, those included whose canJoin still thinks", async () => {
    const { peer } = peers();
    const doors: Gate[] = [];
    const rooms = new RoomManager({
      maxRoomsPerConnection: 2,
      room: askingRoom(async () => {
        doors.push(gate());
        await doors.at(-1)?.promise;
        return true;
      }),
    });
    const { connection } = await peer();
    const joins = ["a", "b"].map((name) => rooms.join(name, connection));
    await expect(rooms.join("c", connection)).rejects.toMatchObject({
      code: "ERR_VEL_ROOM_LIMIT",
      message: `Cannot join room "c": connection "${connection.id}" is in 2 rooms already`,
    });
    expect(rooms.get("c")).toBeUndefined();
    expect(rooms.roomsOf(connection)).toEqual([]);
    for (const door of doors) door.open();
    await Promise.all(joins);
    await expect(rooms.join("a", connection)).rejects.toMatchObject({ code: "ERR_VEL_ROOM_MEMBER" });
    rooms.leave("a", connection);
    const third = rooms.join("c", connection);
    doors.at(-1)?.open();
    await third;
  });

  it("are at most 100 by default, and 10,000 attempts make no more rooms", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const { connection } = await peer();
    let refusals = 0;
    for (let i = 0; i < 10_000; i++) await rooms.join(String(i), connection).catch(() => refusals++);
    expect([refusals, rooms.list().length, rooms.roomsOf(connection).length]).toEqual([9_900, 100, 100]);
  });
});

describe("RoomManager.broadcastAll()", () => {
  it("speaks in all rooms that there are, once to each place", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const [a, b] = [await peer(), await peer()];
    await rooms.join("x", a.connection, { userId: "a" });
    await rooms.join("y", a.connection, { userId: "a" });
    await rooms.join("y", b.connection, { userId: "b" });
    rooms.getOrCreate("empty");
    expect(rooms.broadcastAll({ n: 1 })).toBe(3);
    expect(rooms.broadcastAll({ n: 2 }, { except: { userId: "a" } })).toBe(1);
    expect(rooms.broadcastAll({ n: 3 }, { except: b.connection })).toBe(2);
    await settle();
    expect(a.client.received).toEqual(['{"n":1}', '{"n":1}', '{"n":3}', '{"n":3}']);
    expect(b.client.received).toEqual(['{"n":1}', '{"n":2}']);
    expect(() => rooms.broadcastAll(undefined as never)).toThrow(TypeError);
    expect(new RoomManager().broadcastAll("nobody")).toBe(0);
  });

  it("goes by the rooms of the moment at which it was called", async () => {
    const { peer } = peers({ sendBuffer: { limit: 10 } });
    const clock = new ManualClock();
    const rooms: RoomManager<LogRoom> = new RoomManager({
      clock,
      frame: (message) => {
        if (rooms.list().length < 100) rooms.getOrCreate(`more ${String(rooms.list().length)}`);
        return JSON.stringify(message);
      },
      room: LogRoom,
    });
    await rooms.join("x", (await peer()).connection);
    expect(rooms.broadcastAll("hi")).toBe(1);
    expect(rooms.list().length).toBe(2);
  });
});

describe("Room.send()", () => {
  it("speaks to all connections of one user, and to nobody else", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ defaults: { history: { limit: 5 } } });
    const [a, tab, b] = [await peer(), await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "ada" });
    await rooms.join("lobby", tab.connection, { userId: "ada" });
    await rooms.join("lobby", b.connection, { userId: "bob" });
    expect(room.send("ada", { hi: 1 })).toBe(2);
    for (const id of ["nobody", "__proto__", "", "../ada"]) expect(room.send(id, { hi: 2 })).toBe(0);
    expect(() => room.send("ada", undefined as never)).toThrow(TypeError);
    await settle();
    expect([a, tab, b].map(({ client }) => client.received)).toEqual([['{"hi":1}'], ['{"hi":1}'], []]);
    expect(room.history?.seq).toBe(0);
  });
});

describe("a subclass with a constructor", () => {
  it("passes on its context, options included", () => {
    class OwnRoom extends Room {
      constructor(context: RoomContext) {
        super(context);
        this.meta = { full: this.options.capacity };
      }
    }
    expect(new RoomManager({ defaults: { capacity: 2 } }).getOrCreate("x", OwnRoom).info.meta).toEqual({ full: 2 });
  });
});
