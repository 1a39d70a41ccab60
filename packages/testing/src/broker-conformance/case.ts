/**
 * Cases that need something started, and what becomes of them.
 *
 * @module
 */
import type { MaybePromise } from "@vel/core";
import { Attempts, describeFailure, type Failure } from "../conformance/attempts.ts";
import type { ConformanceResult } from "../conformance/conformance.ts";

/** One case. */
export interface Case<T> {
  /** `group: what happens`, its identity in tables. */
  readonly name: string;
  /** Throws when what was started does not conform. */
  readonly run: (trial: T) => Promise<void>;
}

/** What one run of one case works with. */
export interface Started {
  /** Ends it. */
  close(): Promise<void>;
  /** Makes those give up who still wait for something, of a case that took too long. */
  abandon(): void;
}

/** How cases are run. */
export interface CaseOptions {
  /** Chooses cases by name. Default: all. */
  only?: (name: string) => boolean;
  /** How long a case may take, in milliseconds, before it counts as hanging. Default: 30,000. */
  timeout?: number;
  /** Is told of each result as it comes. */
  onResult?: (result: ConformanceResult) => void;
}

/** Runs cases, one after the other, each with something of its own. */
export async function runCases<T extends Started>(
  cases: readonly Case<T>[],
  start: () => MaybePromise<T>,
  { only = () => true, timeout = 30_000, onResult = () => undefined }: CaseOptions,
): Promise<readonly ConformanceResult[]> {
  const attempts = new Attempts();
  const results: ConformanceResult[] = [];
  for (const { name, run } of cases.filter((each) => only(each.name))) {
    const failure = await failureOf(run, start, timeout, attempts);
    const result: ConformanceResult = failure
      ? { name, outcome: "failed", note: describeFailure(failure) }
      : { name, outcome: "passed", note: "" };
    results.push(result);
    onResult(result);
  }
  attempts.end();
  return results;
}

async function failureOf<T extends Started>(
  run: (trial: T) => Promise<void>,
  start: () => MaybePromise<T>,
  timeout: number,
  attempts: Attempts,
): Promise<Failure | undefined> {
  let trial: T | undefined;
  const failure = await attempts.failureOf(timeout, async () => {
    trial = await start();
    await run(trial);
    await trial.close();
  });
  if (failure) {
    trial?.abandon();
    await attempts.abandon(timeout, async () => trial?.close());
  }
  return failure;
}
