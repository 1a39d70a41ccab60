/**
 * Readings of several sources as one: what has the same name and labels is added up.
 *
 * @module
 */
import type { Distribution, Measurable, Measurement } from "@vel/core";
import { metricTable, type Metric } from "./metric-table.ts";

/** What is known of a metric: of those that are not in the table that is little. */
export interface KnownMetric extends Pick<Metric, "name" | "kind" | "help"> {
  readonly unit: string | undefined;
}

/** A metric and its readings, of which no two have the same labels. */
export interface Family {
  readonly metric: KnownMetric;
  readonly readings: readonly Measurement[];
}

const table = new Map(metricTable.map((metric, place) => [metric.name, { metric, place }]));

/** What the names of metrics and labels may be (Prometheus, data model). */
const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelName = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/**
 * Adds readings up. The table decides what Vel's metrics are and which labels they have; metrics of others are taken as they
 * are.
 *
 * @param onFault Is told of a reading that is left out, because it cannot be written or does not go with those before it.
 */
export function collect(
  readings: Iterable<Measurement>,
  onFault: (fault: unknown) => void = () => undefined,
): readonly Family[] {
  const collection = new Collection();
  for (const reading of readings) {
    try {
      collection.add(reading);
    } catch (fault) {
      onFault(fault);
    }
  }
  return collection.families;
}

/** Lists the metrics of the table, and those of others that are measured at this moment. */
export function knownMetrics(metrics: Measurable): readonly KnownMetric[] {
  const others = collect(metrics.measure()).filter(({ metric }) => !table.has(metric.name));
  return [...metricTable, ...others.map(({ metric }) => metric)];
}

/** A family that is not complete: its readings by their labels. */
interface Gathered {
  readonly metric: KnownMetric;
  readonly readings: Map<string, Measurement>;
}

class Collection {
  readonly #families = new Map<string, Gathered>();
  /** The names of all lines that will be written. */
  readonly #lines = new Set<string>();

  get families(): readonly Family[] {
    const place = ({ metric }: Family): number => table.get(metric.name)?.place ?? table.size;
    return [...this.#families.values()]
      .map(({ metric, readings }) => ({ metric, readings: [...readings.values()] }))
      .sort((one, other) => place(one) - place(other));
  }

  /** @throws {TypeError} When the reading cannot be taken. */
  add(reading: Measurement): void {
    const tidied = tidy(reading);
    const { readings } = this.#familyOf(tidied.name, tidied.kind);
    const key = JSON.stringify(Object.entries(tidied.labels).sort());
    const other = readings.get(key);
    readings.set(key, other ? sumOf(other, tidied) : tidied);
  }

  #familyOf(name: string, kind: Measurement["kind"]): Gathered {
    const found = this.#families.get(name);
    const metric = found?.metric ?? table.get(name)?.metric ?? { name, kind, unit: undefined, help: "" };
    if (metric.kind !== kind) throw faultOf(name, `it is a ${metric.kind}, not a ${kind}`);
    if (found) return found;
    const lines = kind === "histogram" ? ["", "_bucket", "_sum", "_count"].map((end) => name + end) : [name];
    if (lines.some((line) => this.#lines.has(line))) throw faultOf(name, "it would be mixed up with a histogram");
    for (const line of lines) this.#lines.add(line);
    const family: Gathered = { metric, readings: new Map() };
    this.#families.set(name, family);
    return family;
  }
}

/**
 * Checks a reading, and leaves out labels that the table does not know.
 *
 * @throws {TypeError} When it cannot be written.
 */
function tidy(reading: Measurement): Measurement & { labels: Record<string, string> } {
  const { name, labels = {} } = reading;
  if (!metricName.test(name)) throw faultOf(name, "that is no name");
  if (reading.kind === "histogram") {
    const { bounds, counts } = reading.value;
    if (counts.length !== bounds.length + 1) throw faultOf(name, "a histogram has one count more than bounds");
  } else if (typeof reading.value !== "number") throw faultOf(name, "its value is not a number");
  const known = table.get(name)?.metric.labels;
  const kept = Object.entries<unknown>(labels).filter(([label]) => !known || known.includes(label));
  for (const [label] of kept) {
    const isTaken = reading.kind === "histogram" && label === "le";
    if (!labelName.test(label) || isTaken) throw faultOf(name, `${JSON.stringify(label)} cannot be a label of it`);
  }
  return { ...reading, labels: Object.fromEntries(kept.map(([label, value]) => [label, String(value)])) };
}

/**
 * Adds two readings up.
 *
 * @throws {TypeError} When the buckets differ.
 */
function sumOf(one: Measurement, other: Measurement): Measurement {
  if (one.kind !== "histogram" || other.kind !== "histogram") {
    return { ...one, value: Number(one.value) + Number(other.value) } as Measurement;
  }
  if (one.value.bounds.join() !== other.value.bounds.join()) throw faultOf(one.name, "its sources have other bounds");
  const counts = one.value.counts.map((count, index) => count + (other.value.counts[index] ?? 0));
  const value: Distribution = { ...one.value, counts, sum: one.value.sum + other.value.sum };
  return { ...one, value };
}

function faultOf(name: string, why: string): TypeError {
  return new TypeError(`Cannot collect metric ${JSON.stringify(name)}: ${why}`);
}
