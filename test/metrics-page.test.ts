/** The metrics page beside the packages that it knows by shape alone. */
import { readFileSync } from "node:fs";
import { createVel } from "@vel/core";
import { ChannelManager } from "@vel/channels";
import { HeartbeatManager } from "@vel/heartbeat";
import { metricsPage, WebSocketMetrics, type ChannelSource, type RoomSource, type RoundTripSource } from "@vel/metrics";
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
    },
  });
  rooms.getOrCreate("hidden", Room, { private: true });
  expect(typed.list({ includePrivate: true })).toEqual([]);

  const ada = await connect(vel, "/rooms/lobby");
  await connect(vel, "/news");
  const viewer = await connect(vel, "/vel/live");
  viewer.sendJson({ type: "auth", token: "a token for the tests" });
  await clock.advance(3_000);
  const snapshot = (await heard(viewer)).findLast(({ type }) => type === "snapshot");
  expect(snapshot).toMatchObject({
    sample: { connections: 3, roundTrip: { median: 0, p95: 0 } },
    channels: { count: 1 },
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

async function heard(client: TestClient): Promise<{ type: string }[]> {
  await settle();
  const messages: { type: string }[] = [];
  while (client.received.length > 0) messages.push(await client.receiveJson<{ type: string }>());
  return messages;
}
