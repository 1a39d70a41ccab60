/**
 * What the packages measure is what the table of @vel/metrics says, label by label, and nothing that a client chose is
 * among the labels.
 */
import { JwtHandler } from "@vel/auth";
import { ChannelManager } from "@vel/channels";
import { createVel, Protocol, type Connection } from "@vel/core";
import { HeartbeatManager } from "@vel/heartbeat";
import { metricTable, WebSocketMetrics } from "@vel/metrics";
import { connectionLimit, ConnectionPool, rateLimit } from "@vel/pool";
import { RoomManager } from "@vel/rooms";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { expect, it } from "vitest";

const names = Array.from({ length: 50 }, (_each, index) => `name-${String(index)}`);
const hostile = ["__proto__", 'lobby"} 1\n', "constructor", "\u202e", ...names];

it("A server with every feature has the labels of the table, and no name that a client chose", async () => {
  const clock = new ManualClock();
  const errors: string[] = [];
  const onError = (error: unknown, { stage }: { stage: string }): void =>
    void errors.push(`${stage}: ${String(error)}`);
  const vel = createVel({ clock, onError });
  const limits = connectionLimit({
    total: 1_000,
    perIp: 1_000,
    perUser: 1_000,
    user: () => "user name-1",
    attempts: { limit: 1_000, per: 1_000 },
    clock,
    onError,
  });
  const rates = rateLimit({ messages: 3, per: 60_000, clock, onError });
  const jwt = new JwtHandler({
    algorithms: ["HS256"],
    secret: crypto.getRandomValues(new Uint8Array(32)),
    clockTolerance: 0,
    clock,
    onError,
  });
  const pool = new ConnectionPool({ clock, onError });
  const heartbeats = new HeartbeatManager({}, { clock, onError });
  const rooms = new RoomManager({ clock, onError });
  const protocol = new Protocol();
  const channels = new ChannelManager({ protocol, authorize: () => true, onError });
  protocol.add(channels.frames());
  const sources = [vel, limits, rates, jwt, pool, heartbeats, rooms, channels];
  const metrics = new WebSocketMetrics({ clock, onError });
  metrics.observe(...sources);

  pool.observe(vel);
  heartbeats.observe(vel);
  vel.use(limits).use(rates);
  const opened: Connection[] = [];
  vel.websocket("/rooms", { open: (connection) => void opened.push(connection) });
  vel.websocket("/channels", protocol.hooks());
  vel.with(jwt.guard()).websocket("/members", { open: (connection) => void opened.push(connection) });

  const clients: TestClient[] = [];
  for (const name of hostile) {
    const [member, subscriber] = [await connect(vel, "/rooms"), await connect(vel, "/channels")];
    await settle();
    await rooms.join(`room ${name}`, opened.at(-1)!, { userId: `user ${name}` });
    subscriber.sendJson({ type: "subscribe", channel: name, id: 1 });
    subscriber.sendJson({ type: "publish", channel: name, data: name, id: 2 });
    clients.push(member, subscriber);
  }
  rooms.get("room name-1")?.kick("user name-1", { by: "system" });
  rooms.get("room name-2")?.ban("user name-2", { by: "system" });
  rooms.leave("room name-49", opened.at(-1)!);
  for (let count = 0; count < 4; count++) clients[0]?.send("too much");
  clients.pop()?.close(4_999, "name-49 left");

  const [token, fresh] = [
    await jwt.sign({}, { subject: "ada", expiresIn: 2_000 }),
    await jwt.sign({}, { subject: "ada", expiresIn: 4_000 }),
  ];
  const headers = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` });
  const ada = await connect(vel, "/members", { headers: headers(token) });
  await settle();
  await expect(connect(vel, "/members", { headers: headers("name-1") })).rejects.toThrow();
  await jwt.refresh(opened.at(-1)!, fresh);
  await expect(jwt.refresh(opened.at(-1)!, "name-1")).rejects.toThrow();
  jwt.revoke({ subject: "name-1" });
  await clock.advance(5_000);
  expect(ada.closeInfo?.code).toBe(4401);
  expect(errors).toEqual([]);

  const known = new Map(metricTable.map((metric) => [metric.name, metric]));
  const seen = new Set<string>();
  for (const source of sources) {
    for (const { name, kind, labels = {} } of source.measure()) {
      seen.add(name);
      const metric = known.get(name);
      expect({ name, kind, labels: Object.keys(labels) }).toEqual({ name, kind: metric?.kind, labels: metric?.labels });
    }
  }
  expect([...seen].sort()).toEqual([...known.keys()].sort());
  const values = new Set([...metrics.measure()].flatMap(({ labels }) => Object.values(labels ?? {})));
  const ours = [
    ...["/rooms", "/channels", "/members", "401", "4401", "4429", "other", "remote", "local"],
    ...["left", "disconnected", "kicked", "banned", "forbidden", "closed", "idle", "full", "memory"],
    ...["attempts", "ip", "user", "total", "enforce", "places", "close", "drop", "report"],
    ...["header", "accepted", "refused"],
  ];
  expect([...values].sort()).toEqual(ours.sort());
  expect(metrics.snapshot()).toMatchObject({
    totalConnections: 2 * hostile.length + 1,
    closeCodes: { 4401: 1, 4429: 1, other: 1 },
  });

  heartbeats.close();
  pool.close();
  await Promise.all([rooms.close(), channels.close(), vel.close(), clock.advance(60_000)]);
  jwt.close();
  await settle();
  expect(vel.connections.size).toBe(0);
  expect(clock.pending).toBe(0);
  expect(metrics.getActiveConnections()).toBe(0);
});
