/** The specification's "Complete Chat Example", short, on a real server; `apps/chat` is the long version. */
import { JwtHandler } from "@vel/auth";
import { createVel } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { RoomManager } from "@vel/rooms";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { Client, isoTime } from "./client.ts";

const jwt = new JwtHandler({ secret: "chat-secret-that-is-long-enough-for-hs256", algorithms: ["HS256"] });
const vel = createVel();
const rooms = new RoomManager();
const app = new Hono();
let server: NodeServer;
let origin: string;

const FromClient = z.discriminatedUnion("type", [
  z.object({ type: z.literal("chat_message"), message: z.string() }),
  z.object({ type: z.literal("typing"), is_typing: z.boolean().default(false) }),
]);

vel.websocket("/ws/chat/:room", async (request) => {
  const { room } = request.params;
  const token = request.query.get("token");
  if (token === null) return request.close(4001, "Missing token");
  const claims = await jwt.verify(token).catch(() => undefined);
  const userId = claims?.sub;
  if (userId === undefined) return request.close(4001, "Invalid token");

  const connection = await request.accept();
  await rooms.join(room, connection, { userId });
  const info = rooms.info(room);
  connection.sendJson({
    type: "room_info",
    room,
    user_count: info?.userCount,
    users: info?.users.map(({ id }) => id),
  });
  for await (const data of connection.jsons(FromClient)) {
    if (data.type === "chat_message") {
      const { message } = data;
      rooms.broadcast(room, {
        type: "chat_message",
        user_id: userId,
        message,
        room,
        timestamp: new Date().toISOString(),
      });
    } else {
      rooms.broadcast(
        room,
        { type: "user_typing", user_id: userId, is_typing: data.is_typing },
        { except: { userId } },
      );
    }
  }
  return undefined;
});

app.post("/chat/broadcast/:room", async (c) => {
  const { message } = await c.req.json<{ message: string }>();
  rooms.broadcast(c.req.param("room"), { type: "system_message", message, timestamp: new Date().toISOString() });
  return c.json({ status: "message_sent" });
});
app.get("/chat/rooms", (c) => c.json({ rooms: rooms.list().map(({ name }) => name) }));
app.get("/chat/rooms/:room/users", (c) => {
  const info = rooms.info(c.req.param("room"));
  return info ? c.json({ user_count: info.userCount, users: info.users.map(({ id }) => id) }) : c.notFound();
});

beforeAll(async () => {
  server = await serve(vel, { hostname: "127.0.0.1", fetch: app.fetch });
  origin = `127.0.0.1:${String(server.port)}`;
});
afterAll(async () => {
  await server.close();
  jwt.close();
  expect(vel.connections.size).toBe(0);
});

const enter = async (userId: string): Promise<Client> => {
  const token = await jwt.sign({}, { subject: userId, expiresIn: 3_600_000 });
  return Client.open(`ws://${origin}/ws/chat/lobby?token=${token}`);
};

describe("Complete Chat Example", () => {
  it("The chat: room_info, chat_message, user_typing without the sender", async () => {
    const ada = await enter("ada");
    expect(await ada.json()).toEqual({ type: "room_info", room: "lobby", user_count: 1, users: ["ada"] });
    const bob = await enter("bob");
    expect(await bob.json()).toEqual({ type: "room_info", room: "lobby", user_count: 2, users: ["ada", "bob"] });
    bob.send({ type: "typing", is_typing: true });
    bob.send({ type: "chat_message", message: "hello" });
    expect(await ada.json()).toEqual({ type: "user_typing", user_id: "bob", is_typing: true });
    const said = {
      type: "chat_message",
      user_id: "bob",
      message: "hello",
      room: "lobby",
      timestamp: expect.stringMatching(isoTime) as string,
    };
    expect(await ada.json()).toEqual(said);
    expect(await bob.json()).toEqual(said);
    await ada.close();
    await bob.close();
  });

  it("Authenticate user: 4001 for a missing and for an invalid token", async () => {
    const missing = await Client.open(`ws://${origin}/ws/chat/lobby`);
    expect(await missing.closed).toEqual({ code: 4001, reason: "Missing token" });
    const invalid = await Client.open(`ws://${origin}/ws/chat/lobby?token=x.y.z`);
    expect(await invalid.closed).toEqual({ code: 4001, reason: "Invalid token" });
  });

  it("HTTP endpoints for chat management", async () => {
    const ada = await enter("ada");
    await ada.json();
    const response = await fetch(`http://${origin}/chat/broadcast/lobby`, {
      method: "POST",
      body: '{"message":"Closing"}',
    });
    expect(await response.json()).toEqual({ status: "message_sent" });
    expect(await ada.json()).toMatchObject({ type: "system_message", message: "Closing" });
    expect(await (await fetch(`http://${origin}/chat/rooms`)).json()).toEqual({ rooms: ["lobby"] });
    expect(await (await fetch(`http://${origin}/chat/rooms/lobby/users`)).json()).toEqual({
      user_count: 1,
      users: ["ada"],
    });
    expect((await fetch(`http://${origin}/chat/rooms/nowhere/users`)).status).toBe(404);
    await ada.close();
  });
});
