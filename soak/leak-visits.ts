/**
 * Clients that come, work and go, each in another way.
 *
 * @module
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { WebSocket } from "ws";
import type { Target } from "../test/load/target.ts";
import type { Runtime } from "../tools/runtimes.ts";

/** Who comes, and where to. */
export interface Visit {
  readonly target: Target;
  readonly runtime: Runtime;
  /** Opens `/work`. */
  readonly token: string;
  /** A number that no other visit to the server has. */
  readonly index: number;
  /** Takes the clients that would not notice their end. */
  readonly silent: WebSocket[];
}

/** In order, so that each happens equally often: 6 of 10 are let in. */
const ways: readonly ((visit: Visit) => Promise<unknown>)[] = [
  async function closes(visit) {
    const { client } = await work(visit);
    client.close(1000);
    await end(client);
  },
  async function isPutOut(visit) {
    const { client } = await work(visit);
    client.send('{"type":"putOut"}');
    await end(client);
  },
  async function isCut(visit) {
    const { client } = await work(visit);
    client.send('{"type":"cut"}');
    await end(client);
  },
  async function resets(visit) {
    const { client, socket } = await work(visit);
    socket.resetAndDestroy();
    await end(client);
  },
  async function leavesWithoutClose(visit) {
    const { client } = await work(visit);
    client.terminate();
    await end(client);
  },
  async function fallsSilent({ target, silent }) {
    const { client } = open(target, "/mortal");
    await once(client, "open");
    client.pause();
    silent.push(client);
  },
  async function hasNoToken({ target }) {
    const { client } = open(target, "/work");
    await leave(client, await answer(client), 401);
  },
  async function comesFromElsewhere({ target, token }) {
    const { client } = open(target, `/work?token=${token}`, "https://elsewhere.example");
    await leave(client, await answer(client), 403);
  },
  async function findsNoPlace({ target }) {
    // There is one. It may be somebody else's already; if it is not, it is taken when the second comes.
    const { client } = open(target, "/scarce");
    const status = await answer(client);
    const { client: second } = open(target, "/scarce");
    await leave(second, await answer(second), 503, status === 101 ? 503 : 101);
    await leave(client, status, 101, 503);
  },
  async function resetsDuringUpgrade({ target, runtime, index }) {
    // Deno itself keeps 6 KB and a descriptor of whoever is gone before the 101 is written, see test/load/resets.ts.
    if (runtime.adapter === "deno") return;
    const socket = target.connect();
    await once(socket, "connect");
    await target.arrival(socket, "/slow", String(index));
    socket.resetAndDestroy();
    await once(socket, "close");
  },
];

/** Comes, works and goes; resolves when the client sees its end, or is to see none. */
export async function visit(who: Visit): Promise<void> {
  await ways[who.index % ways.length]?.(who);
}

/** Opens a connection that has a room and a channel. */
export async function enter(target: Target, token: string, place: string): Promise<WebSocket> {
  const { client } = open(target, `/work?token=${token}`);
  await once(client, "open");
  client.send(JSON.stringify({ type: "join", room: place }));
  client.send(JSON.stringify({ type: "subscribe", channel: place }));
  return client;
}

/** Has the server send more than it may keep for somebody who does not read. */
export async function lag(target: Target, token: string): Promise<WebSocket> {
  const { client } = open(target, `/work?token=${token}`);
  await once(client, "open");
  client.send('{"type":"flood"}');
  client.pause();
  return client;
}

/** Sends a question, and waits for its answer: then what was sent before it has been handled. */
export async function ask(client: WebSocket): Promise<void> {
  const answered = new Promise<void>((resolve, reject) => {
    const listen = (data: Buffer): void => {
      if (!data.includes('"id":"last"')) return;
      client.off("message", listen).off("close", reject);
      resolve();
    };
    client.on("message", listen).on("close", reject);
  });
  client.send('{"type":"echo","id":"last","data":"and now?"}');
  await answered;
}

async function work({ target, token, index }: Visit): Promise<{ client: WebSocket; socket: Socket }> {
  const { client, socket } = open(target, `/work?token=${token}`);
  await once(client, "open");
  // Rooms come and go with their members; a channel's history stays, so that there are few channels.
  const room = `room ${String(Math.floor(index / 10))}`;
  const channel = `channel ${String(index % 16)}`;
  client.send(JSON.stringify({ type: "join", id: 1, room, meta: { name: "Ada" } }));
  client.send(JSON.stringify({ type: "subscribe", id: 2, channel }));
  client.send(JSON.stringify({ type: "say", room, data: "hello" }));
  client.send(JSON.stringify({ type: "publish", id: 3, channel, data: "news" }));
  client.send(JSON.stringify({ type: "auth", id: 4, token }));
  client.ping();
  await ask(client);
  return { client, socket };
}

function open(target: Target, path: string, origin?: string): { client: WebSocket; socket: Socket } {
  const socket = connect({ port: target.port, host: "127.0.0.1", noDelay: true });
  const client = new WebSocket(`ws://127.0.0.1:${String(target.port)}${path}`, {
    createConnection: () => socket,
    perMessageDeflate: false,
    ...(origin !== undefined && { origin }),
  });
  client.on("error", () => undefined);
  return { client, socket };
}

/** Waits for the answer to a request: 101, or why not. */
function answer(client: WebSocket): Promise<number | string> {
  return new Promise((resolve) => {
    client
      .on("open", () => resolve(101))
      .on("unexpected-response", (_request, { statusCode = 0 }) => resolve(statusCode))
      .on("error", ({ message }) => resolve(message));
  });
}

/** Checks what a request was answered with, and goes. */
async function leave(client: WebSocket, status: number | string, ...allowed: readonly number[]): Promise<void> {
  if (!allowed.includes(Number(status)))
    throw new Error(`Answered with ${String(status)}, not ${allowed.join(" or ")}`);
  client.terminate();
  await end(client);
}

/** Waits for a client's end, whatever way it comes. */
async function end(client: WebSocket): Promise<void> {
  if (client.readyState === WebSocket.CLOSED) return;
  await new Promise((resolve) => client.once("close", resolve));
}
