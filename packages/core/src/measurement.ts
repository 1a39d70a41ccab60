/**
 * How features report what they count, without an import between them and whoever collects it.
 *
 * @module
 */

/** One reading, as it is now. */
export type Measurement = NumberMeasurement | HistogramMeasurement;

interface Named {
  /** As Prometheus names metrics: `vel_evictions_total`. */
  readonly name: string;
  /** Few names with few values each, none of them chosen by a client. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** One number. */
export interface NumberMeasurement extends Named {
  /** A counter only grows; a gauge goes up and down. */
  readonly kind: "counter" | "gauge";
  readonly value: number;
}

/** How often values of which size were seen. */
export interface HistogramMeasurement extends Named {
  readonly kind: "histogram";
  readonly value: Distribution;
}

/** What a {@link Histogram} has seen. */
export interface Distribution {
  /** The upper bounds of the buckets, growing; above the last there is one more. */
  readonly bounds: readonly number[];
  /** How many values fell into each bucket, one number more than there are bounds. */
  readonly counts: readonly number[];
  /** The sum of all values. */
  readonly sum: number;
}

/** Something that counts, and is read now and then. */
export interface Measurable {
  /** Reads all numbers. Costs nothing while nobody calls it. */
  measure(): Iterable<Measurement>;
}

/**
 * Counts values by size. Adding one allocates nothing.
 *
 * @example
 * const sizes = new Histogram([64, 256, 1_024]);
 * sizes.add(100);
 * sizes.distribution.counts; // [0, 1, 0, 0]
 */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /**
   * @param bounds The upper bounds of the buckets, each value of a bucket being at most its bound.
   * @throws {RangeError} When they do not grow.
   */
  constructor(bounds: readonly number[]) {
    if (bounds.some((bound, index) => !(bound > (bounds[index - 1] ?? -Infinity)))) {
      throw new RangeError(`Bounds must grow, got ${bounds.join(", ")}`);
    }
    this.#bounds = [...bounds];
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** What was seen so far. */
  get distribution(): Distribution {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }

  /** Counts one value; what is no number is not counted. */
  add(value: number): void {
    if (Number.isNaN(value)) return;
    let index = 0;
    while (index < this.#bounds.length && value > (this.#bounds[index] as number)) index++;
    (this.#counts[index] as number)++;
    this.#sum += value;
  }
}
