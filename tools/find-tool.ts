/**
 * Programs that tests need and a user's machine may lack.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** What to tell somebody who lacks a program. */
const hints: Readonly<Record<string, string>> = {
  chromium: "install it (on Debian: apt-get install chromium) to run the browser tests",
  promtool: "install it (on Debian: apt-get install prometheus) to check metrics and alerts as Prometheus does",
  netns: "run as root with iproute2 and iptables to drop packets; peers that must be silent are stopped instead",
  node: "put a Node of the system on PATH, or name one in VEL_NODE, to test what is published on it",
};

/**
 * Finds a program on PATH. Without it the suites that need it are skipped, with one plain line that says what to
 * install; where `VEL_REQUIRE` names it (a list with commas, as CI sets it), that is an error instead.
 *
 * @example
 * const chromium = findTool("chromium");
 * describe.skipIf(chromium === undefined)("The page", () => {});
 */
export function findTool(name: string, path: string | undefined = findOnPath(name)): string | undefined {
  if (path !== undefined) return path;
  const message = `${name} is not there: ${hints[name] ?? "install it"}`;
  if ((process.env["VEL_REQUIRE"] ?? "").split(",").includes(name)) throw new Error(message);
  console.log(`Skipped: ${message}`);
  return undefined;
}

/** Finds the system's Node, the oldest that is supported: not the one that runs the tools. */
export function findSystemNode(): string | undefined {
  return findTool("node", process.env["VEL_NODE"] ?? findOnPath("node", (folder) => !folder.includes("node_modules")));
}

function findOnPath(name: string, accept: (folder: string) => boolean = () => true): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter(accept);
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}
