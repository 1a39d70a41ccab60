/** `serve` on every runtime: HTTP beside WebSockets, errors, and the end, as whoever talks to the process sees them. */
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { allRuntimes, run, type Child } from "../tools/runtimes.ts";

const app = join(import.meta.dirname, "fixtures/serve-app.ts");
const runtimes = allRuntimes().filter(({ command }) => command !== undefined);

describe.each(runtimes)("$name", (runtime) => {
  let child: Child;
  let lines: AsyncIterator<string>;
  let origin: string;
  let plainOrigin: string;

  /** Waits for the next thing that the application says. */
  async function hear(): Promise<Record<string, unknown>> {
    const { value, done } = await lines.next();
    if (done === true) throw new Error("The application has ended");
    return JSON.parse(value) as Record<string, unknown>;
  }

  beforeEach(async () => {
    child = run(runtime, app);
    lines = createInterface(child.process.stdout)[Symbol.asyncIterator]();
    const { port, plain, hostname } = await hear();
    expect(hostname).toBe("127.0.0.1");
    origin = `http://127.0.0.1:${String(port)}`;
    plainOrigin = `http://127.0.0.1:${String(plain)}`;
  });
  afterEach(async () => {
    child.process.kill("SIGKILL");
    await child.ended;
  });

  async function open(): Promise<WebSocket> {
    const socket = new WebSocket(`${origin.replace("http", "ws")}/echo`);
    await once(socket, "open");
    return socket;
  }

  it("answers HTTP requests by fetch, and without one by 426 and 404", async () => {
    const { status, text } = await ask(`${origin}/page`);
    expect([status, text]).toEqual([200, "hello"]);
    expect((await ask(`${origin}/nowhere`)).text).toBe("no such page");
    const routed = await ask(`${plainOrigin}/echo`);
    expect([routed.status, routed.headers.get("upgrade")]).toEqual([426, "websocket"]);
    expect((await ask(`${plainOrigin}/nowhere`)).status).toBe(404);
  });

  it("answers HEAD for a stream that never begins, and lets go of the stream", async () => {
    // Node held the head back until the body began, which to HEAD it never does.
    const { status } = await fetch(`${origin}/stream`, { method: "HEAD" });
    expect(status).toBe(200);
    expect(await hear()).toEqual({ stream: "left" });
  });

  it("answers 500 when fetch throws, tells onError, and tells the client nothing", async () => {
    const { status, text } = await ask(`${origin}/throws`);
    expect([status, text]).toEqual([500, "Internal Server Error"]);
    expect(await hear()).toEqual({ stage: "transport", error: "Error: secret" });
  });

  it("rejects when somebody listens there already", async () => {
    expect((await ask(`${origin}/again`)).text).toBe("EADDRINUSE");
  });

  it("ends cleanly: connections get 1001, requests in flight their answer, and the process ends by itself", async () => {
    const sockets = [await open(), await open()];
    const closed = Promise.all(sockets.map((socket) => once(socket, "close")));
    const late = ask(`${origin}/late`);
    expect(await hear()).toEqual({ late: "asked" });
    child.process.kill("SIGTERM");
    child.process.kill("SIGTERM"); // an impatient one changes nothing
    expect((await closed).map(([code]) => code as number)).toEqual([1001, 1001]);
    expect((await late).text).toBe("answered");
    expect(await child.ended).toBe(0);
  });

  it("resolves close() when nothing is left", async () => {
    const socket = await open();
    socket.on("error", () => undefined);
    await ask(`${origin}/end`);
    expect(await hear()).toEqual({ left: 0 });
  });
});

async function ask(url: string): Promise<{ status: number; headers: Headers; text: string }> {
  const response = await fetch(url);
  return { status: response.status, headers: response.headers, text: await response.text() };
}
