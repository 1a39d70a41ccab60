import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import { text } from "node:stream/consumers";
import { createVel, type Connection } from "@vel/core";
import { serve } from "@vel/node";
import { afterAll, expect, test } from "vitest";
import { ask, Client, deferred, handshake, openHandles, Wire } from "./kit.ts";

afterAll(async () => {
  expect(await openHandles()).toEqual([]);
});

/** One HTTP request on a connection of its own. */
async function fetchText(url: string): Promise<{ status: number; body: string }> {
  const response = await fetch(url, { headers: { connection: "close" } });
  return { status: response.status, body: await response.text() };
}

test("serve() hands requests to fetch, and WebSocket requests to the routes", async () => {
  const vel = createVel();
  vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
  const global = { Request, Response };
  const server = await serve(vel, {
    hostname: "127.0.0.1",
    fetch: async (request) =>
      new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`, { status: 201 }),
  });
  expect(server.hostname).toBe("127.0.0.1");
  expect({ Request, Response }).toEqual(global);
  const url = `http://127.0.0.1:${String(server.port)}`;
  expect(await fetchText(`${url}/page`)).toEqual({ status: 201, body: "GET /page " });
  const posted = await fetch(url, { method: "POST", body: "body", headers: { connection: "close" } });
  expect(await posted.text()).toBe("POST / body");
  const client = await Client.open(`${url.replace("http", "ws")}/ws`);
  client.ws.send("hello");
  expect(await client.next()).toBe("hello");
  await client.close();
  expect(await ask(server.port, handshake("/page"))).toMatch(/^HTTP\/1\.1 404 /);
  await server.close();
  expect(vel.connections.size).toBe(0);
});

test("serve() answers 426 on the paths of routes and 404 elsewhere without fetch", async () => {
  const vel = createVel();
  vel.websocket("/ws", {});
  const server = await serve(vel, { hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${String(server.port)}`;
  expect(await fetchText(`${url}/`)).toEqual({ status: 404, body: "Not Found" });
  expect(await fetchText(`${url}/ws?x`)).toEqual({ status: 426, body: "Upgrade Required" });
  await server.close();
});

test("serve() rejects when the port is taken, and leaves nothing", async () => {
  const first = await serve(createVel(), { hostname: "127.0.0.1" });
  const vel = createVel();
  await expect(serve(vel, { port: first.port, hostname: "127.0.0.1", signals: ["SIGUSR2"] })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  expect(process.listenerCount("SIGUSR2")).toBe(0);
  await first.close();
});

test("serve() wires signals only when asked, until it is closed", async () => {
  const quiet = await serve(createVel(), { hostname: "127.0.0.1" });
  expect(process.listenerCount("SIGUSR2")).toBe(0);
  const server = await serve(createVel(), { hostname: "127.0.0.1", signals: ["SIGUSR2"] });
  expect(process.listenerCount("SIGUSR2")).toBe(1);
  await server.close();
  expect(process.listenerCount("SIGUSR2")).toBe(0);
  await quiet.close();
});

test("NodeServer.close() closes clients with 1001, or with the code that it is given", async () => {
  for (const [options, code] of [
    [undefined, 1001],
    [{ code: 1012, reason: "restart" }, 1012],
  ] as const) {
    const vel = createVel();
    vel.websocket("/ws", {});
    const server = await serve(vel, { hostname: "127.0.0.1" });
    const clients = [
      await Client.open(`ws://127.0.0.1:${String(server.port)}/ws`),
      await Client.open(`ws://127.0.0.1:${String(server.port)}/ws`),
    ];
    const closed = server.close(options);
    expect(server.close()).toBe(closed);
    for (const client of clients) expect((await client.closed).code).toBe(code);
    await closed;
    expect(vel.connections.size).toBe(0);
    expect(server.server.listening).toBe(false);
  }
});

test("Vel.close() alone closes clients and refuses new ones, while requests are still answered", async () => {
  const vel = createVel();
  vel.websocket("/ws", {});
  const server = await serve(vel, { hostname: "127.0.0.1", fetch: () => new Response("up") });
  const client = await Client.open(`ws://127.0.0.1:${String(server.port)}/ws`);
  await vel.close();
  expect((await client.closed).code).toBe(1001);
  const refused = await ask(server.port, handshake("/ws"));
  expect(refused).toMatch(/^HTTP\/1\.1 503 /);
  expect(refused).toContain("Retry-After: ");
  expect((await fetchText(`http://127.0.0.1:${String(server.port)}/`)).body).toBe("up");
  await server.close();
});

test("NodeServer.close() cuts off a client that does not answer the close", async () => {
  const opened = deferred<Connection>();
  const alarms = new Set<() => void>();
  const vel = createVel({
    clock: {
      now: () => 0,
      wall: () => 0,
      setTimeout(callback) {
        alarms.add(callback);
        return callback;
      },
      clearTimeout: (alarm) => alarms.delete(alarm as () => void),
    },
  });
  vel.websocket("/ws", { open: opened.resolve });
  const server = await serve(vel, { hostname: "127.0.0.1" });
  const wire = await Wire.open(server.port);
  wire.write(handshake("/ws"));
  await opened.promise;
  const closed = server.close();
  await wire.until("\x88\x02\x03\xe9");
  for (const alarm of alarms) alarm();
  await closed;
  await wire.ended;
});

test("NodeServer.close() lets a request in flight be answered, and does not wait for idle connections", async () => {
  const asked = deferred();
  const answer = deferred();
  const server = await serve(createVel(), {
    hostname: "127.0.0.1",
    async fetch(request) {
      if (request.url.endsWith("/slow")) {
        asked.resolve();
        await answer.promise;
      }
      return new Response("answered");
    },
  });
  const agent = new Agent({ keepAlive: true });
  const request = async (path: string): Promise<string> => {
    const [response] = (await once(get(`http://127.0.0.1:${String(server.port)}${path}`, { agent }), "response")) as [
      IncomingMessage,
    ];
    return text(response);
  };
  expect(await request("/fast")).toBe("answered");
  const [idle] = Object.values(agent.freeSockets).flat();
  const slow = request("/slow");
  await asked.promise;
  expect(idle).toBeDefined();
  const closed = server.close();
  answer.resolve();
  expect(await slow).toBe("answered");
  await closed;
  agent.destroy();
});

test.each(["close", "SIGTERM"])("A process ends by itself after %s, and leaves no timer", async (how) => {
  const fixture = fileURLToPath(new URL("fixtures/server.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@vel/source", fixture, how], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output: string[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    output.push(chunk.toString());
    if (chunk.toString().includes("ready")) child.kill("SIGTERM");
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  expect(output.join("").trim().split("\n")).toEqual([
    ...(how === "close" ? [] : ["ready"]),
    "client 1001",
    ...(how === "close" ? ["timers 0"] : []),
    "exit 0, 0 listeners",
  ]);
});
