import { Histogram } from "@vel/core";
import { AggregatorRegistry, Counter, prometheusContentType, Registry, type RegistryContentType } from "prom-client";
import { describe, expect, it } from "vitest";
import { metricTable, prometheusType, registerMetrics } from "../src/index.ts";
import { parseExposition } from "./exposition.ts";
import { echo, say, setup, source } from "./kit.ts";

const trips = new Histogram([0.005, 1]);
trips.add(0.5);
const stranger = source(
  { name: "vel_ping_rtt_seconds", kind: "histogram", value: trips.distribution },
  { name: "shop_orders_total", kind: "counter", value: 7, labels: { shop: 'the "first"\n' } },
  { name: "shop_size", kind: "gauge", value: Infinity },
);

/** What has values, without the help that prom-client writes of metrics without one. */
const linesOf = (text: string): unknown =>
  parseExposition(text.replaceAll("\n\n", "\n").replaceAll(/^# HELP \S+ \n/gm, ""))
    .filter(({ lines }) => lines.length > 0)
    .map(({ help: _help, ...block }) => block);

describe("registerMetrics()", () => {
  it("gives a registry what prometheus() writes, read once", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    let reads = 0;
    metrics.observe(vel, stranger, {
      measure: () => {
        reads++;
        return [];
      },
    });
    const registry = new Registry();
    registerMetrics(metrics, registry);
    await say(await client(), "hello");
    (await client()).close(4321);
    await clock.advance(2_500);
    reads = 0;
    const text = await registry.metrics();
    expect(reads).toBe(1);
    expect(linesOf(text)).toEqual(linesOf(metrics.prometheus()));
    expect(text).toContain('vel_connections_closed_total{route="/echo",code="other",by="remote"} 1');
    expect(registry.contentType).toBe(prometheusType);
    expect(prometheusContentType).toBe(prometheusType);

    await say(await client(), "again"); // and the next reading is of what is then
    expect(linesOf(await registry.metrics())).toEqual(linesOf(metrics.prometheus()));
    await Promise.all([vel.close(), clock.advance(60_000)]);
  });

  it("works with default labels, single metrics and JSON", async () => {
    const { metrics } = setup();
    metrics.observe(stranger);
    metrics.connectionOpened();
    const registry = new Registry();
    registry.setDefaultLabels({ app: "shop", route: "none" });
    registerMetrics(metrics, registry);
    for (let times = 0; times < 2; times++) {
      const text = await registry.metrics();
      expect(text).toMatch(/^vel_connections\{(?=.*route="counted")(?=.*app="shop").*\} 1$/m);
      expect(text).toMatch(/^vel_ping_rtt_seconds_bucket\{(?=.*app="shop")(?=.*le="\+Inf").*\} 1$/m);
      const json = await registry.getMetricsAsJSON();
      expect(json.find(({ name }) => name === "vel_connections")).toEqual({
        name: "vel_connections",
        help: "Open connections",
        type: "gauge",
        aggregator: "sum",
        values: [{ value: 1, labels: { app: "shop", route: "counted" } }],
      });
    }
    expect(await registry.getSingleMetricAsString("shop_size")).toContain("shop_size{");
    registry.resetMetrics();
    expect(await registry.metrics()).toMatch(/^vel_connections\{.*\} 1$/m);
  });

  it("writes OpenMetrics, where a counter's name stands without its ending", async () => {
    const { metrics } = setup();
    metrics.observe(stranger);
    const registry: Registry<RegistryContentType> = new Registry();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const stop = registerMetrics(metrics, registry);
    for (let times = 0; times < 2; times++) {
      const text = await registry.metrics();
      expect(text).toContain("# TYPE shop_orders counter\nshop_orders_total{");
      expect(text).toContain('vel_ping_rtt_seconds_bucket{le="+Inf"} 1');
    }
    stop();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it("adds up over the workers of a cluster", async () => {
    const { metrics } = setup();
    metrics.observe(stranger);
    metrics.connectionOpened();
    const registry = new Registry();
    registerMetrics(metrics, registry);
    const json = await registry.getMetricsAsJSON();
    const whole = AggregatorRegistry.aggregate([json, structuredClone(json)]);
    const text = await whole.metrics();
    expect(text).toContain('vel_connections{route="counted"} 2');
    expect(text).toContain('vel_ping_rtt_seconds_bucket{le="1"} 2');
    expect(text).toContain("vel_ping_rtt_seconds_sum 1\n");
  });

  it("takes out what it has added, and can be called again", async () => {
    const { metrics } = setup();
    metrics.observe(stranger);
    const registry = new Registry();
    const own = new Counter({ name: "own_total", help: "Own", registers: [registry] });
    own.inc();
    const stop = registerMetrics(metrics, registry);
    expect(registry.getMetricsAsArray()).toHaveLength(metricTable.length + 3);
    stop();
    stop();
    expect(registry.getMetricsAsArray()).toHaveLength(1);
    registerMetrics(metrics, registry);
    expect(registry.getMetricsAsArray()).toHaveLength(metricTable.length + 3);
    stop(); // not what was added since
    expect(registry.getMetricsAsArray()).toHaveLength(metricTable.length + 3);
    expect(await registry.getSingleMetricAsString("own_total")).toContain("own_total 1");
  });

  it("adds nothing where a name is taken", () => {
    const { metrics } = setup();
    const registry = new Registry();
    new Counter({ name: metricTable.at(-1)!.name, help: "Mine", registers: [registry] });
    expect(() => registerMetrics(metrics, registry)).toThrow("already been registered");
    expect(registry.getMetricsAsArray()).toHaveLength(1);
  });

  it("takes a single source, too", async () => {
    const registry = new Registry();
    const stop = registerMetrics(stranger, registry);
    expect(await registry.metrics()).toContain("vel_ping_rtt_seconds_count 1\n");
    stop();
  });
});
