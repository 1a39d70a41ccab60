import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createVel, type Vel } from "@vel/core";
import { attach, upgradeHandler } from "@vel/node";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { ask, Client, deferred, handshake, openHandles, Wire } from "./kit.ts";

let server: Server;
let port: number;
const vels: Vel[] = [];

beforeEach(async () => {
  server = createServer((request, response) => {
    response.end(`${String(request.method)} ${String(request.url)}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});

afterEach(async () => {
  for (const vel of vels.splice(0)) {
    await vel.close();
    expect(vel.connections.size).toBe(0);
  }
  server.close();
  await once(server, "close");
});

afterAll(async () => {
  expect(await openHandles()).toEqual([]);
});

/** A Vel with one route that answers every message with its name. */
function named(name: string, path = `/${name}`): Vel {
  const vel = createVel();
  vel.websocket(path, { message: (connection) => connection.send(name) });
  vels.push(vel);
  return vel;
}

/** Who answers on a path: a name, or the status of the refusal. */
async function whoAnswers(path: string): Promise<string> {
  const wire = await Wire.open(port);
  wire.write(handshake(path));
  const response = await wire.until("\r\n\r\n");
  const status = response.slice(9, 12);
  wire.socket.destroy();
  if (status !== "101") return status;
  const client = await Client.open(`ws://127.0.0.1:${String(port)}${path}`);
  client.ws.send("who?");
  const name = await client.next();
  await client.close();
  return String(name);
}

/** Another library's WebSocket server on the same HTTP server, in the usual way: it takes every path. */
function foreign(): WebSocketServer {
  const other = new WebSocketServer({ server });
  other.on("connection", (ws) => {
    ws.on("message", () => {
      ws.send("foreign");
    });
  });
  return other;
}

describe("attach()", () => {
  test("attach() serves its routes and leaves requests alone", async () => {
    attach(named("a"), server);
    expect(await whoAnswers("/a")).toBe("a");
    expect(await (await fetch(`http://127.0.0.1:${String(port)}/a`, { headers: { connection: "close" } })).text()).toBe(
      "GET /a",
    );
  });

  test("attach() takes an HTTP server and nothing else", () => {
    expect(() => attach(named("a"), (() => undefined) as unknown as Server)).toThrow(
      new TypeError('Argument "server" must be an HTTP server, got function'),
    );
  });

  test.each(["before", "after"])("attach() works beside another ws server that came %s", async (order) => {
    const first = order === "before" ? foreign() : undefined;
    attach(named("a"), server);
    const other = first ?? foreign();
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/other")).toBe("foreign");
    other.close();
  });

  test("attach() claims a request that others would destroy while a guard thinks", async () => {
    const vel = createVel();
    vels.push(vel);
    const asked = deferred();
    const answer = deferred();
    vel.use(async () => {
      asked.resolve();
      await answer.promise;
    });
    vel.websocket("/a", { message: (connection) => connection.send("a") });
    server.on("upgrade", (_, socket) => socket.destroy());
    attach(vel, server);
    const found = whoAnswers("/a");
    await asked.promise;
    answer.resolve();
    expect(await found).toBe("a");
  });

  test("AttachOptions.unmatched auto answers 404 when nobody else listens", async () => {
    attach(named("a"), server);
    expect(await whoAnswers("/other")).toBe("404");
  });

  test("AttachOptions.unmatched reject answers 404 before others see the request", async () => {
    const other = foreign();
    const attachment = attach(named("a"), server, { unmatched: "reject" });
    expect(await whoAnswers("/other")).toBe("404");
    expect(await whoAnswers("/a")).toBe("a");
    attachment.detach();
    expect(await whoAnswers("/other")).toBe("foreign");
    other.close();
  });

  test("AttachOptions.unmatched ignore leaves the request to a listener that comes later", async () => {
    attach(named("a"), server, { unmatched: "ignore" });
    const seen = new Promise((resolve) => {
      server.on("upgrade", (request, socket) => {
        socket.end("HTTP/1.1 410 Gone\r\n\r\n");
        resolve(request.url);
      });
    });
    expect(await whoAnswers("/other")).toBe("410");
    expect(await seen).toBe("/other");
  });

  test("AttachOptions.unmatched ignore survives a reset of a request that nobody answers", async () => {
    const arrived = deferred();
    const emit = server.emit.bind(server);
    server.emit = ((...args: Parameters<Server["emit"]>): boolean => {
      if ((args[0] as string) === "upgrade") arrived.resolve();
      return emit(...args);
    }) as Server["emit"];
    attach(named("a"), server, { unmatched: "ignore" });
    const left = new Promise((resolve) => {
      server.on("connection", (socket) => socket.on("close", resolve));
    });
    const wire = await Wire.open(port);
    wire.write(handshake("/other"));
    await arrived.promise;
    wire.socket.resetAndDestroy();
    await left;
  });

  test("attach() leaves an upgrade to another protocol to the request listeners, when nobody else takes it", async () => {
    attach(named("a"), server);
    const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__" };
    const response = await ask(port, handshake("/page", headers));
    expect(response).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(response).toMatch(/\r\n\r\nGET \/page$/);
    expect(await ask(port, handshake("/page", { ...headers, "Content-Length": "2" }) + "ab")).toMatch(
      /^HTTP\/1\.1 501 /,
    );
  });

  test("attach() leaves an upgrade to another protocol to other upgrade listeners", async () => {
    attach(named("a", "/*"), server, { unmatched: "reject" });
    server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 200 Mine\r\n\r\n"));
    expect(await ask(port, handshake("/a", { Upgrade: "mine" }))).toBe("HTTP/1.1 200 Mine\r\n\r\n");
  });
});

describe("Attachment.detach()", () => {
  test("Attachment.detach() leaves the server as it was, and open connections open", async () => {
    const attachment = attach(named("a"), server);
    const client = await Client.open(`ws://127.0.0.1:${String(port)}/a`);
    attachment.detach();
    attachment.detach();
    expect(Object.hasOwn(server, "emit")).toBe(false);
    expect(server.listenerCount("upgrade")).toBe(0);
    client.ws.send("who?");
    expect(await client.next()).toBe("a");
    await client.close();
    expect(await ask(port, handshake("/a", { Connection: "Upgrade, close" }))).toMatch(/\r\n\r\nGET \/a$/);
    attach(named("b", "/a"), server);
    expect(await whoAnswers("/a")).toBe("b");
  });

  test("Attachment.detach() of one of two leaves the other", async () => {
    const a = attach(named("a"), server);
    const b = attach(named("b"), server);
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/b")).toBe("b");
    expect(await whoAnswers("/c")).toBe("404");
    a.detach();
    expect(await whoAnswers("/a")).toBe("404");
    expect(await whoAnswers("/b")).toBe("b");
    b.detach();
    expect(Object.hasOwn(server, "emit")).toBe(false);
    expect(server.listenerCount("upgrade")).toBe(0);
  });

  test("Attachment.detach() restores an emit that was the server's own", () => {
    const own = server.emit.bind(server);
    server.emit = own;
    attach(named("a"), server).detach();
    expect(server.emit).toBe(own);
  });

  test("Attachment.detach() leaves alone what somebody else put over emit in between", async () => {
    const a = attach(named("a"), server);
    const ours = server.emit;
    const events: unknown[] = [];
    const theirs = ((...args: Parameters<Server["emit"]>): boolean => {
      events.push(args[0]);
      return ours.apply(server, args);
    }) as Server["emit"];
    server.emit = theirs;
    const b = attach(named("b"), server);
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/b")).toBe("b");
    a.detach();
    b.detach();
    expect(server.emit).toBe(theirs);
    expect(await ask(port, handshake("/a", { Connection: "Upgrade, close" }))).toMatch(/\r\n\r\nGET \/a$/);
    expect(events).toContain("request");
    const again = attach(named("c"), server);
    expect(await whoAnswers("/c")).toBe("c");
    again.detach();
    // They take theirs back too: what was ours lets everything pass, and a new claim is seen again.
    server.emit = ours;
    attach(named("d"), server);
    expect(await whoAnswers("/d")).toBe("d");
  });

  test("attach() claims again after somebody threw all replacements of emit away", async () => {
    attach(named("a"), server);
    delete (server as { emit?: unknown }).emit;
    attach(named("b"), server);
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/b")).toBe("b");
  });
});

describe("upgradeHandler()", () => {
  test("upgradeHandler() answers what it is handed, 404 on other paths included", async () => {
    server.on("upgrade", upgradeHandler(named("a")));
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/other")).toBe("404");
  });

  test("upgradeHandler() leaves other paths when told to", async () => {
    server.on("upgrade", upgradeHandler(named("a"), { unmatched: "ignore" }));
    server.on("upgrade", upgradeHandler(named("b"), { unmatched: "ignore" }));
    expect(await whoAnswers("/a")).toBe("a");
    expect(await whoAnswers("/b")).toBe("b");
  });

  test("upgradeHandler() answers 426 to another protocol", async () => {
    server.on("upgrade", upgradeHandler(named("a")));
    const response = await ask(port, handshake("/a", { Upgrade: "h2c" }));
    expect(response).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n/);
    expect(response).toContain("Upgrade: websocket\r\n");
  });

  test("upgradeHandler() reports a socket that somebody else has upgraded too, and abandons the request", async () => {
    const errors: unknown[] = [];
    const vel = createVel({ onError: (error) => errors.push(error) });
    vels.push(vel);
    const released = deferred();
    vel.use((request) => {
      request.defer(released.resolve);
    });
    vel.websocket("/a", {});
    const upgrade = upgradeHandler(vel);
    const other = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      upgrade(request, socket, head);
      other.handleUpgrade(request, socket, head, () => undefined);
    });
    const wire = await Wire.open(port);
    wire.write(handshake("/a"));
    await released.promise;
    await wire.ended;
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining("more than once") as string })]);
  });
});
