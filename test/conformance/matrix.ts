/**
 * Runs the conformance suite on every runtime, each in a process of its own.
 *
 * @module
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ConformanceResult } from "@vel/testing";
import { allRuntimes, mainRuntimes, run, type Runtime } from "../../tools/runtimes.ts";

/** A column of the table, once its process has ended. */
export interface ColumnReport {
  /** The runtime's version; empty when the process said nothing. */
  readonly version: string;
  readonly results: readonly ConformanceResult[];
  /** The exit code, or the signal's name. */
  readonly ended: number | string;
}

/** The runtimes that there are here, and the transport without one. Those that are missing have been told of. */
export function findColumns(): readonly Runtime[] {
  const [node] = mainRuntimes;
  const all = allRuntimes().filter(({ command }) => command !== undefined);
  return node ? [{ ...node, name: "Memory" }, ...all] : all;
}

/** Runs the suite on one runtime; `only` is a pattern for the names of cases. */
export async function runColumn(runtime: Runtime, only = ""): Promise<ColumnReport> {
  const child = run(runtime, join(import.meta.dirname, "run.ts"), { VEL_COLUMN: runtime.name, VEL_ONLY: only });
  let version = "";
  const results: ConformanceResult[] = [];
  for await (const line of createInterface(child.process.stdout)) {
    if (!line.startsWith("{")) continue;
    const said = JSON.parse(line) as { version: string } | ConformanceResult;
    if ("version" in said) version = said.version;
    else results.push(said);
  }
  return { version, results, ended: await child.ended };
}
