import { describe, expect, it } from "vitest";
import { DisconnectError, type MaybePromise } from "@vel/core";
import { Room, RoomManager, type Join, type Leave, type RoomUser } from "@vel/rooms";
import { settle } from "@vel/testing";
import { counted, gate, LogRoom, peers, take, type Gate } from "./kit.ts";

/** A room whose `onJoin` of a user waits for a gate, if there is one. */
class GatedRoom extends LogRoom {
  static gates = new Map<string, Gate>();
  override async onJoin(user: RoomUser, join: Join): Promise<void> {
    await super.onJoin(user, join);
    await GatedRoom.gates.get(user.id)?.promise;
    this.log.push(`joined ${user.id}`);
  }
}

function gatedRooms(...users: string[]): { rooms: RoomManager<GatedRoom>; gates: Gate[] } {
  const gates = users.map(gate);
  GatedRoom.gates = new Map(users.map((user, i) => [user, gates[i] as Gate]));
  return { rooms: new RoomManager({ room: GatedRoom }), gates };
}

describe("RoomManager.join()", () => {
  it("makes the connection a member before it returns, and runs onJoin then", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const rooms = new RoomManager({ room: LogRoom });
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    const room = rooms.get("lobby");
    expect(room?.log).toEqual(["join ada first 1/1"]);
    expect(room?.broadcast("hello")).toBe(1);
    expect(await joining).toBe(room);
  });

  it("takes the connection's id for a user id when there is none", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const [a, b] = [await peer(), await peer()];
    await rooms.join("lobby", a.connection);
    const room = await rooms.join("lobby", b.connection);
    expect([...room.users.keys()]).toEqual([a.connection.id, b.connection.id]);
  });

  it("rejects with ERR_VEL_ROOM_MEMBER when the connection is in, and changes nothing", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const rooms = new RoomManager({ room: LogRoom });
    const room = await rooms.join("lobby", connection, { userId: "ada" });
    await expect(rooms.join("lobby", connection, { userId: "bob" })).rejects.toMatchObject({
      code: "ERR_VEL_ROOM_MEMBER",
      message: `Cannot join room "lobby": connection "${connection.id}" is in it already`,
    });
    expect(room.info).toMatchObject({ userCount: 1, connectionCount: 1, users: [{ id: "ada" }] });
    expect(room.log).toEqual(["join ada first 1/1"]);
  });

  it("rejects with a DisconnectError when the connection is not open, and makes no room", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const [closing, gone] = [await peer(), await peer()];
    closing.connection.close(4000);
    gone.client.drop();
    await gone.client.closed;
    await settle();
    closing.client.silence();
    for (const { connection } of [closing, gone]) {
      const error: unknown = await rooms.join("lobby", connection).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DisconnectError);
      expect((error as DisconnectError).info).toEqual(
        connection.closeInfo ?? { code: 1006, reason: "", wasClean: false, by: "remote" },
      );
    }
    expect(rooms.list()).toEqual([]);
  });

  it("lets one connection into several rooms, and out of all when it closes", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const rooms = new RoomManager({ room: LogRoom });
    const all = await Promise.all(["a", "b", "c"].map((name) => rooms.join(name, connection, { userId: "ada" })));
    client.close();
    await settle();
    for (const room of all) expect(room.log).toEqual(["join ada first 1/1", "leave ada last disconnected 0/0"]);
  });

  it("rolls back when onJoin throws or rejects: nobody is in, nobody is told of a leave", async () => {
    for (const isAsync of [false, true]) {
      class NoRoom extends Room {
        left = 0;
        override onJoin(): Promise<void> {
          const error = new Error("no");
          if (isAsync) return Promise.reject(error);
          throw error;
        }
        override onLeave(): void {
          this.left++;
        }
      }
      const { peer, errors } = peers();
      const { client, connection } = await peer();
      const rooms = new RoomManager({ room: NoRoom, onError: (error) => errors.push(error) });
      const events: string[] = [];
      const room = rooms.getOrCreate("lobby");
      room.on("join", () => events.push("join"));
      room.on("leave", () => events.push("leave"));
      await expect(rooms.join("lobby", connection)).rejects.toThrow("no");
      expect(room.info).toMatchObject({ userCount: 0, connectionCount: 0 });
      expect(room.broadcast("hello")).toBe(0);
      client.close();
      await settle();
      expect(room.left).toBe(0);
      expect(events).toEqual([]);
      expect(errors).toEqual([]);
    }
  });

  it("counts a user whose join was rolled back as new", async () => {
    const { peer } = peers();
    let refuses = true;
    class PickyRoom extends LogRoom {
      override onJoin(user: RoomUser, join: Join): MaybePromise<void> {
        if (refuses) throw new Error("no");
        return super.onJoin(user, join);
      }
    }
    const rooms = new RoomManager({ room: PickyRoom });
    const { connection } = await peer();
    await expect(rooms.join("lobby", connection, { userId: "ada" })).rejects.toThrow("no");
    refuses = false;
    const room = await rooms.join("lobby", connection, { userId: "ada" });
    rooms.leave("lobby", connection);
    expect(room.log).toEqual(["join ada first 1/1", "leave ada last left 0/0"]);
  });

  it("takes back the role and meta of a join that was rolled back", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({
      room: class extends Room {
        override onJoin(user: RoomUser): void {
          if (user.role === "admin") throw new Error("no admins");
        }
      },
    });
    const [a, b] = [await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "ada", meta: { name: "Ada" } });
    await expect(
      rooms.join("lobby", b.connection, { userId: "ada", role: "admin", meta: { name: "Root" } }),
    ).rejects.toThrow();
    expect(room.users.get("ada")).toMatchObject({ role: "member", meta: { name: "Ada" } });
  });

  it("lets the newest connection that says so decide on role and meta", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const [a, b, c] = [await peer(), await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "ada", role: "guest", meta: 1 });
    const user = room.users.get("ada");
    await rooms.join("lobby", b.connection, { userId: "ada", role: "owner" });
    await rooms.join("lobby", c.connection, { userId: "ada", meta: 3 });
    expect(room.users.get("ada")).toBe(user);
    expect(user).toMatchObject({ id: "ada", role: "owner", meta: 3 });
    expect([...(user?.connections ?? [])]).toEqual([a.connection, b.connection, c.connection]);
    rooms.leave("lobby", b.connection);
    rooms.leave("lobby", c.connection);
    expect(user).toMatchObject({ role: "guest", meta: 1 });
    rooms.leave("lobby", a.connection);
    expect(user).toMatchObject({ role: "guest", meta: 1 });
  });

  it("does not let one slow hook delay another connection", async () => {
    const { peer } = peers();
    const { rooms, gates } = gatedRooms("slow");
    const [slow, quick] = [await peer(), await peer()];
    let isIn = false;
    void rooms.join("lobby", slow.connection, { userId: "slow" }).then(() => (isIn = true));
    const room = await rooms.join("lobby", quick.connection, { userId: "quick" });
    await room.receive(quick.connection, "hello");
    expect(isIn).toBe(false);
    rooms.leave("lobby", quick.connection);
    expect(room.log).toEqual([
      "join slow first 1/1",
      "join quick first 2/2",
      "joined quick",
      'message quick "hello"',
      "leave quick last left 1/1",
    ]);
    gates[0]?.open();
    await settle();
    expect(isIn).toBe(true);
  });
});

describe("RoomManager.leave()", () => {
  it("leaves nothing behind on a connection that goes on", async () => {
    const { peer } = peers();
    const { connection: inner } = await peer();
    const { connection, listeners } = counted(inner, "onClosing");
    const rooms = new RoomManager();
    for (let i = 0; i < 10; i++) {
      await rooms.join("lobby", connection);
      expect(listeners()).toBeGreaterThan(0);
      rooms.leave("lobby", connection);
    }
    expect(listeners()).toBe(0);
  });
});

describe("leaving while onJoin runs", () => {
  it("removes at once and tells after onJoin", async () => {
    const { peer } = peers();
    const { rooms, gates } = gatedRooms("ada");
    const { client, connection } = await peer();
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    const room = rooms.getOrCreate("lobby");
    const events: string[] = [];
    room.on("join", (user) => events.push(`join ${user.id}`));
    room.on("leave", (user, { reason }) => events.push(`leave ${user.id} ${reason}`));
    client.close();
    await settle();
    expect(room.info).toMatchObject({ userCount: 0, connectionCount: 0 });
    expect(room.log).toEqual(["join ada first 1/1"]);
    gates[0]?.open();
    expect(await joining).toBe(room);
    expect(room.log).toEqual(["join ada first 1/1", "joined ada", "leave ada last disconnected 0/0"]);
    expect(events).toEqual(["join ada", "leave ada disconnected"]);
  });

  it("tells of nothing when onJoin fails then", async () => {
    const { peer } = peers();
    const { rooms, gates } = gatedRooms("ada");
    const room = rooms.getOrCreate("lobby");
    const { connection } = await peer();
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    rooms.leave("lobby", connection);
    gates[0]?.fail(new Error("no"));
    await expect(joining).rejects.toThrow("no");
    expect(room.log).toEqual(["join ada first 1/1"]);
  });

  it("does not throw out a second join of the same connection when the first fails", async () => {
    const { peer } = peers();
    const { rooms, gates } = gatedRooms("ada");
    const { connection } = await peer();
    const first = rooms.join("lobby", connection, { userId: "ada" });
    rooms.leave("lobby", connection);
    const room = await rooms.join("lobby", connection, { userId: "bob" });
    gates[0]?.fail(new Error("no"));
    await expect(first).rejects.toThrow("no");
    expect(room.info).toMatchObject({ connectionCount: 1, users: [{ id: "bob" }] });
  });

  // Somebody reloads the page while the room still greets him: had the old tab counted as the last and the new one as
  // the first, everybody would be told "joined, joined, left", and believe that he is gone.
  it("keeps first and last alternating for a user who is back before the leave is told", async () => {
    const { peer } = peers();
    const { rooms, gates } = gatedRooms("ada");
    const [old, fresh] = [await peer(), await peer()];
    const first = rooms.join("lobby", old.connection, { userId: "ada" });
    rooms.leave("lobby", old.connection);
    GatedRoom.gates.clear();
    const room = await rooms.join("lobby", fresh.connection, { userId: "ada" });
    gates[0]?.open();
    await first;
    expect(room.log).toEqual(["join ada first 1/1", "join ada 1/1", "joined ada", "joined ada", "leave ada left 1/1"]);
    rooms.leave("lobby", fresh.connection);
    expect(room.log.at(-1)).toBe("leave ada last left 0/0");
  });
});

describe("Room.onLeave()", () => {
  it("runs exactly once, whoever closes and however often", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const room = rooms.getOrCreate("lobby");
    const [a, b, c] = [await peer(), await peer(), await peer()];
    for (const [userId, { connection }] of Object.entries({ a, b, c }))
      await rooms.join("lobby", connection, { userId });
    room.log.length = 0;
    a.connection.close();
    expect(room.log).toEqual(["leave a last disconnected 2/2"]); // the peer has not answered yet
    b.connection.terminate();
    c.client.drop();
    a.connection.terminate();
    await settle();
    expect(rooms.leave("lobby", a.connection)).toBe(false);
    expect(room.log).toEqual([
      "leave a last disconnected 2/2",
      "leave b last disconnected 1/1",
      "leave c last disconnected 0/0",
    ]);
  });

  it("gives what it throws or rejects with to onError, and the rest goes on", async () => {
    const { peer } = peers();
    const told: unknown[] = [];
    class BadRoom extends Room {
      override onLeave(user: RoomUser): Promise<void> {
        if (user.id === "sync") throw new Error("sync");
        return Promise.reject(new Error(user.id));
      }
    }
    const rooms = new RoomManager({
      room: BadRoom,
      onError: (error, { stage, connection }) => {
        told.push([(error as Error).message, stage, connection]);
        throw new Error("onError is broken too");
      },
    });
    const { error: original } = console;
    const lines: unknown[] = [];
    console.error = (line: unknown) => void lines.push(line);
    try {
      const [a, b] = [await peer(), await peer()];
      const room = await rooms.join("lobby", a.connection, { userId: "sync" });
      await rooms.join("lobby", b.connection, { userId: "async" });
      const left: string[] = [];
      room.on("leave", (user) => left.push(user.id));
      expect(rooms.leave("lobby", a.connection)).toBe(true);
      b.client.close();
      await settle();
      expect(left).toEqual(["sync", "async"]);
      expect(told).toEqual([
        ["sync", "onLeave", a.connection],
        ["async", "onLeave", b.connection],
      ]);
      expect(lines.length).toBe(4); // for each: that onError failed, and what it was told of
    } finally {
      console.error = original;
    }
  });

  it("still gets the user, without connections, with role and meta", async () => {
    const { peer } = peers();
    const seen: unknown[] = [];
    class SeeRoom extends Room {
      override onLeave(user: RoomUser, { last }: Leave): void {
        seen.push([user.id, user.role, user.meta, user.connections.size, last, this.users.has(user.id)]);
        seen.push(user.send("nobody hears it"));
      }
    }
    const rooms = new RoomManager({ room: SeeRoom });
    const { connection } = await peer();
    await rooms.join("lobby", connection, { userId: "ada", role: "owner", meta: "m" });
    rooms.leave("lobby", connection);
    expect(seen).toEqual([["ada", "owner", "m", 0, true, false], 0]);
  });

  it("may let others out, whose turn comes after it", async () => {
    const { peer } = peers();
    class HostRoom extends LogRoom {
      override onLeave(user: RoomUser, leave: Leave): void {
        for (const other of this.users.values()) {
          for (const connection of other.connections) rooms.leave(this.name, connection);
        }
        super.onLeave(user, leave);
      }
    }
    const rooms = new RoomManager({ room: HostRoom });
    for (const userId of ["host", "b", "c"]) await rooms.join("lobby", (await peer()).connection, { userId });
    const room = rooms.getOrCreate("lobby");
    room.log.length = 0;
    rooms.leave("lobby", [...(room.users.get("host")?.connections ?? [])][0] as never);
    expect(room.log).toEqual(["leave host last left 0/0", "leave b last left 0/0", "leave c last left 0/0"]);
  });
});

describe("Room.on()", () => {
  it("tells of each join and leave, until it is taken back; a throwing listener harms nobody", async () => {
    const { peer } = peers();
    const errors: unknown[] = [];
    const rooms = new RoomManager({ onError: (error, { stage }) => errors.push([String(error), stage]) });
    const room = rooms.getOrCreate("lobby");
    const seen: string[] = [];
    room.on("join", () => {
      throw new Error("listener");
    });
    const off = room.on("join", (user, { first }) => seen.push(`join ${user.id} ${String(first)}`));
    room.on("leave", (user, { last, reason }) => seen.push(`leave ${user.id} ${String(last)} ${reason}`));
    const [a, b, c] = [await peer(), await peer(), await peer()];
    await rooms.join("lobby", a.connection, { userId: "ada" });
    await rooms.join("lobby", b.connection, { userId: "ada" });
    off();
    await rooms.join("lobby", c.connection, { userId: "bob" });
    rooms.leave("lobby", a.connection);
    b.client.close();
    await settle();
    expect(seen).toEqual(["join ada true", "join ada false", "leave ada false left", "leave ada true disconnected"]);
    expect(errors).toEqual(Array(3).fill(["Error: listener", "listener"]));
  });

  it("tells of the join first when a listener lets the connection out at once", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: LogRoom });
    const room = rooms.getOrCreate("lobby");
    const seen: string[] = [];
    room.on("join", (_, { connection }) => void rooms.leave("lobby", connection));
    room.on("join", () => seen.push("join"));
    room.on("leave", () => seen.push("leave"));
    await rooms.join("lobby", (await peer()).connection, { userId: "ada" });
    expect(seen).toEqual(["join", "leave"]);
    expect(room.log).toEqual(["join ada first 1/1", "leave ada last left 0/0"]);
  });
});

describe("slow members", () => {
  const limit = 1_000;
  const big = "x".repeat(limit + 1);

  it("closes one whose peer stopped reading, and the others get everything in the same order", async () => {
    class TellRoom extends Room {
      override onLeave(user: RoomUser): void {
        this.broadcast({ left: user.id, userCount: this.userCount });
      }
    }
    const { peer } = peers({ sendBuffer: { limit } });
    const rooms = new RoomManager({ room: TellRoom });
    const [a, slow, b] = [await peer(), await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "a" });
    await rooms.join("lobby", slow.connection, { userId: "slow" });
    await rooms.join("lobby", b.connection, { userId: "b" });
    slow.client.pause();
    expect(room.broadcast(JSON.stringify(big))).toBe(3);
    await settle();
    expect(room.broadcast({ n: 2 })).toBe(3); // this one finds the buffer full
    expect(room.userCount).toBe(2);
    expect(room.broadcast({ n: 3 })).toBe(2);
    await settle();
    const expected = [big, { n: 2 }, { left: "slow", userCount: 2 }, { n: 3 }];
    expect(take(a.client)).toEqual(expected);
    expect(take(b.client)).toEqual(expected);
    expect(slow.connection.messagesDropped).toBe(1);
    expect(slow.connection.isOpen).toBe(false);
  });

  // Each leave is broadcast, and each such broadcast finds the next full buffer: run inside one another, the hooks of
  // some thousand stalled members overflow the stack in the middle of somebody's broadcast.
  it("survives that a whole room has stopped reading", async () => {
    class TellRoom extends Room {
      left = 0;
      depth = 0;
      deepest = 0;
      override onLeave(user: RoomUser): void {
        this.left++;
        this.deepest = Math.max(this.deepest, ++this.depth);
        this.broadcast({ left: user.id });
        this.depth--;
      }
    }
    const { peer, errors } = peers({ sendBuffer: { limit } });
    const rooms = new RoomManager({ room: TellRoom });
    const room = rooms.getOrCreate("lobby");
    const count = 300;
    for (let i = 0; i < count; i++) {
      const { client, connection } = await peer();
      await rooms.join("lobby", connection);
      client.pause();
    }
    expect(room.broadcast(big)).toBe(count);
    await settle();
    // One at a time: the first drop closes, its leave is broadcast, which closes the next …
    expect([...room.users.values()][0]?.send("n")).toBe(1);
    expect(room.left).toBe(count);
    expect(room.deepest).toBe(1);
    expect(room.connectionCount).toBe(0);
    expect(errors).toEqual([]);
  });
});
