/** The room examples of the specification, as a user writes them, with what they promise. */
import { describe, expect, it } from "vitest";
import { createVel } from "@vel/core";
import { History, Room, RoomManager, UserRole, type Join, type Leave, type RoomUser } from "@vel/rooms";
import { connect, settle } from "@vel/testing";
import { take } from "./kit.ts";

describe("Basic Room Management", () => {
  const setup = () => {
    const vel = createVel();
    const rooms = new RoomManager();
    vel.websocket("/ws/chat/:room", async (request) => {
      const { room } = request.params;
      const connection = await request.accept();
      const userId = request.query.get("user_id") ?? connection.id;
      await rooms.join(room, connection, { userId });
      for await (const text of connection.texts())
        rooms.broadcast(room, { type: "message", userId, message: text, timestamp: new Date().toISOString() });
    });
    return { vel, rooms };
  };

  it("broadcasts each text to everybody in the room, the sender included, and to nobody else", async () => {
    const { vel } = setup();
    const ada = await connect(vel, "/ws/chat/lobby?user_id=ada");
    const bob = await connect(vel, "/ws/chat/lobby?user_id=bob");
    const eve = await connect(vel, "/ws/chat/attic?user_id=eve");
    ada.send("hello");
    await settle();
    const expected = [{ type: "message", userId: "ada", message: "hello", timestamp: expect.any(String) as string }];
    expect(take(ada)).toEqual(expected);
    expect(take(bob)).toEqual(expected);
    expect(take(eve)).toEqual([]);
  });

  it("takes somebody who closed out of the room, without a word in the handler", async () => {
    const { vel, rooms } = setup();
    const ada = await connect(vel, "/ws/chat/lobby?user_id=ada");
    const bob = await connect(vel, "/ws/chat/lobby?user_id=bob");
    await settle();
    expect(rooms.info("lobby")).toMatchObject({ userCount: 2, users: [{ id: "ada" }, { id: "bob" }] });
    bob.close();
    await settle();
    expect(rooms.info("lobby")).toMatchObject({ userCount: 1, users: [{ id: "ada" }] });
    ada.drop();
    await settle();
    expect(rooms.info("lobby")).toMatchObject({ userCount: 0, connectionCount: 0, users: [] });
  });

  it("takes strangers without a user id for two users", async () => {
    const { vel, rooms } = setup();
    await connect(vel, "/ws/chat/lobby");
    await connect(vel, "/ws/chat/lobby");
    await settle();
    expect(rooms.info("lobby")?.userCount).toBe(2);
  });
});

interface ChatMessage {
  userId: string;
  message: string;
}

class ChatRoom extends Room {
  override readonly history: History<ChatMessage> = new History(100);

  override onJoin(user: RoomUser, { connection, first }: Join) {
    connection.sendJson({
      type: "welcome",
      room: this.name,
      userCount: this.userCount,
      recentMessages: this.history.last(10).map(({ entry }) => entry),
    });
    if (first) this.broadcast({ type: "user_joined", userId: user.id, userCount: this.userCount }, { except: user });
  }

  override onLeave(user: RoomUser, { last }: Leave) {
    if (last) this.broadcast({ type: "user_left", userId: user.id, userCount: this.userCount });
  }

  override onMessage(user: RoomUser, message: unknown) {
    const { content } = message as { content: string };
    const chat: ChatMessage = { userId: user.id, message: content };
    this.history.append(chat);
    this.broadcast({ type: "chat_message", ...chat });
  }
}

describe("Advanced Room Features", () => {
  const setup = () => {
    const vel = createVel();
    const rooms = new RoomManager();
    vel.websocket("/ws/advanced-chat/:room", async (request) => {
      const connection = await request.accept();
      const room = rooms.getOrCreate(request.params.room, ChatRoom);
      const userId = request.query.get("user_id") ?? connection.id;
      await rooms.join(room.name, connection, { userId, role: UserRole.member });
      for await (const data of connection.jsons()) await room.receive(connection, data);
    });
    const enter = async (userId: string) => {
      const client = await connect(vel, `/ws/advanced-chat/lobby?user_id=${userId}`);
      await settle();
      return client;
    };
    return { rooms, enter };
  };

  it("welcomes who comes, tells the others, and counts right on both ways", async () => {
    const { enter } = setup();
    const ada = await enter("ada");
    expect(take(ada)).toEqual([{ type: "welcome", room: "lobby", userCount: 1, recentMessages: [] }]);
    const bob = await enter("bob");
    expect(take(bob)).toEqual([{ type: "welcome", room: "lobby", userCount: 2, recentMessages: [] }]);
    expect(take(ada)).toEqual([{ type: "user_joined", userId: "bob", userCount: 2 }]);
    bob.close();
    await settle();
    expect(take(ada)).toEqual([{ type: "user_left", userId: "bob", userCount: 1 }]);
  });

  it("keeps a history of 100 and gives the last 10 on entering", async () => {
    const { rooms, enter } = setup();
    const ada = await enter("ada");
    for (let i = 1; i <= 150; i++) ada.sendJson({ content: `m${String(i)}` });
    await settle();
    expect((rooms.get("lobby") as ChatRoom).history).toMatchObject({ size: 100, seq: 150 });
    const bob = await enter("bob");
    const recentMessages = Array.from({ length: 10 }, (_, i) => ({ userId: "ada", message: `m${String(141 + i)}` }));
    expect(take(bob)).toEqual([{ type: "welcome", room: "lobby", userCount: 2, recentMessages }]);
  });

  it("keeps the history when everybody left and somebody comes back", async () => {
    const { enter } = setup();
    const ada = await enter("ada");
    ada.sendJson({ content: "still here?" });
    await settle();
    ada.close();
    await settle();
    const again = await enter("ada");
    expect(take(again)).toMatchObject([{ type: "welcome", recentMessages: [{ message: "still here?" }] }]);
  });

  it("takes two tabs for one user: each is welcomed, the others hear of one coming and one going", async () => {
    const { enter } = setup();
    const ada = await enter("ada");
    const tab1 = await enter("bob");
    const tab2 = await enter("bob");
    expect(take(tab1)).toMatchObject([{ type: "welcome", userCount: 2 }]);
    expect(take(tab2)).toMatchObject([{ type: "welcome", userCount: 2 }]);
    ada.sendJson({ content: "hi" });
    await settle();
    expect(take(tab1)).toMatchObject([{ type: "chat_message", message: "hi" }]);
    expect(take(tab2)).toMatchObject([{ type: "chat_message", message: "hi" }]);
    tab1.close();
    await settle();
    tab2.drop();
    await settle();
    expect(take(ada)).toMatchObject([
      { type: "welcome" },
      { type: "user_joined", userId: "bob", userCount: 2 },
      { type: "chat_message" },
      { type: "user_left", userId: "bob", userCount: 1 },
    ]);
  });
});

describe("Complete Chat Example", () => {
  it("sends the room's info, chat to all, and typing to all but the user's own tabs", async () => {
    const vel = createVel();
    const rooms = new RoomManager();
    vel.websocket("/ws/chat/:room", async (request) => {
      const { room } = request.params;
      const userId = request.query.get("token");
      if (!userId) throw request.close(4001, "Missing token");
      const connection = await request.accept();
      await rooms.join(room, connection, { userId });
      connection.sendJson({ type: "room_info", ...rooms.info(room) });
      for await (const data of connection.jsons()) {
        const { type, message } = data as { type: string; message?: string };
        if (type === "chat_message") rooms.broadcast(room, { type, user_id: userId, message });
        else rooms.broadcast(room, { type: "user_typing", user_id: userId }, { except: { userId } });
      }
    });
    const stranger = await connect(vel, "/ws/chat/lobby");
    expect(await stranger.closed).toMatchObject({ code: 4001, reason: "Missing token" });

    const ada = await connect(vel, "/ws/chat/lobby?token=ada");
    const tab = await connect(vel, "/ws/chat/lobby?token=ada");
    const bob = await connect(vel, "/ws/chat/lobby?token=bob");
    await settle();
    const users = [
      { id: "ada", role: "member" },
      { id: "bob", role: "member" },
    ];
    expect(take(bob)).toEqual([{ type: "room_info", name: "lobby", userCount: 2, connectionCount: 3, users }]);
    take(ada);
    take(tab);
    ada.sendJson({ type: "typing" });
    ada.sendJson({ type: "chat_message", message: "hello" });
    await settle();
    const typing = { type: "user_typing", user_id: "ada" };
    const chat = { type: "chat_message", user_id: "ada", message: "hello" };
    expect(take(ada)).toEqual([chat]);
    expect(take(tab)).toEqual([chat]);
    expect(take(bob)).toEqual([typing, chat]);

    // HTTP endpoints for chat management
    expect(rooms.broadcast("lobby", { type: "system_message", message: "tea is ready" })).toBe(3);
    expect(rooms.broadcast("attic", { type: "system_message", message: "tea is ready" })).toBe(0);
    expect(rooms.list().map(({ name, userCount }) => ({ name, userCount }))).toEqual([{ name: "lobby", userCount: 2 }]);
    expect(rooms.info("attic")).toBeUndefined();
  });
});
