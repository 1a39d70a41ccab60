import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createVel, type Connection, type Host, type Measurement, type Vel } from "../src/index.ts";
import { setup } from "./kit.ts";
import { admit, handshake, open, ScriptedSocket, scriptedTransport, settled } from "./scripted-transport.ts";

/** All numbers of one name, by their labels but the route. */
function read(vel: Vel, name: string, route = "/ws"): Record<string, unknown> {
  const readings = [...vel.measure()].filter((each) => each.name === name && each.labels?.["route"] === route);
  return Object.fromEntries(
    readings.map(({ labels, value }) => {
      const { route: _, ...rest } = labels!;
      return [Object.values(rest).join(" "), value];
    }),
  );
}

/** A number that there is once for a route. */
const one = (vel: Vel, name: string, route?: string): unknown => read(vel, name, route)[""];

const names = (measurements: Iterable<Measurement>): string[] =>
  [...measurements].map(({ name, labels }) => `${name}${JSON.stringify(labels)}`);

describe("Vel.measure()", () => {
  it("knows nothing of a server that nobody has come to", () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    expect([...vel.measure()]).toEqual([]);
  });

  it("reads everything of a route, each once", async () => {
    const { vel, clock } = setup();
    vel.websocket("/ws", {});
    const { host, connection, socket } = await open(vel, "/ws");
    host.message(connection, "äh");
    host.message(connection, new Uint8Array(5));
    connection.send("four");
    socket.buffered = 700;
    await clock.advance(1_500);
    expect([...vel.measure()]).toEqual([
      { name: "vel_connections", kind: "gauge", value: 1, labels: { route: "/ws" } },
      { name: "vel_connections_age_seconds", kind: "gauge", value: 1.5, labels: { route: "/ws" } },
      { name: "vel_connections_opened_total", kind: "counter", value: 1, labels: { route: "/ws" } },
      { name: "vel_upgrades_total", kind: "counter", value: 1, labels: { route: "/ws", answer: "accepted" } },
      { name: "vel_messages_received_total", kind: "counter", value: 2, labels: { route: "/ws" } },
      { name: "vel_messages_sent_total", kind: "counter", value: 1, labels: { route: "/ws" } },
      { name: "vel_received_bytes_total", kind: "counter", value: 8, labels: { route: "/ws" } },
      { name: "vel_sent_bytes_total", kind: "counter", value: 4, labels: { route: "/ws" } },
      { name: "vel_messages_dropped_total", kind: "counter", value: 0, labels: { route: "/ws" } },
      { name: "vel_send_buffer_bytes", kind: "gauge", value: 700, labels: { route: "/ws" } },
      { name: "vel_slow_consumers", kind: "gauge", value: 1, labels: { route: "/ws" } },
      {
        name: "vel_connection_duration_seconds",
        kind: "histogram",
        value: { bounds: [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400], counts: Array(10).fill(0), sum: 0 },
        labels: { route: "/ws" },
      },
    ]);
    host.close(connection, 1000, "", true);
  });

  it("keeps the routes apart, and names them as they were registered", async () => {
    const { vel } = setup();
    vel.websocket("/ws/:room", {});
    vel.websocket("/admin", {});
    const rooms = [await open(vel, "/ws/lobby"), await open(vel, "/ws/attic?x=1")];
    const admin = await open(vel, "/admin");
    for (const { host, connection } of [...rooms, admin]) host.message(connection, "hello");
    expect(one(vel, "vel_connections", "/ws/:room")).toBe(2);
    expect(one(vel, "vel_connections", "/admin")).toBe(1);
    expect(one(vel, "vel_messages_received_total", "/ws/:room")).toBe(2);
    expect(one(vel, "vel_messages_received_total", "/admin")).toBe(1);
    for (const { host, connection } of rooms) host.close(connection, 1000, "", true);
    expect(one(vel, "vel_connections", "/ws/:room")).toBe(0);
    expect(one(vel, "vel_messages_received_total", "/ws/:room")).toBe(2);
    expect(one(vel, "vel_connections", "/admin")).toBe(1);
  });

  it("goes on counting what connections that have ended had counted", async () => {
    const { vel, clock } = setup({ sendBuffer: { limit: 1_000, onFull: "drop" } });
    vel.websocket("/ws", {});
    const first = await open(vel, "/ws");
    const second = await open(vel, "/ws");
    for (const { host, connection, socket } of [first, second]) {
      host.message(connection, "12345");
      connection.send("123");
      socket.buffered = 2_000;
      connection.send("is dropped");
    }
    const totals = (): unknown[] =>
      ["messages_received", "received_bytes", "messages_sent", "sent_bytes", "messages_dropped"].map((name) =>
        one(vel, `vel_${name}_total`),
      );
    expect(totals()).toEqual([2, 10, 2, 6, 2]);
    await clock.advance(7_000);
    first.host.close(first.connection, 1000, "", true);
    expect(totals()).toEqual([2, 10, 2, 6, 2]);
    expect(one(vel, "vel_send_buffer_bytes")).toBe(2_000);
    second.host.message(second.connection, "1");
    expect(totals()).toEqual([3, 11, 2, 6, 2]);
    second.host.close(second.connection, 0, "", false);
    expect(totals()).toEqual([3, 11, 2, 6, 2]);
    expect(one(vel, "vel_connections")).toBe(0);
    expect(one(vel, "vel_slow_consumers")).toBe(0);
    expect(one(vel, "vel_connections_opened_total")).toBe(2);
    expect(read(vel, "vel_connections_closed_total")).toEqual({ "1000 remote": 1, "1006 remote": 1 });
    expect(one(vel, "vel_connection_duration_seconds")).toMatchObject({
      counts: [0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
      sum: 14,
    });
  });

  it("counts nobody twice, also when it is asked while a connection ends", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const { host, connection } = await open(vel, "/ws");
    host.message(connection, "hello");
    const seen: unknown[] = [];
    connection.onClosing(() => seen.push(one(vel, "vel_messages_received_total")));
    connection.onClose(() => seen.push(one(vel, "vel_messages_received_total")));
    vel.on("close", () => seen.push(one(vel, "vel_messages_received_total"), one(vel, "vel_connections")));
    host.close(connection, 1000, "", true);
    expect(seen).toEqual([1, 1, 1, 0]);
  });

  it("counts a connection until it has ended, not only until this side closes", async () => {
    const { vel, clock } = setup();
    vel.websocket("/ws", {});
    const { connection } = await open(vel, "/ws");
    connection.close(4001, "bye");
    expect(one(vel, "vel_connections")).toBe(1);
    expect(read(vel, "vel_connections_closed_total")).toEqual({});
    await clock.advance(10_000);
    expect(one(vel, "vel_connections")).toBe(0);
    expect(read(vel, "vel_connections_closed_total")).toEqual({ "4001 local": 1 });
  });

  it("says who ended connections, and how", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const ends: ((connection: Connection, host: Host<ScriptedSocket>) => void)[] = [
      (connection, host) => {
        host.close(connection, 1001, "", true);
      },
      (connection, host) => {
        connection.close(1001);
        host.close(connection, 1001, "", true);
      },
      (connection) => {
        connection.terminate("heartbeat timeout");
      },
      (connection, host) => {
        host.close(connection, 1005, "", true);
      },
      (connection, host) => {
        host.close(connection, 1001, "", true);
        host.close(connection, 4000, "twice", true);
      },
    ];
    for (const end of ends) {
      const { connection, host } = await open(vel, "/ws");
      end(connection, host);
    }
    await settled();
    expect(read(vel, "vel_connections_closed_total")).toEqual({
      "1001 remote": 2,
      "1001 local": 1,
      "1006 local": 1,
      "1005 remote": 1,
    });
  });

  it("makes one of the codes that clients think up", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const host = vel.bind(scriptedTransport());
    for (let code = 3_000; code < 5_000; code++) {
      const connection = host.open(new ScriptedSocket(), await admit(host, "/ws"));
      host.close(connection, code, "", true);
    }
    for (const code of [-1, 999, 65_536, NaN]) {
      const connection = host.open(new ScriptedSocket(), await admit(host, "/ws"));
      host.close(connection, code, "", true);
    }
    const closed = read(vel, "vel_connections_closed_total");
    const known = [4001, 4002, 4003, 4400, 4401, 4403, 4404, 4408, 4425, 4429, 4500, 4501].map(
      (code) => `${String(code)} remote`,
    );
    expect(new Set(Object.keys(closed))).toEqual(new Set([...known, "other remote"]));
    expect(closed["other remote"]).toBe(2_000 - known.length + 4);
    expect(one(vel, "vel_connections_opened_total")).toBe(2_004);
  });

  it("counts what requests were answered, by status or close code", async () => {
    const { vel } = setup();
    vel
      .with((request) => (request.query.has("key") ? undefined : request.reject(401)))
      .websocket("/ws", {
        upgrade: (request) => request.close(4003),
      });
    vel.websocket("/open", {});
    const host = vel.bind(scriptedTransport());
    await host.upgrade(handshake("/ws"));
    await host.upgrade(handshake("/ws"));
    const refused = host.open(new ScriptedSocket(), await admit(host, "/ws?key"));
    const abandoned = await admit(host, "/open");
    host.abandon(abandoned);
    await host.upgrade(handshake("/nowhere"));
    expect(read(vel, "vel_upgrades_total")).toEqual({ "401": 2, "4003": 1 });
    expect(read(vel, "vel_upgrades_total", "/open")).toEqual({ accepted: 1 });
    expect(new Set([...vel.measure()].map(({ labels }) => labels?.["route"]))).toEqual(new Set(["/ws", "/open"]));
    // A refusal by close code has a socket for a moment, and is no connection.
    host.close(refused, 4003, "", true);
    expect(one(vel, "vel_connections_opened_total")).toBe(0);
    expect(read(vel, "vel_connections_closed_total")).toEqual({});
  });

  it("does not count a connection whose handler never starts", async () => {
    const { vel } = setup();
    let ready: () => void = () => undefined;
    vel.websocket("/ws", {
      upgrade: () => ({ prepare: () => new Promise<void>((resolve) => (ready = resolve)) }),
    });
    const { host, connection } = await open(vel, "/ws");
    host.close(connection, 1000, "", true);
    ready();
    await settled();
    expect(one(vel, "vel_connections_opened_total") ?? 0).toBe(0);
    expect(read(vel, "vel_connections_closed_total")).toEqual({});
  });

  it("takes a transport that does not know what waits as one with which nothing does", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    await open(vel, "/ws", { transport: scriptedTransport({ buffered: false }) });
    expect(one(vel, "vel_send_buffer_bytes")).toBe(0);
    expect(one(vel, "vel_slow_consumers")).toBe(0);
  });
});

describe("Vel.measure() of adopted connections", () => {
  const adopt = (host: Host<ScriptedSocket>, url: string): Connection =>
    host.adopt(new ScriptedSocket(), { url, remote: undefined, headers: new Headers() });

  it("never makes labels of their paths", () => {
    const { vel } = setup();
    vel.websocket("/ws/:room", {});
    const host = vel.bind(scriptedTransport());
    const connections = ["/a", "/b?c", "/__proto__", "/ws/lobby", "", "http://["].map((url) => adopt(host, url));
    for (const connection of connections) host.message(connection, "hello");
    expect(one(vel, "vel_connections", "adopted")).toBe(6);
    for (const connection of connections.slice(0, 4)) host.close(connection, 1000, "", true);
    expect(new Set([...vel.measure()].map(({ labels }) => labels?.["route"]))).toEqual(new Set(["adopted"]));
    expect(one(vel, "vel_connections", "adopted")).toBe(2);
    expect(one(vel, "vel_messages_received_total", "adopted")).toBe(6);
    expect(read(vel, "vel_connections_closed_total", "adopted")).toEqual({ "1000 remote": 4 });
  });

  it("counts those on a route's own path with it", () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    adopt(vel.bind(scriptedTransport()), "/ws?x");
    expect(one(vel, "vel_connections")).toBe(1);
  });

  it("keeps open and close together when a route of that path comes in between", () => {
    // The connection once vanished from the gauge, and its end counted for a route that nobody had come to.
    const { vel } = setup();
    const host = vel.bind(scriptedTransport());
    const connection = adopt(host, "/ws");
    vel.websocket("/ws", {});
    expect(one(vel, "vel_connections", "adopted")).toBe(1);
    host.close(connection, 1000, "", true);
    expect(one(vel, "vel_connections", "adopted")).toBe(0);
    expect(read(vel, "vel_connections_closed_total", "adopted")).toEqual({ "1000 remote": 1 });
    expect(names(vel.measure()).filter((name) => !name.includes("adopted"))).toEqual([]);
  });
});

it("Vel.measure() sums up, whoever comes, speaks and goes: opened less closed is open, and no total ever falls", async () => {
  // Finds: a `closed` that forgets what the connection counted, one that counts it and leaves it among the open ones.
  const step = fc.oneof(
    fc.record({ do: fc.constant("open" as const), path: fc.constantFrom("/a", "/b/1", "/b/2", "/adopted") }),
    fc.record({ do: fc.constantFrom("receive" as const, "send" as const), which: fc.nat(9), size: fc.nat(100) }),
    fc.record({ do: fc.constantFrom("end" as const, "close" as const, "terminate" as const), which: fc.nat(9) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const vel = createVel();
      vel.websocket("/a", {});
      vel.websocket("/b/:id", {});
      const host = vel.bind(scriptedTransport());
      const open: Connection[] = [];
      const expected = { messages: 0, bytes: 0, sent: 0, opened: 0 };
      const last = new Map<string, number>();
      for (const each of steps) {
        if (each.do === "open") {
          const url = each.path;
          if (url === "/adopted") {
            open.push(host.adopt(new ScriptedSocket(), { url, remote: undefined, headers: new Headers() }));
          } else open.push(host.open(new ScriptedSocket(), await admit(host, url)));
          expected.opened++;
        } else {
          const connection = open[each.which];
          if (!connection) continue;
          if (each.do === "receive") {
            host.message(connection, new Uint8Array(each.size));
            if (connection.isOpen) expected.messages++;
            if (connection.isOpen) expected.bytes += each.size;
          } else if (each.do === "send") {
            if (connection.send("x".repeat(each.size)) === "sent") expected.sent++;
          } else if (each.do === "close") connection.close();
          else {
            if (each.do === "terminate") connection.terminate();
            else host.close(connection, 1000, "", true);
            open.splice(each.which, 1);
            await Promise.resolve(); // terminate() ends in a microtask
          }
        }
        const sum = (name: string): number =>
          [...vel.measure()]
            .filter((one) => one.name === name)
            .reduce((total, one) => total + (one.value as number), 0);
        expect(sum("vel_messages_received_total")).toBe(expected.messages);
        expect(sum("vel_received_bytes_total")).toBe(expected.bytes);
        expect(sum("vel_messages_sent_total")).toBe(expected.sent);
        expect(sum("vel_connections_opened_total")).toBe(expected.opened);
        expect(sum("vel_connections")).toBe(open.length);
        expect(sum("vel_connections_closed_total")).toBe(expected.opened - open.length);
        for (const { name, kind, labels, value } of vel.measure()) {
          const key = `${name}${JSON.stringify(labels)}`;
          if (kind !== "counter") continue;
          expect(value).toBeGreaterThanOrEqual(last.get(key) ?? 0);
          last.set(key, value);
        }
        const unique = names(vel.measure());
        expect(new Set(unique).size).toBe(unique.length);
      }
      for (const connection of open) connection.terminate();
      await vel.close();
    }),
    { numRuns: 1_000 },
  );
});
