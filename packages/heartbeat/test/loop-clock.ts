/** A clock of an event loop that can be blocked. */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "@vel/core";

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

/** How long the loop waits for something to come, in milliseconds. */
const longestTurn = 50;

/**
 * Time that a test moves, by turns of an event loop: timers fire when they are due, and what has come is read between. While it
 * is blocked neither happens; then the timers come first, before anything is read.
 */
export class LoopClock implements Clock {
  /** Called before each turn and after each block, when time has gone by. */
  onTime: () => void = () => undefined;
  #now = 0;
  #running = 0;
  #counted = 0;
  readonly #timers = new Set<Timer>();
  /** How much of a block counts as having run. */
  readonly #unnoticed: number;

  /** @param unnoticed The longest block that nobody notices, in milliseconds. */
  constructor(unnoticed: number) {
    this.#unnoticed = unnoticed;
  }

  /** How long the loop was not blocked. */
  get running(): number {
    return this.#running;
  }

  /** How long the loop was not blocked, of each block the part included that nobody notices. */
  get counted(): number {
    return this.#counted;
  }

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    throw new Error("Whoever reads the wall clock here is at the mercy of whoever sets it");
  }

  setTimeout(callback: () => void, delay: number): unknown {
    const timer: Timer = { due: this.#now + delay, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  /** Runs the loop. */
  async run(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    while (this.#now < end) {
      const next = Math.min(end, this.#now + longestTurn, ...[...this.#timers].map(({ due }) => due));
      this.#pass(Math.max(next - this.#now, 0));
      this.#fire();
      await setImmediate();
    }
  }

  /**
   * Blocks the loop, so many times in a row. Deno reads before every second turn of its timers, the others before each: so two
   * is the most that may be without.
   */
  async block(milliseconds: number, times: 1 | 2 = 1): Promise<void> {
    for (let time = 0; time < times; time++) {
      this.#now += milliseconds;
      this.#counted += Math.min(milliseconds, this.#unnoticed);
      this.onTime();
      this.#fire();
    }
    await setImmediate();
  }

  #pass(milliseconds: number): void {
    this.#now += milliseconds;
    this.#running += milliseconds;
    this.#counted += milliseconds;
    this.onTime();
  }

  #fire(): void {
    for (const timer of [...this.#timers].sort((one, other) => one.due - other.due)) {
      if (timer.due <= this.#now && this.#timers.delete(timer)) timer.callback();
    }
  }
}
