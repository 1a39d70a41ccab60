/**
 * What the benchmarks do with processes: where they run, and what they cost.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";

const canPin = cpus().length > 1 && spawnSync("taskset", ["-V"]).status === 0;

/** Makes a command run on one core, where the system can; it is executed in its own place, so the process id is its own. */
export function pinned(core: number, command: string, args: readonly string[]): { command: string; args: string[] } {
  return canPin ? { command: "taskset", args: ["-c", String(core), command, ...args] } : { command, args: [...args] };
}

/** Reads how much user and system time a process took, in microseconds (proc(5): fields 14 and 15, 100 ticks a second). */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Finds the middle of some values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Names the machine, for the head of a table. */
export function machine(): string {
  return `${cpus()[0]?.model ?? "unknown CPU"}, ${String(cpus().length)} cores, Linux ${release()}, Node ${process.version}`;
}
