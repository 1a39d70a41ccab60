/**
 * Waiting for what comes in its own time: over a network, or when a lease is over.
 *
 * @module
 */
import { setImmediate, setTimeout } from "node:timers/promises";
import type { MaybePromise } from "@vel/core";

/** How many milliseconds go by between two looks at something that takes time. */
const step = 50;

/** Waits on behalf of a case, until the case is given up. */
export class Patience {
  readonly #advance: (milliseconds: number) => MaybePromise<void>;
  #isOver = false;

  /** @param advance Lets time go by. Default: waits. */
  constructor(advance: ((milliseconds: number) => MaybePromise<void>) | undefined) {
    this.#advance = advance ?? ((milliseconds) => setTimeout(milliseconds));
  }

  /** Ends all waiting with an error. */
  abandon(): void {
    this.#isOver = true;
  }

  /** Waits for something that is on its way. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#isOver) throw new Error("The case was given up");
      await setImmediate();
    }
  }

  /** Waits for something that takes time. */
  async eventually(isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) {
      if (this.#isOver) throw new Error("The case was given up");
      await this.#advance(step);
    }
  }

  /** Lets what should not come have its chance. */
  async rest(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await setImmediate();
  }
}
