/** Rooms under attack: floods, crafted names, hooks that throw at every turn. */
import { describe, expect, it } from "vitest";
import { createVel, type Connection, type MaybePromise } from "@vel/core";
import { Room, RoomManager, type Actor, type JoinRequest, type RoomUser } from "@vel/rooms";
import { connect, ManualClock, settle } from "@vel/testing";
import { codeOf, gate, LogRoom, peers, take } from "./kit.ts";

const system = { by: "system" } as const;

/** Pairs that look alike, or that a table, a path or a pattern takes for the same. */
const crafted = [
  "../",
  "..",
  "*",
  "a:*",
  "\u0000",
  "a\u0000b",
  "a",
  "A",
  "а", // Cyrillic
  "é", // one code point
  "e\u0301", // two
  "a\u200b",
  "\ud800",
  "\ufffd",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toString",
  "system",
  "x".repeat(1_024),
];

describe("crafted names", () => {
  it("of users are told apart in every table", async () => {
    const { peer } = peers();
    const clock = new ManualClock();
    const rooms = new RoomManager({ room: LogRoom, clock, defaults: { slowMode: 10 } });
    const room = rooms.getOrCreate("lobby");
    const { connection } = await peer();
    for (const name of crafted) {
      await rooms.join("lobby", connection, { userId: name });
      expect(room.users.size, name).toBe(1);
      expect(room.receive(connection, 1)).toBeUndefined(); // nobody else's slow mode
      expect(codeOf(() => room.kick(crafted[0] as string, { by: name as Actor }))).toBe(
        name === "system" ? undefined : "ERR_VEL_ROOM_FORBIDDEN",
      );
      room.mute(name, system);
      expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_MUTED");
      room.unmute(name, system);
      room.setRole(name, "guest", system);
      room.ban(name, system);
      for (const other of crafted.filter((each) => each !== name)) {
        await rooms.join("lobby", connection, { userId: other });
        expect(room.users.get(other)?.role, `${name} ${other}`).toBe("member");
        rooms.leave("lobby", connection);
      }
      await expect(rooms.join("lobby", connection, { userId: name })).rejects.toMatchObject({
        code: "ERR_VEL_ROOM_BANNED",
      });
      room.unban(name, system);
      await rooms.join("lobby", connection, { userId: name });
      expect(room.users.get(name)?.role).toBe("guest");
      room.setRole(name, "member", system);
      rooms.leave("lobby", connection);
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it("of rooms are told apart, with what holds in them", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const { connection } = await peer();
    for (const name of crafted) rooms.getOrCreate(name, LogRoom, { meta: name, capacity: 1 }).ban("eve", system);
    for (const name of crafted) {
      expect(rooms.info(name)?.meta).toBe(name);
      await rooms.join(name, connection, { userId: "ada" });
      expect(rooms.get(name)?.unban("eve", system)).toBe(true);
      expect(rooms.roomsOf(connection).at(-1)?.name).toBe(name);
    }
    expect(rooms.leaveAll(connection)).toBe(crafted.length);
  });

  it("of a mebibyte are refused everywhere, and not kept", async () => {
    const { peer } = peers();
    const huge = "x".repeat(2 ** 20);
    const rooms = new RoomManager();
    const { connection } = await peer();
    const room = await rooms.join("lobby", connection);
    await expect(rooms.join(huge, connection)).rejects.toThrow(TypeError);
    expect(() => rooms.getOrCreate(huge, Room, {})).toThrow(TypeError);
    await expect(rooms.join("attic", connection, { userId: huge })).rejects.toThrow(TypeError);
    const acts = [
      () => room.kick(huge, system),
      () => room.ban(huge, system),
      () => room.unban(huge, system),
      () => room.mute(huge, system),
      () => room.unmute(huge, system),
      () => room.setRole(huge, "guest", system),
    ];
    for (const act of acts)
      expect(act).toThrow("User id must be a string of 1 to 1024 characters, got 1048576 of them");
    expect(rooms.get(huge)).toBeUndefined();
    expect(room.send(huge, 1)).toBe(0);
  });
});

describe("a flood of 10,000 joins", () => {
  it("lets in as many as the capacity, at once or after thinking, and leaves nothing behind", async () => {
    for (const isAsync of [false, true]) {
      const door = gate();
      class DoorRoom extends Room {
        override canJoin(): MaybePromise<boolean> {
          return isAsync ? door.promise.then(() => true) : true;
        }
      }
      const rooms = new RoomManager({ room: DoorRoom, defaults: { capacity: 10 }, emptyTtl: 0 });
      const { peer } = peers();
      const connections: Connection[] = [];
      for (let i = 0; i < 20; i++) connections.push((await peer()).connection);
      const codes: Record<string, number> = {};
      const joins = Array.from({ length: 10_000 }, (_, i) =>
        rooms
          .join("lobby", connections[i % connections.length]!, { userId: `u${String(i)}` })
          .catch((error: unknown) => {
            const { code } = error as { code: string };
            codes[code] = (codes[code] ?? 0) + 1;
          }),
      );
      door.open();
      await Promise.all(joins);
      expect(rooms.info("lobby")?.userCount).toBe(10);
      expect((codes["ERR_VEL_ROOM_FULL"] ?? 0) + (codes["ERR_VEL_ROOM_MEMBER"] ?? 0)).toBe(9_990);
      for (const connection of connections) rooms.leaveAll(connection);
      expect(rooms.list()).toEqual([]);
    }
  });

  it("over the wire: ten are in, the others are closed with 1013", async () => {
    const vel = createVel();
    const rooms = new RoomManager({ defaults: { capacity: 10 } });
    rooms.serve(vel, "/ws", () => ({ room: "lobby" }));
    const clients = await Promise.all(Array.from({ length: 1_000 }, () => connect(vel, "/ws")));
    await settle();
    expect(clients.filter(({ isOpen }) => isOpen).length).toBe(10);
    expect(clients.filter(({ closeInfo }) => closeInfo?.code === 1013).length).toBe(990);
    expect(rooms.info("lobby")?.connectionCount).toBe(10);
    await vel.close();
  });
});

describe("a banned user", () => {
  it("does not come in by any of 100 connections whose canJoin was on its way", async () => {
    const door = gate();
    class DoorRoom extends LogRoom {
      override async canJoin(_connection: Connection, { userId }: JoinRequest): Promise<boolean> {
        if (userId === "mallory") await door.promise;
        return true;
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: DoorRoom });
    const room = await rooms.join("lobby", (await peer()).connection, { userId: "mo", role: "moderator" });
    const ends = [];
    for (let i = 0; i < 100; i++) ends.push(await peer());
    const joins = ends.map(({ connection }) => rooms.join("lobby", connection, { userId: "mallory" }));
    room.ban("mallory", { by: room.users.get("mo")! });
    door.open();
    const results = await Promise.allSettled(joins);
    expect(
      new Set(results.map((each) => each.status === "rejected" && (each.reason as { code: string }).code)),
    ).toEqual(new Set(["ERR_VEL_ROOM_BANNED"]));
    expect(room.log).toEqual(["join mo first 1/1"]);
  });

  it("cannot speak, act or take his ban back by what he kept of his time inside", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const { connection } = await peer();
    const room = await rooms.join("lobby", connection, { userId: "mallory", role: "owner" });
    const mallory = room.users.get("mallory") as RoomUser;
    room.ban("mallory", system);
    expect(codeOf(() => room.unban("mallory", { by: mallory }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_NOT_MEMBER");
    expect(mallory.send("psst")).toBe(0);
    expect(room.can(mallory, "speak")).toBe(false);
  });
});

describe("hooks that throw", () => {
  it("harm nobody else, wherever they do, at once or later", async () => {
    const places = ["canJoin", "onJoin", "onMessage", "onLeave", "onEmpty", "listener", "frame"] as const;
    for (const place of places) {
      for (const isAsync of [false, true]) {
        const told: string[] = [];
        const boom = (where: string): MaybePromise<void> => {
          if (where !== place) return undefined;
          if (isAsync && where !== "frame") return Promise.reject(new Error(where));
          throw new Error(where);
        };
        class BadRoom extends Room {
          override canJoin(_connection: Connection, { userId }: JoinRequest): MaybePromise<boolean> {
            const result = userId === "bad" ? boom("canJoin") : undefined;
            return result ? result.then(() => true) : true;
          }
          override onJoin(user: RoomUser): MaybePromise<void> {
            return user.id === "bad" ? boom("onJoin") : undefined;
          }
          override onMessage(user: RoomUser, message: unknown): MaybePromise<void> {
            if (user.id === "bad") return boom("onMessage");
            this.broadcast({ message });
          }
          override onLeave(user: RoomUser): MaybePromise<void> {
            return user.id === "bad" ? boom("onLeave") : undefined;
          }
          override onEmpty(): MaybePromise<void> {
            return boom("onEmpty");
          }
        }
        const vel = createVel({ onError: (error) => told.push((error as Error).message) });
        const rooms = new RoomManager({
          room: BadRoom,
          onError: (error) => told.push((error as Error).message),
          frame: (message) => {
            if (message === "for the frame") void boom("frame");
            return JSON.stringify(message);
          },
        });
        rooms.serve(vel, "/ws/:user", ({ params }) => ({ room: "lobby", userId: params.user }));
        const room = rooms.getOrCreate("lobby");
        const listener = ({ id }: RoomUser): void => (id === "bad" ? (boom("listener") as undefined) : undefined);
        room.on("join", listener);
        room.on("leave", listener);
        const good = await connect(vel, "/ws/good");
        const bad = await connect(vel, "/ws/bad");
        bad.sendJson(1);
        await settle();
        if (place === "frame") expect(() => room.broadcast("for the frame")).toThrow("frame");
        room.kick("bad", system);
        await settle();
        expect(bad.isOpen, place).toBe(false);
        expect(room.userCount).toBe(1);
        good.sendJson("still here");
        await settle();
        expect(take(good), `${place} ${String(isAsync)}`).toEqual([{ message: "still here" }]);
        good.close();
        await settle();
        expect(rooms.info("lobby")).toMatchObject({ userCount: 0, connectionCount: 0 });
        const count = { frame: 0, listener: 2 }[place as string] ?? 1;
        expect(told, `${place} ${String(isAsync)}`).toEqual(Array.from({ length: count }, () => place));
        await rooms.close();
        await vel.close();
      }
    }
  });
});
