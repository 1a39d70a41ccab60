/**
 * Many deadlines on one timer.
 *
 * @module
 */
import type { Clock } from "@vel/core";

interface Entry<T> {
  readonly item: T;
  readonly due: number;
  /** Where it stands in the heap, so that it can be taken out of the middle. */
  index: number;
}

/**
 * Things that are due at a time each. One timer waits for the first of them, and none while there are none.
 *
 * A binary heap whose entries know their places: adding and deleting cost O(log n), so connections that come and go long
 * before their tokens end leave nothing behind.
 */
export class Deadlines<T> {
  readonly #clock: Clock;
  readonly #onDue: (item: T) => void;
  readonly #heap: Entry<T>[] = [];
  readonly #entries = new Map<T, Entry<T>>();
  #timer: unknown;
  /** When the timer fires. It may be too early, when what it was for has been deleted: that does no harm. */
  #firesAt = Infinity;

  /** @param onDue Is called once for each that is due, never before it is; must not throw. */
  constructor(clock: Clock, onDue: (item: T) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Adds an item, or gives it another time. Infinity is never. */
  set(item: T, due: number): void {
    this.#remove(item);
    if (due < Infinity) {
      const entry = { item, due, index: this.#heap.length };
      this.#entries.set(item, entry);
      this.#heap.push(entry);
      this.#rise(entry);
    }
    this.#arm();
  }

  /** Removes an item, if it is in. */
  delete(item: T): void {
    this.#remove(item);
    this.#arm();
  }

  /** Removes everything. */
  clear(): void {
    this.#heap.length = 0;
    this.#entries.clear();
    this.#arm();
  }

  #arm(): void {
    const due = this.#heap[0]?.due ?? Infinity;
    if (due < Infinity && due >= this.#firesAt) return;
    this.#clock.clearTimeout(this.#timer);
    this.#firesAt = due;
    if (due < Infinity) {
      const delay = Math.max(0, due - this.#clock.now());
      this.#timer = this.#clock.setTimeout(() => this.#fire(), delay);
    }
  }

  /** A timer of a runtime may fire a little early: what is not due then waits for the next. */
  #fire(): void {
    this.#firesAt = Infinity;
    const now = this.#clock.now();
    for (let next = this.#heap[0]; next && next.due <= now; next = this.#heap[0]) {
      this.#remove(next.item);
      this.#onDue(next.item);
    }
    this.#arm();
  }

  #remove(item: T): void {
    const entry = this.#entries.get(item);
    if (!entry) return;
    this.#entries.delete(item);
    const last = this.#heap.pop() as Entry<T>;
    if (last === entry) return;
    this.#put(last, entry.index);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: Entry<T>): void {
    for (;;) {
      const parent = this.#heap[(entry.index - 1) >> 1];
      if (!parent || parent.due <= entry.due) return;
      this.#swap(parent, entry);
    }
  }

  #sink(entry: Entry<T>): void {
    for (;;) {
      const [left, right] = [this.#heap[entry.index * 2 + 1], this.#heap[entry.index * 2 + 2]];
      const child = right && left && right.due < left.due ? right : left;
      if (!child || child.due >= entry.due) return;
      this.#swap(entry, child);
    }
  }

  #swap(upper: Entry<T>, lower: Entry<T>): void {
    const { index } = upper;
    this.#put(upper, lower.index);
    this.#put(lower, index);
  }

  #put(entry: Entry<T>, index: number): void {
    entry.index = index;
    this.#heap[index] = entry;
  }
}
