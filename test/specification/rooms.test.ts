/** The specification's "Room System", on a real server, with its names on the wire. */
import { createVel } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { History, Room, RoomManager, UserRole, type Join, type Leave, type RoomUser } from "@vel/rooms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client, isoTime } from "./client.ts";

const vel = createVel();
let server: NodeServer;
let url: string;

// Basic Room Management
const rooms = new RoomManager();
vel.websocket("/ws/chat/:room", async (request) => {
  const { room } = request.params;
  const connection = await request.accept();
  const userId = request.query.get("user_id") ?? connection.id; // two strangers are two users
  await rooms.join(room, connection, { userId });
  for await (const message of connection.texts()) {
    rooms.broadcast(room, { type: "message", user_id: userId, message, timestamp: new Date().toISOString() });
  }
});

// Advanced Room Features
interface ChatMessage {
  readonly user_id: string;
  readonly message: string;
  readonly timestamp: string;
}
class ChatRoom extends Room {
  readonly #history = new History<ChatMessage>(100);

  override onJoin(user: RoomUser, { connection, first }: Join): void {
    connection.sendJson({
      type: "welcome",
      room: this.name,
      user_count: this.userCount,
      recent_messages: this.#history.last(10).map(({ entry }) => entry),
    });
    if (first) this.broadcast({ type: "user_joined", user_id: user.id, user_count: this.userCount }, { except: user });
  }

  override onLeave(user: RoomUser, { last }: Leave): void {
    if (last) this.broadcast({ type: "user_left", user_id: user.id, user_count: this.userCount });
  }

  override onMessage(user: RoomUser, message: unknown): void {
    const { content } = message as { content?: unknown };
    const said: ChatMessage = { user_id: user.id, message: String(content), timestamp: new Date().toISOString() };
    this.#history.append(said);
    this.broadcast({ ...said, type: "chat_message" });
  }
}
const chats = new RoomManager({ room: ChatRoom });
vel.websocket("/ws/advanced-chat/:room", async (request) => {
  const userId = request.query.get("user_id");
  if (userId === null) return request.reject(400);
  const connection = await request.accept();
  const room = await chats.join(request.params.room, connection, { userId, role: UserRole.member });
  for await (const data of connection.jsons()) await room.receive(connection, data);
  return undefined;
});

beforeAll(async () => {
  server = await serve(vel, { hostname: "127.0.0.1" });
  url = `ws://127.0.0.1:${String(server.port)}`;
});
afterAll(async () => {
  await server.close();
  expect(vel.connections.size).toBe(0);
});

describe("Room System", () => {
  it("Basic Room Management", async () => {
    const ada = await Client.open(`${url}/ws/chat/lobby?user_id=ada`);
    const bob = await Client.open(`${url}/ws/chat/lobby`);
    const elsewhere = await Client.open(`${url}/ws/chat/other?user_id=cleo`);
    await expect.poll(() => rooms.info("lobby")?.userCount).toBe(2);
    ada.send("hello");
    const said = {
      type: "message",
      user_id: "ada",
      message: "hello",
      timestamp: expect.stringMatching(isoTime) as string,
    };
    expect(await ada.json()).toEqual(said);
    expect(await bob.json()).toEqual(said);
    elsewhere.send("alone");
    expect(await elsewhere.json()).toMatchObject({ user_id: "cleo", message: "alone" });
    expect(rooms.list().map(({ name, userCount }) => [name, userCount])).toEqual([
      ["lobby", 2],
      ["other", 1],
    ]);
    await ada.close();
    await expect.poll(() => rooms.info("lobby")?.userCount).toBe(1);
    bob.send("still here");
    expect(await bob.json()).toMatchObject({ message: "still here" });
    await bob.close();
    await elsewhere.close();
  });

  it("Advanced Room Features", async () => {
    const ada = await Client.open(`${url}/ws/advanced-chat/lobby?user_id=ada`);
    expect(await ada.json()).toEqual({ type: "welcome", room: "lobby", user_count: 1, recent_messages: [] });
    for (let i = 1; i <= 12; i++) ada.send({ content: `m${String(i)}` });
    for (let i = 1; i <= 12; i++)
      expect(await ada.json()).toMatchObject({ type: "chat_message", message: `m${String(i)}` });

    const bob = await Client.open(`${url}/ws/advanced-chat/lobby?user_id=bob`);
    const welcome = await bob.json();
    expect(welcome).toMatchObject({ type: "welcome", user_count: 2 });
    const recent = (welcome["recent_messages"] as ChatMessage[]).map(({ message }) => message);
    expect(recent).toEqual(Array.from({ length: 10 }, (_, i) => `m${String(i + 3)}`));
    expect(await ada.json()).toEqual({ type: "user_joined", user_id: "bob", user_count: 2 });

    // A second tab is welcomed, and nobody hears of it.
    const tab = await Client.open(`${url}/ws/advanced-chat/lobby?user_id=bob`);
    expect(await tab.json()).toMatchObject({ type: "welcome", user_count: 2 });
    await tab.close();
    await bob.close();
    expect(await ada.json()).toEqual({ type: "user_left", user_id: "bob", user_count: 1 });
    await ada.close();
  });
});
