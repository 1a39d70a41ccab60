/** The same application file on Node, Bun and Deno: what a client sees is the same. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

const app = join(import.meta.dirname, "fixtures/runtime-app.ts");
const { resolve } = createRequire(import.meta.url);
/** The executables themselves: what npm puts beside them are scripts that a signal would not reach through. */
const bun = join(dirname(resolve("bun/package.json")), "bin/bun.exe");
const deno = join(dirname(resolve("deno/package.json")), "deno");
const denoArgs = ["run", "--no-check", "--allow-all", "--conditions=@vel/source", app];

/** What differs, each for a reason that docs/runtimes.md gives. */
interface Runtime {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  /** Answers to a client that offers only protocols that nobody speaks. */
  readonly noProtocol: 101 | 400;
  /** What the server sees of a message that is too large. */
  readonly tooLarge: { readonly code: number; readonly by: string };
  /** Whether a connection can be cut without a close frame. */
  readonly terminates: boolean;
}

const runtimes: readonly Runtime[] = [
  {
    name: "Node",
    command: process.execPath,
    args: ["--conditions=@vel/source", app],
    noProtocol: 101,
    tooLarge: { code: 1009, by: "local" },
    terminates: true,
  },
  {
    name: "Bun",
    command: bun,
    args: ["--conditions=@vel/source", app],
    noProtocol: 400,
    tooLarge: { code: 1009, by: "local" },
    terminates: true,
  },
  {
    name: "Deno",
    command: deno,
    args: denoArgs,
    noProtocol: 101,
    tooLarge: { code: 1009, by: "local" },
    terminates: false,
  },
  {
    name: "Node's adapter on Deno",
    command: deno,
    args: denoArgs,
    env: { VEL_ADAPTER: "node" },
    noProtocol: 101,
    tooLarge: { code: 1009, by: "local" },
    terminates: true,
  },
  {
    name: "Node's adapter on Bun",
    command: bun,
    args: ["--conditions=@vel/source", app],
    env: { VEL_ADAPTER: "node" },
    noProtocol: 101,
    tooLarge: { code: 1009, by: "local" },
    terminates: true,
  },
];

describe.each(runtimes)("$name", ({ command, args, env, noProtocol, tooLarge, terminates }) => {
  let url: string;
  const said: Record<string, unknown>[] = [];
  const hearing: (() => void)[] = [];

  /** Starts the application; `onLine` gets what it says after its port. */
  async function start(onLine: (line: string) => void = () => undefined) {
    const process = spawn(command, args, { env: { ...globalThis.process.env, NO_COLOR: "1", ...env } });
    running.push(process);
    process.stderr.pipe(globalThis.process.stderr);
    const lines = createInterface(process.stdout);
    const [first] = (await once(lines, "line")) as [string];
    lines.on("line", onLine);
    return { process, port: String((JSON.parse(first) as { port: number }).port) };
  }
  const running: ChildProcessWithoutNullStreams[] = [];

  beforeAll(async () => {
    const { port } = await start((line) => {
      said.push(JSON.parse(line) as Record<string, unknown>);
      for (const hear of hearing.splice(0)) hear();
    });
    url = `ws://127.0.0.1:${port}`;
  });
  afterAll(async () => {
    for (const process of running) {
      process.kill("SIGKILL");
      if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
    }
  });

  /** Waits for the next thing of a kind that the application says. */
  async function hear(kind: string): Promise<Record<string, unknown>> {
    for (;;) {
      const at = said.findIndex((what) => kind in what);
      if (at >= 0) return said.splice(at, 1)[0] ?? {};
      await new Promise<void>((resolve) => hearing.push(resolve));
    }
  }

  interface Client {
    readonly socket: WebSocket;
    readonly cookies: readonly string[] | undefined;
    next(): Promise<unknown>;
    readonly closed: Promise<[code: number, reason: string]>;
  }

  async function open(path: string, protocols: string[] = []): Promise<Client> {
    const socket = new WebSocket(url + path, protocols);
    const received: unknown[] = [];
    const waiting: ((message: unknown) => void)[] = [];
    let cookies: string[] | undefined;
    socket.on("upgrade", (response) => (cookies = response.headers["set-cookie"]));
    socket.on("message", (data: Buffer, isBinary) => {
      const message = isBinary ? [...data] : data.toString();
      const take = waiting.shift();
      if (take) take(message);
      else received.push(message);
    });
    const closed = new Promise<[number, string]>((resolve) => {
      socket.on("close", (code, reason) => resolve([code, reason.toString()]));
    });
    await once(socket, "open");
    return {
      socket,
      closed,
      get cookies() {
        return cookies;
      },
      next: () => (received.length > 0 ? Promise.resolve(received.shift()) : new Promise((take) => waiting.push(take))),
    };
  }

  /** The answer of a handshake that is refused. */
  async function refused(path: string, options: { protocols?: string[]; headers?: Record<string, string> } = {}) {
    const socket = new WebSocket(url + path, options.protocols ?? [], { headers: options.headers ?? {} });
    socket.on("error", () => undefined);
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      NodeJS.ReadableStream & { statusCode: number; headers: Record<string, string> },
    ];
    let body = "";
    for await (const chunk of response) body += String(chunk);
    return { status: response.statusCode, headers: response.headers, body };
  }

  it("echoes text and bytes, the empty ones too, in order, and ends as the client wants", async () => {
    const { socket, next, closed } = await open("/echo");
    const messages = ["hello", Buffer.from([0, 255]), "", Buffer.alloc(0), "Grüße 👋", "x".repeat(70_000)];
    for (const message of messages) socket.send(message);
    for (const message of messages) expect(await next()).toEqual(typeof message === "string" ? message : [...message]);
    socket.close(4000, "bye");
    expect(await closed).toEqual([4000, "bye"]);
    expect(await hear("closed")).toEqual({ closed: { code: 4000, reason: "bye", wasClean: true, by: "remote" } });
  });

  it("tells a drop from a close, once", async () => {
    const { socket, closed } = await open("/echo");
    socket.terminate();
    await closed;
    expect(await hear("closed")).toEqual({ closed: { code: 1006, reason: "", wasClean: false, by: "remote" } });
    expect(said).toEqual([]);
  });

  it("chooses the subprotocol, sends several cookies, and says none where there is none", async () => {
    for (const offer of [
      ["x", "other"],
      ["other", "chat"],
    ]) {
      const { socket, cookies, closed } = await open("/echo", offer);
      expect(socket.protocol).toBe(offer.includes("chat") ? "chat" : "other");
      expect(cookies).toEqual(["a=1", "b=2"]);
      socket.close();
      await closed;
      expect(await hear("closed")).toMatchObject({ closed: { code: 1005 } });
    }
    if (noProtocol === 400) expect(await refused("/echo", { protocols: ["nobody"] })).toMatchObject({ status: 400 });
  });

  it("knows the path, the query and the peer, and reads JSON in the pull form", async () => {
    const { socket, next, closed } = await open("/pull/b%C3%A4r?q=%26");
    expect(JSON.parse(String(await next()))).toEqual({ name: "bär", q: "&", host: "127.0.0.1" });
    socket.send("[1]");
    expect(await next()).toBe('{"value":"1"}');
    socket.send("not json");
    expect(await closed).toEqual([1007, "invalid message"]);
  });

  it("loses nothing that comes while open runs", async () => {
    const { socket, next, closed } = await open("/slow");
    for (let i = 0; i < 200; i++) socket.send(String(i));
    await new Promise<void>((resolve, reject) => socket.send("last", (error) => (error ? reject(error) : resolve())));
    await fetch(`${url.replace("ws", "http")}/release`);
    for (let i = 0; i < 200; i++) expect(await next()).toBe(String(i));
    socket.close();
    await closed;
  });

  it("refuses by status, headers and body, by path, by origin, and by close code", async () => {
    const { status, headers, body } = await refused("/refuse");
    expect([status, headers["retry-after"], headers["x-why"], body]).toEqual([429, "2", "test", "Slowly"]);
    expect(await refused("/pull/%zz")).toMatchObject({ status: 400 });
    expect(await refused("/echo", { headers: { origin: "https://evil.example" } })).toMatchObject({ status: 403 });
    expect(await fetch(`${url.replace("ws", "http")}/some/page`).then((response) => response.text())).toBe(
      "/some/page",
    );
    expect(await (await open("/refuse-by-close")).closed).toEqual([4001, "Kein Zugang ✋"]);
  });

  it("ends one connection when its handler throws, and tells the client nothing of it", async () => {
    const { socket, closed } = await open("/throws");
    socket.send("x");
    expect(await closed).toEqual([1011, "internal error"]);
    expect(await hear("stage")).toEqual({ stage: "message", error: "Error: secret" });
  });

  it("closes with the code that it is told, and with 1009 at a message that is too large for the route", async () => {
    for (const code of [1000, 1001, 1008, 3000, 4999])
      expect(await (await open(`/close/${String(code)}`)).closed).toEqual([code, "asked"]);
    const { socket, closed } = await open("/small");
    socket.send("x".repeat(101));
    expect((await closed)[0]).toBe(1009);
    expect(await hear("closed")).toMatchObject({ closed: tooLarge });
  });

  it("cuts a connection, or closes it where it cannot be cut", async () => {
    const { socket, closed } = await open("/terminate");
    socket.send("x");
    expect((await closed)[0]).toBe(terminates ? 1006 : 1001);
    expect(await hear("closed")).toEqual({ closed: { code: 1006, reason: "", wasClean: false, by: "local" } });
  });

  it("broadcasts to a room, in order", async () => {
    const members = [await open("/room/lobby"), await open("/room/lobby"), await open("/room/other")];
    const speaker = await open("/say/lobby");
    // A member is in once its first message was answered by silence; the room is what is asked.
    for (let i = 0; i < 50; i++) speaker.socket.send(String(i));
    for (const { next } of members.slice(0, 2)) for (let i = 0; i < 50; i++) expect(await next()).toBe(String(i));
    for (const { socket, closed } of [...members, speaker]) {
      socket.close();
      await closed;
    }
  });

  it("goes away cleanly: 1001 to all, nothing left, and the process ends by itself", async () => {
    const { port, process: server } = await start();
    const clients = ["/echo", "/pull/x"].map((path) => new WebSocket(`ws://127.0.0.1:${port}${path}`));
    await Promise.all(clients.map((client) => once(client, "open")));
    const closed = Promise.all(clients.map((client) => once(client, "close") as Promise<[number]>));
    await fetch(`http://127.0.0.1:${port}/end`).catch(() => undefined); // it may end before it has answered
    expect((await closed).map(([code]) => code)).toEqual([1001, 1001]);
    if (server.exitCode === null) await once(server, "exit");
    expect(server.exitCode).toBe(0);
  });
});
