/**
 * Trying cases: with a limit of time, and an eye on what nobody catches.
 *
 * @module
 */
import process from "node:process";

/** Why a case failed. */
export interface Failure {
  readonly reason: unknown;
}

/** Tries cases, one after the other. To be ended, since it listens to the process. */
export class Attempts {
  readonly #uncaught: unknown[] = [];
  readonly #onUncaught = (error: unknown): void => void this.#uncaught.push(error);

  constructor() {
    process.on("uncaughtException", this.#onUncaught).on("unhandledRejection", this.#onUncaught);
  }

  /**
   * Runs a case, and gives why it failed: it threw, took longer than so many milliseconds, or somebody threw what nobody
   * caught.
   */
  async failureOf(limit: number, run: () => Promise<void>): Promise<Failure | undefined> {
    try {
      await withinTime(limit, run);
      // A rejection that nobody handled is told of after the microtasks of its turn.
      await new Promise((resolve) => setTimeout(resolve, 0));
      const [cause] = this.#uncaught;
      if (this.#uncaught.length > 0) throw new Error("Something was thrown that nobody caught", { cause });
      return undefined;
    } catch (reason) {
      return { reason };
    } finally {
      this.#uncaught.length = 0;
    }
  }

  /** Ends what a failed case has left. What goes wrong meanwhile is that case's, too. */
  async abandon(limit: number, end: () => Promise<void>): Promise<void> {
    await withinTime(limit, end).catch(() => undefined);
    this.#uncaught.length = 0;
  }

  /** Stops listening. */
  end(): void {
    process.off("uncaughtException", this.#onUncaught).off("unhandledRejection", this.#onUncaught);
  }
}

/** Says why a case failed, with the errors behind the error. */
export function describeFailure({ reason }: Failure): string {
  if (!(reason instanceof Error)) return String(reason);
  const cause = reason.cause === undefined ? "" : `\nbecause ${describeFailure({ reason: reason.cause })}`;
  return `${reason.stack ?? reason.message}${cause}`;
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
