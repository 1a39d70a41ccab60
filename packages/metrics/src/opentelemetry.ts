/**
 * The metrics as instruments of OpenTelemetry.
 *
 * @module
 */
import type { Measurable, Unsubscribe } from "@vel/core";
import { collect, knownMetrics, type KnownMetric } from "./collection.ts";

/** What is needed of the `Meter` of `@opentelemetry/api`. */
export interface OtelMeter<Instrument> {
  /** Makes an instrument that is asked for its value. */
  createObservableCounter(name: string, options: OtelOptions): Instrument;
  /** Makes an instrument that is asked for its value. */
  createObservableGauge(name: string, options: OtelOptions): Instrument;
  /** Registers who is asked. */
  addBatchObservableCallback(callback: (result: OtelResult<Instrument>) => void, instruments: Instrument[]): void;
  /** Takes that back. */
  removeBatchObservableCallback(callback: (result: OtelResult<Instrument>) => void, instruments: Instrument[]): void;
}

/** How an instrument is described. */
export interface OtelOptions {
  description: string;
  unit?: string;
}

/** Where values are told. */
export interface OtelResult<Instrument> {
  /** Tells a value. */
  observe(instrument: Instrument, value: number, attributes: Record<string, string>): void;
}

/** The instruments of one metric. */
interface Instruments<Instrument> {
  /** Of a counter or gauge, and of a histogram the sum. */
  readonly value: Instrument;
  readonly count: Instrument | undefined;
}

/**
 * Exports metrics through a meter of `@opentelemetry/api` 1.9: those of Vel, and those of others that are measured at this
 * moment. One callback reads them all.
 *
 * Names have dots: `vel_connections_opened_total` is `vel.connections.opened`. The API has no histogram that is read, so
 * that of one there are the two counters that make an average: `vel.ping.rtt.seconds.sum` and `.count`.
 *
 * @returns What ends it.
 * @example
 * import { createVel } from "@vel/core";
 * import { metrics as otel } from "@opentelemetry/api";
 * import { exportMetrics, WebSocketMetrics } from "@vel/metrics";
 *
 * const metrics = new WebSocketMetrics();
 * metrics.observe(createVel());
 * exportMetrics(metrics, otel.getMeter("vel"));
 */
export function exportMetrics<Instrument>(metrics: Measurable, meter: OtelMeter<Instrument>): Unsubscribe {
  const instruments = new Map(knownMetrics(metrics).map((metric) => [metric.name, instrumentsOf(metric, meter)]));
  const all = [...instruments.values()].flatMap(({ value, count }) => (count ? [value, count] : [value]));
  const tell = (result: OtelResult<Instrument>): void => {
    for (const { metric, readings } of collect(metrics.measure())) {
      const known = instruments.get(metric.name);
      if (!known) continue;
      for (const { kind, value, labels = {} } of readings) {
        result.observe(known.value, kind === "histogram" ? value.sum : value, labels);
        if (kind !== "histogram" || !known.count) continue;
        const count = value.counts.reduce((sum, more) => sum + more, 0);
        result.observe(known.count, count, labels);
      }
    }
  };
  meter.addBatchObservableCallback(tell, all);
  return () => {
    meter.removeBatchObservableCallback(tell, all);
  };
}

function instrumentsOf<Instrument>(
  { name, kind, unit, help: description }: KnownMetric,
  meter: OtelMeter<Instrument>,
): Instruments<Instrument> {
  const dotted = name.replace(/_total$/, "").replaceAll("_", ".");
  const options: OtelOptions = { description, ...(unit !== undefined && { unit: unitOf(unit) }) };
  if (kind === "gauge") return { value: meter.createObservableGauge(dotted, options), count: undefined };
  if (kind === "counter") return { value: meter.createObservableCounter(dotted, options), count: undefined };
  return {
    value: meter.createObservableCounter(`${dotted}.sum`, options),
    count: meter.createObservableCounter(`${dotted}.count`, { description, unit: "{value}" }),
  };
}

/** Writes a unit in UCUM, where what is counted is an annotation. */
function unitOf(unit: string): string {
  return { bytes: "By", seconds: "s" }[unit] ?? `{${unit}}`;
}
