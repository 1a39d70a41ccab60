/**
 * A network in which peers fall silent from one moment on, and no packet says so.
 *
 * @module
 */
import { execFile, spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { findTool } from "../tools/find-tool.ts";
import { run, type Child, type Runtime } from "../tools/runtimes.ts";

const lostAddress = "127.0.0.2";
const drops = [`INPUT --source ${lostAddress} --jump DROP`, `INPUT --destination ${lostAddress} --jump DROP`] as const;
const isolated = ["unshare", "--net"];
const probe = [...isolated, "sh", "-c", `ip link set lo up && iptables --wait --append ${drops[0]}`];
/** Whether packets can be dropped, in a network namespace of their own. If not, the peers' process is stopped. */
const canDrop = findTool("netns", spawnSync("env", probe).status === 0 ? "unshare" : undefined) !== undefined;
if (canDrop) console.log("Packets are dropped in a network namespace");

/**
 * Reads process ids, and kills them once nobody is there to write more: so a run that is killed leaves nothing. With its last
 * process a namespace and its rules are gone too.
 */
const keeper =
  'trap "" HUP INT TERM; echo; while read -r pid; do pids="$pids $pid"; done; kill -KILL $pids 2>/dev/null; :';

/** A process in a {@link Network}. It says lines of JSON, and is told something by signals: no socket leads inside. */
export class Player {
  readonly ended: Child["ended"];
  readonly #process: Child["process"];
  readonly #listeners = new Map<string, (line: never) => void>();

  constructor({ process, ended }: Child) {
    this.#process = process;
    this.ended = ended;
    createInterface(process.stdout).on("line", (text) => {
      const line = JSON.parse(text) as object;
      for (const [key, listener] of this.#listeners) if (key in line) listener(line as never);
    });
  }

  /** Listens to the lines that have a key, instead of who did before. */
  on(key: string, listener: (line: never) => void): void {
    this.#listeners.set(key, listener);
  }

  /** Waits for the next line that has a key. */
  async next<Line>(key: string): Promise<Line> {
    const line = new Promise<Line>((resolve) => {
      this.on(key, resolve);
    });
    const ended = this.ended.then((how) => {
      throw new Error(`The process has ended before it said "${key}": ${String(how)}`);
    });
    return Promise.race([line, ended]);
  }

  /** Sends a signal; nothing happens when the process has ended. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}

/** A network of its own where that is possible, else the machine's loopback. Ends with the block that declares it. */
export class Network {
  /** Where those connect from who will be lost, and where the others do. */
  readonly lostAddress = canDrop ? lostAddress : "127.0.0.1";
  readonly healthyAddress = canDrop ? "127.0.0.3" : "127.0.0.1";
  readonly #keeper: ChildProcessByStdio<Writable, Readable, null>;
  /** What comes before a command that runs inside. It becomes that command: the process id is the same. */
  readonly #inside: readonly [string, ...string[]];
  readonly #players: Player[] = [];

  private constructor(keeper: ChildProcessByStdio<Writable, Readable, null>) {
    this.#keeper = keeper;
    this.#inside = canDrop ? ["nsenter", `--net=/proc/${String(keeper.pid)}/ns/net`] : ["env"];
  }

  static async open(): Promise<Network> {
    const args = canDrop ? [...isolated, "sh", "-c", `ip link set lo up; ${keeper}`] : ["sh", "-c", keeper];
    const network = new Network(spawn("env", args, { stdio: ["pipe", "pipe", "inherit"] }));
    await once(network.#keeper.stdout, "data");
    return network;
  }

  /** Runs a file of `test/fixtures` inside. */
  run(runtime: Runtime, file: string, env: Readonly<Record<string, string>> = {}): Player {
    const [command, ...args] = [...this.#inside, runtime.command ?? "", ...runtime.args];
    const child = run({ ...runtime, command, args }, join(import.meta.dirname, "../test/fixtures", file), env);
    this.#keeper.stdin.write(`${String(child.process.pid)}\n`);
    const player = new Player(child);
    this.#players.push(player);
    return player;
  }

  /** From now on nothing comes from the lost, and nothing gets to them. */
  async lose(lost: Player): Promise<void> {
    if (canDrop) await this.#filter("--append");
    else lost.kill("SIGSTOP");
  }

  /** Takes that back. */
  async find(lost: Player): Promise<void> {
    if (canDrop) await this.#filter("--delete");
    else lost.kill("SIGCONT");
  }

  async #filter(action: "--append" | "--delete"): Promise<void> {
    const [command, ...args] = [...this.#inside, "iptables", "--wait", action];
    for (const rule of drops) await promisify(execFile)(command, [...args, ...rule.split(" ")]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const player of this.#players) player.kill("SIGKILL");
    await Promise.all(this.#players.map(({ ended }) => ended));
    const ended = once(this.#keeper, "exit");
    this.#keeper.kill("SIGKILL");
    await ended;
  }
}
