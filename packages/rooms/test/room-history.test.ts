import { describe, expect, it } from "vitest";
import type { Message } from "@vel/core";
import {
  Room,
  RoomManager,
  type HistoryFill,
  type HistoryPosition,
  type Join,
  type MessagePlace,
  type RoomUser,
} from "@vel/rooms";
import { settle } from "@vel/testing";
import { peers } from "./kit.ts";

/** A room that keeps what its last `onJoin` was told was missed. */
class MissRoom extends Room {
  missed: HistoryFill<Message> | undefined;
  override onJoin(_user: RoomUser, { connection, missed }: Join): void {
    this.missed = missed;
    connection.sendJson("welcome");
  }
}

const setup = (replay = 0, limit = 3) => {
  const rooms = new RoomManager({ room: MissRoom, defaults: { history: { limit, replay } } });
  return { rooms, room: rooms.getOrCreate("lobby"), ...peers() };
};

describe("Room.history", () => {
  it("is not there unless asked for", () => {
    expect(new RoomManager().getOrCreate("lobby").history).toBeUndefined();
  });

  it("keeps what is broadcast, whoever gets it, unless told not to", async () => {
    const { rooms, room, peer } = setup();
    const { connection } = await peer();
    await rooms.join("lobby", connection, { userId: "ada" });
    room.broadcast({ n: 1 });
    room.broadcast({ n: 2 }, { record: false });
    rooms.broadcast("lobby", { n: 3 }, { except: connection });
    rooms.broadcastAll({ n: 4 });
    rooms.broadcastAll({ n: 5 }, { record: false });
    room.users.get("ada")?.send({ n: 6 });
    expect(room.history?.last()).toEqual([
      { seq: 1, entry: { n: 1 } },
      { seq: 2, entry: { n: 3 } },
      { seq: 3, entry: { n: 4 } },
    ]);
  });

  it("keeps nothing of a message that has no JSON form", () => {
    const { room } = setup();
    for (const message of [undefined, 1n, () => 1]) expect(() => room.broadcast(message as never)).toThrow(TypeError);
    expect(room.history?.seq).toBe(0);
  });

  it("keeps bytes of its own", async () => {
    const { rooms, room, peer } = setup(1);
    const bytes = Buffer.from([1, 2, 3]);
    room.broadcast(bytes);
    bytes.fill(0);
    const { client, connection } = await peer();
    await rooms.join("lobby", connection);
    await settle();
    expect(client.received[0]).toEqual(new Uint8Array([1, 2, 3]));
  });
});

describe("replay", () => {
  it("sends the last messages, before onJoin, to each connection that enters", async () => {
    const { rooms, room, peer } = setup(2);
    for (const message of ["a", { b: 1 }, "c"]) room.broadcast(message);
    for (let tab = 0; tab < 2; tab++) {
      const { client, connection } = await peer();
      await rooms.join("lobby", connection, { userId: "ada" });
      await settle();
      expect(client.received).toEqual(['{"b":1}', "c", '"welcome"']);
      expect(room.missed).toBeUndefined();
    }
  });

  it("sends all that is kept for Infinity, and nothing by default", async () => {
    for (const [replay, count] of [
      [Infinity, 3],
      [0, 0],
    ] as const) {
      const { rooms, room, peer } = setup(replay);
      for (let i = 0; i < 5; i++) room.broadcast({ i });
      const { client, connection } = await peer();
      await rooms.join("lobby", connection);
      await settle();
      expect(client.received.length).toBe(count + 1);
    }
  });

  it("goes to nobody whom canJoin refuses", async () => {
    class ClosedRoom extends Room {
      override canJoin(): boolean {
        return false;
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: ClosedRoom, defaults: { history: { limit: 3, replay: 3 } } });
    rooms.getOrCreate("lobby").broadcast("secret");
    const { client, connection } = await peer();
    await expect(rooms.join("lobby", connection)).rejects.toMatchObject({ code: "ERR_VEL_ROOM_FORBIDDEN" });
    await settle();
    expect(client.received).toEqual([]);
  });

  it("refuses a connection that it closes because its send buffer is full, and nobody hears of it", async () => {
    const { peer, errors } = peers({ sendBuffer: { limit: 8 } });
    const rooms = new RoomManager({ room: MissRoom, defaults: { history: { limit: 9, replay: 9 } } });
    const room = rooms.getOrCreate("lobby");
    for (let i = 0; i < 9; i++) room.broadcast("0123456789");
    const { client, connection } = await peer();
    client.pause();
    await expect(rooms.join("lobby", connection)).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    expect(room.userCount).toBe(0);
    expect(errors).toEqual([]);
  });
});

describe("since", () => {
  it("sends everything since, and hands it to onJoin", async () => {
    const { rooms, room, peer } = setup(1);
    room.broadcast("seen");
    const since = room.history!.position;
    room.broadcast("x");
    room.broadcast({ y: 1 });
    const { client, connection } = await peer();
    await rooms.join("lobby", connection, { since });
    await settle();
    expect(client.received).toEqual(["x", '{"y":1}', '"welcome"']);
    expect(room.missed).toEqual({
      complete: true,
      entries: [
        { seq: 2, entry: "x" },
        { seq: 3, entry: { y: 1 } },
      ],
    });
  });

  it("sends nothing when that is not possible, whatever a hostile client asks for", async () => {
    const { rooms, room, peer } = setup(3);
    for (let i = 0; i < 5; i++) room.broadcast({ i });
    const { epoch } = room.history!;
    const positions: unknown[] = [
      null,
      0,
      "",
      [],
      {},
      { epoch },
      { epoch, seq: 1 },
      { epoch, seq: 6 },
      { epoch, seq: -1 },
      { epoch, seq: "4" },
      { epoch: [epoch], seq: 4 },
      { epoch: "__proto__", seq: 4 },
    ];
    for (const since of positions) {
      const { client, connection } = await peer();
      await rooms.join("lobby", connection, { since: since as HistoryPosition });
      await settle();
      expect(client.received, JSON.stringify(since)).toEqual(['"welcome"']);
      expect(room.missed).toEqual({ entries: [], complete: false });
    }
  });

  it("is not complete where there is no history", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: MissRoom });
    const room = await rooms.join("lobby", (await peer()).connection, { since: { epoch: "x", seq: 1 } });
    expect(room.missed).toEqual({ entries: [], complete: false });
  });

  it("is not complete when the send buffer has dropped a part of it", async () => {
    const { peer } = peers({ sendBuffer: { limit: 40, onFull: "drop" } });
    const rooms = new RoomManager({ room: MissRoom, defaults: { history: { limit: 9 } } });
    const room = rooms.getOrCreate("lobby");
    const since = room.history!.position;
    for (let i = 0; i < 9; i++) room.broadcast("0123456789");
    const { client, connection } = await peer();
    client.pause();
    await rooms.join("lobby", connection, { since });
    expect(connection.messagesDropped).toBeGreaterThan(0);
    expect(room.missed).toEqual({ entries: [], complete: false });
  });
});

describe("RoomManagerOptions.frame", () => {
  it("makes the payloads of broadcasts, replays and direct messages, once for each", async () => {
    const framed: [unknown, MessagePlace][] = [];
    const { peer } = peers();
    const rooms = new RoomManager({
      defaults: { history: { limit: 3, replay: 1 } },
      frame: (message, place) => {
        framed.push([message, place]);
        return JSON.stringify({ ...place, message });
      },
    });
    const [a, b] = [await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "ada" });
    await rooms.join("lobby", b.connection, { userId: "bob" });
    const { epoch } = room.history!;
    room.broadcast("kept");
    room.broadcast("not kept", { record: false });
    room.send("ada", "direct");
    room.users.get("bob")?.send("too");
    await rooms.join("lobby", (await peer()).connection, { userId: "eve" });
    const nowhere = { room: "lobby", seq: undefined, epoch: undefined };
    expect(framed).toEqual([
      ["kept", { room: "lobby", seq: 1, epoch }],
      ["not kept", nowhere],
      ["direct", nowhere],
      ["too", nowhere],
      ["kept", { room: "lobby", seq: 1, epoch }],
    ]);
    await settle();
    expect(a.client.received[0]).toBe(JSON.stringify({ room: "lobby", seq: 1, epoch, message: "kept" }));
  });

  it("keeps and sends nothing when it throws, and lets nobody in whom it cannot greet", async () => {
    let isBad = true;
    const { peer } = peers();
    const rooms = new RoomManager({
      defaults: { history: { limit: 3, replay: 3 } },
      frame: () => {
        if (isBad) throw new Error("frame");
        return "ok";
      },
    });
    const { client, connection } = await peer();
    const room = await rooms.join("lobby", connection, { userId: "ada" });
    expect(() => room.broadcast("x")).toThrow("frame");
    expect(() => room.send("ada", "x")).toThrow("frame");
    expect(() => rooms.broadcastAll("x")).toThrow("frame");
    expect(room.history?.seq).toBe(0);
    isBad = false;
    room.broadcast("x");
    isBad = true;
    await expect(rooms.join("lobby", (await peer()).connection)).rejects.toThrow("frame");
    expect(room.userCount).toBe(1);
    await settle();
    expect(client.received).toEqual(["ok"]);
  });
});
