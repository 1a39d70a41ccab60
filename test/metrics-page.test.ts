/** The metrics page beside the packages that it knows by shape alone. */
import { readFileSync } from "node:fs";
import { createVel, type Vel } from "@vel/core";
import { ChannelManager } from "@vel/channels";
import { HeartbeatManager } from "@vel/heartbeat";
import { metricsPage, WebSocketMetrics, type ChannelSource, type RoomSource, type RoundTripSource } from "@vel/metrics";
import { ConnectionPool } from "@vel/pool";
import { Room, RoomManager } from "@vel/rooms";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { expect, it } from "vitest";
import { embedPage, target } from "../tools/embed-page.js";

it("The page in the package is the one in its folder: run node tools/embed-page.js if not", () => {
  expect(readFileSync(target, "utf8") === embedPage()).toBe(true);
});

class ChatRoom extends Room<{ name: string }, { text: string }> {}

it("metricsPage() takes the managers as they are, and shows and kicks", async () => {
  const clock = new ManualClock();
  const vel = createVel({ clock });
  const metrics = new WebSocketMetrics({ clock });
  const rooms = new RoomManager({ clock });
  const typed: RoomSource = new RoomManager({ room: ChatRoom });
  const channels: ChannelSource & ChannelManager = new ChannelManager();
  const heartbeat: RoundTripSource & HeartbeatManager = new HeartbeatManager({ pingInterval: 1_000 }, { clock });
  heartbeat.observe(vel);
  metrics.observe(vel, heartbeat);
  metricsPage({ token: "a token for the tests", vel, metrics, rooms, channels, heartbeat, clock });
  rooms.serve(vel, "/rooms/:room", ({ params }) => ({ room: params.room, userId: "ada" }));
  vel.websocket("/news", {
    async open(connection) {
      await channels.channel("news").subscribe(connection);
      await channels.channel("news").publish("hello");
    },
  });
  rooms.getOrCreate("hidden", Room, { private: true });
  expect(typed.list({ includePrivate: true, users: false })).toEqual([]);

  const ada = await connect(vel, "/rooms/lobby");
  await connect(vel, "/news");
  const viewer = await connect(vel, "/vel/live");
  viewer.sendJson({ type: "auth", token: "a token for the tests" });
  await clock.advance(3_000);
  const snapshot = (await heard(viewer)).findLast(({ type }) => type === "snapshot");
  expect(snapshot).toMatchObject({
    sample: { connections: 3, roundTrip: { median: 0, p95: 0 } },
    channels: { count: 1, largest: [{ name: "news", subscriberCount: 1, messageCount: 1 }] },
    rooms: { count: 2, largest: [{ name: "lobby", userCount: 1, connectionCount: 1 }, { name: "hidden" }] },
  });
  viewer.sendJson({ type: "room", name: "lobby" });
  expect((await heard(viewer)).at(-1)).toMatchObject({ room: { userCount: 1, users: ["ada"] } });
  viewer.sendJson({ type: "kick", room: "lobby", user: "ada" });
  expect((await ada.closed).code).toBe(4500);
  expect(rooms.get("lobby")?.userCount).toBe(0);

  await vel.close();
  await Promise.all([rooms.close(), channels.close()]);
  heartbeat.close();
  expect(clock.pending).toBe(0);
});

it("metricsPage() with routes of its own lets its viewers in while a pool is short of memory", async () => {
  const clock = new ManualClock();
  const [vel, own] = [createVel({ clock }), createVel({ clock })];
  const pool = new ConnectionPool({
    ...{ cleanupStrategy: "reject", maxConnections: 10, idleTimeout: Infinity, clock },
    memory: { limit: 1_000, interval: 1_000, sample: () => 2_000 },
  });
  pool.observe(vel);
  vel.websocket("/echo", { message: (connection, message) => connection.send(message) });
  const metrics = new WebSocketMetrics({ clock });
  metrics.observe(vel, pool);
  const options = { token: "a token for the tests", vel, metrics, clock };
  metricsPage(options);
  metricsPage({ ...options, routes: own });

  const look = async (at: Vel): Promise<TestClient> => {
    const viewer = await connect(at, "/vel/live");
    viewer.sendJson({ type: "auth", token: options.token });
    await clock.advance(1_000);
    return viewer;
  };
  expect((await (await connect(vel, "/echo")).closed).code).toBe(1013);
  expect((await (await look(vel)).closed).code).toBe(1013);
  const viewer = await look(own);
  expect((await heard(viewer)).map(({ type }) => type)).toContain("snapshot");
  expect(viewer.isOpen).toBe(true);

  const closed = Promise.all([vel.close(), own.close()]);
  await clock.advance(10_000);
  await closed;
  pool.close();
  expect(clock.pending).toBe(0);
});

async function heard(client: TestClient): Promise<{ type: string }[]> {
  await settle();
  const messages: { type: string }[] = [];
  while (client.received.length > 0) messages.push(await client.receiveJson<{ type: string }>());
  return messages;
}
