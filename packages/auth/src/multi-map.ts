/**
 * Several values under one key.
 *
 * @module
 */

const none: ReadonlySet<never> = new Set();

/** Sets by key. A key without values takes no place; undefined is no key. */
export class MultiMap<K, V> {
  readonly #sets = new Map<K, Set<V>>();

  /** How many keys there are. */
  get size(): number {
    return this.#sets.size;
  }

  /** The values of a key. Live: it changes as they come and go. */
  get(key: K): ReadonlySet<V> {
    return this.#sets.get(key) ?? none;
  }

  add(key: K | undefined, value: V): void {
    if (key === undefined) return;
    const set = this.#sets.get(key);
    if (set) set.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  delete(key: K | undefined, value: V): void {
    if (key === undefined) return;
    const set = this.#sets.get(key);
    if (set?.delete(value) && set.size === 0) this.#sets.delete(key);
  }

  clear(): void {
    this.#sets.clear();
  }
}
