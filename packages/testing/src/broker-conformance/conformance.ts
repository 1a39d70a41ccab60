/**
 * One suite for every broker and one for every presence store: what their interfaces promise, on a real server.
 *
 * @module
 */
import type { MaybePromise } from "@vel/core";
import type { ConformanceResult } from "../conformance/conformance.ts";
import { BrokerTrial, type StartedBroker } from "./broker-trial.ts";
import { runCases, type Case, type CaseOptions } from "./case.ts";
import { historyCases } from "./history-cases.ts";
import { presenceCases } from "./presence-cases.ts";
import { PresenceTrial, type StartedPresence } from "./presence-trial.ts";
import { publishCases } from "./publish-cases.ts";

/** What {@link runBrokerConformance} is told. */
export interface BrokerConformanceOptions extends CaseOptions {
  /** Makes a broker, connected and ready. It is called for each case; cases use topics of their own. */
  start(): MaybePromise<StartedBroker>;
}

/** What {@link runPresenceConformance} is told. */
export interface PresenceConformanceOptions extends CaseOptions {
  /** Makes a presence store, connected and ready. It is called for each case; cases use topics of their own. */
  start(): MaybePromise<StartedPresence>;
}

const brokerCases: readonly Case<BrokerTrial>[] = [...publishCases, ...historyCases];

/**
 * Runs the conformance suite on a broker, one case after the other. No test runner is needed; {@link conformanceTable}
 * prints what it returns. Give it a `peer` where the broker goes over a network: order and recovery are worth nothing
 * that hold within one process alone.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { MemoryBroker } from "@vel/core";
 * import { ManualClock, runBrokerConformance } from "@vel/testing";
 *
 * const results = await runBrokerConformance({
 *   start() {
 *     const clock = new ManualClock();
 *     const broker = new MemoryBroker({ clock, onError: () => undefined });
 *     return { broker, advance: (milliseconds) => clock.advance(milliseconds), close: () => broker[Symbol.asyncDispose]() };
 *   },
 * });
 * assert.deepEqual(results.filter(({ outcome }) => outcome === "failed"), []);
 */
export function runBrokerConformance(options: BrokerConformanceOptions): Promise<readonly ConformanceResult[]> {
  return runCases(brokerCases, async () => new BrokerTrial(await options.start()), options);
}

/**
 * Runs the conformance suite on a presence store, as {@link runBrokerConformance} does on a broker.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { MemoryPresenceStore } from "@vel/core";
 * import { runPresenceConformance } from "@vel/testing";
 *
 * const results = await runPresenceConformance({
 *   start: () => ({ store: new MemoryPresenceStore(), close: () => Promise.resolve() }),
 *   only: (name) => name.startsWith("join:"),
 * });
 * assert.deepEqual(results.map(({ outcome }) => outcome), ["passed", "passed", "passed"]);
 */
export function runPresenceConformance(options: PresenceConformanceOptions): Promise<readonly ConformanceResult[]> {
  return runCases(presenceCases, async () => new PresenceTrial(await options.start()), options);
}
