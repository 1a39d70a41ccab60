import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createVel, type AdoptOptions, type CloseInfo, type Connection, type Vel } from "@vel/core";
import { adopt } from "@vel/node";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { Client, deferred, frame, handshake, openHandles, Wire } from "./kit.ts";

/** Somebody's existing server, with Vel beside it. */
interface Host {
  readonly vel: Vel;
  readonly wss: WebSocketServer;
  readonly port: number;
  readonly errors: unknown[];
  /** Opens a client, and gives both server's sides of it. */
  open(path?: string): Promise<{ client: Client; connection: Connection; ws: WebSocket }>;
}

const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  expect(await openHandles()).toEqual([]);
});

async function host(options: AdoptOptions & { deflates?: boolean; trustProxy?: string[] } = {}): Promise<Host> {
  const { deflates = false, trustProxy = [], ...hooks } = options;
  const errors: unknown[] = [];
  const vel = createVel({ closeTimeout: 2_000, trustProxy, onError: (error) => errors.push(error) });
  const server: Server = createServer();
  const wss = new WebSocketServer({ server, ...(deflates && { perMessageDeflate: { threshold: 0 } }) });
  let opened = deferred<{ connection: Connection; ws: WebSocket }>();
  wss.on("connection", (ws, request) => {
    opened.resolve({ ws, connection: adopt(vel, ws, request, hooks) });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const open = async (path = "/any?x=1"): ReturnType<Host["open"]> => {
    opened = deferred();
    const client = await Client.open(`ws://127.0.0.1:${String(port)}${path}`, [], { perMessageDeflate: deflates });
    return { client, ...(await opened.promise) };
  };
  ends.push(async () => {
    await vel.close();
    for (const ws of wss.clients) ws.terminate();
    wss.close();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    expect(errors).toEqual([]);
    expect(vel.connections.size).toBe(0);
  });
  return { vel, wss, port, errors, open };
}

describe.each([
  ["plain", false],
  ["with permessage-deflate", true],
])("adopt() on a ws server, %s", (_name, deflates) => {
  test("gives a connection of that path, without parameters, with the given data", async () => {
    const { open, vel } = await host({ deflates, data: { user: "ada" } });
    const { client, connection, ws } = await open("/some/where?token=1");
    expect(ws.extensions === "").toBe(!deflates);
    expect(connection).toMatchObject({
      route: "/some/where",
      params: {},
      data: { user: "ada" },
      protocol: "",
      isOpen: true,
    });
    expect(connection.remote?.address).toBe("127.0.0.1");
    expect([...vel.connections]).toEqual([connection]);
    await client.close();
  });

  test("keeps own ws.send() beside it working, and what each of the two sends in its order", async () => {
    const { open } = await host({ deflates });
    const { client, connection, ws } = await open();
    const count = 50;
    for (let index = 0; index < count; index++) {
      ws.send(`own ${String(index)} ${"o".repeat(index * 40)}`);
      connection.send(`vel ${String(index)} ${"v".repeat(index * 40)}`);
      if (index % 10 === 0) connection.send(new Uint8Array([index]));
    }
    const seen: Record<string, number[]> = { own: [], vel: [], bytes: [] };
    for (let received = 0; received < count * 2 + 5; received++) {
      const message = await client.next();
      if (typeof message !== "string") {
        seen["bytes"]?.push(message[0] ?? -1);
        continue;
      }
      const [who = "", index] = message.split(" ");
      seen[who]?.push(Number(index));
    }
    const all = Array.from({ length: count }, (_, index) => index);
    expect(seen).toEqual({ own: all, vel: all, bytes: [0, 10, 20, 30, 40] });
    await client.close();
  });

  test("sends texts and bytes of all sizes, mixed with pings", async () => {
    const { open } = await host({ deflates });
    const { client, connection } = await open();
    const pongs: string[] = [];
    connection.onPong((data) => pongs.push(Buffer.from(data).toString()));
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 2 ** 18]) {
      connection.send("t".repeat(size));
      connection.ping(Buffer.from(String(size)));
      connection.send(new Uint8Array(size).fill(7));
      expect(await client.next()).toBe("t".repeat(size));
      expect(await client.next()).toEqual(Buffer.alloc(size, 7));
    }
    client.ws.send("last");
    await client.close();
    expect(pongs).toEqual(["0", "1", "125", "126", "65535", "65536", "262144"]);
  });

  test("lets bytes that were handed in be changed after the call", async () => {
    const { open } = await host({ deflates });
    const { client, connection } = await open();
    const bytes = new Uint8Array([1, 2, 3]);
    connection.send(bytes);
    bytes.fill(9);
    connection.send(bytes);
    bytes.fill(0);
    expect(await client.next()).toEqual(Buffer.from([1, 2, 3]));
    expect(await client.next()).toEqual(Buffer.from([9, 9, 9]));
    await client.close();
  });

  test("runs hooks in their order: open, messages, close", async () => {
    const log: string[] = [];
    const closed = deferred<CloseInfo>();
    const { open } = await host({
      deflates,
      open: () => void log.push("open"),
      message(connection, message) {
        log.push(String(message));
        connection.send(message);
      },
      close(_connection, info) {
        log.push("close");
        closed.resolve(info);
      },
    });
    const { client } = await open();
    for (const text of ["a", "b", "c"]) client.ws.send(text);
    for (const text of ["a", "b", "c"]) expect(await client.next()).toBe(text);
    await client.close(4001);
    expect(await closed.promise).toEqual({ code: 4001, reason: "", wasClean: true, by: "remote" });
    expect(log).toEqual(["open", "a", "b", "c", "close"]);
  });

  test("tells both sides the code, whoever closes, and however", async () => {
    const { open } = await host({ deflates });
    const byVel = await open();
    const velInfo = new Promise<CloseInfo>((resolve) => byVel.connection.onClose(resolve));
    byVel.connection.send("before");
    byVel.connection.close(4002, "vel");
    expect(await byVel.client.next(), "what was sent before leaves before").toBe("before");
    expect(await byVel.client.closed).toEqual({ code: 4002, reason: "vel" });
    expect(await velInfo).toEqual({ code: 4002, reason: "vel", wasClean: true, by: "local" });

    const byOwner = await open();
    const ownerInfo = new Promise<CloseInfo>((resolve) => byOwner.connection.onClose(resolve));
    byOwner.ws.close(4003, "owner");
    expect(await byOwner.client.closed).toEqual({ code: 4003, reason: "owner" });
    expect(await ownerInfo).toMatchObject({ code: 4003, wasClean: true });

    const byCut = await open();
    const cutInfo = new Promise<CloseInfo>((resolve) => byCut.connection.onClose(resolve));
    byCut.client.ws.terminate();
    expect(await cutInfo).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });

    const byTerminate = await open();
    byTerminate.connection.terminate();
    expect(await byTerminate.client.closed).toEqual({ code: 1006, reason: "" });
    expect(byTerminate.connection.closeInfo).toMatchObject({ code: 1006, by: "local" });
  });

  test("leaves the messages alone without a message hook: own listeners get them, and they are counted", async () => {
    const { open } = await host({ deflates });
    const { client, connection, ws } = await open();
    const own: string[] = [];
    ws.on("message", (data: Buffer, isBinary) => {
      own.push(`${isBinary ? "bytes" : "text"} ${data.toString()}`);
      ws.send("seen");
    });
    client.ws.send("a");
    client.ws.send(Buffer.from("b"));
    expect(await client.next()).toBe("seen");
    expect(await client.next()).toBe("seen");
    expect(own).toEqual(["text a", "bytes b"]);
    expect(connection).toMatchObject({ messagesReceived: 2, bytesReceived: 2 });
    await client.close();
  });

  test("is closed with 1001 by vel.close(), which leaves the server that it is not of running", async () => {
    const { open, vel, wss } = await host({ deflates });
    const { client } = await open();
    await vel.close();
    expect(await client.closed).toMatchObject({ code: 1001 });
    expect(wss.address()).not.toBeNull();
    const late = await open();
    const ended = new Promise((resolve) => late.connection.onClose(resolve));
    expect(await late.client.closed, "who is adopted later is closed at once").toMatchObject({ code: 1001 });
    await ended;
  });
});

test("adopt() closes its connection alone with 1011 when a hook throws", async () => {
  const { open, errors } = await host({
    message() {
      throw new Error("of the hook");
    },
  });
  const a = await open();
  const b = await open();
  a.client.ws.send("x");
  expect(await a.client.closed).toEqual({ code: 1011, reason: "internal error" });
  expect(errors.splice(0)).toMatchObject([{ message: "of the hook" }]);
  b.connection.send("fine");
  expect(await b.client.next()).toBe("fine");
  await b.client.close();
});

test("adopt() gives options of its own: schema, limits of messages and of the send buffer", async () => {
  const { port, open } = await host({
    maxPayload: 20,
    schema: z.object({ a: z.number() }).transform(({ a }) => `checked ${String(a)}`),
    message: (connection, message) => connection.send(message),
  });
  const { client } = await open();
  client.ws.send('{"a":1}');
  expect(await client.next()).toBe("checked 1");
  client.ws.send("{");
  expect(await client.closed).toMatchObject({ code: 1007 });
  const wire = await Wire.open(port);
  wire.write(handshake("/"), frame(1, "x".repeat(21)));
  expect(await wire.until("message too big")).toContain(String.fromCharCode(1009 >> 8, 1009 & 255));
  wire.socket.destroy();
});

test("adopt() misses no message that came with the handshake", async () => {
  const got = deferred<string>();
  const { port } = await host({
    message: (_connection, message) => {
      got.resolve(String(message));
    },
  });
  const wire = await Wire.open(port);
  wire.write(handshake("/"), frame(1, "early"));
  expect(await got.promise).toBe("early");
  wire.socket.destroy();
});

test.each([
  [["loopback"], "198.51.100.1"],
  [["10.0.0.0/8"], "127.0.0.1"],
])(
  "adopt() believes the proxies %j about where a socket comes from, and has its messages inspected",
  async (trustProxy, address) => {
    const { vel, port } = await host({
      trustProxy,
      message: (connection, message) => connection.send(`${connection.remote?.address ?? ""} ${String(message)}`),
    });
    vel.use({ inspect: (_connection, payload) => payload !== "swallow" });
    const headers = { "X-Forwarded-For": "203.0.113.9, 198.51.100.1" };
    const client = await Client.open(`ws://127.0.0.1:${String(port)}`, [], { headers });
    client.ws.send("swallow");
    client.ws.send("good");
    expect(await client.next()).toBe(`${address} good`);
    await client.close();
  },
);
