import { describe, expect, it } from "vitest";
import { createVel, DisconnectError, type Connection, type VelError } from "@vel/core";
import { Room, RoomManager, type RoomUser } from "@vel/rooms";
import { connect, settle } from "@vel/testing";
import { LogRoom, peers, take } from "./kit.ts";

async function setup() {
  const { peer } = peers();
  const rooms = new RoomManager({ room: LogRoom });
  const [tab1, tab2, bob, outsider] = [await peer(), await peer(), await peer(), await peer()];
  const room = await rooms.join("lobby", tab1.connection, { userId: "ada" });
  await rooms.join("lobby", tab2.connection, { userId: "ada" });
  await rooms.join("lobby", bob.connection, { userId: "bob" });
  room.log.length = 0;
  const heard = async () => {
    await settle();
    return [tab1, tab2, bob, outsider].map(({ client }) => take(client).length);
  };
  return { rooms, room, tab1, tab2, bob, outsider, heard };
}

describe("Room.broadcast()", () => {
  it("addresses everybody in the room", async () => {
    const { room, heard } = await setup();
    expect(room.broadcast({ n: 1 })).toBe(3);
    expect(await heard()).toEqual([1, 1, 1, 0]);
  });

  it("leaves out one connection", async () => {
    const { room, tab1, heard } = await setup();
    expect(room.broadcast({ n: 1 }, { except: tab1.connection })).toBe(2);
    expect(await heard()).toEqual([0, 1, 1, 0]);
  });

  it("leaves out all connections of a user, given as user or by id", async () => {
    const { room, heard } = await setup();
    expect(room.broadcast({ n: 1 }, { except: room.users.get("ada") })).toBe(1);
    expect(await heard()).toEqual([0, 0, 1, 0]);
    expect(room.broadcast({ n: 1 }, { except: { userId: "ada" } })).toBe(1);
    expect(await heard()).toEqual([0, 0, 1, 0]);
  });

  it("leaves out nobody for somebody who is not in", async () => {
    const { rooms, room, outsider, heard } = await setup();
    const elsewhere = await rooms.join("attic", outsider.connection, { userId: "carl" });
    expect(room.broadcast({ n: 1 }, { except: outsider.connection })).toBe(3);
    expect(room.broadcast({ n: 1 }, { except: elsewhere.users.get("carl") })).toBe(3);
    for (const userId of ["nobody", "__proto__", ""]) expect(room.broadcast({ n: 1 }, { except: { userId } })).toBe(3);
    expect(room.broadcast({ n: 1 }, { except: undefined })).toBe(3);
    expect(await heard()).toEqual([6, 6, 6, 0]);
  });

  it("is what the manager's broadcast does", async () => {
    const { rooms, heard } = await setup();
    expect(rooms.broadcast("lobby", { n: 1 }, { except: { userId: "bob" } })).toBe(2);
    expect(await heard()).toEqual([1, 1, 0, 0]);
  });

  it("sends text and bytes as they are, and everything else as JSON", async () => {
    const { room, bob } = await setup();
    const bytes = new Uint8Array([1, 2]);
    for (const message of ["text", bytes, { a: 1 }, null, 7]) room.broadcast(message);
    await settle();
    expect(bob.client.received).toEqual(["text", bytes, '{"a":1}', "null", "7"]);
  });

  it("encodes once", async () => {
    const { room } = await setup();
    let encoded = 0;
    room.broadcast({ toJSON: () => ++encoded });
    room.users.get("ada")?.send({ toJSON: () => ++encoded });
    expect(encoded).toBe(2);
  });

  it("throws when the message has no JSON form, and nobody has got anything", async () => {
    const { room, heard } = await setup();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    for (const message of [undefined, () => 1, 1n, circular]) {
      expect(() => room.broadcast(message as never)).toThrow(TypeError);
      expect(() => room.users.get("ada")?.send(message as never)).toThrow(TypeError);
    }
    expect(await heard()).toEqual([0, 0, 0, 0]);
  });
});

describe("RoomUser.send()", () => {
  it("addresses all of the user's connections", async () => {
    const { room, heard } = await setup();
    expect(room.users.get("ada")?.send({ n: 1 })).toBe(2);
    expect(await heard()).toEqual([1, 1, 0, 0]);
  });
});

describe("Room.receive()", () => {
  it("finds the user and hands him over with the connection", async () => {
    const seen: unknown[] = [];
    class SeeRoom extends Room {
      override onMessage(user: RoomUser, message: unknown, connection: unknown): void {
        seen.push([user.id, message, connection]);
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: SeeRoom });
    const { connection } = await peer();
    const room = await rooms.join("lobby", connection, { userId: "ada" });
    await room.receive(connection, { a: 1 });
    expect(seen).toEqual([["ada", { a: 1 }, connection]]);
  });

  it("is done at once when onMessage is, and passes on its error", async () => {
    const { peer } = peers();
    class BadRoom extends Room {
      override onMessage(_: RoomUser, message: unknown): Promise<void> {
        if (message === "sync") throw new Error("sync");
        return Promise.reject(new Error("async"));
      }
    }
    const { room, bob } = await setup();
    expect(room.receive(bob.connection, 1)).toBeUndefined();
    expect(room.log).toEqual(["message bob 1"]);

    const rooms = new RoomManager({ room: BadRoom });
    const { connection } = await peer();
    const bad = await rooms.join("lobby", connection);
    expect(() => bad.receive(connection, "sync")).toThrow("sync");
    await expect(bad.receive(connection, "async")).rejects.toThrow("async");
    expect(bad.connectionCount).toBe(1);
  });

  it("throws ERR_VEL_ROOM_NOT_MEMBER for a connection that is not in", async () => {
    const { rooms, room, bob, outsider } = await setup();
    rooms.leave("lobby", bob.connection);
    for (const { connection } of [bob, outsider]) {
      const error = expect.objectContaining({ code: "ERR_VEL_ROOM_NOT_MEMBER" }) as VelError;
      expect(() => room.receive(connection, 1)).toThrow(error);
    }
  });

  it("takes what somebody sent right before hanging up, in both handler forms", async () => {
    for (const form of ["pull", "hooks"]) {
      const rooms = new RoomManager();
      const errors: unknown[] = [];
      const vel = createVel({ onError: (error) => errors.push(error) });
      class Echo extends Room {
        override onMessage(user: RoomUser, message: unknown): void {
          this.broadcast({ from: user.id, message });
        }
      }
      const join = (connection: Connection): Promise<Echo> =>
        rooms.getOrCreate("lobby", Echo) &&
        (rooms.join("lobby", connection, { userId: connection.id }) as Promise<Echo>);
      if (form === "pull") {
        vel.websocket("/ws", async (request) => {
          const connection = await request.accept();
          const room = await join(connection);
          for await (const message of connection.jsons()) await room.receive(connection, message);
        });
      } else {
        vel.websocket("/ws", {
          async open(connection) {
            await join(connection);
          },
          async message(connection, message) {
            await Promise.resolve();
            await rooms.get("lobby")?.receive(connection, JSON.parse(String(message)));
          },
        });
      }
      const listener = await connect(vel, "/ws");
      const speaker = await connect(vel, "/ws", { early: ["1", "2", "3"] });
      speaker.close(1000);
      await settle();
      const heard = listener.received.map((text) => (JSON.parse(String(text)) as { message: number }).message);
      expect(heard, form).toEqual([1, 2, 3]);
      expect(errors).toEqual([]);
      expect(rooms.get("lobby")?.userCount).toBe(1);
    }
  });

  it("throws a DisconnectError for one that is not open any more, the normal end of a handler", async () => {
    const { room, bob } = await setup();
    bob.connection.close();
    expect(() => room.receive(bob.connection, 1)).toThrow(DisconnectError);
    await settle();
    expect(() => room.receive(bob.connection, 1)).toThrow(DisconnectError);
  });
});

describe("Room.info", () => {
  it("is a snapshot, fit for JSON", async () => {
    const { peer } = peers();
    const rooms = new RoomManager();
    const room = await rooms.join("lobby", (await peer()).connection, { userId: "ada", role: "owner", meta: { a: 1 } });
    const { info } = room;
    const expected = {
      name: "lobby",
      userCount: 1,
      connectionCount: 1,
      users: [{ id: "ada", role: "owner", meta: { a: 1 } }],
    };
    await rooms.join("lobby", (await peer()).connection);
    expect(JSON.parse(JSON.stringify(info))).toEqual(expected);
    expect(rooms.info("lobby")?.userCount).toBe(2);
  });
});
