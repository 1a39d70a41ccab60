/**
 * Cases that need something started, and what becomes of them.
 *
 * @module
 */
import process from "node:process";
import type { MaybePromise } from "@vel/core";
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
  const uncaught: unknown[] = [];
  const onUncaught = (error: unknown): void => void uncaught.push(error);
  process.on("uncaughtException", onUncaught).on("unhandledRejection", onUncaught);
  const results: ConformanceResult[] = [];
  for (const { name, run } of cases.filter((each) => only(each.name))) {
    const error = await errorOf(run, start, timeout, uncaught);
    const result: ConformanceResult = error
      ? { name, outcome: "failed", note: describe(error.reason) }
      : { name, outcome: "passed", note: "" };
    results.push(result);
    onResult(result);
  }
  process.off("uncaughtException", onUncaught).off("unhandledRejection", onUncaught);
  return results;
}

/** Runs a case, and gives what went wrong. */
async function errorOf<T extends Started>(
  run: (trial: T) => Promise<void>,
  start: () => MaybePromise<T>,
  timeout: number,
  uncaught: unknown[],
): Promise<{ reason: unknown } | undefined> {
  let trial: T | undefined;
  try {
    await withinTime(timeout, async () => {
      trial = await start();
      await run(trial);
      await trial.close();
    });
    // A rejection that nobody handled is told of after the microtasks of its turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (uncaught.length > 0) throw new Error("Something was thrown that nobody caught", { cause: uncaught[0] });
    return undefined;
  } catch (reason) {
    trial?.abandon();
    await withinTime(timeout, async () => trial?.close()).catch(() => undefined);
    return { reason };
  } finally {
    uncaught.length = 0;
  }
}

async function withinTime(limit: number, run: () => Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`Hung for ${String(limit)} ms`));
    }, limit);
  });
  try {
    await Promise.race([run(), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\nbecause ${describe(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
