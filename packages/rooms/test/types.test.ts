/** What the compiler promises: checked by `pnpm check:types`, not by running. */
import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { createVel, type Connection, type MaybePromise, type Message } from "@vel/core";
import {
  Room,
  RoomManager,
  type DataOf,
  type HandlerTable,
  type HistoryFill,
  type Join,
  type Leave,
  type OutOf,
  type RoomInfo,
  type RoomUser,
} from "@vel/rooms";

interface Session {
  userId: string;
}
type ServerMessage = { type: "said"; by: string; text: string } | { type: "typing"; by: string };

class TypedRoom extends Room<Session, ServerMessage> {
  override onJoin(user: RoomUser<Session>, { connection }: Join<Session>) {
    this.broadcast({ type: "said", by: connection.data.userId, text: user.id }, { except: connection });
  }
  override async onMessage(user: RoomUser<Session>, _message: unknown, connection: Connection<Session>) {
    this.broadcast({ type: "typing", by: connection.data.userId }, { except: user });
    await connection.drained();
  }
  override onLeave(user: RoomUser<Session>, { reason }: Leave<Session>) {
    this.broadcast({ type: "said", by: user.id, text: reason });
    // @ts-expect-error not a message of this room
    this.broadcast({ type: "sayd", by: "x", text: "y" });
  }
}

class ChatRoom extends Room {
  readonly topic: string = "anything";
  override onJoin(user: RoomUser, { first }: Join) {
    if (first) this.broadcast({ type: "joined", by: user.id });
  }
}

class SchemaRoom extends Room<Session, ServerMessage> {
  protected override readonly messages: HandlerTable = this.handlers(
    { say: z.object({ text: z.string() }), move: z.object({ x: z.coerce.number() }) },
    {
      say: (user, message, connection) => {
        expectTypeOf(user).toEqualTypeOf<RoomUser<Session>>();
        expectTypeOf(message).toEqualTypeOf<{ text: string }>();
        expectTypeOf(connection).toEqualTypeOf<Connection<Session>>();
      },
      move: async (_user, { x }) => {
        expectTypeOf(x).toBeNumber();
        await Promise.resolve();
      },
    },
  );
  override onJoin(user: RoomUser<Session>, { missed }: Join<Session>) {
    expectTypeOf(missed).toEqualTypeOf<HistoryFill<Message> | undefined>();
    this.kick("eve", { by: user });
    this.ban("eve", { by: "system", for: 1_000, reason: "spam" });
    this.send("eve", { type: "typing", by: user.id });
    // @ts-expect-error somebody has to do it
    this.kick("eve", {});
    // @ts-expect-error an id is nobody
    this.kick("eve", { by: user.id });
    // @ts-expect-error not a role
    this.setRole("eve", "king", { by: "system" });
    // @ts-expect-error not a capability
    this.can(user, "fly");
    // @ts-expect-error not a message of this room
    this.send("eve", { type: "nope" });
    // @ts-expect-error the schema `say` has no handler
    this.handlers({ say: z.string() }, {});
    // @ts-expect-error the handler wants what the schema does not yield
    this.handlers({ say: z.string() }, { say: (_user, text: number) => text });
  }
}

/** Never called. */
async function typed(connection: Connection<Session, { room: string }>, stranger: Connection) {
  const rooms = new RoomManager();
  const chats = new RoomManager({ room: ChatRoom });
  const typedRooms = new RoomManager({ room: TypedRoom });

  expectTypeOf(rooms.getOrCreate("x", ChatRoom)).toEqualTypeOf<ChatRoom>();
  expectTypeOf(rooms.getOrCreate("x", TypedRoom)).toEqualTypeOf<TypedRoom>();
  expectTypeOf(chats.getOrCreate("x")).toEqualTypeOf<ChatRoom>();
  expectTypeOf(chats.get("x")).toEqualTypeOf<ChatRoom | undefined>();
  expectTypeOf(await chats.join("x", stranger)).toEqualTypeOf<ChatRoom>();
  expectTypeOf(rooms.info("x")).toEqualTypeOf<RoomInfo | undefined>();
  rooms.getOrCreate("x", SchemaRoom, { capacity: 3, capabilities: { kick: "owner" } });
  // @ts-expect-error not a capability
  rooms.getOrCreate("x", SchemaRoom, { capabilities: { fly: "owner" } });
  expectTypeOf(typedRooms.roomsOf(connection)).toEqualTypeOf<TypedRoom[]>();
  typedRooms.broadcastAll({ type: "typing", by: "ada" });
  // @ts-expect-error wrong message for these rooms
  typedRooms.broadcastAll({ type: "nope" });
  // @ts-expect-error all rooms of this manager are ChatRooms
  chats.getOrCreate("x", TypedRoom);

  const room = await typedRooms.join("lobby", connection, { userId: connection.data.userId });
  expectTypeOf(room.receive(connection, {})).toEqualTypeOf<MaybePromise<void>>();
  expectTypeOf(room.users.get("ada")?.connections).toEqualTypeOf<ReadonlySet<Connection<Session>> | undefined>();
  room.on("join", (_user, join) => expectTypeOf(join.connection.data).toEqualTypeOf<Session>());
  typedRooms.broadcast("lobby", { type: "said", by: "system", text: "hi" }, { except: { userId: "ada" } });
  // @ts-expect-error wrong message for these rooms
  typedRooms.broadcast("lobby", { type: "nope" });
  // @ts-expect-error these rooms need a connection whose data has a userId
  await typedRooms.join("lobby", stranger);
  // @ts-expect-error a promise is no message
  rooms.broadcast("lobby", Promise.resolve("hi"));
  // @ts-expect-error not a role
  await rooms.join("lobby", stranger, { role: "king" });

  const vel = createVel();
  const secured = createVel().use(() => ({ data: { userId: "ada" } }));
  typedRooms.serve(secured, "/s/:room", (request) => {
    expectTypeOf(request.params).toEqualTypeOf<{ readonly room: string }>();
    return request.params.room === "x"
      ? request.reject(404)
      : { room: request.params.room, userId: request.data.userId };
  });
  typedRooms.serve(
    vel.with(() => ({ data: { userId: "ada" } })),
    "/s/:room",
    async ({ data, params }) => {
      await Promise.resolve();
      return { room: params.room, userId: data.userId };
    },
  );
  rooms.serve(secured, "/more/:room", ({ params }) => ({ room: params.room }));
  // @ts-expect-error connections of this route lack userId
  typedRooms.serve(vel, "/t/:room", ({ params }) => ({ room: params.room }));
  // @ts-expect-error the path has no such parameter
  rooms.serve(vel, "/t/:room", ({ params }) => ({ room: params.rom }));
}

describe("types", () => {
  it("tell what a room's connections and messages are", () => {
    expectTypeOf<DataOf<TypedRoom>>().toEqualTypeOf<Session>();
    expectTypeOf<OutOf<TypedRoom>>().toEqualTypeOf<ServerMessage>();
    expectTypeOf<DataOf<ChatRoom>>().toEqualTypeOf<unknown>();
    expectTypeOf(typed).toBeFunction();
  });
});
