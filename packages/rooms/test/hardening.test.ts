/** What once went wrong: each test says how, and what has to happen instead. */
import { describe, expect, it } from "vitest";
import { createVel, Protocol, type Connection, type Message } from "@vel/core";
import {
  frameOf,
  Room,
  roomFrames,
  RoomManager,
  RoomPresence,
  type HandlerTable,
  type HistoryFill,
  type Join,
  type JoinRequest,
  type RoomClass,
  type RoomUser,
} from "@vel/rooms";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { codeOf, gate, peers, refused, take } from "./kit.ts";

/** A client that speaks frames as one user, and its connection. */
async function framesOf(room: RoomClass<Room>, userId: string) {
  const onError = (): undefined => undefined;
  const protocol = new Protocol({ onError });
  const rooms = new RoomManager({ room, frame: frameOf(protocol), onError });
  protocol.add(roomFrames(rooms, { where: () => ({ userId }) }));
  const vel = createVel({ onError });
  const opened: Connection[] = [];
  vel.websocket("/ws", { ...protocol.hooks(), open: (connection) => void opened.push(connection) });
  const client: TestClient = await connect(vel, "/ws");
  return { rooms, client, connection: opened[0] as Connection };
}

describe("who may speak", () => {
  // What a peer said before it hung up is taken although it is out; that held for one who had never been let in, too.
  it("is nobody whom onJoin refuses after he has hung up", async () => {
    const door = gate();
    const said: unknown[] = [];
    class Club extends Room {
      override async onJoin(): Promise<void> {
        await door.promise;
        throw new Error("not a member of the club");
      }
      override onMessage(_user: RoomUser, message: unknown): void {
        said.push(message);
      }
    }
    const { rooms, client } = await framesOf(Club, "mallory");
    rooms.getOrCreate("club"); // one that stays, so that there is something to speak to
    client.sendJson({ type: "join", room: "club" });
    client.sendJson({ type: "say", room: "club", data: "spam" });
    await settle();
    client.close();
    await settle();
    door.open();
    await settle();
    expect(said).toEqual([]);
  });

  // A kick put out the connections that were in; what the user's tab had said before it hung up was handled after it.
  it("is nobody who was kicked, not with the tab either that has hung up before", async () => {
    const said: unknown[] = [];
    class Ears extends Room {
      override onMessage(_user: RoomUser, message: unknown): void {
        said.push(message);
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Ears });
    const [closed, open] = [await peer(), await peer()];
    const room = await rooms.join("lobby", closed.connection, { userId: "eve" });
    await rooms.join("lobby", open.connection, { userId: "eve" });
    closed.client.close();
    await settle();
    room.kick("eve", { by: "system" });
    expect(codeOf(() => room.receive(closed.connection, "late"))).toBe("ERR_VEL_DISCONNECTED");
    expect(said).toEqual([]);
  });

  // The peer had hung up when its `leave` had its turn, found nobody to let out, and what it had said next was taken.
  it("is nobody who has left, whatever was still waiting when he hung up", async () => {
    const turn = gate();
    const said: unknown[] = [];
    class Slow extends Room {
      override async onMessage(_user: RoomUser, message: unknown): Promise<void> {
        said.push(message);
        await turn.promise;
      }
    }
    const { client } = await framesOf(Slow, "ada");
    client.sendJson({ type: "join", room: "lobby" });
    await settle();
    client.sendJson({ type: "say", room: "lobby", data: "before" });
    client.sendJson({ type: "leave", room: "lobby" });
    client.sendJson({ type: "say", room: "lobby", data: "after" });
    await settle();
    client.close();
    await settle();
    turn.open();
    await settle();
    expect(said).toEqual(["before"]);
  });
});

describe("replay", () => {
  const kibibyte = 1024;
  const large = (n: number): string => String(n).padEnd(100 * kibibyte, ".");
  const setup = async () => {
    class Kept extends Room {
      readonly missed: (HistoryFill<Message> | undefined)[] = [];
      override onJoin(_user: RoomUser, { missed }: Join): void {
        this.missed.push(missed);
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Kept, defaults: { history: { limit: 50, replay: 50 } } });
    const room = rooms.getOrCreate("lobby");
    const before = room.history?.position;
    for (let n = 1; n <= 20; n++) room.broadcast(large(n));
    return { rooms, room, before, ...(await peer()) };
  };

  // The replay had more bytes than a send buffer takes: each who entered was closed with 1013, for as long as it stayed.
  it("sends the newest that 512 KiB hold, and closes nobody", async () => {
    const { rooms, client, connection } = await setup();
    await rooms.join("lobby", connection, { userId: "bob" });
    await settle();
    expect(client.received).toEqual([16, 17, 18, 19, 20].map(large));
    expect(connection.isOpen).toBe(true);
  });

  // The same for who asked for all since a position.
  it("tells who has missed more that it is not complete, and sends nothing of it", async () => {
    const { rooms, room, before, client, connection } = await setup();
    await rooms.join("lobby", connection, { userId: "bob", since: before });
    await settle();
    expect(client.received).toEqual([]);
    expect(room.missed).toEqual([{ entries: [], complete: false }]);
    expect(connection.isOpen).toBe(true);
  });

  it("sends all of what was missed when that is not more", async () => {
    const { rooms, room, client, connection } = await setup();
    const { epoch = "", seq = 0 } = room.history?.position ?? {};
    await rooms.join("lobby", connection, { userId: "bob", since: { epoch, seq: seq - 5 } });
    await settle();
    expect(client.received).toEqual([16, 17, 18, 19, 20].map(large));
    expect(room.missed).toMatchObject([{ complete: true }]);
  });
});

describe("an owner who dropped", () => {
  const setup = async (gated: number) => {
    const door = gate();
    let joins = 0;
    class Greeting extends Room {
      override async onJoin(user: RoomUser): Promise<void> {
        if (user.id === "boss" && ++joins === gated) await door.promise;
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Greeting });
    const room = await rooms.join("lobby", (await peer()).connection, { userId: "mod", role: "moderator" });
    const ban = (): unknown => room.ban("boss", { by: room.users.get("mod") as RoomUser });
    const enter = (connection: Connection) => rooms.join("lobby", connection, { userId: "boss", role: "owner" });
    return { door, room, ban, enter, peer };
  };

  // His last seat was one whose join was not complete yet, and with that his role was forgotten.
  it("keeps his rank when his second tab was still being greeted", async () => {
    const { door, ban, enter, peer } = await setup(2);
    const [first, second] = [await peer(), await peer()];
    await enter(first.connection);
    const entering = enter(second.connection);
    first.client.close();
    await settle();
    second.client.close();
    await settle();
    expect(codeOf(ban)).toBe("ERR_VEL_ROOM_FORBIDDEN");
    door.open();
    await entering;
    expect(codeOf(ban)).toBe("ERR_VEL_ROOM_FORBIDDEN");
  });

  // The join was complete, and told, after he had gone; his role was never kept.
  it("keeps his rank when he was still being greeted", async () => {
    const { door, room, ban, enter, peer } = await setup(1);
    const left: string[] = [];
    room.on("leave", ({ id, role }, { reason }) => left.push(`${id} ${role} ${reason}`));
    const { client, connection } = await peer();
    const entering = enter(connection);
    client.close();
    await settle();
    door.open();
    await entering;
    expect(left).toEqual(["boss owner disconnected"]);
    expect(codeOf(ban)).toBe("ERR_VEL_ROOM_FORBIDDEN");
  });
});

describe("a refused join", () => {
  class Invited extends Room {
    override canJoin(_connection: Connection, { userId }: JoinRequest): boolean {
      return userId === "ada";
    }
  }

  // The room was made before anybody was asked: it stayed, was listed, and in time pushed out a room that had bans.
  it("leaves no room behind, and pushes out none", async () => {
    const { peer } = peers();
    const rooms = new RoomManager({ room: Invited, emptyTtl: Infinity, maxRooms: 2 });
    const { connection } = await peer();
    const lobby = await rooms.join("lobby", connection, { userId: "ada" });
    lobby.ban("eve", { by: "system" });
    rooms.leave("lobby", connection);
    for (let n = 0; n < 5; n++) {
      const joining = rooms.join(`room-${String(n)}`, connection, { userId: "eve" });
      await expect(joining).rejects.toEqual(refused("ERR_VEL_ROOM_FORBIDDEN"));
      expect(rooms.list().map(({ name }) => name)).toEqual(["lobby"]);
    }
    expect(rooms.get("lobby")).toBe(lobby);
  });

  it("leaves a room alone that the application has made, or that somebody else is about to enter", async () => {
    const door = gate();
    class Asking extends Room {
      override async canJoin(_connection: Connection, { userId }: JoinRequest): Promise<boolean> {
        if (userId === "ada") await door.promise;
        return userId === "ada";
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Asking });
    const [ada, eve] = [await peer(), await peer()];
    const made = rooms.getOrCreate("made");
    await expect(rooms.join("made", eve.connection, { userId: "eve" })).rejects.toThrow();
    expect(rooms.get("made")).toBe(made);
    const refusal = rooms.join("lobby", eve.connection, { userId: "eve" });
    const entering = rooms.join("lobby", ada.connection, { userId: "ada" });
    await expect(refusal).rejects.toThrow();
    door.open();
    expect(await entering).toBe(rooms.get("lobby"));
  });
});

describe("presence", () => {
  // A buffer that drops lost some of the diffs, and the client believed for ever in people who had gone, or missed some.
  it("tells the state anew to a client whose send buffer has dropped something", async () => {
    const clock = new ManualClock();
    class Lobby extends Room {
      readonly presence = new RoomPresence(this, { clock });
    }
    const { peer } = peers({ sendBuffer: { limit: 200, onFull: "drop" } });
    const rooms = new RoomManager({ room: Lobby, clock });
    const enter = async (userId: string) => {
      const entering = await peer();
      await rooms.join("lobby", entering.connection, { userId });
      await clock.advance(0);
      await settle();
      return entering;
    };
    const { client, connection } = await enter("ada");
    client.pause();
    const users: Record<string, unknown[]> = { ada: [null] };
    for (let n = 0; n < 5; n++) {
      await enter(`u${String(n)}`);
      users[`u${String(n)}`] = [null];
    }
    expect(connection.messagesDropped).toBeGreaterThan(0);
    client.resume();
    await settle();
    take(client);
    await enter("bob");
    users["bob"] = [null];
    expect(take(client)).toEqual([{ type: "presence_state", room: "lobby", users }]);
    // Then it knows everything, and is told what changes as before.
    await enter("cleo");
    expect(take(client)).toEqual([{ type: "presence_diff", room: "lobby", joins: { cleo: [null] }, leaves: {} }]);
  });
});

describe("a role", () => {
  // A second tab claimed to be an owner's, and until onJoin refused it the user could kick as an owner.
  it("is lent by no join that onJoin still judges", async () => {
    const door = gate();
    class Judging extends Room {
      override async onJoin(_user: RoomUser, { first }: Join): Promise<void> {
        if (first) return;
        await door.promise;
        throw new Error("not an owner");
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Judging });
    const [bob, eve, claim] = [await peer(), await peer(), await peer()];
    const room = await rooms.join("lobby", bob.connection, { userId: "bob" });
    await rooms.join("lobby", eve.connection, { userId: "eve" });
    const joining = rooms.join("lobby", claim.connection, { userId: "eve", role: "owner" });
    const by = room.users.get("eve") as RoomUser;
    expect(room.can(by, "kick")).toBe(false);
    expect(codeOf(() => room.kick("bob", { by }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    door.open();
    await expect(joining).rejects.toThrow("not an owner");
    expect(room.users.has("bob")).toBe(true);
  });

  // The same with a first join: he is in while onJoin judges him, and could act as what he claimed to be.
  it("is none at a first join either, while onJoin judges it", async () => {
    const door = gate();
    class Judge extends Room {
      override async onJoin(user: RoomUser): Promise<void> {
        if (user.id !== "eve") return;
        await door.promise;
        throw new Error("not an owner");
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Judge });
    const [bob, eve] = [await peer(), await peer()];
    const room = await rooms.join("lobby", bob.connection, { userId: "bob" });
    const joining = rooms.join("lobby", eve.connection, { userId: "eve", role: "owner" });
    const by = room.users.get("eve") as RoomUser;
    expect(room.can(by, "kick")).toBe(false);
    expect(() => room.kick("bob", { by })).toThrow(
      expect.objectContaining({ code: "ERR_VEL_ROOM_FORBIDDEN" }) as Error,
    );
    door.open();
    await expect(joining).rejects.toThrow("not an owner");
    expect(room.userCount).toBe(1);
  });
});

describe("a connection that is back", () => {
  // A message whose check took time was handled in the name of whoever the connection had become meanwhile.
  it("as somebody else does not say what the one before has said", async () => {
    const check = gate();
    const said: string[] = [];
    const slow = {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: async (value: unknown) => {
          await check.promise;
          return { value };
        },
      },
    };
    class Checked extends Room {
      protected override readonly messages: HandlerTable = this.handlers(
        { say: slow },
        { say: (user) => void said.push(user.id) },
      );
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: Checked });
    const { connection } = await peer();
    const room = await rooms.join("lobby", connection, { userId: "eve" });
    const handled = Promise.resolve(room.receive(connection, { type: "say" }));
    rooms.leave("lobby", connection);
    await rooms.join("lobby", connection, { userId: "bob" });
    check.open();
    await expect(handled).rejects.toEqual(refused("ERR_VEL_ROOM_NOT_MEMBER"));
    expect(said).toEqual([]);
  });

  // The leave of a stay before is told when its onJoin is done: the client heard "left" of the room that it was in.
  it("is not told that it has left", async () => {
    const door = gate();
    let joins = 0;
    class Greeting extends Room {
      override async onJoin(): Promise<void> {
        if (++joins === 1) await door.promise;
      }
    }
    const { rooms, client, connection } = await framesOf(Greeting, "ada");
    const joining = rooms.join("lobby", connection, { userId: "ada" });
    client.sendJson({ type: "leave", id: 1, room: "lobby" });
    client.sendJson({ type: "join", id: 2, room: "lobby" });
    await settle();
    expect(take(client)).toMatchObject([
      { type: "ok", id: 1 },
      { type: "ok", id: 2 },
    ]);
    door.open();
    await joining;
    await settle();
    expect(take(client)).toEqual([]);
    // It is in, and is told when that ends.
    rooms.get("lobby")?.kick("ada", { by: "system" });
    await settle();
    expect(take(client)).toMatchObject([{ type: "left", room: "lobby", reason: "kicked" }]);
  });
});
