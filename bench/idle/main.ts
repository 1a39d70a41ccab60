/**
 * What 10,000 connections cost that say nothing: `pnpm bench:idle [rounds] [seconds] [name]`.
 *
 * For each server two processes, pinned to a core each where `taskset` exists: the server, and the clients, which answer
 * pings. Memory is what the server holds with all connections less what it held before, after collecting garbage both times;
 * CPU is the server's as the operating system counts it, over so many seconds in which nothing happens but the
 * heartbeat, from half a minute after the last connect on: V8 tidies up for that long.
 * Each round begins with another server. Prints a Markdown table.
 *
 * @module
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { mainRuntimes, type Runtime } from "../../tools/runtimes.ts";
import { cpuMicros, machine, median, pinned } from "../processes.ts";
import type { Memory } from "./server.ts";

const [node, bun, deno] = mainRuntimes as [Runtime, Runtime, Runtime];

/** A server of the table. The first of each runtime is what the others of it are compared with. */
interface Contender {
  readonly name: string;
  readonly runtime: Runtime;
  /** Which one, see `server.ts`. */
  readonly server: string;
}

const contenders: readonly Contender[] = [
  { name: "ws", runtime: node, server: "ws" },
  { name: "ws again", runtime: node, server: "ws" },
  { name: "ws, heartbeat", runtime: node, server: "ws-heartbeat" },
  { name: "crossws", runtime: node, server: "crossws" },
  { name: "Vel on Node: room, heartbeat", runtime: node, server: "vel" },
  { name: "Bun", runtime: bun, server: "bun" },
  { name: "Vel on Bun: room, heartbeat", runtime: bun, server: "vel" },
  { name: "Deno", runtime: deno, server: "deno" },
  { name: "Vel on Deno: room, heartbeat", runtime: deno, server: "vel" },
];

/** What one run measured. */
interface Result {
  /** Bytes a connection. */
  readonly heap: number;
  readonly resident: number;
  /** Share of a core, 0 to 1. */
  readonly load: number;
  /** Pings a second. */
  readonly pings: number;
}

/** What the clients say of themselves. */
interface Clients {
  readonly pings: number;
  readonly ended: number;
}

const connections = 10_000;
/** How long the server is left alone before its CPU is measured, in milliseconds. */
const settling = 30_000;
const rounds = Number(process.argv[2] ?? 3);
const seconds = Number(process.argv[3] ?? 60);
const only = process.argv[4] ?? "";

async function measure({ runtime, server: which }: Contender): Promise<Result> {
  const server = start(0, runtime, "server.ts", [which]);
  try {
    const port = Number(await server.line());
    const before = await memoryOf(port);
    const clients = start(1, node, "client.ts", [String(port), "/ws", String(connections)]);
    try {
      await clients.line();
      const after = await memoryOf(port);
      const ask = (): Promise<string> => {
        clients.process.kill("SIGUSR2");
        return clients.line();
      };
      await setTimeout(settling);
      const { pings } = JSON.parse(await ask()) as Clients;
      const cpu = cpuMicros(server.process.pid ?? 0);
      const began = performance.now();
      await setTimeout(seconds * 1_000);
      const used = cpuMicros(server.process.pid ?? 0) - cpu;
      const elapsed = performance.now() - began;
      const end = JSON.parse(await ask()) as Clients;
      if (end.ended > 0) throw new Error(`${String(end.ended)} connections have ended`);
      return {
        heap: (after.heap - before.heap) / connections,
        resident: (after.resident - before.resident) / connections,
        load: used / 1_000 / elapsed,
        pings: (end.pings - pings) / (elapsed / 1_000),
      };
    } finally {
      await clients.stop();
    }
  } finally {
    await server.stop();
  }
}

/** A process of the benchmark. */
interface Running {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  /** Waits for the next line. */
  line(): Promise<string>;
  stop(): Promise<void>;
}

function start(core: number, runtime: Runtime, file: string, args: readonly string[]): Running {
  const path = join(import.meta.dirname, file);
  const { command, args: all } = pinned(core, runtime.command ?? "", [...runtime.args, path, ...args]);
  const child = spawn(command, all, {
    env: { ...process.env, NO_COLOR: "1", VEL_ADAPTER: runtime.adapter },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: Interface = createInterface(child.stdout);
  const ended = once(child, "exit");
  return {
    process: child,
    async line() {
      const failed = ended.then(() => {
        throw new Error(`${file} ${args.join(" ")} has ended`);
      });
      const [line] = (await Promise.race([once(lines, "line"), failed])) as [string];
      return line;
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function memoryOf(port: number): Promise<Memory> {
  const response = await fetch(`http://127.0.0.1:${String(port)}/memory`, { headers: { connection: "close" } });
  return (await response.json()) as Memory;
}

console.log(machine());
console.log(`Median of ${String(rounds)} rounds, ${String(connections)} connections, ${String(seconds)} s\n`);
const chosen = contenders.filter(({ name }) => only === "" || name === only);
const results = new Map<Contender, Result[]>(chosen.map((contender) => [contender, []]));
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < chosen.length; i++) {
    const contender = chosen[(i + round) % chosen.length] as Contender;
    const result = await measure(contender);
    console.error(contender.name, result);
    results.get(contender)?.push(result);
  }
}
console.log(
  "| server | heap, B a connection | over bare | resident, B a connection | over bare | CPU of a core | pings/s |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
const bare = new Map<Runtime, Result>();
for (const [{ name, runtime }, all] of results) {
  const of = (what: keyof Result): number => median(all.map((result) => result[what]));
  const row: Result = { heap: of("heap"), resident: of("resident"), load: of("load"), pings: of("pings") };
  const base = bare.get(runtime) ?? row;
  bare.set(runtime, base);
  const over = (what: "heap" | "resident"): string => (base === row ? "" : (row[what] - base[what]).toFixed(0));
  console.log(
    `| ${name} | ${row.heap.toFixed(0)} | ${over("heap")} | ${row.resident.toFixed(0)} | ${over("resident")} | ` +
      `${(row.load * 100).toFixed(2)} % | ${row.pings.toFixed(0)} |`,
  );
}
