/**
 * Things that are there several times over.
 *
 * @module
 */

/** Counts how often each thing was added and not removed again. */
export class Tally<T> {
  readonly #counts = new Map<T, number>();

  /** How many different things there are. */
  get size(): number {
    return this.#counts.size;
  }

  /** Tells whether a thing is there. */
  has(thing: T): boolean {
    return this.#counts.has(thing);
  }

  /** Adds a thing once more. */
  add(thing: T): void {
    this.#counts.set(thing, (this.#counts.get(thing) ?? 0) + 1);
  }

  /** Takes back one {@link Tally.add}. */
  remove(thing: T): void {
    const left = (this.#counts.get(thing) ?? 0) - 1;
    if (left > 0) this.#counts.set(thing, left);
    else this.#counts.delete(thing);
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#counts.keys();
  }
}
