/**
 * One suite for every adapter: what Vel promises must hold on each, over real sockets.
 *
 * @module
 */
import type { Capabilities, MaybePromise, Vel } from "@vel/core";
import { Attempts, describeFailure } from "./attempts.ts";
import type { ConformanceCase, Traits } from "./case.ts";
import { conformanceCases } from "./cases.ts";
import { Trial, type StartedAdapter } from "./trial.ts";

/** Cases that an adapter is known to fail, for a reason that its documentation gives. */
export interface Deviation {
  /** The names of the cases. Each must fail indeed: one that passes is a failure of the declaration. */
  readonly cases: readonly string[];
  /** Why, in a sentence for the adapter's users. */
  readonly reason: string;
}

/** What {@link runTransportConformance} is told. */
export interface ConformanceOptions {
  /** Runs a server on a free port of 127.0.0.1 and returns once it listens. It is called for each case. */
  start(vel: Vel): MaybePromise<StartedAdapter>;
  /** What the adapter can do: the cases are chosen by it, and the adapter must say the same. */
  capabilities: Capabilities;
  /** Whether `start` gives a port; if not, it gives `connect`. Default: true. */
  sockets?: boolean;
  /** What does not hold on it, and why. Default: nothing. */
  deviations?: readonly Deviation[];
  /** Chooses cases by name. Default: all. */
  only?: (name: string) => boolean;
  /** How long a case may take, in milliseconds, before it counts as hanging. Default: 30,000. */
  timeout?: number;
  /** Is told of each result as it comes. */
  onResult?: (result: ConformanceResult) => void;
}

/** What became of one case. */
export interface ConformanceResult {
  readonly name: string;
  /**
   * `passed`; `failed`; `deviates`: fails as declared; `explained`: the capabilities say that it does not apply, and
   * `note` names the case that shows what does.
   */
  readonly outcome: "passed" | "failed" | "deviates" | "explained";
  /** The error of a failure, the reason of a deviation, the case behind an explanation. */
  readonly note: string;
}

/** How long a case may take that is declared to deviate: many do so by never ending. */
const deviationTimeout = 1_500;

/**
 * Runs the conformance suite on an adapter, in the process and on the runtime that it is for, one case after the other.
 * Test runners are not needed; {@link conformanceTable} prints what it returns.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { serve } from "@vel/node";
 * import { runTransportConformance } from "@vel/testing";
 *
 * const results = await runTransportConformance({
 *   capabilities: { ping: true, terminate: true, compression: true, pause: true, idleTimeout: false, buffered: true, maxPayload: undefined },
 *   start: (vel) => serve(vel, { hostname: "127.0.0.1" }),
 *   only: (name) => name.startsWith("upgrade: "),
 * });
 * assert(results.every(({ outcome }) => outcome === "passed"));
 */
export async function runTransportConformance(options: ConformanceOptions): Promise<readonly ConformanceResult[]> {
  const { deviations = [], only = () => true, onResult = () => undefined } = options;
  const reasons = new Map(deviations.flatMap(({ cases, reason }) => cases.map((name) => [name, reason])));
  const unknown = [...reasons.keys()].filter((name) => conformanceCases.every((each) => each.name !== name));
  if (unknown.length > 0) throw new RangeError(`No conformance case is called "${unknown.join('", "')}"`);

  const attempts = new Attempts();
  const results: ConformanceResult[] = [];
  for (const each of conformanceCases.filter(({ name }) => only(name))) {
    const result = await resultOf(each, options, reasons.get(each.name), attempts);
    results.push(result);
    onResult(result);
  }
  attempts.end();
  return results;
}

async function resultOf(
  { name, needs = {}, otherwise = "", run }: ConformanceCase,
  { start, capabilities, sockets = true, timeout = 30_000 }: ConformanceOptions,
  reason: string | undefined,
  attempts: Attempts,
): Promise<ConformanceResult> {
  const traits: Traits = { ...capabilities, freeMaxPayload: capabilities.maxPayload === undefined, sockets };
  const isMeant = Object.entries(needs).every(([trait, value]) => traits[trait as keyof Traits] === value);
  if (!isMeant) return { name, outcome: "explained", note: sockets ? otherwise : withoutSockets(otherwise, needs) };
  const trial = new Trial(start, capabilities);
  const failure = await attempts.failureOf(reason === undefined ? timeout : deviationTimeout, async () => {
    const names = Object.getOwnPropertyNames(Object.prototype).join();
    await run(trial);
    await trial.end();
    if (Object.getOwnPropertyNames(Object.prototype).join() !== names) throw new Error("Object.prototype was changed");
  });
  if (failure) {
    await attempts.abandon(deviationTimeout, () => trial.abandon());
    return reason === undefined
      ? { name, outcome: "failed", note: describeFailure(failure) }
      : { name, outcome: "deviates", note: reason };
  }
  return reason === undefined
    ? { name, outcome: "passed", note: "" }
    : { name, outcome: "failed", note: `Passes, and is declared to deviate: ${reason}` };
}

/** A case may need sockets and something else; where there are none, its explanation may need some too. */
function withoutSockets(otherwise: string, { sockets, ...others }: Partial<Traits>): string {
  return sockets && Object.keys(others).length > 0 ? "memory: messages pass without bytes" : otherwise;
}
