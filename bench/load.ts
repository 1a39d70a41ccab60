/**
 * The load generator: a process of its own that drives one server through one case, and counts and checks every
 * message. Arguments: port, then the case as JSON. Prints its result as JSON.
 *
 * @module
 */
import type { Socket } from "node:net";
import { clientFrame, openClient } from "./client.ts";
import { cpuMicros } from "./processes.ts";
import { paths } from "./protocol.ts";

/** A case of the benchmark. Sizes are bytes. */
export type Case =
  | {
      readonly kind: "echo";
      readonly connections: number;
      /** Messages in flight on each connection. */
      readonly depth: number;
      readonly size: number;
      readonly messages: number;
    }
  | {
      readonly kind: "room";
      readonly members: number;
      /** Messages that the server broadcasts in one turn of its event loop. */
      readonly perTurn: number;
      readonly size: number;
      /** Broadcasts in all; each is delivered to every member. */
      readonly messages: number;
    };

/** What one run measured. */
export interface LoadResult {
  /** Messages that came, all of them in order. */
  readonly delivered: number;
  /** Of the server's process, from the operating system, over the measured part alone. */
  readonly serverCpuMicros: number;
  /** Wall time of the measured part. */
  readonly elapsedMillis: number;
  /** How busy the generator itself was, 0 to 1: near 1 it was the limit. */
  readonly generatorLoad: number;
}

const port = Number(process.argv[2]);
const serverPid = Number(process.argv[3]);
const what = JSON.parse(process.argv[4] ?? "") as Case;

const result = what.kind === "echo" ? await echo(what) : await room(what);
console.log(JSON.stringify(result));
process.exit(0);

async function echo({ connections, depth, size, messages }: Extract<Case, { kind: "echo" }>): Promise<LoadResult> {
  const frame = clientFrame("x".repeat(size));
  const burst = Buffer.concat(Array.from({ length: depth }, () => frame));
  let sent = 0;
  let delivered = 0;
  let wanted = 0;
  let done: (() => void) | undefined;
  const clients: Socket[] = [];
  for (let i = 0; i < connections; i++) {
    let answers = 0;
    const client = await openClient(
      port,
      paths.echo,
      (_chunk, start, end) => {
        if (end - start !== size) throw new Error("An echo has another size");
        if (++delivered === wanted) done?.();
        if (sent === wanted) return;
        sent++;
        answers++;
      },
      () => {
        // What came together goes together, as a pipelining client does; else the generator is what is measured.
        if (answers > 0) client.write(burst.subarray(0, answers * frame.length));
        answers = 0;
      },
    );
    clients.push(client);
  }
  return measure(messages, (count) => {
    delivered = 0;
    wanted = count;
    sent = connections * depth;
    return new Promise((resolve) => {
      done = resolve;
      for (const client of clients) client.write(burst);
    });
  });
}

async function room({ members, perTurn, size, messages }: Extract<Case, { kind: "room" }>): Promise<LoadResult> {
  let missing = 0;
  let done: (() => void) | undefined;
  const clients: Socket[] = [];
  for (let i = 0; i < members; i++) {
    let last = 0;
    const client = await openClient(port, paths.room, (chunk, start) => {
      const sequence = readSequence(chunk, start);
      if (last !== 0 && sequence !== last + 1)
        throw new Error(`Message ${String(sequence)} came after ${String(last)}`);
      last = sequence;
      if (--missing === 0) done?.();
    });
    clients.push(client);
  }
  const ask = clientFrame(`${String(perTurn)} ${String(size)}`);
  return measure(messages * members, async (count) => {
    for (let delivered = 0; delivered < count; delivered += perTurn * members) {
      await new Promise<void>((resolve) => {
        missing = perTurn * members;
        done = resolve;
        clients[0]?.write(ask);
      });
    }
  });
}

function readSequence(chunk: Buffer, start: number): number {
  let value = 0;
  for (let i = start; i < start + 10; i++) value = value * 10 + (chunk[i] ?? 0) - 48;
  return value;
}

/** Runs a tenth to warm up, then the whole; `run` resolves when so many messages have come. */
async function measure(delivered: number, run: (count: number) => Promise<void>): Promise<LoadResult> {
  await run(Math.ceil(delivered / 10));
  const cpu = cpuMicros(serverPid);
  const own = process.cpuUsage();
  const started = performance.now();
  await run(delivered);
  const elapsedMillis = performance.now() - started;
  const used = process.cpuUsage(own);
  return {
    delivered,
    serverCpuMicros: cpuMicros(serverPid) - cpu,
    elapsedMillis,
    generatorLoad: (used.user + used.system) / 1000 / elapsedMillis,
  };
}
