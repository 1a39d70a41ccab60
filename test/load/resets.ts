/**
 * Clients that reset their connection at every moment of its life, and ones that never come to a handshake.
 *
 * @module
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect } from "vitest";
import type { Held } from "../fixtures/host.ts";
import type { Runtime } from "../../tools/runtimes.ts";
import { Chance, properFrame } from "./frames.ts";
import { garbage } from "./garbage.ts";
import { handshake, keptAtMost, Target, times } from "./target.ts";

/** What a server says of itself. */
interface Report extends Held {
  readonly [name: string]: unknown;
  readonly opened: number;
  readonly deferred: number;
  readonly listeners: number;
}

type Moment = (socket: Socket, target: Target, chance: Chance, key: string) => unknown;

/** What happens until the reset. */
const moments: readonly Moment[] = [
  function midRequestLine(socket) {
    return written(socket, "GET /ech");
  },
  function afterHeaders(socket) {
    return written(socket, handshake("/busy"));
  },
  function whileSomebodyWaits(socket, target, _chance, key) {
    return target.arrival(socket, "/leave", key);
  },
  function duringUpgrade(socket, target, _chance, key) {
    return target.arrival(socket, "/busy", key);
  },
  function insideAccept(socket, target, _chance, key) {
    return target.arrival(socket, "/accept", key);
  },
  function rightAfter101(socket) {
    socket.write(handshake("/echo"));
    return received(socket, 1);
  },
  async function midFrame(socket, _target, chance) {
    socket.write(handshake("/echo"));
    await received(socket, 1);
    const frame = properFrame(chance);
    await written(socket, frame.subarray(0, 1 + chance.below(frame.length - 1)));
  },
  function midBroadcast(socket, _target, chance) {
    socket.write(handshake("/room"));
    return received(socket, 1_000 + chance.below(30_000));
  },
  async function afterClose(socket) {
    socket.write(handshake("/echo"));
    await received(socket, 1);
    await written(socket, Buffer.from([0x88, 0x82, 0, 0, 0, 0, 3, 232]));
  },
  function afterServersClose(socket) {
    socket.write(handshake("/close"));
    return received(socket, 1);
  },
];

function written(socket: Socket, bytes: string | Buffer): Promise<void> {
  return new Promise((resolve) =>
    socket.write(bytes, () => {
      resolve();
    }),
  );
}

/** Waits until so many bytes have come, or the end. */
function received(socket: Socket, size: number): Promise<void> {
  return new Promise((resolve) => {
    let left = size;
    socket.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left <= 0) resolve();
    });
    socket.on("close", resolve);
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on("close", () => resolve()));
}

async function reset(target: Target, chance: Chance, index: number): Promise<void> {
  const socket = target.connect();
  await once(socket, "connect");
  await moments[index % moments.length]?.(socket, target, chance, String(index));
  const end = closed(socket);
  socket.resetAndDestroy();
  await end;
}

/** How often a server has answered with which status. */
type Statuses = Record<string, number>;

async function saySomethingElse(target: Target, chance: Chance, index: number, statuses: Statuses): Promise<void> {
  const socket = target.connect();
  await once(socket, "connect");
  const end = closed(socket);
  await written(socket, garbage(chance));
  // One leaves at once, one says that it has said all, and one goes when it is answered.
  if (index % 3 === 0) {
    socket.resetAndDestroy();
  } else {
    socket.once("data", (answer: Buffer) => {
      const status = answer.toString("latin1", 9, 12);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (index % 3 === 1) socket.destroy();
      else socket.resume();
    });
    socket.end();
  }
  await end;
}

/** Lets both happen so many times, and then so many times again; gives what the server said after each. */
async function attackTwice(target: Target, count: number): Promise<[first: Report, second: Report]> {
  const chance = new Chance(1);
  const statuses: Statuses = {};
  const attack = async (): Promise<Report> => {
    await times(count, (index) => reset(target, chance, index));
    await times(count, (index) => saySomethingElse(target, chance, index, statuses));
    return target.ask<Report>("/report");
  };
  const reports = [await attack(), await attack()] as [Report, Report];
  // Whatever is said is the client's mistake, if it is one.
  expect(statuses).not.toHaveProperty("500");
  return reports;
}

/** Attacks a server, and checks that it is as before. */
export async function expectNothingLeft(runtime: Runtime, count: number): Promise<void> {
  // On Deno those that are given up on take their places for a while.
  await using target = await Target.start(runtime, "load-app.ts", { ROOM: String(Math.max(1_000, count / 2)) });
  const [first, second] = await attackTwice(target, count);
  console.log(
    `${runtime.name}: heap ${grown("heap", first, second)}, resident ${grown("resident", first, second)}, ` +
      `opened ${String(second.opened)}, kept ${String(second.kept)}`,
  );
  expect(second).toMatchObject({
    connections: 0,
    closed: second.opened,
    released: second.deferred,
    left: (2 * count) / moments.length,
    listeners: first.listeners,
    isPrototypeClean: true,
    errors: [],
    uncaught: [],
  });
  expect(second.kept).toBeLessThanOrEqual(keptAtMost);
  // Deno keeps the descriptor of whoever is gone before the 101 is written, and what is held for that: no less without us.
  if (runtime.adapter !== "deno") {
    const { descriptors, timers, sockets } = first;
    expect(second).toMatchObject({ descriptors, timers, sockets });
    expect(second.heap - first.heap).toBeLessThan(heapTolerance);
  }
  await target.expectAlive();

  // What the runtime itself takes for the same is not held against the library.
  const growth = second.resident - first.resident;
  if (growth <= tolerance) return;
  await using bare = await Target.start(runtime, "bare-app.ts");
  const [bareFirst, bareSecond] = await attackTwice(bare, count);
  console.log(`${runtime.name} without Vel: resident ${grown("resident", bareFirst, bareSecond)}`);
  if (growth <= tolerance + Math.max(0, bareSecond.resident - bareFirst.resident)) return;
  // A leak grows again; what an allocator has not given back yet does not.
  const [, third] = await attackTwice(target, count);
  expect(third.resident - second.resident).toBeLessThanOrEqual(2 * tolerance);
}

/** By how many bytes of memory a server may grow while the same happens to it a second time: 16 MiB. */
const tolerance = 2 ** 24;
/** The same, of its own objects: 1 MiB. */
const heapTolerance = 2 ** 20;

function grown(what: "heap" | "resident", first: Held, second: Held): string {
  const [from, by] = [first[what], second[what] - first[what]].map((bytes) => (bytes / 2 ** 20).toFixed(1));
  return `${String(from)} MiB and ${String(by)} more`;
}
