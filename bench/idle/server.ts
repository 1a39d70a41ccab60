/**
 * The servers that hold idle connections, each with what a bare one of its runtime does and no more. Argument: which. Prints
 * its port; `GET /memory` collects garbage and answers with what is left.
 *
 * @module
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import type * as Adapter from "@vel/node";
import type { WebSocket } from "ws";

/** What a server holds, in bytes. */
export interface Memory {
  /** The program's own objects, and what they hold outside of the heap. */
  readonly heap: number;
  /** What the system counts. */
  readonly resident: number;
}

/** What this file needs of the runtimes. */
interface Runtimes {
  readonly gc?: () => void;
  readonly Bun: {
    gc(isSync: boolean): void;
    serve(options: object): { readonly port: number };
  };
  readonly Deno: {
    serve(
      options: object,
      handler: (request: Request) => Response | Promise<Response>,
    ): { readonly addr: { port: number } };
    upgradeWebSocket(request: Request): { readonly response: Response; readonly socket: EventTarget };
  };
}
const runtimes = globalThis as unknown as Partial<Runtimes>;
const { Bun, Deno } = runtimes as Runtimes;

async function memory(): Promise<Memory> {
  for (let times = 0; times < 5; times++) {
    if (runtimes.Bun) Bun.gc(true);
    else runtimes.gc?.();
    await setTimeout(50);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}

const interval = 30_000;

/** Bare `ws`, as its README has it; with a heartbeat of a hundred slots, where it is asked for. */
async function ws(withHeartbeat = false): Promise<number> {
  const { WebSocketServer } = await import("ws");
  const server = createServer((_request, response) => {
    void memory().then((held) => response.end(JSON.stringify(held)));
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
  const slots = Array.from({ length: 100 }, () => new Map<WebSocket, boolean>());
  let next = 0;
  sockets.on("connection", (socket) => {
    socket.on("message", () => undefined);
    socket.on("error", console.error);
    if (!withHeartbeat) return;
    const slot = slots[next++ % slots.length] as Map<WebSocket, boolean>;
    slot.set(socket, true);
    socket.on("pong", () => slot.set(socket, true));
    socket.on("close", () => slot.delete(socket));
  });
  let turn = 0;
  if (withHeartbeat) {
    setInterval(() => {
      const slot = slots[turn++ % slots.length] as Map<WebSocket, boolean>;
      for (const [socket, isAlive] of slot) {
        if (!isAlive) socket.terminate();
        slot.set(socket, false);
        socket.ping();
      }
    }, interval / slots.length);
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** crossws on Node, as its documentation has it. It pings by itself, all at once. */
async function crossws(): Promise<number> {
  const { default: adapter } = await import("crossws/adapters/node");
  const { handleUpgrade } = adapter({
    hooks: {
      open(peer) {
        peer.subscribe("room");
      },
      message() {},
    },
  });
  const server = createServer((_request, response) => {
    void memory().then((held) => response.end(JSON.stringify(held)));
  });
  server.on("upgrade", (request, socket, head) => void handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** A bare server of Bun. It pings by itself. */
function bun(): number {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request: Request, own: { upgrade(request: Request): boolean }) {
      if (own.upgrade(request)) return undefined;
      return Response.json(await memory());
    },
    websocket: { message() {} },
  });
  return server.port;
}

/** A bare server of Deno. It pings by itself. */
function deno(): number {
  const listen = { port: 0, hostname: "127.0.0.1", onListen: () => undefined };
  const server = Deno.serve(listen, async (request) => {
    if (request.headers.get("upgrade") !== "websocket") return Response.json(await memory());
    const { response, socket } = Deno.upgradeWebSocket(request);
    socket.addEventListener("message", () => undefined);
    return response;
  });
  return server.addr.port;
}

/** Vel: each connection a member of a room of a hundred, and a heartbeat for all. */
async function vel(): Promise<number> {
  const { createVel } = await import("@vel/core");
  const { HeartbeatManager } = await import("@vel/heartbeat");
  const { RoomManager } = await import("@vel/rooms");
  const { serve } = (await import(`@vel/${process.env["VEL_ADAPTER"] ?? "node"}`)) as typeof Adapter;
  const app = createVel();
  const rooms = new RoomManager();
  new HeartbeatManager({ pingInterval: interval }).observe(app);
  let members = 0;
  app.websocket("/ws", {
    async open(connection) {
      await rooms.join(`room ${String(Math.floor(members++ / 100))}`, connection);
    },
  });
  const { port } = await serve(app, {
    hostname: "127.0.0.1",
    fetch: async () => Response.json(await memory()),
  });
  return port;
}

const servers: Readonly<Record<string, () => number | Promise<number>>> = {
  ws: () => ws(),
  "ws-heartbeat": () => ws(true),
  crossws,
  bun,
  deno,
  vel,
};
console.log(await servers[process.argv[2] ?? ""]?.());
