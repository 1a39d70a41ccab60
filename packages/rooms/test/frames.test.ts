/** Rooms over the shared protocol, as a client speaks it, and as one speaks it who means harm. */
import { describe, expect, it } from "vitest";
import { createVel, Protocol, type Connection, type Frame, type Json } from "@vel/core";
import {
  frameOf,
  Room,
  roomFrames,
  RoomManager,
  type JoinOptions,
  type RoomFrameOptions,
  type RoomManagerOptions,
  type RoomUser,
} from "@vel/rooms";
import { connect, settle, type TestClient } from "@vel/testing";
import { gate, take } from "./kit.ts";

class EchoRoom extends Room {
  override onMessage({ id }: RoomUser, data: unknown): void {
    this.broadcast({ from: id, data: data as Json });
  }
}

/** Whoever is named in the path joins as that, with the role in the path, except where the name says `secret`. */
function where({ params }: Connection, room: string): JoinOptions | undefined {
  if (room.startsWith("secret")) return undefined;
  return { userId: params["user"], role: params["role"] as "member" };
}

function server(options: RoomFrameOptions = { where }, managerOptions: RoomManagerOptions<EchoRoom> = {}) {
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const protocol = new Protocol({ onError });
  const rooms = new RoomManager({ room: EchoRoom, frame: frameOf(protocol), onError, ...managerOptions });
  protocol.add(roomFrames(rooms, options));
  const vel = createVel({ onError });
  const opened: Connection[] = [];
  vel.websocket("/ws/:user/:role", {
    ...protocol.hooks(),
    open: (connection) => void opened.push(connection),
  });
  const client = async (user: string, role = "member"): Promise<Speaker> =>
    new Speaker(await connect(vel, `/ws/${user}/${role}`));
  return { rooms, protocol, vel, errors, opened, client };
}

/** A client that takes what came for each question. */
class Speaker {
  readonly client: TestClient;
  #id = 0;

  constructor(client: TestClient) {
    this.client = client;
  }

  /** Sends a frame and takes everything that has come by then. */
  async say(frame: Frame): Promise<unknown[]> {
    this.client.sendJson(frame);
    return this.heard();
  }

  /** Sends a question and takes the answer, leaving out what else has come. */
  async ask(frame: Frame): Promise<unknown> {
    const id = ++this.#id;
    const heard = (await this.say({ ...frame, id })) as Frame[];
    const { id: _, ...answer } = heard.find((each) => each.id === id) ?? { type: "nothing" };
    return answer;
  }

  async heard(): Promise<unknown[]> {
    await settle();
    return take(this.client);
  }
}

const ok = { type: "ok" };
const notMember = { type: "error", code: "room_not_member" };
const invalid = { type: "error", code: "invalid_message" };
const forbidden = { type: "error", code: "room_forbidden" };

describe("roomFrames()", () => {
  it("lets one connection be in many rooms, and says which one speaks", async () => {
    const { client } = server();
    const ada = await client("ada");
    const bob = await client("bob");
    expect(await ada.ask({ type: "join", room: "a" })).toEqual({ ...ok, room: "a", user: "ada", role: "member" });
    expect(await ada.ask({ type: "join", room: "b" })).toEqual({ ...ok, room: "b", user: "ada", role: "member" });
    await bob.ask({ type: "join", room: "b" });
    expect(await ada.ask({ type: "rooms" })).toEqual({ ...ok, rooms: ["a", "b"] });
    expect(await bob.say({ type: "say", id: "x", room: "b", data: { text: "hello" } })).toEqual([
      { type: "room", room: "b", data: { from: "bob", data: { text: "hello" } } },
      { type: "ok", id: "x" },
    ]);
    expect(await ada.heard()).toEqual([{ type: "room", room: "b", data: { from: "bob", data: { text: "hello" } } }]);
    await ada.ask({ type: "say", room: "a", data: null });
    expect(await bob.heard()).toEqual([]);
    expect(await ada.ask({ type: "leave", room: "b" })).toEqual(ok);
    expect(await ada.ask({ type: "rooms" })).toEqual({ ...ok, rooms: ["a"] });
    await bob.say({ type: "say", room: "b", data: 1 });
    expect(await ada.heard()).toEqual([]);
  });

  it("lets nobody join without where()", async () => {
    const { client, rooms } = server({});
    const ada = await client("ada");
    expect(await ada.ask({ type: "join", room: "a" })).toEqual(forbidden);
    expect(rooms.list()).toEqual([]);
  });

  it("tells members alone who is in", async () => {
    const { client } = server();
    const ada = await client("ada", "owner");
    const bob = await client("bob");
    await ada.ask({ type: "join", room: "a", meta: { name: "Ada" } });
    expect(await ada.ask({ type: "who", room: "a" })).toEqual({
      ...ok,
      room: "a",
      users: [{ id: "ada", role: "owner", meta: { name: "Ada" } }],
    });
    expect(await bob.ask({ type: "who", room: "a" })).toEqual(notMember);
  });

  it("takes the client's meta where where() gives none", async () => {
    const { client, rooms } = server({
      where: (_, room) => ({ userId: "ada", meta: room === "a" ? "verified" : undefined }),
    });
    const ada = await client("ada");
    await ada.ask({ type: "join", room: "a", meta: "forged" });
    await ada.ask({ type: "join", room: "b", meta: "own" });
    expect(rooms.get("a")?.users.get("ada")?.meta).toBe("verified");
    expect(rooms.get("b")?.users.get("ada")?.meta).toBe("own");
  });

  it("catches up with the history, and says whether that was everything", async () => {
    const { client, rooms } = server({ where }, { defaults: { history: { limit: 3 } } });
    const ada = await client("ada");
    const bob = await client("bob");
    await ada.ask({ type: "join", room: "a" });
    expect(await bob.ask({ type: "join", room: "a" })).toMatchObject({ seq: 0, epoch: rooms.get("a")?.history?.epoch });
    const epoch = rooms.get("a")?.history?.epoch ?? "";
    await bob.ask({ type: "leave", room: "a" });
    await ada.say({ type: "say", room: "a", data: "missed" });
    const since = { epoch, seq: 0 };
    expect(await bob.say({ type: "join", id: 9, room: "a", since })).toEqual([
      { type: "room", room: "a", data: { from: "ada", data: "missed" }, seq: 1, epoch },
      { type: "ok", id: 9, room: "a", user: "bob", role: "member", epoch, seq: 1, complete: true },
    ]);
    await bob.ask({ type: "leave", room: "a" });
    const other = { epoch: "of another life", seq: 0 };
    expect(await bob.ask({ type: "join", room: "a", since: other })).toMatchObject({ complete: false, seq: 1 });
    const cleo = await client("cleo");
    expect(await cleo.ask({ type: "join", room: "new", since: other })).toMatchObject({ complete: false, seq: 0 });
  });

  it("acts as the connection's own user, and tells who was put out", async () => {
    const { client, rooms } = server();
    const ada = await client("ada", "admin");
    const bob = await client("bob");
    for (const each of [ada, bob]) await each.ask({ type: "join", room: "a" });
    expect(await bob.ask({ type: "kick", room: "a", user: "ada", by: "ada" })).toEqual(forbidden);
    expect(await ada.ask({ type: "setRole", room: "a", user: "bob", role: "moderator" })).toEqual(ok);
    expect(rooms.get("a")?.users.get("bob")?.role).toBe("moderator");
    expect(await ada.ask({ type: "setRole", room: "a", user: "bob", role: "member" })).toEqual(ok);
    expect(await ada.ask({ type: "mute", room: "a", user: "bob", for: 1_000 })).toEqual(ok);
    expect(await bob.ask({ type: "say", room: "a", data: 1 })).toMatchObject({ type: "error", code: "room_muted" });
    expect(await bob.ask({ type: "unmute", room: "a", user: "bob" })).toEqual(forbidden);
    expect(await ada.ask({ type: "unmute", room: "a", user: "bob" })).toEqual(ok);
    expect(await bob.ask({ type: "say", room: "a", data: 1 })).toEqual(ok);
    await bob.heard();
    expect(await ada.ask({ type: "kick", room: "a", user: "bob", reason: "enough" })).toEqual(ok);
    expect(await bob.heard()).toEqual([{ type: "left", room: "a", reason: "kicked" }]);
    expect(bob.client.isOpen).toBe(true);
    expect(await bob.ask({ type: "say", room: "a", data: 1 })).toEqual(notMember);
    expect(await bob.ask({ type: "join", room: "a" })).toMatchObject(ok);
    expect(await ada.ask({ type: "ban", room: "a", user: "bob", for: 1_000 })).toEqual(ok);
    expect(await bob.heard()).toEqual([{ type: "left", room: "a", reason: "banned" }]);
    expect(await bob.ask({ type: "join", room: "a" })).toMatchObject({ type: "error", code: "room_banned" });
    expect(await ada.ask({ type: "unban", room: "a", user: "bob" })).toEqual(ok);
    expect(await bob.ask({ type: "join", room: "a" })).toMatchObject(ok);
  });

  it("tells of a leave that the application or the manager's end brought about", async () => {
    const { client, rooms, opened } = server();
    const ada = await client("ada");
    await ada.ask({ type: "join", room: "a" });
    await ada.ask({ type: "join", room: "b" });
    expect(rooms.leave("a", opened[0] as Connection)).toBe(true);
    expect(await ada.heard()).toEqual([{ type: "left", room: "a", reason: "left" }]);
    await rooms.close();
    expect(await ada.heard()).toEqual([{ type: "left", room: "b", reason: "closed" }]);
    expect(await ada.ask({ type: "join", room: "c" })).toMatchObject({ code: "room_closed" });
  });

  it("serves a connection that the application let in as well", async () => {
    const { client, rooms, opened } = server();
    const ada = await client("ada", "owner");
    await rooms.join("a", opened[0] as Connection, { userId: "ada", role: "owner" });
    expect(await ada.ask({ type: "who", room: "a" })).toMatchObject({ ...ok, users: [{ id: "ada" }] });
    expect(await ada.ask({ type: "kick", room: "a", user: "bob" })).toEqual(ok);
    expect(await ada.ask({ type: "leave", room: "a" })).toEqual(ok);
    expect(rooms.get("a")?.connectionCount).toBe(0);
  });

  it("answers a join with an error when its connection is put out while it comes in", async () => {
    const door = gate();
    class SlowRoom extends EchoRoom {
      override onJoin(): Promise<void> {
        return door.promise;
      }
    }
    const { client, rooms } = server({ where }, { room: SlowRoom });
    const ada = await client("ada");
    ada.client.sendJson({ type: "join", id: 1, room: "a" });
    await settle();
    rooms.get("a")?.kick("ada", { by: "system" });
    door.open();
    expect(await ada.heard()).toEqual([{ type: "error", id: 1, code: "room_not_member" }]);
    expect(await ada.ask({ type: "join", room: "a" })).toMatchObject(ok);
  });

  it("lets a client leave while where() is still asked, whoever runs the protocol", async () => {
    const door = gate();
    const { rooms, protocol, opened, client } = server({
      where: async () => {
        await door.promise;
        return {};
      },
    });
    const ada = await client("ada");
    const connection = opened[0] as Connection;
    const joining = protocol.receive(connection, '{"type":"join","id":1,"room":"a"}');
    await protocol.receive(connection, '{"type":"join","id":2,"room":"a"}');
    await protocol.receive(connection, '{"type":"leave","id":3,"room":"a"}');
    door.open();
    await joining;
    expect(await ada.heard()).toEqual([
      { type: "error", id: 2, code: "room_member" },
      { type: "ok", id: 3 },
      { type: "error", id: 1, code: "room_not_member" },
    ]);
    expect(rooms.list()).toEqual([]);
  });

  it("stops at 64 joins under way", async () => {
    const door = gate();
    const { protocol, opened, client } = server({ where: () => door.promise as Promise<undefined> });
    const ada = await client("ada");
    const joins = Array.from({ length: 1_000 }, (_, id) =>
      protocol.receive(opened[0] as Connection, JSON.stringify({ type: "join", id, room: `r${String(id)}` })),
    );
    await settle();
    expect(new Set(take(ada.client).map((frame) => (frame as { code: string }).code))).toEqual(new Set(["room_limit"]));
    door.open();
    await Promise.all(joins);
    const heard = await ada.heard();
    expect(heard).toHaveLength(64);
    expect(heard[0]).toMatchObject({ code: "room_forbidden" });
  });

  it("reports what where() throws, and tells the client nothing of it", async () => {
    const { client, errors } = server({
      where: () => {
        throw new Error("the database says no");
      },
    });
    const ada = await client("ada");
    expect(await ada.ask({ type: "join", room: "a" })).toEqual({ type: "error", code: "internal" });
    expect(errors).toEqual([new Error("the database says no")]);
  });

  it("refuses a metaLimit that is none", () => {
    expect(() => roomFrames(new RoomManager(), { metaLimit: NaN })).toThrow(RangeError);
  });
});

describe("roomFrames() against hostile clients", () => {
  it("checks every field", async () => {
    const { client, rooms, errors } = server();
    const ada = await client("ada", "owner");
    await ada.ask({ type: "join", room: "a" });
    const texts = [undefined, null, 1, "", true, [], ["a"], { toString: "a" }, "x".repeat(1_025)];
    for (const room of texts) {
      for (const type of ["join", "leave", "say", "who", "kick", "ban", "unban", "mute", "unmute", "setRole"]) {
        expect(await ada.ask({ type, room, user: "bob", data: 1, role: "member" })).toEqual(invalid);
      }
    }
    for (const user of texts) {
      for (const type of ["kick", "ban", "unban", "mute", "unmute", "setRole"]) {
        expect(await ada.ask({ type, room: "a", user, role: "member" })).toEqual(invalid);
      }
    }
    for (const role of [undefined, null, "god", "__proto__", "toString", ["owner"], 4]) {
      expect(await ada.ask({ type: "setRole", room: "a", user: "bob", role })).toEqual(invalid);
    }
    for (const duration of [null, 0, -1, "1", [], {}]) {
      expect(await ada.ask({ type: "ban", room: "a", user: "bob", for: duration })).toEqual(invalid);
      expect(await ada.ask({ type: "mute", room: "a", user: "bob", for: duration })).toEqual(invalid);
    }
    for (const reason of [null, 0, "", {}, "x".repeat(1_025)]) {
      expect(await ada.ask({ type: "kick", room: "a", user: "bob", reason })).toEqual(invalid);
      expect(await ada.ask({ type: "ban", room: "a", user: "bob", reason })).toEqual(invalid);
    }
    for (const since of [null, 1, "x", [], {}, { epoch: "e" }, { epoch: 1, seq: 1 }, { epoch: "e", seq: -1 }]) {
      expect(await ada.ask({ type: "join", room: "b", since })).toEqual(invalid);
    }
    for (const seq of [0.5, "1", null, 2 ** 53]) {
      expect(await ada.ask({ type: "join", room: "b", since: { epoch: "e", seq } })).toEqual(invalid);
    }
    expect(await ada.ask({ type: "say", room: "a" })).toEqual(invalid);
    expect(rooms.list().map(({ name }) => name)).toEqual(["a"]);
    expect(errors).toEqual([]);
  });

  it("takes a role, a user and a room of nobody's word but where()'s", async () => {
    const { client, rooms } = server();
    const ada = await client("ada");
    await ada.ask({ type: "join", room: "a", user: "root", userId: "root", role: "owner" });
    expect(rooms.info("a")?.users).toEqual([{ id: "ada", role: "member", meta: undefined }]);
  });

  it("keeps rooms and users apart whose names are those of objects", async () => {
    const { client, rooms } = server();
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    for (const name of names) {
      const ada = await client(name, "owner");
      expect(await ada.ask({ type: "say", room: name, data: 1 })).toEqual(notMember);
      expect(await ada.ask({ type: "join", room: name })).toMatchObject({ ...ok, room: name, user: name });
      expect(await ada.ask({ type: "who", room: name })).toMatchObject({ users: [{ id: name }] });
      expect(await ada.ask({ type: "kick", room: name, user: "valueOf" })).toEqual(ok);
    }
    expect(rooms.list().map(({ name }) => name)).toEqual(names);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it("refuses names and metas of 1 MiB, whatever the codec lets through", async () => {
    const { protocol, rooms, opened, client, errors } = server();
    const big = "x".repeat(2 ** 20);
    const ada = await client("ada");
    const connection = opened[0] as Connection;
    // As a codec without limits would hand them on.
    const handlers = roomFrames(rooms, { where });
    const errorOf = async (frame: Frame): Promise<unknown> => {
      try {
        await handlers[frame.type]?.(connection, frame);
        return undefined;
      } catch (error) {
        return (error as { code: unknown }).code;
      }
    };
    expect(await errorOf({ type: "join", room: big })).toBe("ERR_VEL_INVALID_MESSAGE");
    expect(await errorOf({ type: "join", room: "a", meta: big })).toBe("ERR_VEL_LIMIT");
    expect(await errorOf({ type: "join", room: "a", meta: { big: 1n } })).toBe("ERR_VEL_INVALID_MESSAGE");
    expect(await errorOf({ type: "join", room: "a", meta: "x".repeat(4_094) })).toBeUndefined();
    expect(await errorOf({ type: "kick", room: "a", user: big })).toBe("ERR_VEL_INVALID_MESSAGE");
    await protocol.receive(connection, JSON.stringify({ type: "join", id: 1, room: "b", meta: "é".repeat(2_048) }));
    expect(await ada.heard()).toEqual([{ type: "error", id: 1, code: "limit" }]);
    expect(rooms.list().map(({ name }) => name)).toEqual(["a"]);
    expect(errors).toEqual([]);
  });

  it("stays bounded under a client that asks for a million rooms", async () => {
    const { rooms, opened, client, errors } = server();
    await client("mallory");
    const connection = opened[0] as Connection;
    const handlers = roomFrames(rooms, { where });
    const codes = new Map<unknown, number>();
    for (let i = 0; i < 1_000_000; i++) {
      try {
        await handlers["join"]?.(connection, { type: "join", room: `r${String(i)}` });
      } catch (error) {
        const { code } = error as { code: unknown };
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    }
    expect([...codes]).toEqual([["ERR_VEL_ROOM_LIMIT", 1_000_000 - 100]]);
    expect(rooms.list()).toHaveLength(100);
    expect(rooms.roomsOf(connection)).toHaveLength(100);
    expect(errors).toEqual([]);
  }, 120_000);

  it("stays bounded under a client that joins and leaves ever new rooms", async () => {
    const { rooms, opened, client } = server({ where }, { maxRooms: 100 });
    await client("mallory");
    const connection = opened[0] as Connection;
    const handlers = roomFrames(rooms, { where });
    for (let i = 0; i < 10_000; i++) {
      const room = `r${String(i)}`;
      await handlers["join"]?.(connection, { type: "join", room });
      await handlers["leave"]?.(connection, { type: "leave", room });
    }
    expect(rooms.list()).toHaveLength(100);
    expect(rooms.roomsOf(connection)).toEqual([]);
  });

  it("tells nobody whether a room exists that he is not in", async () => {
    const { client, rooms } = server();
    const ada = await client("ada", "owner");
    rooms.getOrCreate("secret-1");
    rooms.getOrCreate("open");
    for (const rest of [
      { type: "leave" },
      { type: "say", data: 1 },
      { type: "who" },
      { type: "kick", user: "bob" },
      { type: "ban", user: "bob" },
      { type: "mute", user: "bob" },
      { type: "setRole", user: "bob", role: "guest" },
      { type: "join" },
    ]) {
      const there = await ada.ask({ ...rest, room: "secret-1" });
      const not = await ada.ask({ ...rest, room: "secret-2" });
      expect(there).toEqual(not);
      expect(there).toEqual(rest.type === "join" ? forbidden : notMember);
      if (rest.type !== "join") expect(await ada.ask({ ...rest, room: "open" })).toEqual(notMember);
    }
    expect(rooms.get("secret-2")).toBeUndefined();
  });

  it("does not look at a malformed act more closely for who is not in", async () => {
    const { client } = server();
    const ada = await client("ada");
    expect(await ada.ask({ type: "kick", room: "a", user: 1 })).toEqual(notMember);
  });
});

describe("frameOf()", () => {
  it("refuses bytes where the codec makes text", async () => {
    const { client, rooms } = server();
    const ada = await client("ada");
    await ada.ask({ type: "join", room: "a" });
    expect(() => rooms.broadcast("a", new Uint8Array([1]))).toThrow(TypeError);
    expect(await ada.heard()).toEqual([]);
  });

  it("lets a codec of bytes carry bytes", () => {
    const payload = new Uint8Array([7]);
    const frame = frameOf({ encode: () => payload });
    expect(frame(new Uint8Array([1]), { room: "a", seq: undefined, epoch: undefined })).toBe(payload);
  });
});
