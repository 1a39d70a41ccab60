import { execFile } from "node:child_process";
import { Histogram, type Measurement } from "@vel/core";
import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findTool } from "../../../tools/find-tool.ts";
import { metricTable, prometheusType, WebSocketMetrics } from "../src/index.ts";
import { parseExposition, parseNumber, type Line } from "./exposition.ts";
import { echo, say, setup, source } from "./kit.ts";

const promtool = findTool("promtool");

/** A reading of every metric of the table, with a value for each of its labels. */
const everything = metricTable.map(({ name, kind, labels: names }) => {
  const labels = Object.fromEntries(names.map((label) => [label, `some ${label}`]));
  const trips = new Histogram([0.005, 1]);
  trips.add(0.5);
  return { name, kind, value: kind === "histogram" ? trips.distribution : 1.5, labels };
});

describe("WebSocketMetrics.prometheus()", () => {
  it("writes numbers, labels and cumulative buckets", () => {
    const { metrics } = setup();
    const trips = new Histogram([0.005, 0.1]);
    for (const value of [0.001, 0.05, 0.07, 2]) trips.add(value);
    metrics.observe(
      source(
        { name: "vel_connections", kind: "gauge", value: 2, labels: { route: '/a"b\\c\nd' } },
        { name: "vel_ping_rtt_seconds", kind: "histogram", value: trips.distribution },
        { name: "other_temperature", kind: "gauge", value: -Infinity },
      ),
    );
    expect(metrics.prometheus()).toBe(String.raw`# HELP vel_connections Open connections
# TYPE vel_connections gauge
vel_connections{route="/a\"b\\c\nd"} 2
# HELP vel_ping_rtt_seconds Time from a ping to its pong
# TYPE vel_ping_rtt_seconds histogram
vel_ping_rtt_seconds_bucket{le="0.005"} 1
vel_ping_rtt_seconds_bucket{le="0.1"} 3
vel_ping_rtt_seconds_bucket{le="+Inf"} 4
vel_ping_rtt_seconds_sum 2.121
vel_ping_rtt_seconds_count 4
# TYPE other_temperature gauge
other_temperature -Inf
`);
    expect(prometheusType).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  it("has one infinite bucket, also of a histogram whose last bound is infinite", () => {
    const { metrics } = setup();
    const sizes = new Histogram([1, Infinity]);
    sizes.add(0.5);
    sizes.add(5);
    metrics.observe(source({ name: "sizes", kind: "histogram", value: sizes.distribution }));
    expect(metrics.prometheus().match(/^sizes_bucket.*$/gm)).toEqual([
      'sizes_bucket{le="1"} 1',
      'sizes_bucket{le="+Inf"} 2',
    ]);
  });

  it.skipIf(promtool === undefined)("satisfies promtool with every metric of the table", async () => {
    const { metrics } = setup();
    metrics.observe(source(...everything));
    expect(await checkMetrics(metrics.prometheus())).toBe("");
  });

  it.skipIf(promtool === undefined)("satisfies promtool with what a server measures", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    metrics.observe(vel);
    const ada = await client();
    await say(ada, "hello");
    await client();
    ada.close();
    await clock.advance(1_234);
    metrics.connectionOpened();
    expect(parseExposition(metrics.prometheus()).length).toBeGreaterThan(10);
    expect(await checkMetrics(metrics.prometheus())).toBe("");
    await Promise.all([vel.close(), clock.advance(60_000)]);
  });

  it("can be parsed back to what was measured, whatever that is called", () => {
    fc.assert(
      fc.property(fc.array(reading, { maxLength: 20 }), (readings) => {
        const metrics = new WebSocketMetrics({ clock: new ManualClock(), onError: () => undefined });
        metrics.observe(source(...readings));
        const blocks = parseExposition(metrics.prometheus());
        const lines = blocks.flatMap(({ lines: those }) => those);
        const keys = lines.map(({ name, labels }) => JSON.stringify([name, Object.entries(labels).sort()]));
        expect(new Set(keys).size).toBe(keys.length);
        expect(new Set(blocks.map(({ name }) => name)).size).toBe(blocks.length);
        const measured = [...metrics.measure()];
        expect(lines.filter(({ name }) => !/_(bucket|sum|count)$/.test(name)).map(untilSign)).toEqual(
          measured.flatMap(({ kind, name, value, labels = {} }) =>
            kind === "histogram" || /_(bucket|sum|count)$/.test(name) ? [] : [untilSign({ name, value, labels })],
          ),
        );
        for (const each of measured) if (each.kind === "histogram") assertHistogram(each, lines);
      }),
      { numRuns: 1_000 },
    );
  });
});

const name = fc.oneof(
  fc.constantFrom("a", "b", "a_sum", "a_count", "b_bucket", "vel_rooms", "vel_ping_rtt_seconds", "vel_connections"),
  fc.string({ maxLength: 5 }),
);
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom('"', "\\", "\n", '\\"', "\\n", "{}", "# HELP a b"),
);
const labels = fc.dictionary(fc.oneof(fc.constantFrom("route", "le", "code", "__name__"), fc.string()), text, {
  maxKeys: 3,
});
const bounds = fc.uniqueArray(fc.oneof(fc.double({ noNaN: true }), fc.integer()), {
  maxLength: 5,
  comparator: "IsStrictlyEqual",
});
const histogram = fc
  .tuple(bounds, fc.array(fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e9, noNaN: true }))))
  .map(([unsorted, values]) => {
    const seen = new Histogram(
      unsorted.filter((bound) => bound > -Infinity && !Object.is(bound, -0)).sort((one, other) => one - other),
    );
    for (const value of values) seen.add(value);
    return seen.distribution;
  });
const reading = fc.oneof(
  fc.record({ name, kind: fc.constantFrom("counter", "gauge"), value: fc.double(), labels }),
  fc.record({ name, kind: fc.constant("histogram"), value: histogram, labels }),
);

/** Zero has one sign only. */
function untilSign({ name: ofMetric, value, labels: its }: Line): Line {
  return { name: ofMetric, value: value === 0 ? 0 : value, labels: { ...its } };
}

function assertHistogram({ name: ofMetric, value, labels: its }: Measurement, lines: readonly Line[]): void {
  if (typeof value === "number") throw new TypeError("A number is no histogram");
  const isOf = (ending: string, line: Line): boolean => {
    const { le: _le, ...others } = line.labels;
    return (
      line.name === ofMetric + ending &&
      JSON.stringify(Object.entries(others)) === JSON.stringify(Object.entries(its ?? {}))
    );
  };
  const buckets = lines.filter((line) => isOf("_bucket", line));
  const les = buckets.map((line) => parseNumber(line.labels["le"]!));
  expect(les).toEqual([...value.bounds.filter((bound) => bound < Infinity), Infinity]);
  const counts = buckets.map((line) => line.value);
  expect(counts).toEqual(counts.toSorted((one, other) => one - other));
  const total = value.counts.reduce((sum, count) => sum + count, 0);
  expect(counts.at(-1)).toBe(total);
  expect(lines.filter((line) => isOf("_count", line)).map((line) => line.value)).toEqual([total]);
  expect(lines.filter((line) => isOf("_sum", line)).map((line) => line.value)).toEqual([value.sum]);
}

/** What promtool has to say about a text; nothing when it is well. */
async function checkMetrics(exposition: string): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(promtool!, ["check", "metrics"], (error, stdout, stderr) => {
      resolve(`${stdout}${stderr}${error && stdout + stderr === "" ? error.message : ""}`);
    });
    child.stdin?.end(exposition);
  });
}
