/** The specification's "Quick Start", and what it shows of connections elsewhere, on a real server. */
import { createVel, DisconnectError, InvalidMessageError } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket as WsClient } from "ws";
import { z } from "zod";
import { Client, isoTime } from "./client.ts";

const vel = createVel();
const disconnects: unknown[] = [];
let server: NodeServer;
let url: string;

// Basic WebSocket Endpoint
vel.websocket("/ws", async (request) => {
  const connection = await request.accept();
  for await (const message of connection.texts()) connection.send(`Echo: ${message}`);
  disconnects.push(connection.closeInfo?.code);
});

// The same, word for word: while True, and an exception at its end.
vel.websocket("/ws/literal", async (request) => {
  const connection = await request.accept();
  try {
    for (;;) {
      const message = await connection.receiveText();
      connection.send(`Echo: ${message}`);
    }
  } catch (error) {
    if (!(error instanceof DisconnectError)) throw error;
    disconnects.push(error.info.code);
  }
});

// JSON Message Handling
vel.websocket("/ws/json", async (request) => {
  const connection = await request.accept();
  while (connection.isOpen) {
    try {
      const data = await connection.receiveJson(z.object({ message: z.string().default("") }));
      connection.sendJson({
        type: "response",
        message: `Received: ${data.message}`,
        timestamp: new Date().toISOString(),
      });
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) throw error;
      connection.sendJson({ type: "error", code: error.code });
    }
  }
});

// Binary Data Handling
vel.websocket("/ws/binary", async (request) => {
  const connection = await request.accept();
  for await (const data of connection.bytes()) connection.send(data.map((byte) => 255 - byte));
});

// JWT Authentication and API Key Authentication, as far as they are a close before accepting
vel.websocket("/ws/authenticated", async (request) => {
  const token = request.query.get("token");
  if (token === null) return request.close(4001, "Missing authentication token");
  const connection = await request.accept({ data: { userId: token } });
  for await (const text of connection.texts()) connection.send(`Authenticated user ${connection.data.userId}: ${text}`);
  return undefined;
});
vel.websocket("/ws/api-key", async (request) => {
  if (request.headers.get("x-api-key") !== "valid") return request.close(4003, "Invalid API key");
  const connection = await request.accept();
  connection.sendJson({ host: connection.remote?.address ?? null });
  return undefined;
});

// Connection Optimization, as far as it is one of the handshake
vel.websocket("/ws/optimized/:name", { maxPayload: 1024 * 1024, protocols: ["chat"] }, async (request) => {
  const connection = await request.accept({ protocol: "chat", headers: { "X-Custom": "value" } });
  connection.sendJson({ ...connection.params });
  await connection.receiveText();
});

beforeAll(async () => {
  server = await serve(vel, { hostname: "127.0.0.1" });
  url = `ws://127.0.0.1:${String(server.port)}`;
});
afterAll(async () => {
  await server.close();
  expect(vel.connections.size).toBe(0);
});

describe("Quick Start", () => {
  it.each(["/ws", "/ws/literal"])("Basic WebSocket Endpoint: %s", async (path) => {
    const client = await Client.open(url + path);
    for (const text of ["hello", "", "Grüße 👋"]) {
      client.send(text);
      expect(await client.next()).toBe(`Echo: ${text}`);
    }
    await client.close();
    await expect.poll(() => disconnects.splice(0)).toEqual([1000]);
  });

  it("JSON Message Handling", async () => {
    const client = await Client.open(`${url}/ws/json`);
    client.send({ message: "hello" });
    expect(await client.json()).toEqual({
      type: "response",
      message: "Received: hello",
      timestamp: expect.stringMatching(isoTime) as string,
    });
    for (const bad of ["{", "[]", "7", '{"message":7}', new Uint8Array([1])]) {
      client.send(bad);
      expect(await client.json()).toEqual({ type: "error", code: "ERR_VEL_INVALID_MESSAGE" });
    }
    client.send({});
    expect(await client.json()).toMatchObject({ message: "Received: " });
    await client.close();
  });

  it("Binary Data Handling", async () => {
    const client = await Client.open(`${url}/ws/binary`);
    client.send(new Uint8Array([0, 1, 255]));
    expect(await client.next()).toEqual(new Uint8Array([255, 254, 0]));
    await client.close();
  });
});

describe("Connections", () => {
  it("Closing before accepting: the client sees the code and the reason", async () => {
    const missing = await Client.open(`${url}/ws/authenticated`);
    expect(await missing.closed).toEqual({ code: 4001, reason: "Missing authentication token" });
    const invalid = await Client.open(`${url}/ws/api-key`);
    expect(await invalid.closed).toEqual({ code: 4003, reason: "Invalid API key" });
  });

  it("Query parameters and state: what the handshake found is there with every message", async () => {
    const client = await Client.open(`${url}/ws/authenticated?token=ada`);
    client.send("hi");
    expect(await client.next()).toBe("Authenticated user ada: hi");
    await client.close();
  });

  it("Headers and the client's host", async () => {
    const client = new WsClient(`${url}/ws/api-key`, { headers: { "x-api-key": "valid" } });
    const [message] = await new Promise<[Buffer]>((resolve) =>
      client.once("message", (...args) => resolve(args as never)),
    );
    expect(JSON.parse(message.toString())).toEqual({ host: "127.0.0.1" });
    await new Promise((resolve) => client.once("close", resolve));
  });

  it("Accepting with a subprotocol and headers, path parameters, the largest message", async () => {
    const client = new WsClient(`${url}/ws/optimized/b%C3%A4r`, ["other", "chat"]);
    const [[{ headers }], [message]] = await Promise.all([
      new Promise<[{ headers: Record<string, string> }]>((resolve) =>
        client.once("upgrade", (...args) => resolve(args as never)),
      ),
      new Promise<[Buffer]>((resolve) => client.once("message", (...args) => resolve(args as never))),
    ]);
    expect(client.protocol).toBe("chat");
    expect(headers["x-custom"]).toBe("value");
    expect(JSON.parse(message.toString())).toEqual({ name: "bär" });
    client.send("x".repeat(1024 * 1024 + 1));
    const code = await new Promise((resolve) => client.once("close", resolve));
    expect(code).toBe(1009);
  });
});
