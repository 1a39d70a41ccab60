import { afterEach, describe, expect, it, vi } from "vitest";
import {
  Room,
  RoomManager,
  UserRole,
  type Join,
  type JoinOptions,
  type Leave,
  type RoomContext,
  type RoomUser,
} from "@vel/rooms";
import { ManualClock, settle } from "@vel/testing";
import { gate, LogRoom, peers, take } from "./kit.ts";

class OtherRoom extends Room {
  readonly isOther = true;
}

/** Names that break an object used as a table, a path, a log line or a pattern. */
const crafted = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "../../etc/passwd",
  "a\r\nforged: line",
  "\u0000",
  " ",
  "\ud800",
  "💥",
  "*",
  "x".repeat(1_024),
];
const wrong = ["", "x".repeat(1_025), undefined, null, 1, {}, ["lobby"], Symbol("lobby")];

describe("room names", () => {
  it("may be any string of 1 to 1,024 characters", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    for (const name of crafted) {
      expect(rooms.get(name), name).toBeUndefined();
      expect(rooms.info(name)).toBeUndefined();
      expect(rooms.broadcast(name, "hello")).toBe(0);
    }
    const { client, connection } = await peer();
    for (const name of crafted) await rooms.join(name, connection, { userId: name });
    expect(rooms.list().map(({ name }) => name)).toEqual(crafted);
    for (const name of crafted) {
      expect(rooms.get(name)?.name).toBe(name);
      expect(rooms.info(name)?.users).toEqual([{ id: name, role: "member", meta: undefined }]);
      expect(rooms.broadcast(name, { name })).toBe(1);
      expect(rooms.leave(name, connection)).toBe(true);
      expect(rooms.leave(name, connection)).toBe(false);
    }
    await settle();
    expect(take(client).length).toBe(crafted.length);
    expect(({} as Record<string, unknown>)["name"]).toBeUndefined();
  });

  it("are nothing else, and neither are user ids", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const rooms = new RoomManager();
    for (const name of wrong) {
      await expect(rooms.join(name as string, connection)).rejects.toThrow(TypeError);
      expect(() => rooms.getOrCreate(name as string)).toThrow(TypeError);
      expect(rooms.leave(name as string, connection)).toBe(false);
      if (name === undefined) continue;
      await expect(rooms.join("lobby", connection, { userId: name as string })).rejects.toThrow(TypeError);
    }
    for (const role of ["king", "__proto__", "toString", 1, null]) {
      await expect(rooms.join("lobby", connection, { role } as JoinOptions)).rejects.toThrow(TypeError);
    }
    expect(rooms.list()).toEqual([]);
  });
});

describe("RoomManager()", () => {
  it("checks its options", () => {
    expect(() => new RoomManager({ emptyTtl: -1 })).toThrow(RangeError);
    expect(() => new RoomManager({ emptyTtl: NaN })).toThrow(RangeError);
    expect(() => new RoomManager({ maxRooms: 0 })).toThrow(RangeError);
    expect(() => new RoomManager({ maxRooms: NaN })).toThrow(RangeError);
  });

  it("alone makes rooms", () => {
    expect(() => new Room({ name: "lobby" } as RoomContext)).toThrow(TypeError);
    expect(() => new Room(undefined as never)).toThrow(TypeError);
  });
});

describe("RoomManager.getOrCreate()", () => {
  it("makes a room once, of the manager's class", () => {
    const rooms = new RoomManager({ room: LogRoom });
    const room: LogRoom = rooms.getOrCreate("lobby");
    expect(room).toBeInstanceOf(LogRoom);
    expect(rooms.getOrCreate("lobby")).toBe(room);
    expect(rooms.get("lobby")).toBe(room);
    expect(rooms.get("attic")).toBeUndefined();
  });

  it("makes a room of another class, which join() then enters", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const room: LogRoom = rooms.getOrCreate("lobby", LogRoom);
    expect(await rooms.join("lobby", (await peer()).connection)).toBe(room);
    expect(rooms.getOrCreate("lobby")).toBe(room);
    expect(rooms.getOrCreate("lobby", LogRoom)).toBe(room);
  });

  it("throws ERR_VEL_ROOM_CLASS when the room is of another class", () => {
    const rooms = new RoomManager();
    rooms.getOrCreate("plain");
    rooms.getOrCreate("log", LogRoom);
    expect(() => rooms.getOrCreate("plain", LogRoom)).toThrow(
      expect.objectContaining({
        code: "ERR_VEL_ROOM_CLASS",
        message: 'Cannot open room "plain" as LogRoom: it is of class Room',
      }) as Error,
    );
    expect(() => rooms.getOrCreate("log", OtherRoom)).toThrow(
      expect.objectContaining({ code: "ERR_VEL_ROOM_CLASS" }) as Error,
    );
  });

  it("keeps nothing of a room whose constructor throws", () => {
    class Broken extends Room {
      constructor(context: RoomContext) {
        super(context);
        throw new Error("broken");
      }
    }
    const rooms = new RoomManager({ maxRooms: 1 });
    expect(() => rooms.getOrCreate("lobby", Broken)).toThrow("broken");
    expect(rooms.getOrCreate("lobby")).toBeInstanceOf(Room);
  });

  it("drops the room that has been empty longest when there are maxRooms", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ maxRooms: 2 });
    const { connection } = await peer();
    for (const name of ["a", "b"]) {
      await rooms.join(name, connection);
      rooms.leave(name, connection);
    }
    await rooms.join("c", connection);
    expect(rooms.list().map(({ name }) => name)).toEqual(["b", "c"]);
  });

  it("throws ERR_VEL_ROOM_LIMIT when there are maxRooms, and join() rejects with it", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const rooms = new RoomManager({ maxRooms: 2 });
    rooms.getOrCreate("a");
    await rooms.join("b", connection);
    expect(() => rooms.getOrCreate("c")).toThrow(expect.objectContaining({ code: "ERR_VEL_ROOM_LIMIT" }) as Error);
    await expect(rooms.join("c", connection)).rejects.toMatchObject({
      code: "ERR_VEL_ROOM_LIMIT",
      message: 'Cannot open room "c": there are 2 rooms already',
    });
    await rooms.join("a", connection);
  });
});

describe("emptyTtl", () => {
  const setup = async (emptyTtl?: number) => {
    const clock = new ManualClock();
    const { peer } = peers();
    const { connection } = await peer();
    const rooms = new RoomManager(emptyTtl === undefined ? { clock } : { clock, emptyTtl });
    return { clock, rooms, connection };
  };

  afterEach(() => vi.restoreAllMocks());

  it("keeps a room for five minutes after the last has left", async () => {
    const { clock, rooms, connection } = await setup();
    const room = await rooms.join("lobby", connection);
    await clock.advance(400_000);
    expect(rooms.get("lobby")).toBe(room);
    rooms.leave("lobby", connection);
    await clock.advance(299_999);
    expect(rooms.get("lobby")).toBe(room);
    expect(rooms.list()).toMatchObject([{ name: "lobby", userCount: 0 }]);
    await clock.advance(1);
    expect(rooms.list()).toEqual([]);
    expect(await rooms.join("lobby", connection)).not.toBe(room);
  });

  it("begins anew when somebody was in meanwhile", async () => {
    const { clock, rooms, connection } = await setup(1_000);
    const room = await rooms.join("lobby", connection);
    rooms.leave("lobby", connection);
    await clock.advance(900);
    await rooms.join("lobby", connection);
    await clock.advance(5_000);
    expect(rooms.get("lobby")).toBe(room);
    rooms.leave("lobby", connection);
    await clock.advance(900);
    expect(rooms.get("lobby")).toBe(room);
    await clock.advance(100);
    expect(rooms.get("lobby")).toBeUndefined();
  });

  it("drops at once for 0", async () => {
    const { rooms, connection } = await setup(0);
    await rooms.join("lobby", connection);
    rooms.leave("lobby", connection);
    expect(rooms.get("lobby")).toBeUndefined();
  });

  it("never drops for Infinity", async () => {
    const { clock, rooms, connection } = await setup(Infinity);
    const room = await rooms.join("lobby", connection);
    rooms.leave("lobby", connection);
    rooms.getOrCreate("untouched");
    await clock.advance(1e12);
    expect(rooms.get("lobby")).toBe(room);
    expect(rooms.list().length).toBe(2);
  });

  // With a time of 0, join() would not find the room of another class that getOrCreate() has just made.
  it("keeps a room that nobody has entered yet for a minute at least", async () => {
    const { clock, rooms, connection } = await setup(0);
    const room = rooms.getOrCreate("lobby", LogRoom);
    await clock.advance(59_999);
    expect(await rooms.join("lobby", connection)).toBe(room);
    rooms.leave("lobby", connection);
    expect(rooms.get("lobby")).toBeUndefined();
    rooms.getOrCreate("attic");
    await clock.advance(60_000);
    expect(rooms.list()).toEqual([]);
  });

  it("makes room for others below maxRooms", async () => {
    const clock = new ManualClock();
    const rooms = new RoomManager({ clock, maxRooms: 1, emptyTtl: 60_000 });
    rooms.getOrCreate("a");
    expect(() => rooms.getOrCreate("b")).toThrow();
    await clock.advance(60_000);
    expect(rooms.getOrCreate("b").name).toBe("b");
  });

  it("drops a room whose only join was rolled back", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({
      emptyTtl: 0,
      room: class extends Room {
        override onJoin(): Promise<void> {
          return Promise.reject(new Error("no"));
        }
      },
    });
    await expect(rooms.join("lobby", (await peer()).connection)).rejects.toThrow("no");
    expect(rooms.list()).toEqual([]);
  });

  // It was dropped: who joined next was in another room of that name, and both said that their user was the first.
  it("keeps a room whose maker was refused while onJoin still runs for somebody who has left", async () => {
    const { peer } = peers();
    const [a, b] = [await peer(), await peer()];
    const doors = new Map([a, b].map(({ connection }) => [connection, gate()]));
    class WelcomingRoom extends LogRoom {
      override async onJoin(user: RoomUser, join: Join): Promise<void> {
        await super.onJoin(user, join);
        await doors.get(join.connection)?.promise;
      }
    }
    const rooms = new RoomManager({ room: WelcomingRoom });
    const refused = rooms.join("lobby", a.connection, { userId: "ada" });
    const joining = rooms.join("lobby", b.connection, { userId: "bob" });
    const room = rooms.get("lobby");
    rooms.leave("lobby", b.connection);
    doors.get(a.connection)?.fail(new Error("no"));
    await expect(refused).rejects.toThrow("no");
    expect(rooms.get("lobby")).toBe(room);
    doors.get(b.connection)?.open();
    await joining;
    await rooms.join("lobby", b.connection, { userId: "bob" });
    expect(room?.log).toEqual([
      "join ada first 1/1",
      "join bob first 2/2",
      "leave bob last left 0/0",
      "join bob first 1/1",
    ]);
  });

  it("needs no timer", async () => {
    const { clock, rooms, connection } = await setup();
    const setTimer = vi.spyOn(globalThis, "setTimeout");
    await rooms.join("lobby", connection);
    rooms.leave("lobby", connection);
    expect(setTimer).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });
});

describe("RoomManager.close()", () => {
  it("lets everybody out with the reason closed; connections stay open", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const [a, b] = [await peer(), await peer()];
    const lobby = await rooms.join("lobby", a.connection, { userId: "ada" });
    await rooms.join("lobby", b.connection, { userId: "ada" });
    const attic = await rooms.join("attic", a.connection, { userId: "ada" });
    lobby.log.length = attic.log.length = 0;
    await rooms.close();
    expect(lobby.log).toEqual(["leave ada closed 0/0", "leave ada last closed 0/0"]);
    expect(attic.log).toEqual(["leave ada last closed 0/0"]);
    expect(a.connection.isOpen && b.connection.isOpen).toBe(true);
    expect(rooms.list()).toEqual([]);
    expect(rooms.get("lobby")).toBeUndefined();
    expect(rooms.broadcast("lobby", "hello")).toBe(0);
    expect(lobby.broadcast("hello")).toBe(0);
  });

  it("does not tell a full room about each of its members", async () => {
    let addressed = 0;
    class TellRoom extends Room {
      override onLeave(user: RoomUser): void {
        addressed += this.broadcast({ left: user.id });
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: TellRoom });
    for (let i = 0; i < 10; i++) await rooms.join("lobby", (await peer()).connection);
    await rooms.close();
    expect(addressed).toBe(0);
  });

  it("waits for hooks that run, of joins too, and resolves when called again", async () => {
    const { peer } = peers();
    const joining = gate();
    const leaving = gate();
    const told: string[] = [];
    class SlowRoom extends Room {
      override async onJoin(user: RoomUser): Promise<void> {
        if (user.id === "slow") await joining.promise;
      }
      override async onLeave(user: RoomUser, { reason }: Leave): Promise<void> {
        await leaving.promise;
        told.push(`${user.id} ${reason}`);
      }
    }
    const rooms = new RoomManager({ room: SlowRoom });
    await rooms.join("lobby", (await peer()).connection, { userId: "quick" });
    const slow = rooms.join("lobby", (await peer()).connection, { userId: "slow" });
    let isClosed = false;
    const closing = rooms.close().then(() => (isClosed = true));
    await settle();
    joining.open();
    await slow;
    await settle();
    expect(isClosed).toBe(false);
    leaving.open();
    await closing;
    expect(told.sort()).toEqual(["quick closed", "slow closed"]);
    await rooms.close();
  });

  it("waits for a join whose onJoin still runs", async () => {
    const { peer } = peers();
    const door = gate();
    const rooms = new RoomManager({
      room: class extends Room {
        override onJoin(): Promise<void> {
          return door.promise;
        }
      },
    });
    const joining = rooms.join("lobby", (await peer()).connection);
    let isClosed = false;
    const closing = rooms.close().then(() => (isClosed = true));
    await settle();
    expect(isClosed).toBe(false);
    door.open();
    await closing;
    await joining;
  });

  it("is final: join() and getOrCreate() say ERR_VEL_ROOM_CLOSED", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const closed = expect.objectContaining({ code: "ERR_VEL_ROOM_CLOSED" }) as Error;
    let rooms: RoomManager;
    {
      await using scoped = new RoomManager();
      rooms = scoped;
      await rooms.join("lobby", connection);
    }
    expect(() => rooms.getOrCreate("lobby")).toThrow(closed);
    await expect(rooms.join("lobby", connection)).rejects.toEqual(closed);
    expect(rooms.leave("lobby", connection)).toBe(false);
  });
});

describe("UserRole", () => {
  it("goes from the least to the most", () => {
    expect(Object.keys(UserRole)).toEqual(["guest", "member", "moderator", "admin", "owner"]);
    for (const [key, role] of Object.entries(UserRole)) expect(role).toBe(key);
  });
});
