/**
 * How fast something grows that only counts up.
 *
 * @module
 */

/** How far it had grown at a time. Times are milliseconds. */
interface Look {
  readonly at: number;
  readonly growth: number;
}

/** How many looks a window is made of at most. */
const maxLooks = 60;

/**
 * The growth of counters, added up over those who keep them, out of looks that need not be regular. Counters may come and
 * go: what one had counted before it came is not growth, and that it is gone is none either.
 */
export class Rate {
  readonly #window: number;
  readonly #counts = new WeakMap<object, number>();
  #growth = 0;
  /** The oldest first: the last one before the window, if there is one, and those within. */
  readonly #looks: Look[];

  constructor(window: number, at: number) {
    this.#window = window;
    this.#looks = [{ at, growth: 0 }];
  }

  /** Takes in how far somebody has counted. */
  count(keeper: object, count: number): void {
    this.#growth += Math.max(count - (this.#counts.get(keeper) ?? count), 0);
    this.#counts.set(keeper, count);
  }

  /** Counts anew from where somebody will be when he comes back. */
  forget(keeper: object): void {
    this.#counts.delete(keeper);
  }

  /** Takes a look. */
  look(at: number): void {
    const looks = this.#looks;
    while ((looks[1]?.at ?? Infinity) <= at - this.#window) looks.shift();
    const last = looks.at(-1)?.at ?? at;
    if (at - last >= this.#window / maxLooks) looks.push({ at, growth: this.#growth });
  }

  /**
   * Tells the growth a second up to now: over the window; since the beginning when that was later; since the last look
   * before the window when nobody looked as it began.
   */
  perSecond(at: number): number {
    const [first = { at, growth: 0 }] = this.#looks;
    return at > first.at ? (this.#growth - first.growth) / ((at - first.at) / 1_000) : 0;
  }
}
