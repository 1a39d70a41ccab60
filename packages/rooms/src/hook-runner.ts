/**
 * Runs the hooks that nobody awaits: in order, never inside one another, their errors told.
 *
 * @module
 */
import { report, type ErrorContext } from "@vel/core";

/**
 * The hooks of one manager's rooms.
 *
 * A broadcast can close a slow member, whose leave broadcasts and closes the next one, and so on. Run at once, that
 * would be a recursion as deep as the room is large, and some members would hear of the leave before the message that
 * caused it. So what comes up during {@link HookRunner.hold} waits until the outermost one is done.
 */
export class HookRunner {
  readonly #onError: (error: unknown, context: ErrorContext) => void;
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #depth = 0;

  constructor(onError: (error: unknown, context: ErrorContext) => void) {
    this.#onError = onError;
  }

  /** Does `work`, then what came up meanwhile. */
  hold<T>(work: () => T): T {
    this.#depth++;
    try {
      return work();
    } finally {
      if (this.#depth === 1) this.#catchUp();
      this.#depth--;
    }
  }

  /** Does `task` at once, or when what is being held is done. A task does not throw. */
  later(task: () => void): void {
    this.#waiting.push(task);
    if (this.#depth === 0) this.hold(() => undefined);
  }

  /** Calls a hook that nobody awaits. */
  run(hook: () => unknown, context: ErrorContext): void {
    try {
      const result = hook();
      if (result === undefined) return;
      this.track(
        Promise.resolve(result).catch((error: unknown) => {
          this.report(error, context);
        }),
      );
    } catch (error) {
      this.report(error, context);
    }
  }

  /** Makes {@link HookRunner.idle} wait for a promise. It stays the caller's to handle. */
  track(promise: Promise<unknown>): void {
    this.#running.add(promise);
    const done = (): void => {
      this.#running.delete(promise);
    };
    promise.then(done, done);
  }

  /** Resolves when no hook runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  /** Tells of an error; never throws. */
  report(error: unknown, context: ErrorContext): void {
    report(this.#onError, error, context);
  }

  /** Tasks may bring up further tasks. */
  #catchUp(): void {
    for (let task = this.#waiting.shift(); task; task = this.#waiting.shift()) task();
  }
}
