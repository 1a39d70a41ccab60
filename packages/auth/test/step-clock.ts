/** Time that moves in one step. */
import type { Clock } from "@vel/core";

/** A clock for what is not asynchronous: a thousand times as fast as one that lets promises run. */
export class StepClock implements Clock {
  readonly #timers = new Set<{ due: number; callback: () => void }>();
  #now = 0;
  /** How many timers have not fired. */
  get pending(): number {
    return this.#timers.size;
  }
  now = (): number => this.#now;
  wall = (): number => this.#now;
  setTimeout(callback: () => void, delay: number): unknown {
    const timer = { due: this.#now + delay, callback };
    this.#timers.add(timer);
    return timer;
  }
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as { due: number; callback: () => void });
  }
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
      if (!next || next.due > end) break;
      this.#timers.delete(next);
      this.#now = next.due;
      next.callback();
    }
    this.#now = end;
  }
}
