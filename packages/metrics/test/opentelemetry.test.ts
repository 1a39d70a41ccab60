import { Histogram } from "@vel/core";
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  MetricReader,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { describe, expect, it } from "vitest";
import { exportMetrics, metricTable } from "../src/index.ts";
import { echo, say, setup, source } from "./kit.ts";

/** A reader that reads when the test says so. */
class TestReader extends MetricReader {
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

function provider(): { provider: MeterProvider; read: () => Promise<ResourceMetrics> } {
  const reader = new TestReader({
    aggregationTemporalitySelector: () => AggregationTemporality.CUMULATIVE,
  });
  return {
    provider: new MeterProvider({ readers: [reader] }),
    read: async () => {
      const { resourceMetrics, errors } = await reader.collect();
      expect(errors).toEqual([]);
      return resourceMetrics;
    },
  };
}

/** What was read: `name` to unit, whether it only grows, and the values by their attributes. */
function instruments(read: ResourceMetrics): Map<string, { unit: string; grows: boolean; values: unknown }> {
  const all = read.scopeMetrics.flatMap(({ metrics }) => metrics);
  return new Map(
    all.map((metric) => [
      metric.descriptor.name,
      {
        unit: metric.descriptor.unit,
        grows: metric.dataPointType === DataPointType.SUM && metric.isMonotonic,
        values: Object.fromEntries(
          metric.dataPoints.map(({ attributes, value }) => [Object.values(attributes).join(), value]),
        ),
      },
    ]),
  );
}

describe("exportMetrics()", () => {
  it("tells a meter what is measured, read once, with units and labels", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    const trips = new Histogram([0.005, 1]);
    trips.add(0.5);
    trips.add(0.25);
    let reads = 0;
    metrics.observe(
      vel,
      source({ name: "vel_ping_rtt_seconds", kind: "histogram", value: trips.distribution }),
      source({ name: "shop_orders_total", kind: "counter", value: 7, labels: { shop: "first" } }),
      { measure: () => (reads++, []) },
    );
    const { provider: meters, read } = provider();
    exportMetrics(metrics, meters.getMeter("vel"));
    await say(await client(), "hello");
    (await client()).close(1000);
    await clock.advance(2_500);
    reads = 0;
    const seen = instruments(await read());
    expect(reads).toBe(1);
    expect(seen.get("vel.connections")).toEqual({ unit: "{connection}", grows: false, values: { "/echo": 1 } });
    expect(seen.get("vel.connections.opened")).toEqual({ unit: "{connection}", grows: true, values: { "/echo": 2 } });
    expect(seen.get("vel.connections.closed")?.values).toEqual({ "/echo,1000,remote": 1 });
    expect(seen.get("vel.received.bytes")).toEqual({ unit: "By", grows: true, values: { "/echo": 5 } });
    expect(seen.get("vel.connections.age.seconds")).toEqual({ unit: "s", grows: false, values: { "/echo": 2.5 } });
    expect(seen.get("vel.ping.rtt.seconds.sum")).toEqual({ unit: "s", grows: true, values: { "": 0.75 } });
    expect(seen.get("vel.ping.rtt.seconds.count")).toEqual({ unit: "{value}", grows: true, values: { "": 2 } });
    expect(seen.get("shop.orders")).toEqual({ unit: "", grows: true, values: { first: 7 } });

    await say(await client(), "hello");
    expect(instruments(await read()).get("vel.received.bytes")?.values).toEqual({ "/echo": 10 });
    await Promise.all([vel.close(), clock.advance(60_000), meters.shutdown()]);
  });

  it("makes an instrument of every metric of the table, with what it says", () => {
    const { metrics } = setup();
    const made: unknown[] = [];
    const make = (name: string, { description, unit }: { description: string; unit?: string }): string => {
      made.push({ name, description, unit });
      return name;
    };
    let asked: string[] = [];
    exportMetrics(metrics, {
      createObservableCounter: make,
      createObservableGauge: make,
      addBatchObservableCallback: (_callback, all) => (asked = all),
      removeBatchObservableCallback: () => undefined,
    });
    const histograms = metricTable.filter(({ kind }) => kind === "histogram").length;
    expect(made).toHaveLength(metricTable.length + histograms);
    expect(new Set(asked).size).toBe(made.length);
    for (const name of asked) expect(name).toMatch(/^vel(\.[a-z]+)+$/);
    expect(asked.filter((name) => name.endsWith("total"))).toEqual([]);
  });

  it("ends", async () => {
    const { metrics } = setup();
    const { provider: meters, read } = provider();
    let reads = 0;
    metrics.observe({ measure: () => (reads++, []) });
    const stop = exportMetrics(metrics, meters.getMeter("vel"));
    await read();
    stop();
    stop();
    const before = reads;
    await read();
    expect(reads).toBe(before);
    await meters.shutdown();
  });
});
