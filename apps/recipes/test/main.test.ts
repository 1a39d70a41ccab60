/** All recipes as a process of their own, on Node, Bun and Deno: what a client sees is the same. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
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
  return { host, adapter, line };
}

afterAll(async () => {
  for (const { process, ended } of children) {
    process.kill("SIGKILL");
    await ended;
  }
});

/** A starting runtime may have to wait for its turn on a busy machine. */
const startTimeout = 120_000;

describe.each(mainRuntimes)("The recipes on $name", (runtime) => {
  let server: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    server = await start(runtime, { VEL_ADAPTER: "" });
  }, startTimeout);

  async function open(path: string, protocols: string[] = []): Promise<WebSocket> {
    const socket = new WebSocket(`ws://${server.host}${path}`, protocols);
    await once(socket, "open");
    return socket;
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
});

it(
  "The recipes take the adapter that VEL_ADAPTER names",
  async () => {
    const bun = mainRuntimes.find(({ name }) => name === "Bun")!;
    expect((await start({ ...bun, adapter: "node" })).adapter).toBe("@vel/node");
  },
  startTimeout,
);
