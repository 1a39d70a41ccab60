import { once } from "node:events";
import { createVel, type CloseInfo, type Connection, type Received, type Vel } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client, deferred, frame, handshake, openHandles, Wire } from "./kit.ts";

const errors: unknown[] = [];
let vel: Vel;
let server: NodeServer;
let url: string;

beforeAll(async () => {
  vel = createVel({ onError: (error) => errors.push(error), maxPayload: 300_000, sendBuffer: { limit: 4_000 } });
  vel.websocket("/hooks", { message: (connection, message) => connection.send(message) });
  vel.websocket("/pull", async (request) => {
    const connection = await request.accept();
    for (;;) {
      try {
        connection.send(await connection.receiveText());
      } catch {
        return;
      }
    }
  });
  vel.websocket("/pull/bytes", async (request) => {
    const connection = await request.accept();
    for await (const bytes of connection.bytes()) connection.send(bytes);
  });
  vel.websocket("/idle", {});
  server = await serve(vel, { hostname: "127.0.0.1" });
  url = `ws://127.0.0.1:${String(server.port)}`;
});

afterAll(async () => {
  await server.close();
  expect(errors).toEqual([]);
  expect(vel.connections.size).toBe(0);
  expect(server.server.listening).toBe(false);
  expect(await openHandles()).toEqual([]);
});

/** Opens a client, and gives the server's side of it too. */
async function pair(path: string): Promise<{ client: Client; connection: Connection; ended: Promise<CloseInfo> }> {
  const opened = deferred<Connection>();
  const off = vel.on("open", opened.resolve);
  const client = await Client.open(url + path);
  const connection = await opened.promise;
  off();
  return { client, connection, ended: new Promise((resolve) => connection.onClose(resolve)) };
}

test.each(["/hooks", "/pull"])("Connection.send() on %s sends texts of all sizes", async (path) => {
  const client = await Client.open(url + path);
  for (const text of ["", "hello", "zwölf 🙂", "\ufeffbom", "x".repeat(300_000)]) {
    client.ws.send(text);
    expect(await client.next()).toBe(text);
  }
  await client.close();
});

test.each(["/hooks", "/pull/bytes"])("Connection.send() on %s sends bytes of all sizes", async (path) => {
  const client = await Client.open(url + path);
  for (const bytes of [Buffer.alloc(0), Buffer.from([0, 1, 255]), Buffer.alloc(300_000, 7)]) {
    client.ws.send(bytes);
    expect(await client.next()).toEqual(bytes);
  }
  await client.close();
});

test("Hooks.message() gets bytes that are its own, and texts with their size counted", async () => {
  const own = createVel();
  const received: Received[] = [];
  const three = deferred<Connection>();
  own.websocket("/", {
    message(connection, message) {
      if (received.push(message) === 4) three.resolve(connection);
    },
  });
  const running = await serve(own, { hostname: "127.0.0.1" });
  const wire = await Wire.open(running.port);
  wire.write(handshake("/"), frame(2, "ab"), frame(2, "c", false), frame(0, "d"), frame(2, ""), frame(1, "é"));
  const connection = await three.promise;
  expect(received).toEqual([new Uint8Array([97, 98]), new Uint8Array([99, 100]), new Uint8Array(0), "é"]);
  for (const bytes of received.slice(0, 3) as Uint8Array[]) {
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
    expect(bytes.buffer.byteLength).toBe(bytes.byteLength);
    structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] }); // nobody else's memory
  }
  expect(connection.messagesReceived).toBe(4);
  expect(connection.bytesReceived).toBe(6);
  wire.write(frame(2, ""), frame(8, ""));
  await wire.ended;
  await running.close();
});

test("Connection.send() does not keep the caller's bytes", async () => {
  const { client, connection } = await pair("/idle");
  client.ws.pause();
  const bytes = new Uint8Array(3_000).fill(1);
  // Until the kernel takes no more: what then waits is in memory that must not be the caller's.
  let sent = 0;
  while (connection.bufferedAmount === 0) {
    connection.send(bytes);
    sent++;
  }
  bytes.fill(2);
  client.ws.resume();
  for (let i = 0; i < sent; i++) expect(await client.next()).toEqual(Buffer.alloc(3_000, 1));
  await client.close();
});

test("Connection.drained() resolves when a slow client reads on, however small the limit", async () => {
  const { client, connection } = await pair("/idle");
  client.ws.pause();
  while (connection.send("x".repeat(2_500)) !== "queued");
  expect(connection.bufferedAmount).toBeGreaterThan(2_000);
  const drained = connection.drained();
  client.ws.resume();
  await drained;
  expect(connection.bufferedAmount).toBeLessThanOrEqual(2_000);
  await client.close();
});

test("Connection.close() tells the client the code, and both sides end cleanly", async () => {
  const { client, connection, ended } = await pair("/idle");
  connection.close(4002, "grüße");
  expect(connection.send("late")).toBe("closed");
  expect(await client.closed).toEqual({ code: 4002, reason: "grüße" });
  expect(await ended).toEqual({ code: 4002, reason: "grüße", wasClean: true, by: "local" });
});

test("CloseInfo holds what the client closed with", async () => {
  const { client, ended } = await pair("/idle");
  client.ws.close(4003, "bye");
  expect(await ended).toEqual({ code: 4003, reason: "bye", wasClean: true, by: "remote" });
  await client.closed;
});

test("CloseInfo says 1005 and clean when the client gave no code", async () => {
  const { client, ended } = await pair("/idle");
  client.ws.close();
  expect(await ended).toEqual({ code: 1005, reason: "", wasClean: true, by: "remote" });
  await client.closed;
});

test("CloseInfo says 1006 and not clean when the client is cut off", async () => {
  const { client, ended } = await pair("/idle");
  client.ws.terminate();
  expect(await ended).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
  await client.closed;
});

test("Connection.terminate() shows as 1006 at the client", async () => {
  const { client, connection, ended } = await pair("/idle");
  connection.terminate();
  expect((await client.closed).code).toBe(1006);
  expect(await ended).toMatchObject({ code: 1006, wasClean: false, by: "local" });
});

test("Connection.ping() is answered, and a client's ping too", async () => {
  const { client, connection } = await pair("/idle");
  const pong = new Promise<Uint8Array>((resolve) => connection.onPong(resolve));
  connection.ping(new Uint8Array([1, 2, 3]));
  expect(await pong).toEqual(new Uint8Array([1, 2, 3]));
  const bare = new Promise<Uint8Array>((resolve) => connection.onPong(resolve));
  connection.ping();
  expect(await bare).toEqual(new Uint8Array(0));
  client.ws.ping("hello");
  const [data] = (await once(client.ws, "pong")) as [Buffer];
  expect(data.toString()).toBe("hello");
  await client.close();
});

test.each([
  ["a message over maxPayload", () => Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 4, 0x93, 0xe1, 0, 0, 0, 0]), 1009],
  ["a length beyond 2^53", () => Buffer.from([0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
  ["a frame without a mask", () => Buffer.from([0x81, 0x01, 0x61]), 1002],
  ["a reserved bit", () => Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), 1002],
  ["a text that is not UTF-8", () => frame(1, Buffer.from([0xff])), 1007],
])("Connection closes by itself on %s", async (_, bytes, code) => {
  const ended = new Promise<CloseInfo>((resolve) => {
    const off = vel.on("close", (__, info) => {
      off();
      resolve(info);
    });
  });
  const wire = await Wire.open(server.port);
  wire.write(handshake("/idle"));
  await wire.until("\r\n\r\n");
  wire.write(bytes());
  const response = Buffer.from(await wire.ended, "latin1");
  expect(response.subarray(-4)).toEqual(Buffer.from([0x88, 2, code >> 8, code & 0xff]));
  expect(await ended).toEqual({ code, reason: "", wasClean: false, by: "local" });
});

test("Connection survives a flood of resets", async () => {
  const opened: Promise<CloseInfo>[] = [];
  const off = vel.on("open", (connection) => {
    opened.push(new Promise((resolve) => connection.onClose(resolve)));
    connection.send("x".repeat(1_000));
  });
  for (let i = 0; i < 20; i++) {
    const wire = await Wire.open(server.port);
    wire.write(handshake("/hooks"), frame(1, "hello"));
    await wire.until("101 ");
    wire.socket.resetAndDestroy();
    await wire.ended;
  }
  for (const { code } of await Promise.all(opened)) expect(code).toBe(1006);
  expect(opened.length).toBe(20);
  off();
});
