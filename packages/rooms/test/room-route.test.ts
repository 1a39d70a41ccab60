import { describe, expect, it } from "vitest";
import { createVel } from "@vel/core";
import { Room, RoomManager, type Join, type Leave, type RoomPlace, type RoomUser } from "@vel/rooms";
import { connect, settle } from "@vel/testing";
import { gate, LogRoom, take } from "./kit.ts";

class ChatRoom extends Room {
  override onJoin(user: RoomUser, { first }: Join): void {
    if (first) this.broadcast({ type: "joined", by: user.id, userCount: this.userCount });
  }
  override onMessage(user: RoomUser, message: unknown): void {
    this.broadcast({ type: "said", by: user.id, message });
  }
  override onLeave(user: RoomUser, { last }: Leave): void {
    if (last) this.broadcast({ type: "left", by: user.id, userCount: this.userCount });
  }
}

/** A server whose guard takes the user from the query. */
function server<R extends Room>(rooms: RoomManager<R>) {
  const errors: [error: unknown, stage: string][] = [];
  const vel = createVel({ onError: (error, { stage }) => errors.push([error, stage]) });
  const guarded = vel.with((request) => {
    const userId = request.query.get("user");
    return userId === null ? request.reject(401) : { data: { userId } };
  });
  return { vel, guarded, errors, rooms };
}

describe("RoomManager.serve()", () => {
  it("is a chat", async () => {
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: ChatRoom }));
    rooms.serve(guarded, "/ws/:room", ({ params, data }) => ({ room: params.room, userId: data.userId }));
    await expect(connect(vel, "/ws/lobby")).rejects.toMatchObject({ status: 401 });
    const ada = await connect(vel, "/ws/lobby?user=ada");
    const bob = await connect(vel, "/ws/lobby?user=bob");
    ada.sendJson({ text: "hello" });
    await settle();
    bob.close();
    await settle();
    expect(take(ada)).toEqual([
      { type: "joined", by: "ada", userCount: 1 },
      { type: "joined", by: "bob", userCount: 2 },
      { type: "said", by: "ada", message: { text: "hello" } },
      { type: "left", by: "bob", userCount: 1 },
    ]);
    expect(errors).toEqual([]);
  });

  it("refuses before the upgrade what where() refuses, returned, thrown or later", async () => {
    const { vel, rooms, errors } = server(new RoomManager());
    rooms.serve(vel, "/returned/:room", (request) => request.reject(404));
    rooms.serve(vel, "/thrown/:room", (request) => {
      throw request.reject(403);
    });
    rooms.serve(vel, "/later/:room", async (request) => {
      await settle();
      return request.reject(409);
    });
    rooms.serve(vel, "/closed/:room", (request) => request.close(4404, "no such room"));
    await expect(connect(vel, "/returned/x")).rejects.toMatchObject({ status: 404 });
    await expect(connect(vel, "/thrown/x")).rejects.toMatchObject({ status: 403 });
    await expect(connect(vel, "/later/x")).rejects.toMatchObject({ status: 409 });
    const client = await connect(vel, "/closed/x");
    expect(await client.closed).toMatchObject({ code: 4404, reason: "no such room" });
    expect(rooms.list()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it("answers 500 when where() throws or gives no valid place, and makes no room", async () => {
    const { vel, rooms, errors } = server(new RoomManager());
    const places: unknown[] = [
      {},
      { room: "" },
      { room: 1 },
      { room: "x", userId: "" },
      { room: "x", role: "king" },
      undefined,
    ];
    places.forEach((place, i) => {
      rooms.serve(vel, `/${String(i)}`, () => place as RoomPlace);
    });
    rooms.serve(vel, "/throws", () => {
      throw new Error("where");
    });
    for (let i = 0; i < places.length; i++) {
      await expect(connect(vel, `/${String(i)}`)).rejects.toMatchObject({ status: 500 });
    }
    await expect(connect(vel, "/throws")).rejects.toMatchObject({ status: 500 });
    expect(errors.length).toBe(places.length + 1);
    expect(errors.every(([, stage]) => stage === "upgrade")).toBe(true);
    expect(rooms.list()).toEqual([]);
  });

  it("gives role and meta on, and adds nothing that JSON would show to the connection's data", async () => {
    const { vel, guarded, rooms } = server(new RoomManager());
    rooms.serve(guarded, "/ws", () => ({ room: "lobby", role: "owner", meta: { a: 1 } }));
    await connect(vel, "/ws?user=ada");
    await settle();
    const [user] = rooms.get("lobby")?.users.values() ?? [];
    expect(user).toMatchObject({ role: "owner", meta: { a: 1 } });
    expect(JSON.stringify([...(user?.connections ?? [])][0]?.data)).toBe('{"userId":"ada"}');
  });

  it("takes any JSON value, and closes with 1007 on what is none", async () => {
    const { vel, rooms, errors } = server(new RoomManager({ room: LogRoom }));
    rooms.serve(vel, "/ws", () => ({ room: "lobby", userId: "ada" }));
    for (const wrong of ["{", "", new Uint8Array([1])]) {
      const client = await connect(vel, "/ws");
      for (const value of [1, null, [], "text"]) client.sendJson(value as never);
      client.send(wrong);
      expect(await client.closed).toMatchObject({ code: 1007 });
      await settle();
    }
    const log = rooms.get("lobby")?.log ?? [];
    const messages = ["1", "null", "[]", '"text"'].map((text) => `message ada ${text}`);
    expect(log.slice(0, 6)).toEqual(["join ada first 1/1", ...messages, "leave ada last disconnected 0/0"]);
    expect(log.length).toBe(18);
    expect(errors).toEqual([]);
  });

  it("keeps messages that come while onJoin runs, in order", async () => {
    const door = gate();
    class SlowRoom extends LogRoom {
      override async onJoin(user: RoomUser, join: Join): Promise<void> {
        await door.promise;
        super.onJoin(user, join);
      }
    }
    const { vel, rooms } = server(new RoomManager({ room: SlowRoom }));
    rooms.serve(vel, "/ws", () => ({ room: "lobby", userId: "ada" }));
    const client = await connect(vel, "/ws");
    client.sendJson(1);
    client.sendJson(2);
    await settle();
    expect(rooms.get("lobby")?.log).toEqual([]);
    door.open();
    await settle();
    expect(rooms.get("lobby")?.log).toEqual(["join ada first 1/1", "message ada 1", "message ada 2"]);
  });

  it("handles what was sent right before the close, and then the leave", async () => {
    const { vel, rooms, errors } = server(new RoomManager({ room: LogRoom }));
    rooms.serve(vel, "/ws", () => ({ room: "lobby", userId: "ada" }));
    const client = await connect(vel, "/ws");
    client.sendJson(1);
    client.sendJson(2);
    client.close();
    await settle();
    expect(rooms.get("lobby")?.log).toEqual([
      "join ada first 1/1",
      "message ada 1",
      "message ada 2",
      "leave ada last disconnected 0/0",
    ]);
    expect(errors).toEqual([]);
  });

  it("closes with 1011 and tells when a hook throws; the others stay", async () => {
    class BadRoom extends LogRoom {
      override onJoin(user: RoomUser, join: Join): void {
        if (user.id === "mallory") throw new Error("onJoin");
        super.onJoin(user, join);
      }
      override onMessage(user: RoomUser, message: unknown): void {
        if (message === "boom") throw new Error("onMessage");
        super.onMessage(user, message);
      }
    }
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: BadRoom }));
    rooms.serve(guarded, "/ws", ({ data }) => ({ room: "lobby", userId: data.userId }));
    const ada = await connect(vel, "/ws?user=ada");
    const mallory = await connect(vel, "/ws?user=mallory");
    mallory.sendJson("unheard");
    expect(await mallory.closed).toMatchObject({ code: 1011, reason: "internal error" });
    const bob = await connect(vel, "/ws?user=bob");
    bob.sendJson("boom");
    expect(await bob.closed).toMatchObject({ code: 1011 });
    expect(ada.isOpen).toBe(true);
    expect(errors.map(([error, stage]) => [(error as Error).message, stage])).toEqual([
      ["onJoin", "open"],
      ["onMessage", "message"],
    ]);
    expect(rooms.get("lobby")?.log).toEqual([
      "join ada first 1/1",
      "join bob first 2/2",
      "leave bob last disconnected 1/1",
    ]);
  });

  it("closes with 1013 when there are too many rooms, which is nobody's mistake", async () => {
    const { vel, rooms, errors } = server(new RoomManager({ maxRooms: 1 }));
    rooms.serve(vel, "/ws/:room", ({ params }) => ({ room: params.room }));
    await connect(vel, "/ws/a");
    const client = await connect(vel, "/ws/b");
    expect(await client.closed).toMatchObject({ code: 1013, reason: "too many rooms" });
    expect(errors).toEqual([]);
  });

  it("treats a crafted name in the path as a name", async () => {
    const { vel, rooms, errors } = server(new RoomManager({ room: LogRoom }));
    rooms.serve(vel, "/ws/:room", ({ params }) => ({ room: params.room }));
    const names = ["__proto__", "constructor", "../x", "a b", "ä", "\u0000"];
    for (const name of names) await connect(vel, `/ws/${encodeURIComponent(name)}`);
    await settle();
    expect(rooms.list().map(({ name, userCount }) => [name, userCount])).toEqual(names.map((name) => [name, 1]));
    expect(errors).toEqual([]);
  });
});
