/**
 * Server CPU a message, of Vel beside bare `ws`, in one interleaved run: `pnpm bench [rounds] [name of a case]`.
 *
 * Every run has a server and a load generator of its own, each pinned to a core where `taskset` exists. What is
 * compared is the server's CPU time as the operating system counts it; a ratio above 1 is cheaper than `ws`. The
 * `ws again` column is `ws` against itself: what differs there is noise. Prints a Markdown table.
 *
 * @module
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import type { Case, LoadResult } from "./load.ts";
import { machine, median, pinned } from "./processes.ts";

const run = promisify(execFile);

const contenders = [
  { name: "ws", file: "server-ws.ts" },
  { name: "ws again", file: "server-ws.ts" },
  { name: "vel", file: "server-vel.ts" },
] as const;

const cases: Readonly<Record<string, Case>> = {
  "echo 64 B, 100 connections, 1 in flight": { kind: "echo", connections: 100, depth: 1, size: 64, messages: 60_000 },
  "echo 64 B, 100 connections, 16 in flight": {
    kind: "echo",
    connections: 100,
    depth: 16,
    size: 64,
    messages: 200_000,
  },
  "echo 64 KiB, 100 connections, 1 in flight": {
    kind: "echo",
    connections: 100,
    depth: 1,
    size: 65_536,
    messages: 3_000,
  },
  "room of 100, 128 B, 1 a turn": { kind: "room", members: 100, perTurn: 1, size: 128, messages: 1_500 },
  "room of 100, 128 B, 20 a turn": { kind: "room", members: 100, perTurn: 20, size: 128, messages: 10_000 },
  "room of 1,000, 128 B, 1 a turn": { kind: "room", members: 1_000, perTurn: 1, size: 128, messages: 150 },
  "room of 1,000, 128 B, 20 a turn": { kind: "room", members: 1_000, perTurn: 20, size: 128, messages: 1_000 },
};

const rounds = Number(process.argv[2] ?? 5);
const only = process.argv[3];
const options = ["--conditions=@vel/source"];

console.log(machine());
console.log(
  `Median of ${String(rounds)} interleaved rounds; server CPU in µs a message (ratio to ws; generator's load)\n`,
);
console.log(`| case | ${contenders.map(({ name }) => name).join(" | ")} |`);
console.log(`| --- | ${contenders.map(() => "---").join(" | ")} |`);

for (const [name, what] of Object.entries(cases)) {
  if (only !== undefined && !name.includes(only)) continue;
  const costs = contenders.map(() => [] as number[]);
  const loads = contenders.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      // Another one begins each round, so that none always runs behind the same neighbour.
      const index = (i + round) % contenders.length;
      const result = await measure(contenders[index]?.file ?? "", what);
      costs[index]?.push(result.serverCpuMicros / result.delivered);
      loads[index]?.push(result.generatorLoad);
    }
  }
  const base = median(costs[0] ?? []);
  const cells = costs.map((cost, i) => {
    const load = median(loads[i] ?? []);
    const bound = load > 0.9 ? ", generator-bound" : "";
    return `${median(cost).toFixed(2)} (x${(base / median(cost)).toFixed(2)}; ${load.toFixed(2)}${bound})`;
  });
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}

async function measure(file: string, what: Case): Promise<LoadResult> {
  const server = start(0, file);
  try {
    const [line] = (await once(server.stdout ?? server, "data")) as [Buffer];
    const port = line.toString().trim();
    const load = pinned(1, process.execPath, [...options, "load.ts", port, String(server.pid), JSON.stringify(what)]);
    const { stdout } = await run(load.command, load.args, { cwd: import.meta.dirname, timeout: 120_000 });
    return JSON.parse(stdout) as LoadResult;
  } finally {
    server.kill("SIGKILL");
  }
}

function start(core: number, file: string): ChildProcess {
  const { command, args } = pinned(core, process.execPath, [...options, file]);
  return spawn(command, args, { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
}
