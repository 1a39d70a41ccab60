/**
 * The last minutes of a server, for charts.
 *
 * @module
 */
import type { Sample } from "./page-wire.ts";
import type { MetricsSnapshot } from "./snapshot.ts";

/** What a {@link Sample} is made of. */
export interface Reading extends Pick<Sample, "at" | "connections" | "bufferedBytes" | "roundTrip"> {
  readonly totals: Pick<MetricsSnapshot, "messagesReceived" | "messagesSent" | "messagesDropped">;
}

/** Samples, those that are too old forgotten. */
export class PageHistory {
  readonly #length: number;
  #samples: Sample[] = [];
  #last: Reading | undefined;

  /** @param length For how many milliseconds. */
  constructor(length: number) {
    this.#length = length;
  }

  /** The samples, oldest first. */
  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** Takes the next reading, and makes rates of what it counted since the last one. */
  add(reading: Reading): Sample {
    const { totals, ...now } = reading;
    const last = this.#last;
    const seconds = last ? (now.at - last.at) / 1_000 : 0;
    const rate = (count: keyof Reading["totals"]): number =>
      last && seconds > 0 ? Math.max(totals[count] - last.totals[count], 0) / seconds : 0;
    const sample: Sample = {
      ...now,
      receivedPerSecond: rate("messagesReceived"),
      sentPerSecond: rate("messagesSent"),
      droppedPerSecond: rate("messagesDropped"),
    };
    this.#last = reading;
    const old = this.#samples.findIndex(({ at }) => at > now.at - this.#length);
    this.#samples = old < 0 ? [] : this.#samples.slice(old);
    this.#samples.push(sample);
    return sample;
  }
}
