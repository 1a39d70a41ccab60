import { Histogram } from "@vel/core";
import { describe, expect, it } from "vitest";
import { setup, source, valuesOf } from "./kit.ts";

const trips = (...values: number[]): unknown => {
  const histogram = new Histogram([1, 2]);
  for (const value of values) histogram.add(value);
  return histogram.distribution;
};

describe("WebSocketMetrics.measure()", () => {
  it("adds up what has the same name and labels, in whatever order the labels stand", () => {
    const { metrics, errors } = setup();
    const closed = { name: "vel_connections_closed_total", kind: "counter" };
    metrics.observe(
      source({ ...closed, value: 1, labels: { route: "/a", code: "1000", by: "local" } }),
      source({ ...closed, value: 2, labels: { by: "local", code: "1000", route: "/a" } }),
      source({ ...closed, value: 4, labels: { route: "/a", code: "1001", by: "local" } }),
    );
    expect(valuesOf(metrics, closed.name)).toEqual({ "/a,1000,local": 3, "/a,1001,local": 4 });
    expect(errors).toEqual([]);
  });

  it("adds up histograms", () => {
    const { metrics } = setup();
    const trip = { name: "vel_ping_rtt_seconds", kind: "histogram" };
    metrics.observe(source({ ...trip, value: trips(0.5, 9) }), source({ ...trip, value: trips(1.5) }));
    expect([...metrics.measure()]).toEqual([
      { ...trip, labels: {}, value: { bounds: [1, 2], counts: [1, 1, 1], sum: 11 } },
    ]);
  });

  it("leaves out labels that the table does not know, and adds up what was told apart by them", () => {
    const { metrics } = setup();
    metrics.observe(
      source(
        { name: "vel_rooms", kind: "gauge", value: 2, labels: { room: "lobby" } },
        { name: "vel_rooms", kind: "gauge", value: 3, labels: { room: "attic", __proto__: "x" } },
      ),
    );
    expect(valuesOf(metrics, "vel_rooms")).toEqual({ "": 5 });
  });

  it("keeps metrics of others as they are, behind those of the table", () => {
    const { metrics } = setup();
    metrics.observe(
      source(
        { name: "shop_orders_total", kind: "counter", value: 7, labels: { shop: "a" } },
        { name: "vel_rooms", kind: "gauge", value: 1 },
      ),
    );
    expect([...metrics.measure()]).toEqual([
      { name: "vel_rooms", kind: "gauge", value: 1, labels: {} },
      { name: "shop_orders_total", kind: "counter", value: 7, labels: { shop: "a" } },
    ]);
  });

  it.each([
    ["a name that is none", { name: "shop-orders", kind: "gauge", value: 1 }],
    ["an empty name", { name: "", kind: "gauge", value: 1 }],
    ["two lines", { name: "vel_x\nvel_y 1", kind: "gauge", value: 1 }],
    ["a label that is none", { name: "x", kind: "gauge", value: 1, labels: { "a b": "" } }],
    ["a label that is Prometheus's own", { name: "x", kind: "gauge", value: 1, labels: { __name__: "y" } }],
    ["a label that buckets have", { name: "x", kind: "histogram", value: trips(1), labels: { le: "1" } }],
    ["a value that is none", { name: "x", kind: "gauge", value: "1" }],
    ["a big integer", { name: "x", kind: "gauge", value: 1n }],
    ["no reading at all", undefined],
    ["a histogram without counts", { name: "x", kind: "histogram", value: 1 }],
    ["a histogram with too few counts", { name: "x", kind: "histogram", value: { bounds: [1], counts: [1], sum: 1 } }],
    ["another kind than the table says", { name: "vel_rooms", kind: "counter", value: 1 }],
    ["a number where the table says histogram", { name: "vel_ping_rtt_seconds", kind: "gauge", value: 1 }],
    ["another kind than before", { name: "first", kind: "counter", value: 1, labels: { a: "b" } }],
    ["other buckets than before", { name: "sizes", kind: "histogram", value: { bounds: [5], counts: [1, 0], sum: 1 } }],
    ["a name that a histogram's line has", { name: "sizes_sum", kind: "counter", value: 1 }],
    ["a histogram whose line has a name", { name: "stop", kind: "histogram", value: trips(1) }],
  ])("leaves out %s, reports that, and reads on", (_what, reading) => {
    const { metrics, errors } = setup();
    const good = [
      { name: "vel_rooms", kind: "gauge", value: 1, labels: {} },
      { name: "first", kind: "gauge", value: 1, labels: {} },
      { name: "sizes", kind: "histogram", value: trips(1), labels: {} },
      { name: "stop_count", kind: "counter", value: 1, labels: {} },
    ];
    metrics.observe(source(...good), source(reading), source({ name: "last", kind: "gauge", value: 1, labels: {} }));
    errors.length = 0;
    expect([...metrics.measure()]).toEqual([...good, { name: "last", kind: "gauge", value: 1, labels: {} }]);
    expect(errors).toEqual([expect.stringMatching(/^measure: TypeError/)]);
    expect(metrics.prometheus()).not.toContain("vel_ping_rtt_seconds");
  });

  it("writes labels that are no strings as what they would be", () => {
    const { metrics } = setup();
    metrics.observe(source({ name: "x", kind: "gauge", value: 1, labels: { port: 80 } }));
    expect(metrics.prometheus()).toContain('x{port="80"} 1\n');
  });
});
