/**
 * What is counted.
 *
 * @module
 */
import type { Measurement } from "@vel/core";

/** How a token fared: let in, refused, or not to be judged for lack of a key or a place. */
export type AttemptResult = "accepted" | "refused" | "unavailable";

/** Counters by name and labels. */
export class Tally {
  readonly #counters = new Map<string, Measurement & { value: number }>();

  /** Counts one more. */
  count(name: string, labels: Readonly<Record<string, string>> = {}): void {
    const key = [name, ...Object.values(labels)].join(" ");
    const counter = this.#counters.get(key);
    if (counter) counter.value++;
    else this.#counters.set(key, { name, kind: "counter", value: 1, labels });
  }

  /** Reads them all. */
  *measure(): Iterable<Measurement> {
    for (const counter of this.#counters.values()) yield { ...counter };
  }
}
