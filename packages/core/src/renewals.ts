/**
 * Renewals of a connection while something is decided about it.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import type { Unsubscribe } from "./emitter.ts";

/**
 * Notices when a connection is renewed while somebody thinks about it: the answer is about what it was before then, so
 * the question is to be put again. The renewals wait for the decision.
 *
 * @example
 * async function isAllowed(connection: Connection, ask: () => Promise<boolean>): Promise<boolean> {
 *   const renewals = new Renewals(connection);
 *   try {
 *     for (;;) {
 *       const answer = await ask();
 *       if (!renewals.take()) return answer;
 *     }
 *   } finally {
 *     renewals.close();
 *   }
 * }
 */
export class Renewals {
  readonly #off: Unsubscribe;
  #isRenewed = false;
  /** Ends the waiting of each. */
  readonly #waiting: (() => void)[] = [];

  constructor(connection: Connection) {
    this.#off = connection.onRenew(() => {
      this.#isRenewed = true;
      return new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    });
  }

  /** Tells whether there was one since this was last asked. */
  take(): boolean {
    const isRenewed = this.#isRenewed;
    this.#isRenewed = false;
    return isRenewed;
  }

  /** Says that it is decided: whoever waits goes on, and nothing is noticed any more. */
  close(): void {
    this.#off();
    for (const resolve of this.#waiting) resolve();
  }
}
