import { createVel, type Connection, type UpgradeRequest, type Vel } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, Client, deferred, frame, handshake, openHandles, Wire } from "./kit.ts";

const errors: unknown[] = [];
let vel: Vel;
let server: NodeServer;
/** What the route `/seen` saw of its last request. */
let seen: UpgradeRequest;

beforeAll(async () => {
  vel = createVel({ onError: (error) => errors.push(error), origins: "any" });
  vel.websocket("/echo", { message: (connection, message) => connection.send(message) });
  vel.websocket("/seen/:name", {
    upgrade(request) {
      seen = request;
      return request.reject(418);
    },
  });
  vel.websocket("/refused", {
    upgrade: (request) =>
      request.reject(401, {
        body: "Who are you? ü",
        headers: [
          ["WWW-Authenticate", "Bearer"],
          ["Set-Cookie", "a=1"],
          ["Set-Cookie", "b=2"],
        ],
      }),
  });
  vel.websocket("/empty", { upgrade: (request) => request.reject(403) });
  vel.websocket("/json", {
    upgrade: (request) => request.reject(429, { body: "{}", headers: { "content-type": "application/json" } }),
  });
  vel.websocket("/closed", { upgrade: (request) => request.close(4001, "no token") });
  vel.websocket("/chat", { protocols: ["chat.v2", "chat.v1"] });
  vel.websocket("/cookies", {
    upgrade() {
      const headers = new Headers({ "X-Custom": "value" });
      headers.append("Set-Cookie", "a=1");
      headers.append("Set-Cookie", "b=2");
      return { headers };
    },
  });
  vel.websocket("/failing", {
    upgrade() {
      throw new Error("secret");
    },
  });
  server = await serve(vel, { hostname: "127.0.0.1" });
});

afterAll(async () => {
  await server.close();
  expect(vel.connections.size).toBe(0);
  expect(server.server.listening).toBe(false);
  expect(await openHandles()).toEqual([]);
});

describe("refusing", () => {
  test("Upgrader.handle() writes status, headers and body of a refusal and ends the connection", async () => {
    const response = await ask(server.port, handshake("/refused"));
    expect(response.split("\r\n")).toEqual([
      "HTTP/1.1 401 Unauthorized",
      "Connection: close",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Length: 15",
      "WWW-Authenticate: Bearer",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
      "",
      Buffer.from("Who are you? ü").toString("latin1"),
    ]);
  });

  test("Upgrader.handle() names no content type without a body", async () => {
    expect(await ask(server.port, handshake("/empty"))).toBe(
      "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
  });

  test("Upgrader.handle() leaves the content type of a refusal to who refuses", async () => {
    const response = await ask(server.port, handshake("/json"));
    expect(response.match(/content-type: .*/gi)).toEqual(["content-type: application/json"]);
  });

  test("Upgrader.handle() answers 500 without a word of the error when a hook throws", async () => {
    const response = await ask(server.port, handshake("/failing"));
    expect(response).toMatch(/^HTTP\/1\.1 500 /);
    expect(response).not.toContain("secret");
    expect(errors.splice(0)).toEqual([new Error("secret")]);
  });

  test("request.close() accepts and closes with its code", async () => {
    const client = await Client.open(`ws://127.0.0.1:${String(server.port)}/closed`);
    expect(await client.closed).toEqual({ code: 4001, reason: "no token" });
  });

  test.each([
    ["another method", handshake("/echo", {}, "POST /echo HTTP/1.1"), 405, "Allow: GET"],
    ["HEAD", handshake("/echo", {}, "HEAD /echo HTTP/1.1"), 405, "Content-Length: 0\r\n"],
    ["HTTP 1.0", handshake("/echo", {}, "GET /echo HTTP/1.0"), 400, ""],
    ["no key", handshake("/echo", { "Sec-WebSocket-Key": undefined }), 400, ""],
    ["a short key", handshake("/echo", { "Sec-WebSocket-Key": "AAAA" }), 400, ""],
    ["a key of the URL alphabet", handshake("/echo", { "Sec-WebSocket-Key": "__AAAAAAAAAAAAAAAAAAAA==" }), 400, ""],
    [
      "two keys",
      handshake("/echo", { "Sec-WebSocket-Key": ["AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA=="] }),
      400,
      "",
    ],
    ["no version", handshake("/echo", { "Sec-WebSocket-Version": undefined }), 426, "Sec-WebSocket-Version: 13\r\n"],
    ["version 8", handshake("/echo", { "Sec-WebSocket-Version": "8" }), 426, "Sec-WebSocket-Version: 13\r\n"],
    ["version 0x0d", handshake("/echo", { "Sec-WebSocket-Version": "0x0d" }), 426, "Sec-WebSocket-Version: 13\r\n"],
    ["a body", handshake("/echo", { "Content-Length": "4" }) + "body", 400, ""],
    ["a chunked body", handshake("/echo", { "Transfer-Encoding": "chunked" }) + "0\r\n\r\n", 400, ""],
    ["an empty subprotocol", handshake("/echo", { "Sec-WebSocket-Protocol": "a,,b" }), 400, ""],
    ["a subprotocol twice", handshake("/echo", { "Sec-WebSocket-Protocol": "a, a" }), 400, ""],
    ["no subprotocol at all", handshake("/echo", { "Sec-WebSocket-Protocol": "" }), 400, ""],
    ["a header value that is none", handshake("/echo", { "X-Odd": "a\x01b" }), 400, ""],
    ["a path that no route matches", handshake("/nowhere"), 404, ""],
    ["an unfinished escape in a parameter", handshake("/seen/%zz"), 400, ""],
  ])("Upgrader.handle() refuses %s", async (_, request, status, expected) => {
    const response = await ask(server.port, request);
    expect(response).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
    expect(response).toContain("Connection: close\r\n");
    expect(response).toContain(expected);
    expect(errors).toEqual([]);
  });

  test("Upgrader.handle() ends a refused connection that the client would keep half open", async () => {
    const left = new Promise((resolve) => {
      server.server.once("connection", (socket) => socket.once("close", resolve));
    });
    const wire = await Wire.open(server.port, { allowHalfOpen: true });
    wire.write(handshake("/empty"));
    await left;
    expect(await wire.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 403 /);
    wire.socket.destroy();
    await wire.ended;
  });

  test("Upgrader.handle() puts no body behind the answer to HEAD", async () => {
    expect(await ask(server.port, handshake("/echo", {}, "HEAD /echo HTTP/1.1"))).toMatch(/\r\n\r\n$/);
  });

  test("Upgrader.handle() takes a handshake with an empty body, as Java's client sends it", async () => {
    const wire = await Wire.open(server.port);
    wire.write(handshake("/echo", { "Content-Length": "0" }));
    await wire.until("101 Switching Protocols");
    wire.write(frame(8, ""));
    await wire.ended;
  });
});

describe("reading", () => {
  test("UpgradeRequest shows the target, the headers and where it comes from", async () => {
    await ask(server.port, handshake("/seen/a%20b?x=1", { Origin: ["http://a", "http://b"], Cookie: ["c=1", "d=2"] }));
    expect(seen.params).toEqual({ name: "a b" });
    expect(seen.query.get("x")).toBe("1");
    expect(seen.headers.get("origin")).toBe("http://a, http://b");
    expect(Object.fromEntries(seen.cookies)).toEqual({ c: "1", d: "2" });
    expect(seen.remote).toEqual({ address: "127.0.0.1", port: expect.any(Number) });
  });

  test("UpgradeRequest shows two Host headers as one that is no host", async () => {
    await ask(server.port, handshake("/seen/a", { Host: ["one", "two"] }));
    expect(seen.headers.get("host")).toBe("one, two");
  });

  test("UpgradeRequest shows the path of an absolute target", async () => {
    await ask(server.port, handshake("", {}, "GET http://127.0.0.1/seen/absolute?x=1 HTTP/1.1"));
    expect(seen.path).toBe("/seen/absolute");
  });
});

describe("accepting", () => {
  const url = (path: string): string => `ws://127.0.0.1:${String(server.port)}${path}`;

  test("Upgrader.handle() names the subprotocol that core chose", async () => {
    const client = await Client.open(url("/chat"), ["chat.v1", "chat.v2"]);
    expect(client.ws.protocol).toBe("chat.v2");
    await client.close();
  });

  test("Upgrader.handle() names no subprotocol when none fits", async () => {
    const wire = await Wire.open(server.port);
    wire.write(handshake("/chat", { "Sec-WebSocket-Protocol": "other" }));
    expect((await wire.until("\r\n\r\n")).toLowerCase()).not.toContain("sec-websocket-protocol");
    wire.write(frame(8, ""));
    await wire.ended;
  });

  test("Upgrader.handle() negotiates no compression, whatever is offered", async () => {
    const wire = await Wire.open(server.port);
    wire.write(handshake("/echo", { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" }));
    expect((await wire.until("\r\n\r\n")).toLowerCase()).not.toContain("sec-websocket-extensions");
    wire.write(frame(8, ""));
    await wire.ended;
  });

  test("Upgrader.handle() adds headers to the 101 response, repeated names apart", async () => {
    const client = await Client.open(url("/cookies"));
    const { headers } = await client.response;
    expect(headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(headers["x-custom"]).toBe("value");
    await client.close();
    const next = await Client.open(url("/echo"));
    expect((await next.response).headers["x-custom"]).toBeUndefined();
    await next.close();
  });

  test("Upgrader.handle() loses no message that comes in the packet of the handshake", async () => {
    const wire = await Wire.open(server.port);
    wire.write(handshake("/echo"), frame(1, "one"), frame(1, "tw", false), frame(0, "o"), frame(1, "three"));
    const response = await wire.until("three");
    expect(response.slice(response.indexOf("\r\n\r\n") + 4)).toBe("\x81\x03one\x81\x03two\x81\x05three");
    wire.write(frame(8, ""));
    await wire.ended;
  });
});

describe("a client that leaves while a guard thinks", () => {
  /** A server with one route, whose guard waits to be told. */
  async function withSlowGuard(
    leave: (wire: Wire) => void,
  ): Promise<{ released: number; refused: number; opened: Connection[]; received: string }> {
    const asked = deferred<AbortSignal>();
    const answer = deferred();
    const outcome = { released: 0, refused: 0, opened: [] as Connection[], received: "" };
    const slow = createVel({ onError: (error) => errors.push(error) });
    slow.use(async (request) => {
      request.defer(() => outcome.released++);
      asked.resolve(request.signal);
      await answer.promise;
    });
    slow.websocket("/slow", {});
    slow.on("open", (connection) => outcome.opened.push(connection));
    slow.on("refuse", () => outcome.refused++);
    const own = await serve(slow, { hostname: "127.0.0.1" });
    const wire = await Wire.open(own.port);
    wire.write(handshake("/slow"));
    const signal = await asked.promise;
    const aborted = new Promise((resolve) => {
      signal.addEventListener("abort", resolve);
    });
    leave(wire);
    await aborted;
    expect(outcome.released).toBe(1);
    answer.resolve();
    outcome.received = await wire.ended;
    await own.close();
    expect(slow.connections.size).toBe(0);
    return outcome;
  }

  test("Handshake.signal aborts when the connection is reset, and nothing is opened", async () => {
    const outcome = await withSlowGuard((wire) => wire.socket.resetAndDestroy());
    expect(outcome).toEqual({ released: 1, refused: 0, opened: [], received: "" });
    expect(errors).toEqual([]);
  });

  test("Handshake.signal aborts when the client ends its side, and nothing is written", async () => {
    const outcome = await withSlowGuard((wire) => wire.socket.end());
    expect(outcome).toEqual({ released: 1, refused: 0, opened: [], received: "" });
    expect(errors).toEqual([]);
  });

  test("NodeServer.close() answers 503 at once to who is still being decided on, and aborts the decision", async () => {
    const asked = deferred();
    const slow = createVel({ onError: (error) => errors.push(error) });
    slow.websocket("/slow", {
      upgrade: (request) =>
        new Promise<never>((_, reject) => {
          request.signal.addEventListener("abort", () => {
            reject(new Error("aborted"));
          });
          asked.resolve();
        }),
    });
    const own = await serve(slow, { hostname: "127.0.0.1" });
    const wire = await Wire.open(own.port);
    wire.write(handshake("/slow"));
    await asked.promise;
    await own.close();
    const response = await wire.ended;
    expect(response).toMatch(/^HTTP\/1\.1 503 /);
    expect(response).toContain("Retry-After: 1\r\n");
    expect(errors).toEqual([]);
  });
});
