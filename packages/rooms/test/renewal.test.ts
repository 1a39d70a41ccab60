/** What a room does when the rights of a member have changed: it asks `canJoin` again. */
import { describe, expect, it } from "vitest";
import { createVel, Protocol, type Connection, type MaybePromise } from "@vel/core";
import { frameOf, Room, roomFrames, RoomManager, RoomPresence, type JoinRequest, type UserRole } from "@vel/rooms";
import { connect, ManualClock, settle } from "@vel/testing";
import { counted, gate, LogRoom, peers, refused, take, type Gate } from "./kit.ts";

/** What the tokens of these tests say. */
interface Rights {
  readonly rooms?: readonly string[];
  readonly role?: UserRole;
}

function rightsOf({ data }: Connection): Rights {
  return data ?? {};
}

/** Lets in whoever has the room's name in his rights. */
class GuardedRoom extends LogRoom {
  override canJoin(connection: Connection, request: JoinRequest): MaybePromise<boolean> {
    this.log.push(`ask ${request.userId}`);
    return rightsOf(connection).rooms?.includes(this.name) ?? false;
  }
}

/** Decides when the test says so, by what the rights are then. */
class SlowRoom extends GuardedRoom {
  readonly questions: Gate[] = [];
  isSlow = true;
  override async canJoin(connection: Connection, request: JoinRequest): Promise<boolean> {
    const question = gate();
    this.log.push(`ask ${request.userId}`);
    const isAllowed = rightsOf(connection).rooms?.includes(this.name) ?? false;
    if (!this.isSlow) return isAllowed;
    this.questions.push(question);
    await question.promise;
    return isAllowed;
  }
  /** Lets the oldest question be answered. */
  async answer(error?: Error): Promise<void> {
    const question = this.questions.shift();
    if (error) question?.fail(error);
    else question?.open();
    await settle();
  }
}

type Rooms = RoomManager<GuardedRoom>;

async function fixture(room: typeof GuardedRoom | typeof SlowRoom = GuardedRoom) {
  const errors: string[] = [];
  const contexts: unknown[] = [];
  const rooms: Rooms = new RoomManager({
    room,
    onError: (error, context) => {
      errors.push(`${context.stage}: ${String(error)}`);
      contexts.push(context.connection);
    },
  });
  const { vel, peer } = peers();
  const ada = await peer();
  await ada.connection.renew({ rooms: ["a", "b"] });
  return { rooms, vel, peer, ada, errors, contexts };
}

/** Somebody in the room `a`, which takes its time from then on. */
async function slowFixture() {
  const { rooms, ...rest } = await fixture(SlowRoom);
  const room = rooms.getOrCreate("a") as SlowRoom;
  room.isSlow = false;
  await rooms.join("a", rest.ada.connection, { userId: "ada" });
  room.isSlow = true;
  room.log.length = 0;
  return { rooms, room, ...rest };
}

/** Tells whether a promise has settled. */
function watch(promise: Promise<unknown>): { isDone: boolean } {
  const state = { isDone: false };
  void promise.then(() => (state.isDone = true));
  return state;
}

describe("Connection.renew()", () => {
  it("puts out of the rooms that the connection may not be in any more, before it resolves", async () => {
    const { rooms, vel, peer, ada, errors } = await fixture();
    const bob = await peer();
    await bob.connection.renew({ rooms: ["a"] });
    const a = await rooms.join("a", ada.connection, { userId: "ada" });
    await rooms.join("b", ada.connection, { userId: "ada" });
    await rooms.join("a", bob.connection, { userId: "bob" });
    const events: unknown[] = [];
    a.on("leave", ({ id }, { connection, reason, last }) => events.push([id, connection, reason, last]));
    a.log.length = 0;

    await ada.connection.renew({ rooms: ["b"] });
    expect(a.log).toEqual(["ask ada", "leave ada last forbidden 1/1"]);
    expect(events).toEqual([["ada", ada.connection, "forbidden", true]]);
    expect(rooms.roomsOf(ada.connection).map(({ name }) => name)).toEqual(["b"]);
    expect(ada.connection.isOpen).toBe(true);
    await settle();
    take(ada.client);
    expect([rooms.broadcast("a", { in: "a" }), rooms.broadcast("b", { in: "b" })]).toEqual([1, 1]);
    await settle();
    expect(take(ada.client)).toEqual([{ in: "b" }]);
    expect(() => a.receive(ada.connection, "still here?")).toThrow(refused("ERR_VEL_ROOM_NOT_MEMBER"));
    await expect(rooms.join("a", ada.connection)).rejects.toEqual(refused("ERR_VEL_ROOM_FORBIDDEN"));
    expect(errors).toEqual([]);
    await vel.close();
  });

  it("puts out at once where canJoin answers at once", async () => {
    const { rooms, vel, ada } = await fixture();
    await rooms.join("a", ada.connection);
    const renewing = ada.connection.renew({ rooms: [] });
    expect(rooms.broadcast("a", "secret")).toBe(0);
    await renewing;
    await vel.close();
  });

  it("changes nothing where the answer is the same, and asks with the request of the join", async () => {
    const { rooms, vel, ada } = await fixture();
    const requests: JoinRequest[] = [];
    const a = rooms.getOrCreate(
      "a",
      class extends GuardedRoom {
        override canJoin(connection: Connection, request: JoinRequest): MaybePromise<boolean> {
          requests.push(request);
          return super.canJoin(connection, request);
        }
      },
    );
    const since = { epoch: "before", seq: 7 };
    await rooms.join("a", ada.connection, { userId: "ada", role: "moderator", meta: { device: "phone" }, since });
    let events = 0;
    a.on("join", () => events++);
    a.on("leave", () => events++);
    a.log.length = 0;
    a.broadcast(1);
    const renewing = ada.connection.renew({ rooms: ["a"] });
    a.broadcast(2);
    await renewing;
    a.broadcast(3);
    await settle();
    expect(take(ada.client)).toEqual([1, 2, 3]);
    expect(a.log).toEqual(["ask ada"]);
    expect(events).toBe(0);
    expect(requests).toEqual([
      { userId: "ada", role: "moderator", meta: { device: "phone" }, since },
      { userId: "ada", role: "moderator", meta: { device: "phone" }, since },
    ]);
    await vel.close();
  });

  it("asks about that connection alone: the user's other tab stays", async () => {
    const { rooms, vel, peer, ada } = await fixture();
    const tab = await peer();
    await tab.connection.renew({ rooms: ["a"] });
    const a = await rooms.join("a", ada.connection, { userId: "ada" });
    await rooms.join("a", tab.connection, { userId: "ada" });
    a.log.length = 0;
    await tab.connection.renew({ rooms: [] });
    expect(a.log).toEqual(["ask ada", "leave ada forbidden 1/1"]);
    expect([...(a.users.get("ada")?.connections ?? [])]).toEqual([ada.connection]);
    await vel.close();
  });

  it("keeps a member in, and its messages taken, until canJoin has answered", async () => {
    const { rooms, room, vel, ada } = await slowFixture();
    const renewing = watch(ada.connection.renew({ rooms: [] }));
    await settle();
    expect([rooms.broadcast("a", "meanwhile"), renewing.isDone]).toEqual([1, false]);
    await room.receive(ada.connection, "meanwhile");
    await room.answer();
    expect(room.log).toEqual(["ask ada", 'message ada "meanwhile"', "leave ada last forbidden 0/0"]);
    expect([rooms.broadcast("a", "after"), renewing.isDone]).toEqual([0, true]);
    expect(ada.client.received).toEqual(["meanwhile"]);
    await vel.close();
  });

  it("puts out on whatever is not true, and reports what canJoin throws", async () => {
    const { rooms, vel, peer, errors, contexts } = await fixture();
    const answers: (() => unknown)[] = [
      () => undefined,
      () => "yes",
      () => Promise.resolve(1),
      () => {
        throw new Error("no database");
      },
      () => Promise.reject(new Error("no answer")),
    ];
    for (const answer of answers) {
      const { connection } = await peer();
      let isIn = false;
      const room = rooms.getOrCreate(
        `room ${String(answers.indexOf(answer))}`,
        class extends GuardedRoom {
          override canJoin(): MaybePromise<boolean> {
            return isIn ? (answer() as boolean) : true;
          }
        },
      );
      await rooms.join(room.name, connection, { userId: "ada" });
      isIn = true;
      await connection.renew({});
      expect(room.log.at(-1)).toBe("leave ada last forbidden 0/0");
      if (errors.length > 0) expect(contexts.at(-1)).toBe(connection);
    }
    expect(errors).toEqual(["canJoin: Error: no database", "canJoin: Error: no answer"]);
    await vel.close();
  });

  it("asks once more after a question that it overtook, never twice at a time", async () => {
    const { room, vel, ada } = await slowFixture();
    const first = watch(ada.connection.renew({ rooms: ["a"] }));
    const second = watch(ada.connection.renew({ rooms: ["a", "b"] }));
    const third = watch(ada.connection.renew({ rooms: [] }));
    await settle();
    expect(room.log).toEqual(["ask ada"]);
    await room.answer();
    expect(room.log).toEqual(["ask ada", "ask ada"]);
    expect([first.isDone, second.isDone, third.isDone]).toEqual([false, false, false]);
    await room.answer();
    expect(room.log).toEqual(["ask ada", "ask ada", "leave ada last forbidden 0/0"]);
    expect([first.isDone, second.isDone, third.isDone]).toEqual([true, true, true]);
    await vel.close();
  });

  it("is asked about anew when the one before is decided", async () => {
    const { room, vel, ada } = await slowFixture();
    for (let i = 1; i <= 3; i++) {
      const renewing = watch(ada.connection.renew({ rooms: ["a"] }));
      await room.answer();
      expect([renewing.isDone, room.log]).toEqual([true, Array<string>(i).fill("ask ada")]);
    }
    await vel.close();
  });

  it("puts out on a no, also when more rights have come since", async () => {
    const { room, vel, ada } = await slowFixture();
    void ada.connection.renew({ rooms: [] });
    const second = watch(ada.connection.renew({ rooms: ["a"] }));
    await room.answer();
    expect(room.log).toEqual(["ask ada", "leave ada last forbidden 0/0"]);
    expect([second.isDone, room.questions.length]).toEqual([true, 0]);
    await vel.close();
  });

  it("does nothing about a member that leaves or closes meanwhile", async () => {
    for (const end of ["leave", "close", "drop", "kick"]) {
      const { rooms, room, vel, ada } = await slowFixture();
      const renewing = watch(ada.connection.renew({ rooms: [] }));
      await settle();
      if (end === "leave") rooms.leave("a", ada.connection);
      if (end === "close") ada.connection.close();
      if (end === "drop") ada.client.drop();
      if (end === "kick") room.kick("ada", { by: "system" });
      await settle();
      await room.answer();
      const reason = end === "leave" ? "left" : end === "kick" ? "kicked" : "disconnected";
      expect(room.log).toEqual(["ask ada", `leave ada last ${reason} 0/0`]);
      expect([renewing.isDone, room.questions.length]).toEqual([true, 0]);
      await vel.close();
    }
  });

  it("does not put out who has left meanwhile and was let in anew", async () => {
    const { rooms, room, vel, ada } = await slowFixture();
    void ada.connection.renew({ rooms: [] });
    await settle();
    rooms.leave("a", ada.connection);
    room.isSlow = false;
    const renewing = ada.connection.renew({ rooms: ["a"] });
    await rooms.join("a", ada.connection, { userId: "ada" });
    await room.answer();
    await renewing;
    expect(room.log.at(-1)).toBe("join ada first 1/1");
    expect(room.connectionCount).toBe(1);
    await vel.close();
  });

  it("asks again about who is not in yet, and waits for that", async () => {
    const { rooms, vel, ada } = await fixture(SlowRoom);
    const room = rooms.getOrCreate("a") as SlowRoom;
    const joining = rooms.join("a", ada.connection, { userId: "ada" });
    joining.catch(() => undefined);
    await settle();
    const renewing = watch(ada.connection.renew({ rooms: [] }));
    await room.answer(); // a yes to what it was
    expect([room.connectionCount, room.log, renewing.isDone]).toEqual([0, ["ask ada", "ask ada"], false]);
    await room.answer();
    await expect(joining).rejects.toEqual(refused("ERR_VEL_ROOM_FORBIDDEN"));
    expect([room.connectionCount, room.log, renewing.isDone]).toEqual([0, ["ask ada", "ask ada"], true]);

    const again = rooms.join("a", ada.connection, { userId: "ada" });
    again.catch(() => undefined);
    void ada.connection.renew({ rooms: ["a"] });
    await room.answer();
    await expect(again).rejects.toEqual(refused("ERR_VEL_ROOM_FORBIDDEN")); // a no counts at once
    const third = rooms.join("a", ada.connection, { userId: "ada" });
    void ada.connection.renew({ rooms: ["a"] });
    await room.answer();
    await room.answer();
    expect(await third).toBe(room);
    expect(room.log.at(-1)).toBe("join ada first 1/1");
    await vel.close();
  });

  it("does not wait for onJoin, and puts out while that runs", async () => {
    const welcome = gate();
    class WelcomingRoom extends GuardedRoom {
      override async onJoin(): Promise<void> {
        await welcome.promise;
        this.log.push("welcome");
      }
    }
    const { rooms, vel, ada } = await fixture(WelcomingRoom);
    const joining = rooms.join("a", ada.connection, { userId: "ada" });
    const room = rooms.getOrCreate("a");
    const events: string[] = [];
    room.on("join", () => events.push("join"));
    room.on("leave", (_, { reason }) => events.push(reason));
    await ada.connection.renew({ rooms: [] });
    expect([room.connectionCount, room.log]).toEqual([0, ["ask ada", "ask ada"]]);
    welcome.open();
    await joining;
    expect(room.log).toEqual(["ask ada", "ask ada", "welcome", "leave ada last forbidden 0/0"]);
    expect(events).toEqual(["join", "forbidden"]);
    await vel.close();
  });

  it("does not go round in circles with a canJoin that renews", async () => {
    class RenewingRoom extends GuardedRoom {
      override canJoin(connection: Connection, request: JoinRequest): MaybePromise<boolean> {
        void connection.renew({ seen: this.log.length });
        return super.canJoin(connection, request);
      }
    }
    class LaterRoom extends RenewingRoom {
      override async canJoin(connection: Connection, request: JoinRequest): Promise<boolean> {
        return super.canJoin(connection, request);
      }
    }
    for (const room of [RenewingRoom, LaterRoom]) {
      const { rooms, vel, ada } = await fixture(room);
      const { log } = await rooms.join("a", ada.connection, { userId: "ada" });
      await ada.connection.renew({});
      await ada.connection.renew({ rooms: [] });
      expect(log).toEqual(["ask ada", "join ada first 1/1", "ask ada", "ask ada", "leave ada last forbidden 0/0"]);
      await vel.close();
    }
  });

  it("lets a role change where canJoin gives it", async () => {
    class RankedRoom extends GuardedRoom {
      override canJoin(connection: Connection, { userId }: JoinRequest): boolean {
        this.setRole(userId, rightsOf(connection).role ?? "guest", { by: "system" });
        return true;
      }
    }
    const { rooms, vel, ada } = await fixture(RankedRoom);
    await ada.connection.renew({ role: "admin" });
    const room = await rooms.join("a", ada.connection, { userId: "ada", role: "member" });
    expect(room.users.get("ada")?.role).toBe("admin");
    await ada.connection.renew({ role: "guest" });
    expect([room.users.get("ada")?.role, room.log]).toEqual(["guest", ["join ada first 1/1"]]);
    await vel.close();
  });

  it("lets presence show at once who is out", async () => {
    const clock = new ManualClock();
    class Lobby extends GuardedRoom {
      readonly presence = new RoomPresence(this, { grace: 10_000, clock });
    }
    const { rooms, vel, peer, ada } = await fixture(Lobby);
    const bob = await peer();
    await bob.connection.renew({ rooms: ["a"] });
    await rooms.join("a", ada.connection, { userId: "ada" });
    await rooms.join("a", bob.connection, { userId: "bob" });
    await clock.advance(0);
    await settle();
    take(bob.client);
    await ada.connection.renew({ rooms: [] });
    await clock.advance(0);
    await settle();
    expect(take(bob.client)).toEqual([{ type: "presence_diff", room: "a", joins: {}, leaves: { ada: [null] } }]);
    await vel.close();
    expect(clock.pending).toBe(0);
  });

  it("costs a connection one listener while it is in rooms or on its way, and none otherwise", async () => {
    const { rooms, vel, ada } = await fixture();
    const { connection, listeners } = counted(ada.connection);
    await rooms.join("a", connection);
    await rooms.join("b", connection);
    expect(listeners()).toBe(1);
    rooms.leave("a", connection);
    await connection.renew({ rooms: ["b"] });
    expect(listeners()).toBe(1);
    await connection.renew({ rooms: [] });
    expect([listeners(), rooms.roomsOf(connection)]).toEqual([0, []]);
    await expect(rooms.join("a", connection)).rejects.toEqual(refused("ERR_VEL_ROOM_FORBIDDEN"));
    expect(listeners()).toBe(0);
    await connection.renew({ rooms: ["a"] });
    await rooms.join("a", connection);
    await rooms.close();
    expect(listeners()).toBe(0);
    await vel.close();
  });

  it("costs nothing in a room that lets everybody in", async () => {
    const { vel, ada } = await fixture();
    const rooms = new RoomManager();
    class FieldRoom extends Room {
      override canJoin = ({ data }: Connection): boolean => (data as Rights).rooms?.includes("a") ?? false;
    }
    const { connection, listeners } = counted(ada.connection);
    await rooms.join("open", connection);
    expect(listeners()).toBe(0);
    rooms.getOrCreate("guarded", FieldRoom);
    await rooms.join("guarded", connection);
    expect(listeners()).toBe(1);
    await connection.renew({ rooms: [] });
    expect(rooms.roomsOf(connection).map(({ name }) => name)).toEqual(["open"]);
    await vel.close();
  });

  it("leaves no listener where canJoin takes its time, whatever it answers", async () => {
    const { rooms, vel, ada } = await fixture(SlowRoom);
    const room = rooms.getOrCreate("a") as SlowRoom;
    const { connection, listeners } = counted(ada.connection);
    const failing = rooms.join("a", connection);
    failing.catch(() => undefined);
    expect(listeners()).toBe(2);
    await room.answer(new Error("no database"));
    expect(listeners()).toBe(0);
    const joining = rooms.join("a", connection);
    await room.answer();
    await joining;
    expect(listeners()).toBe(1);
    void connection.renew({ rooms: ["a"] });
    expect(listeners()).toBe(2);
    await room.answer();
    expect(listeners()).toBe(1);
    void connection.renew({ rooms: ["a"] });
    connection.terminate();
    await settle();
    expect(listeners()).toBe(1); // the question is open still
    await room.answer(new Error("no database"));
    expect(listeners()).toBe(0);
    await vel.close();
  });
});

describe("RoomManager.close()", () => {
  it("waits for a question that is open, which then decides nothing", async () => {
    const { rooms, room, vel, ada } = await slowFixture();
    void ada.connection.renew({ rooms: [] });
    await settle();
    const closing = watch(rooms.close());
    await settle();
    expect([closing.isDone, room.log]).toEqual([false, ["ask ada", "leave ada last closed 0/0"]]);
    await room.answer();
    expect([closing.isDone, room.log]).toEqual([true, ["ask ada", "leave ada last closed 0/0"]]);
    await vel.close();
  });
});

describe("RoomManager.serve()", () => {
  it("closes with 4403 who may not be in the room any more for which it came, after onLeave", async () => {
    const vel = createVel();
    const opened: Connection[] = [];
    class ServedRoom extends GuardedRoom {
      override onJoin(_: unknown, { connection }: { connection: Connection }): void {
        opened.push(connection);
      }
      override onLeave(_: unknown, { connection }: { connection: Connection }): void {
        connection.send("bye");
      }
    }
    const rooms = new RoomManager({ room: ServedRoom });
    const guarded = vel.with(() => ({ data: { rooms: ["a", "b"] } }));
    rooms.serve(guarded, "/ws/:room", ({ params }) => ({ room: params.room }));
    const client = await connect(vel, "/ws/a");
    await settle();
    const [connection] = opened;
    if (!connection) throw new Error("Nobody joined");
    await rooms.join("b", connection);
    await connection.renew({ rooms: ["a"] });
    expect(connection.isOpen).toBe(true);
    expect(await client.receiveText()).toBe("bye");
    await connection.renew({ rooms: [] });
    expect(await client.receiveText()).toBe("bye");
    expect(await client.closed).toMatchObject({ code: 4403, reason: "forbidden" });
    await vel.close();
  });
});

describe("roomFrames()", () => {
  it("tells who may not be in a room any more, as it tells of a kick", async () => {
    const protocol = new Protocol();
    const rooms: Rooms = new RoomManager({ room: GuardedRoom, frame: frameOf(protocol) });
    protocol.add(roomFrames(rooms, { where: () => ({ userId: "ada" }) }));
    const vel = createVel();
    let opened: Connection | undefined;
    vel.websocket("/ws", { ...protocol.hooks(), open: (connection) => void (opened = connection) });
    const client = await connect(vel, "/ws");
    await opened?.renew({ rooms: ["a", "b"] });
    client.sendJson({ type: "join", id: 1, room: "a" });
    client.sendJson({ type: "join", id: 2, room: "b" });
    await settle();
    take(client);
    await opened?.renew({ rooms: ["b"] });
    await settle();
    expect(take(client)).toEqual([{ type: "left", room: "a", reason: "forbidden" }]);
    client.sendJson({ type: "rooms", id: 3 });
    client.sendJson({ type: "say", id: 4, room: "a", data: 1 });
    client.sendJson({ type: "join", id: 5, room: "a" });
    await settle();
    expect(take(client)).toEqual([
      { type: "ok", id: 3, rooms: ["b"] },
      { type: "error", id: 4, code: "room_not_member" },
      { type: "error", id: 5, code: "room_forbidden" },
    ]);
    await vel.close();
  });
});
