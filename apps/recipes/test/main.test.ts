/** All recipes as a process of their own, on Node, Bun and Deno: what a client sees is the same. */
import { on, once } from "node:events";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { JwtHandler } from "@vel/auth";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, type ClientOptions } from "ws";
import { mainRuntimes, run, type Child, type Runtime } from "../../../tools/runtimes.ts";
import * as recipes from "../src/recipes.ts";
import { isoTime, largest } from "./kit.ts";

const main = join(import.meta.dirname, "../src/main.ts");
const children: Child[] = [];

/** Starts the recipes on a free port; `line` gives what they print, line by line. */
async function start(runtime: Runtime, env: Record<string, string> = {}) {
  const child = run(runtime, main, { PORT: "0", ...env });
  children.push(child);
  const lines = createInterface(child.process.stdout)[Symbol.asyncIterator]();
  const line = async (): Promise<unknown> => (await lines.next()).value;
  const first = String(await line());
  expect(first).toMatch(/^Recipes on http:/);
  const [, host = "", adapter] = /^Recipes on http:\/\/(127\.0\.0\.1:\d+) by (.+)$/.exec(first) ?? [];
  return { host, adapter, line, child };
}

/** Opens a connection whose messages, JSON all of them, are taken one by one. */
async function dial(host: string, path: string, options: ClientOptions = {}) {
  const socket = new WebSocket(`ws://${host}${path}`, options);
  const messages = on(socket, "message");
  const closed = once(socket, "close").then(([code]) => code as number);
  await once(socket, "open");
  return {
    socket,
    closed,
    send: (value: unknown) => socket.send(JSON.stringify(value)),
    next: async (): Promise<unknown> => JSON.parse(String((await messages.next()).value[0])),
  };
}

/** Opens a stream of server-sent events, whose data is taken one by one: undefined when it has ended. */
async function readEvents(host: string, path: string) {
  const { body, headers } = await fetch(`http://${host}${path}`);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const next = async (): Promise<unknown> => {
    for (;;) {
      const [, data, rest = ""] = /^(?:: .*\n\n)*data: (.*)\n\n([^]*)$/.exec(text) ?? [];
      if (data !== undefined) {
        text = rest;
        return JSON.parse(data);
      }
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += value;
    }
  };
  return { type: headers.get("content-type"), next, cancel: () => reader.cancel() };
}

afterAll(async () => {
  for (const { process, ended } of children) {
    process.kill("SIGKILL");
    await ended;
  }
});

/** A starting runtime may have to wait for its turn on a busy machine. */
const startTimeout = 120_000;

const secret = "s3cret";
const key = "k3y";
const metricsToken = "t0ken";
const jwtSecret = "a secret of at least thirty-two bytes";
const jwt = new JwtHandler({ secret: jwtSecret, algorithms: ["HS256"] });
const tokenOf = (subject: string): Promise<string> => jwt.sign({}, { subject, expiresIn: 3_600_000 });
const environment = {
  VEL_ADAPTER: "",
  NOTIFICATION_SECRET: secret,
  API_KEY: key,
  JWT_SECRET: jwtSecret,
  METRICS_TOKEN: metricsToken,
};
const liveUpdate = {
  type: "live_update",
  data: { connections: expect.any(Number) },
  timestamp: expect.stringMatching(isoTime),
};
const listened = "Live data is listened to";
const notListened = "Live data is not listened to any more";

describe.each(mainRuntimes)("The recipes on $name", (runtime) => {
  let server: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    server = await start(runtime, environment);
  }, startTimeout);

  async function open(path: string, protocols: string[] = [], headers: ClientOptions["headers"] = {}) {
    const socket = new WebSocket(`ws://${server.host}${path}`, protocols, { headers });
    await once(socket, "open");
    return socket;
  }

  /** Connects where the connection is closed at once; gives the code and the reason. */
  async function closed(path: string, headers: ClientOptions["headers"] = {}): Promise<[code: number, reason: string]> {
    const [code, reason] = await once(new WebSocket(`ws://${server.host}${path}`, { headers }), "close");
    return [code as number, String(reason)];
  }

  /** Asks for a connection and leaves; gives the answer. */
  function answerTo(path: string, protocols: string[] = []): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://${server.host}${path}`, protocols);
      const leave = (response: IncomingMessage): void => {
        resolve(response);
        socket.terminate();
      };
      socket.on("upgrade", leave).on("unexpected-response", (_request, response) => leave(response));
      socket.on("error", reject);
    });
  }

  /** Sends a message and takes the next one that comes. */
  async function ask(socket: WebSocket, message: string | Uint8Array): Promise<string | Uint8Array> {
    socket.send(message);
    const [data, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
    return isBinary ? new Uint8Array(data) : data.toString();
  }

  /** Closes a connection and waits for what the recipe says then. */
  async function leave(socket: WebSocket): Promise<unknown> {
    socket.close(1000);
    await once(socket, "close");
    return server.line();
  }

  /** Sends what the recipe does not take; gives the code and the reason that it closes with. */
  async function refused(path: string, message: string | Uint8Array): Promise<[code: number, reason: string]> {
    const socket = await open(path);
    socket.send(message);
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    return [code, reason.toString()];
  }

  it("are served by the runtime's own adapter, and listed as plain text at /", async () => {
    expect(server.adapter).toBe(`@vel/${runtime.adapter}`);
    const page = await fetch(`http://${server.host}/`);
    expect(page.headers.get("content-type")).toMatch(/^text\/plain\b/);
    expect((await page.text()).split("\n")).toEqual(expect.arrayContaining(Object.keys(recipes)));
    expect((await fetch(`http://${server.host}/other`)).status).toBe(404);
  });

  it("echo: /ws", async () => {
    const socket = await open("/ws");
    for (const text of ["hello", "", "Grüße 👋"]) expect(await ask(socket, text)).toBe(`Echo: ${text}`);
    expect(await leave(socket)).toBe("Client disconnected");
    expect(await refused("/ws", new Uint8Array([1]))).toEqual([1007, "invalid message"]);
    expect((await refused("/ws", "x".repeat(largest + 1)))[0]).toBe(1009);
    expect(await server.line()).toBe("Client disconnected");
  });

  it("json: /ws/json", async () => {
    const socket = await open("/ws/json");
    for (const [message, said] of [
      ['{"message":"Grüße 👋"}', "Received: Grüße 👋"],
      ["{}", "Received: "],
    ] as const)
      expect(JSON.parse(String(await ask(socket, message)))).toEqual({
        type: "response",
        message: said,
        timestamp: expect.stringMatching(isoTime),
      });
    expect(await leave(socket)).toBe("JSON WebSocket disconnected");
    for (const bad of ["{", "[]", '{"message":7}', `"${"x".repeat(64 * 1024)}"`, new Uint8Array([0x7b, 0x7d])])
      expect(await refused("/ws/json", bad)).toEqual([1007, "invalid message"]);
    expect((await refused("/ws/json", "x".repeat(largest + 1)))[0]).toBe(1009);
    expect(await server.line()).toBe("JSON WebSocket disconnected");
  });

  it("binary: /ws/binary", async () => {
    const socket = await open("/ws/binary");
    expect(await ask(socket, new Uint8Array([0, 1, 128, 255]))).toEqual(new Uint8Array([255, 254, 127, 0]));
    expect(await ask(socket, new Uint8Array())).toEqual(new Uint8Array());
    expect(await leave(socket)).toBe("Binary WebSocket disconnected");
    expect(await refused("/ws/binary", "no bytes")).toEqual([1007, "invalid message"]);
    expect((await refused("/ws/binary", new Uint8Array(largest + 1)))[0]).toBe(1009);
    expect(await server.line()).toBe("Binary WebSocket disconnected");
  });

  it("optimizedConnection: /ws/optimized", async () => {
    const socket = new WebSocket(`ws://${server.host}/ws/optimized`, ["other", "chat"]);
    const upgraded = once(socket, "upgrade");
    await once(socket, "open");
    const [{ headers }] = (await upgraded) as [IncomingMessage];
    expect([headers["x-custom"], socket.protocol]).toEqual(["value", "chat"]);
    // The one difference: Deno cannot compress, see docs/runtimes.md.
    expect(socket.extensions.includes("permessage-deflate")).toBe(runtime.adapter !== "deno");
    for (const message of ["hello", new Uint8Array([0, 255]), "x".repeat(largest)])
      expect(await ask(socket, message)).toEqual(message);
    socket.send("x".repeat(largest + 1));
    expect((await once(socket, "close"))[0]).toBe(1009);
    const plain = await open("/ws/optimized");
    expect([plain.protocol, await ask(plain, "hello")]).toEqual(["", "hello"]);
    plain.terminate();
  });

  it("authenticated: /ws/authenticated", async () => {
    const ada = await open(`/ws/authenticated?token=${await tokenOf("ada")}`);
    for (const text of ["hello", "Grüße 👋"]) expect(await ask(ada, text)).toBe(`Authenticated user ada: ${text}`);
    expect(await leave(ada)).toBe("Authenticated user ada disconnected");
    expect(await closed("/ws/authenticated")).toEqual([4001, "Missing authentication token"]);
    const [header, , signature] = (await tokenOf("ada")).split(".");
    const [, claims] = (await tokenOf("root")).split(".");
    for (const bad of ["x.y.z", [header, claims, signature].join(".")])
      expect(await closed(`/ws/authenticated?token=${bad}`)).toEqual([4001, "Invalid token"]);
  });

  it("authenticated: /ws/authenticated/guard", async () => {
    const path = "/ws/authenticated/guard";
    const program = await open(path, [], { authorization: `Bearer ${await tokenOf("ada")}` });
    const browser = await open(path, ["bearer", await tokenOf("bob")]);
    expect(browser.protocol).toBe("bearer"); // and not the token
    expect(await ask(program, "hello")).toBe("Authenticated user ada: hello");
    expect(await ask(browser, "hello")).toBe("Authenticated user bob: hello");
    expect(await leave(program)).toBe("Authenticated user ada disconnected");
    expect(await leave(browser)).toBe("Authenticated user bob disconnected");
    const elsewhere = `${path}?token=${await tokenOf("ada")}`;
    for (const answer of [await answerTo(path), await answerTo(path, ["bearer", "x.y.z"]), await answerTo(elsewhere)])
      expect([answer.statusCode, answer.headers["www-authenticate"]]).toEqual([401, expect.stringMatching(/^Bearer/)]);
  });

  it("apiKey: /ws/api-key", async () => {
    const socket = await open("/ws/api-key", [], { "x-api-key": key });
    for (const text of ["hello", "Grüße 👋"]) expect(await ask(socket, text)).toBe(`Echo: ${text}`);
    socket.terminate();
    for (const headers of [{}, { "x-api-key": "" }, { "x-api-key": `${key}x` }])
      expect(await closed("/ws/api-key", headers)).toEqual([4003, "Invalid API key"]);
  });

  it.each(["/ws/heartbeat", "/ws/heartbeat/custom"])("heartbeat: %s", async (path) => {
    const socket = await open(path);
    for (const text of ["hello", "Grüße 👋"]) expect(await ask(socket, text)).toBe(`Received: ${text}`);
    expect(await leave(socket)).toBe("WebSocket disconnected");
  });

  it("monitored: /ws/monitored", async () => {
    const numbers = async (token = metricsToken) => {
      const response = await fetch(`http://${server.host}/ws-metrics`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return [response.status, await response.json()];
    };
    const counted = (total: number, active: number) => [
      200,
      {
        total_connections: total,
        active_connections: active,
        messages_per_second: expect.any(Number),
        average_connection_duration: expect.any(Number),
      },
    ];
    expect(await numbers()).toEqual(counted(0, 0));
    const [ada, bob] = [await open("/ws/monitored"), await open("/ws/monitored")];
    for (const socket of [ada, bob]) expect(await ask(socket, "Grüße 👋")).toBe("Echo: Grüße 👋");
    expect(await numbers()).toEqual(counted(2, 2));
    ada.terminate();
    await expect.poll(() => numbers(), { timeout: 15_000 }).toEqual(counted(2, 1));
    for (const token of ["", "wrong"]) expect(await numbers(token)).toEqual([401, { error: "unauthorized" }]);
    bob.terminate();
  });

  it("pooled: /ws/pooled", async () => {
    const socket = await open("/ws/pooled");
    for (const text of ["hello", "Grüße 👋"]) expect(await ask(socket, text)).toBe(`Echo: ${text}`);
    socket.terminate();
  });

  it("connectionLimit: /ws/limited", async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => open("/ws/limited")));
    for (const socket of sockets) expect(await ask(socket, "hello")).toBe("Echo: hello");
    const { statusCode, headers } = await answerTo("/ws/limited");
    expect([statusCode, headers["retry-after"]]).toEqual([429, expect.stringMatching(/^[1-9]\d*$/)]);
    const other = await open("/ws"); // has no such limit
    other.terminate();
    expect(await server.line()).toBe("Client disconnected");
    for (const leave of [() => sockets[0]?.close(), () => sockets[1]?.terminate()]) {
      leave();
      // The server learns of it a little later.
      await expect.poll(async () => (await answerTo("/ws/limited")).statusCode, { timeout: 15_000 }).toBe(101);
    }
    for (const socket of sockets) socket.terminate();
  });

  it("memoryManagement: /ws/memory", async () => {
    const socket = await open("/ws/memory");
    for (const message of ["hello", new Uint8Array([0, 255])]) expect(await ask(socket, message)).toEqual(message);
    socket.terminate();
  });

  /** Joins `/ws/channels`. */
  async function join() {
    const member = await dial(server.host, "/ws/channels");
    for (const channel of ["user_updates", "notifications"])
      expect(await member.next()).toEqual({ type: "subscribed", channel });
    return member;
  }

  it("channels: /ws/channels", async () => {
    const [ada, bob] = [await join(), await join()];
    for (const data of [{ online: true }, "Grüße 👋"]) {
      ada.send({ channel: "user_updates", data });
      for (const { next } of [ada, bob])
        expect(await next()).toEqual({ type: "message", channel: "user_updates", data, from: expect.any(String) });
    }
    for (const [message, code] of [
      [{ channel: "other", data: 1 }, "channel_unknown"],
      [{ channel: "notifications", data: 1 }, "channel_forbidden"],
      [{ channel: "user_updates" }, "invalid_message"],
      [[], "channel_unknown"],
    ] as const) {
      ada.send(message);
      expect(await ada.next()).toEqual({ type: "error", code });
    }
    ada.socket.send("{");
    expect(await ada.closed).toBe(1007);
    bob.send({ channel: "user_updates", data: "alone" });
    expect(await bob.next()).toMatchObject({ data: "alone" });
    bob.socket.terminate();
  });

  it("notification: POST /broadcast/notification", async () => {
    const member = await join();
    const post = async (body: string, authorization = `Bearer ${secret}`) => {
      const headers = { authorization, "content-type": "application/json" };
      const response = await fetch(`http://${server.host}/broadcast/notification`, { method: "POST", headers, body });
      return [response.status, await response.json()];
    };
    const good = { title: "Grüße", message: "👋" };
    const unauthorized = [401, { error: "unauthorized" }];
    expect(await post(JSON.stringify(good), "Bearer wrong")).toEqual(unauthorized);
    expect(await post(JSON.stringify(good), "")).toEqual(unauthorized);
    const invalid = [400, { error: "invalid_notification" }];
    for (const bad of ["{", "", "null", '{"title":"t"}', '{"title":7,"message":"m"}'])
      expect(await post(bad)).toEqual(invalid);
    expect((await fetch(`http://${server.host}/broadcast/notification`)).status).toBe(404);
    expect(await post(JSON.stringify(good))).toEqual([200, { status: "broadcast_sent" }]);
    // The only one that was published.
    expect(await member.next()).toEqual({
      type: "message",
      channel: "notifications",
      data: { type: "notification", ...good, timestamp: expect.stringMatching(isoTime) },
    });
    member.socket.terminate();
  });

  it("liveData: /ws/live-data", async () => {
    const ada = await dial(server.host, "/ws/live-data");
    const bob = await dial(server.host, "/ws/live-data");
    for (const { next } of [ada, bob]) {
      expect(await next()).toEqual({ type: "subscribed", channel: "live-data" });
      expect(await next()).toEqual(liveUpdate);
    }
    // One poll for both: what one gets the other gets too.
    const [seen, next] = [await ada.next(), await bob.next()];
    expect([seen, next]).toEqual([liveUpdate, liveUpdate]);
    expect([seen, await ada.next()]).toContainEqual(next);
    expect(await server.line()).toBe(listened);
    expect(await leave(ada.socket)).toBe("Live data WebSocket disconnected");
    expect(await bob.next()).toEqual(liveUpdate);
    bob.socket.terminate();
    expect([await server.line(), await server.line()]).toEqual([notListened, "Live data WebSocket disconnected"]);
  });

  it("liveUpdates: GET /sse/live-updates", async () => {
    const [ada, bob] = [
      await readEvents(server.host, "/sse/live-updates"),
      await readEvents(server.host, "/sse/live-updates"),
    ];
    for (const { type, next } of [ada, bob]) {
      expect(type).toBe("text/event-stream");
      expect(await next()).toEqual({ connections: 0 });
    }
    const carl = await dial(server.host, "/ws/live-data");
    await carl.next();
    expect(await carl.next()).toEqual(liveUpdate);
    await ada.cancel();
    // Somebody listens all the time, so that nothing is said until the last has left.
    for (const { next } of [bob, bob, carl]) expect(await next()).toBeDefined();
    expect(await server.line()).toBe(listened);
    expect(await leave(carl.socket)).toBe("Live data WebSocket disconnected");
    expect(await bob.next()).toBeDefined();
    await bob.cancel();
    expect(await server.line()).toBe(notListened);
    expect((await fetch(`http://${server.host}/sse/live-updates`, { method: "POST" })).status).toBe(404);
  });

  it("liveUpdates: /ws/commands", async () => {
    const client = await dial(server.host, "/ws/commands");
    client.send({ type: "latest", id: 1 });
    expect(await client.next()).toEqual({ type: "ok", id: 1, result: null });
    const events = await readEvents(server.host, "/sse/live-updates");
    expect(await events.next()).toEqual({ connections: 1 });
    client.send({ type: "latest", id: "a" });
    client.send({ type: "listeners", id: "b" });
    expect(await client.next()).toEqual({ type: "ok", id: "a", result: { connections: 1 } });
    expect(await client.next()).toEqual({ type: "ok", id: "b", result: 1 });
    client.socket.send("{");
    expect(await client.next()).toEqual({ type: "error", code: "invalid_message" });
    client.send({ type: "reboot", id: 2 });
    expect(await client.next()).toEqual({ type: "error", id: 2, code: "unknown_type" });
    client.send({ type: "listeners", id: 3 });
    expect(await client.next()).toMatchObject({ type: "ok", id: 3 });
    client.socket.terminate();
    await events.cancel();
    expect([await server.line(), await server.line()]).toEqual([listened, notListened]);
  });

  it(
    "end with the process, whoever listens",
    async () => {
      const { host, child } = await start(runtime, environment);
      const events = await readEvents(host, "/sse/live-updates");
      const authorization = `Bearer ${await tokenOf("ada")}`;
      const clients = await Promise.all([
        dial(host, "/ws/live-data"),
        dial(host, "/ws/authenticated/guard", { headers: { authorization } }),
        dial(host, "/ws/heartbeat"),
        dial(host, "/ws/pooled"),
        dial(host, "/ws/memory"),
        dial(host, "/ws/limited"),
      ]);
      await Promise.all([events.next(), clients[0].next()]);
      child.process.kill("SIGTERM");
      for (const { closed } of clients) expect(await closed).toBe(1001);
      while ((await events.next()) !== undefined);
      expect(await child.ended).toBe(0);
    },
    startTimeout,
  );
});

it(
  "The recipes take the adapter that VEL_ADAPTER names",
  async () => {
    const bun = mainRuntimes.find(({ name }) => name === "Bun")!;
    expect((await start({ ...bun, adapter: "node" })).adapter).toBe("@vel/node");
  },
  startTimeout,
);
