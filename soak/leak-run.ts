/**
 * A server that connections come to and leave, and how much it holds after each cycle of them.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import { expect } from "vitest";
import type { WebSocket } from "ws";
import { Target, times } from "../test/load/target.ts";
import type { Runtime } from "../tools/runtimes.ts";
import { ask, enter, lag, visit } from "./leak-visits.ts";
import { slopeOf, type Point, type Slope } from "./theil-sen.ts";

/** What a server holds when a cycle is over. */
export interface Reading {
  /** Connections that have been let in so far, and messages that have come and gone. */
  readonly opened: number;
  readonly messages: number;
  /** Bytes of the program's objects, after collecting garbage; and how many objects, where the runtime tells. */
  readonly bytes: number;
  readonly objects?: number;
  /** Bytes of memory that are resident. */
  readonly resident: number;
  /** How large is what grows and shrinks: tables, timers, sockets, descriptors. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What was counted since the start. */
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * Keeps the compilers out. What they make of code that has run often takes memory for the first 15,000 connections, as
 * if each left 20 to 30 bytes behind; without them it is less than one.
 */
const v8Flags = ["--no-opt", "--no-maglev", "--no-sparkplug", "--no-lazy-feedback-allocation"];

/** A server, and the clients that stay with it. Ends with the block that declares it by `await using`. */
export class LeakRun {
  readonly #target: Target;
  readonly #runtime: Runtime;
  readonly #token: string;
  readonly #steady: WebSocket[] = [];
  /** Who is gone for the server, and would not notice. */
  readonly #silent: WebSocket[] = [];
  #visits = 0;

  private constructor(target: Target, runtime: Runtime, token: string) {
    this.#target = target;
    this.#runtime = runtime;
    this.#token = token;
  }

  /** Starts the server; a leaking one with `env.LEAK`. */
  static async start(runtime: Runtime, env: Readonly<Record<string, string>> = {}): Promise<LeakRun> {
    const args = runtime.args.map((arg) => (arg.startsWith("--v8-flags=") ? [arg, ...v8Flags].join(",") : arg));
    if (runtime.name === "Node") args.unshift(...v8Flags);
    const target = await Target.start({ ...runtime, args }, "leak-app.ts", { BUN_JSC_useJIT: "0", ...env });
    const { token } = await target.ask<{ token: string }>("/token");
    return new LeakRun(target, runtime, token);
  }

  /** Lets so many come, work and go; at most so many a second. */
  async churn(visits: number, pace = Infinity): Promise<void> {
    const started = performance.now();
    await times(visits, async (index) => {
      const early = started + (index * 1_000) / pace - performance.now();
      if (early > 0) await setTimeout(early);
      await visit({
        target: this.#target,
        runtime: this.#runtime,
        token: this.#token,
        index: this.#visits++,
        silent: this.#silent,
      });
    });
  }

  /** Lets so many more come who stay, ten to a room and channel. */
  async gather(count: number): Promise<void> {
    const before = this.#steady.length;
    await times(count, async (added) => {
      const index = before + added;
      this.#steady[index] = await enter(this.#target, this.#token, placeOf(index));
    });
    await Promise.all(this.#steady.map(ask));
  }

  /**
   * Lets everybody who stays talk. In a round each asks eight questions, and says a word to his room and one to his channel:
   * 40 messages with the answers, since ten hear it.
   */
  async talk(rounds: number): Promise<void> {
    await Promise.all(
      this.#steady.map(async (client, index) => {
        const place = placeOf(index);
        for (let round = 0; round < rounds; round++) {
          for (let question = 0; question < 8; question++) client.send('{"type":"echo","id":1,"data":"what?"}');
          client.send(JSON.stringify({ type: "say", room: place, data: "a word" }));
          client.send(JSON.stringify({ type: "publish", channel: place, data: "some news" }));
          await ask(client);
        }
      }),
    );
  }

  /** Has somebody come who does not read what he asked for. */
  async lag(): Promise<void> {
    this.#silent.push(await lag(this.#target, this.#token));
  }

  /** Asks the server what it holds, when all but those who stay are gone. */
  async read(): Promise<Reading> {
    const { errors, uncaught, ...reading } = await this.#target.ask<Reading & { errors: string[]; uncaught: string[] }>(
      `/report?steady=${String(this.#steady.length)}`,
    );
    expect([...errors, ...uncaught]).toEqual([]);
    for (const client of this.#silent.splice(0)) client.terminate();
    return reading;
  }

  /** Has the server close everything, and checks that nothing is left and its process ends by itself. */
  async end(): Promise<void> {
    const left = await this.#target.ask<Record<string, number>>("/end");
    // How often an address has tried is known for as long as it counts.
    delete left["vel_limit_keys attempts"];
    for (const [name, value] of Object.entries(left)) expect(value, name).toBe(0);
    expect(await Promise.race([this.#target.ended, setTimeout(10_000, "still running", { ref: false })])).toBe(0);
  }

  /** Ends the process, whatever state it is in. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of [...this.#steady, ...this.#silent]) client.terminate();
    await this.#target[Symbol.asyncDispose]();
  }
}

function placeOf(index: number): string {
  return `steady ${String(Math.floor(index / 10))}`;
}

/** How much more is held for each connection or message: by all readings but the first quarter, when things warm up. */
export function growth(
  what: "bytes" | "objects" | "resident",
  by: "opened" | "messages",
  readings: readonly Reading[],
): Slope {
  const settled = readings.slice(Math.ceil(readings.length / 4));
  return slopeOf(settled.map((reading): Point => [reading[by], reading[what] ?? NaN]));
}
