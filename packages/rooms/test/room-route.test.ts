import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  createVel,
  InvalidMessageError,
  VelError,
  type Connection,
  type Json,
  type MaybePromise,
  type StandardSchemaV1,
} from "@vel/core";
import {
  Room,
  RoomManager,
  type HandlerTable,
  type HistoryPosition,
  type Join,
  type JoinRequest,
  type Leave,
  type RoomErrorCode,
  type RoomOptions,
  type RoomPlace,
  type RoomUser,
} from "@vel/rooms";
import { connect, ManualClock, settle } from "@vel/testing";
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
      for (const value of [1, null, [], "text"]) client.sendJson(value);
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
        await super.onJoin(user, join);
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
      override onJoin(user: RoomUser, join: Join): MaybePromise<void> {
        if (user.id === "mallory") throw new Error("onJoin");
        return super.onJoin(user, join);
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

describe("what a served room refuses", () => {
  const say = z.object({ type: z.literal("say"), text: z.string() });
  const never: StandardSchemaV1 = {
    "~standard": { version: 1, vendor: "test", validate: () => new Promise(() => undefined) },
  };
  class StrictRoom extends LogRoom {
    protected override readonly messages: HandlerTable = this.handlers(
      { say, never },
      { say: (user, message) => super.onMessage(user, message), never: () => undefined },
    );
    override onMessage(user: RoomUser, message: unknown): void {
      if (message === "kick") this.kick("owner", { by: user });
      else if (message === "muted") throw new VelError<RoomErrorCode>("ERR_VEL_ROOM_MUTED", "My own");
      else if (message === "invalid") throw new InvalidMessageError("My own");
      else super.onMessage(user, message);
    }
  }
  const setup = (defaults: RoomOptions = {}) => {
    const clock = new ManualClock();
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: StrictRoom, clock, defaults }));
    rooms.serve(guarded, "/ws", ({ data }) => ({ room: "lobby", userId: data.userId }));
    return { clock, vel, rooms, errors, room: rooms.getOrCreate("lobby") };
  };
  const system = { by: "system" } as const;

  it("is answered with an error frame, and the connection stays open", async () => {
    const { clock, vel, rooms, room, errors } = setup({ slowMode: 1_000, capabilities: { speak: "member" } });
    const ada = await connect(vel, "/ws?user=ada");
    await settle();
    const hear = async (message: Json): Promise<unknown[]> => {
      ada.sendJson(message);
      await settle();
      return take(ada);
    };
    room.setRole("ada", "guest", system);
    expect(await hear(1)).toEqual([{ type: "error", code: "room_forbidden" }]);
    room.setRole("ada", "member", system);
    room.mute("ada", { ...system, for: 500 });
    expect(await hear(1)).toEqual([{ type: "error", code: "room_muted", retryAfter: 500 }]);
    await clock.advance(500);
    expect(await hear({ type: "say" })).toEqual([{ type: "error", code: "invalid_message" }]);
    expect(await hear({ type: "say", text: "hi" })).toEqual([{ type: "error", code: "room_slow", retryAfter: 1_000 }]);
    await clock.advance(1_000);
    expect(await hear({ type: "say", text: "hi" })).toEqual([]);
    await clock.advance(1_000);
    expect(await hear({ type: "never" })).toEqual([]);
    await clock.advance(5_000);
    expect(take(ada)).toEqual([{ type: "error", code: "timeout" }]);
    const [connection] = room.users.get("ada")?.connections ?? [];
    rooms.leave("lobby", connection as Connection);
    expect(await hear(1)).toEqual([{ type: "error", code: "room_not_member" }]);
    expect(ada.isOpen).toBe(true);
    expect(errors).toEqual([]);
    expect(room.log.filter((line) => line.startsWith("message"))).toEqual(['message ada {"type":"say","text":"hi"}']);
  });

  it("is not what its handlers throw, whatever the code: that ends the connection", async () => {
    const { vel, errors } = setup();
    await connect(vel, "/ws?user=owner");
    const closes: number[] = [];
    for (const message of ["kick", "muted", "invalid"]) {
      const client = await connect(vel, "/ws?user=ada");
      client.sendJson(message);
      closes.push((await client.closed).code);
      expect(client.received).toEqual([]);
    }
    expect(closes).toEqual([1011, 1011, 1007]);
    expect(errors.map(([error]) => (error as VelError).code)).toEqual(["ERR_VEL_ROOM_FORBIDDEN", "ERR_VEL_ROOM_MUTED"]);
  });

  it("stays refused for what is not JSON: 1007", async () => {
    const { vel } = setup();
    const client = await connect(vel, "/ws?user=ada");
    client.send("{");
    expect(await client.closed).toMatchObject({ code: 1007 });
  });

  it("closes who cannot join: full, banned, forbidden", async () => {
    class DoorRoom extends LogRoom {
      override canJoin(_connection: Connection, { userId }: JoinRequest): boolean {
        return userId !== "eve";
      }
    }
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: DoorRoom, defaults: { capacity: 1 } }));
    rooms.serve(guarded, "/ws", ({ data }) => ({ room: "lobby", userId: data.userId }));
    rooms.getOrCreate("lobby").ban("mallory", system);
    const closed = async (user: string) => (await connect(vel, `/ws?user=${user}`)).closed;
    expect(await closed("mallory")).toMatchObject({ code: 4501, reason: "banned" });
    expect(await closed("eve")).toMatchObject({ code: 4403, reason: "forbidden" });
    await connect(vel, "/ws?user=ada");
    expect(await closed("bob")).toMatchObject({ code: 1013, reason: "room is full" });
    expect(errors).toEqual([]);
    expect(rooms.get("lobby")?.log).toEqual(["join ada first 1/1"]);
  });

  it("closes who is kicked with 4500 and who is banned with 4501, after onLeave, with the reason", async () => {
    class ByeRoom extends LogRoom {
      override onLeave(user: RoomUser, leave: Leave): void {
        super.onLeave(user, leave);
        leave.connection.sendJson({ bye: leave.reason });
      }
    }
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: ByeRoom }));
    rooms.serve(guarded, "/ws", ({ data }) => ({ room: "lobby", userId: data.userId }));
    const enter = async () => {
      const clients = [await connect(vel, "/ws?user=ada"), await connect(vel, "/ws?user=ada")];
      await settle();
      return clients;
    };
    const room = rooms.getOrCreate("lobby");
    const reason = "ä".repeat(100);
    for (const [act, code, told] of [
      [() => room.kick("ada", system), 4500, "kicked"],
      [() => room.kick("ada", { ...system, reason: "Calm down" }), 4500, "Calm down"],
      [() => room.ban("ada", { ...system, reason }), 4501, "ä".repeat(61)],
    ] as const) {
      const clients = await enter();
      act();
      for (const client of clients) {
        expect(await client.closed).toMatchObject({ code, reason: told, by: "remote" });
        expect(take(client)).toEqual([{ bye: code === 4500 ? "kicked" : "banned" }]);
      }
    }
    expect(room.userCount).toBe(0);
    expect(errors).toEqual([]);
  });

  it("closes only for the room that the route is for", async () => {
    const { vel, rooms, room } = setup();
    const client = await connect(vel, "/ws?user=ada");
    await settle();
    const [connection] = room.users.get("ada")?.connections ?? [];
    const attic = await rooms.join("attic", connection as Connection, { userId: "ada" });
    attic.kick("ada", system);
    await settle();
    expect(client.isOpen).toBe(true);
    room.ban("ada", system);
    expect(await client.closed).toMatchObject({ code: 4501, reason: "banned" });
  });

  it("closes who is kicked while onJoin runs, or canJoin: nobody comes in", async () => {
    const door = gate();
    class SlowRoom extends LogRoom {
      override async onJoin(user: RoomUser, join: Join): Promise<void> {
        await door.promise;
        await super.onJoin(user, join);
      }
    }
    const { vel, guarded, rooms, errors } = server(new RoomManager({ room: SlowRoom }));
    rooms.serve(guarded, "/ws", ({ data }) => ({ room: "lobby", userId: data.userId }));
    const client = await connect(vel, "/ws?user=ada");
    await settle();
    client.sendJson("unheard");
    rooms.get("lobby")?.kick("ada", system);
    expect(await client.closed).toMatchObject({ code: 4500 });
    door.open();
    await settle();
    expect(rooms.get("lobby")?.log).toEqual(["join ada first 0/0", "leave ada last kicked 0/0"]);
    expect(errors).toEqual([]);
  });

  it("lets a client come back with its position", async () => {
    const { vel, rooms } = server(new RoomManager({ defaults: { history: { limit: 5 } } }));
    rooms.serve(vel, "/ws", ({ query }) => ({
      room: "lobby",
      since: JSON.parse(query.get("since") ?? "null") as HistoryPosition | null,
    }));
    const room = rooms.getOrCreate("lobby");
    room.broadcast("seen");
    const since = encodeURIComponent(JSON.stringify(room.history?.position));
    room.broadcast("missed");
    const client = await connect(vel, `/ws?since=${since}`);
    await settle();
    expect(client.received).toEqual(["missed"]);
  });
});
