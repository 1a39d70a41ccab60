/**
 * The last entries of a stream, with numbers that a returning client can ask from.
 *
 * @module
 */
import { randomId } from "@vel/core";

/** An entry and its number. */
export interface HistoryEntry<T> {
  /** Counts from 1, without gaps. */
  readonly seq: number;
  readonly entry: T;
}

/** Where somebody stands in a history: what a client keeps, and shows when it is back. */
export interface HistoryPosition {
  /** Which history it was. */
  readonly epoch: string;
  /** The number of the last entry that was seen; 0 for none. */
  readonly seq: number;
}

/** What {@link History.since} found. */
export interface HistoryFill<T> {
  /** Everything after the position; empty unless complete. */
  readonly entries: readonly HistoryEntry<T>[];
  /** Whether `entries` is all that was missed. When false, show something else, and say so. */
  readonly complete: boolean;
}

/**
 * Keeps the last entries, numbered.
 *
 * A client that remembers its {@link History.position} gets either everything that it missed or a clear no, never a
 * part: the `epoch` tells this history from the one before a restart, whose numbers would fit by accident.
 *
 * @example
 * const history = new History<string>(100);
 * history.append("hello");
 * const { position } = history;
 * history.append("world");
 * history.since(position); // { entries: [{ seq: 2, entry: "world" }], complete: true }
 * history.last(10).map(({ entry }) => entry); // ["hello", "world"]
 */
export class History<T> {
  /** Random; another one in each history, so after each restart. */
  readonly epoch: string = randomId();
  /** How many entries are kept. */
  readonly limit: number;
  /** Entry number `seq` is at `(seq - 1) % limit`. Grows as it is filled, up to the limit. */
  readonly #ring: T[] = [];
  #seq = 0;

  /**
   * @param limit How many entries are kept; the oldest give way.
   * @throws {RangeError} When the limit is not a positive integer.
   */
  constructor(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(`Limit of a history must be a positive integer, got ${String(limit)}`);
    }
    this.limit = limit;
  }

  /** The number of the last entry; 0 when there was none. */
  get seq(): number {
    return this.#seq;
  }

  /** How many entries there are now, at most {@link History.limit}. */
  get size(): number {
    return this.#ring.length;
  }

  /** Where somebody stands who has seen everything: give it to clients with the entries. */
  get position(): HistoryPosition {
    return { epoch: this.epoch, seq: this.#seq };
  }

  /** Adds an entry and returns its number. Takes the same time whatever the limit. */
  append(entry: T): number {
    this.#ring[this.#seq % this.limit] = entry;
    return ++this.#seq;
  }

  /**
   * Lists the last entries, oldest first.
   *
   * @param n How many at most. Default: all that are kept.
   * @throws {RangeError} When `n` is not a number of 0 or more.
   */
  last(n: number = this.limit): readonly HistoryEntry<T>[] {
    if (!(n >= 0)) throw new RangeError(`Number of entries must be 0 or more, got ${String(n)}`);
    return this.#after(this.#seq - Math.min(Math.floor(n), this.size));
  }

  /**
   * Lists everything after a position, or says that this cannot be done: for a position of another history, one beyond
   * the end, or one so old that an entry after it was dropped already.
   *
   * The position may come straight from a client: whatever its shape, nothing is thrown.
   */
  since(position: HistoryPosition | null | undefined): HistoryFill<T> {
    if (position?.epoch !== this.epoch) return { entries: [], complete: false };
    const { seq } = position;
    const known = Number.isSafeInteger(seq) && seq >= this.#seq - this.size && seq <= this.#seq;
    return known ? { entries: this.#after(seq), complete: true } : { entries: [], complete: false };
  }

  #after(seq: number): HistoryEntry<T>[] {
    const entries: HistoryEntry<T>[] = [];
    for (let next = seq + 1; next <= this.#seq; next++) {
      entries.push({ seq: next, entry: this.#ring[(next - 1) % this.limit] as T });
    }
    return entries;
  }
}
