/**
 * The runtimes that Vel promises the same behaviour on, and how to run a file of this repository on each.
 *
 * @module
 */
import { execFileSync, spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { findSystemNode } from "./find-tool.ts";

/** A runtime, with one of the adapters that work on it. */
export interface Runtime {
  /** As it is called in tables and in the names of tests. */
  readonly name: string;
  /** The adapter's package is `@vel/` and this. The process finds it in `VEL_ADAPTER`. */
  readonly adapter: "node" | "bun" | "deno";
  /** The executable. Undefined where the system lacks it; a line has told so. */
  readonly command: string | undefined;
  /** What comes before the file to run. */
  readonly args: readonly string[];
}

const { resolve } = createRequire(import.meta.url);
const source = "--conditions=@vel/source";
// The executables themselves: what npm puts beside them are scripts that a signal would not reach through.
const bun = join(dirname(resolve("bun/package.json")), "bin/bun.exe");
const deno = join(dirname(resolve("deno/package.json")), "deno");
const denoArgs = ["run", "--no-check", "--allow-all", "--v8-flags=--expose-gc", source];
const stripTypes = pathToFileURL(join(import.meta.dirname, "strip-types.js")).href;

/** The runtimes with their own adapters, one each. */
export const mainRuntimes: readonly Runtime[] = [
  { name: "Node", adapter: "node", command: process.execPath, args: ["--expose-gc", source] },
  { name: "Bun", adapter: "bun", command: bun, args: [source] },
  { name: "Deno", adapter: "deno", command: deno, args: denoArgs },
];

const [node, ...others] = mainRuntimes as [Runtime, ...Runtime[]];

/** Every runtime and adapter: the system's Node, which is the oldest that is supported, and Node 24 too. */
export function allRuntimes(): readonly Runtime[] {
  return [
    { ...node, name: "System's Node", command: findSystemNode(), args: [...node.args, "--import", stripTypes] },
    { ...node, name: "Node 24", command: findNode24() },
    node,
    ...others,
    { name: "Node adapter on Deno", adapter: "node", command: deno, args: denoArgs },
    { name: "Node adapter on Bun", adapter: "node", command: bun, args: [source] },
  ];
}

/** A file that runs on a runtime. */
export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  /** Resolves with the exit code, or with the signal's name, once it has ended. */
  readonly ended: Promise<number | string>;
}

/**
 * Runs a file on a runtime. What it says on stderr is shown; its stdout is the caller's. End it by its process id, in
 * whatever way the test ends: it does not end with its parent.
 */
export function run(runtime: Runtime, file: string, env: Readonly<Record<string, string>> = {}): Child {
  if (runtime.command === undefined) throw new Error(`${runtime.name} is not there`);
  const child = spawn(runtime.command, [...runtime.args, file], {
    env: { ...process.env, NO_COLOR: "1", VEL_ADAPTER: runtime.adapter, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code, signal]) => (code as number | null) ?? (signal as string));
  return { process: child, ended };
}

/** Node 24 has a folder and a lockfile of its own, so that whoever does not test the runtimes never downloads it. */
function findNode24(): string | undefined {
  const folder = join(import.meta.dirname, "node-24");
  const file = join(folder, "node_modules", `node-${process.platform}-${process.arch}`, "bin/node");
  if (existsSync(file)) return file;
  const root = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as Record<string, string>;
  const args = ["-y", root["packageManager"] ?? "pnpm", "install", "--ignore-workspace", "--frozen-lockfile"];
  if (process.platform === "linux") execFileSync("npx", args, { cwd: folder, stdio: "ignore" });
  if (existsSync(file)) return file;
  console.log(`Skipped: Node 24 is not there: npm has no build of it for ${process.platform} on ${process.arch}`);
  return undefined;
}
