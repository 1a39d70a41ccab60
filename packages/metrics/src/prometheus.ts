/**
 * The text that Prometheus reads (exposition format 0.0.4).
 *
 * @module
 */
import type { Measurement } from "@vel/core";
import type { Family } from "./collection.ts";

/**
 * The media type of {@link WebSocketMetrics.prometheus}.
 *
 * @example
 * import { prometheusType, WebSocketMetrics } from "@vel/metrics";
 *
 * const metrics = new WebSocketMetrics();
 * const fetch = () => new Response(metrics.prometheus(), { headers: { "content-type": prometheusType } });
 */
export const prometheusType = "text/plain; version=0.0.4; charset=utf-8";

/** One number with its name and labels: a histogram has many. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Writes families of readings. */
export function prometheusText(families: readonly Family[]): string {
  return families.map(textOf).join("");
}

/** Takes a reading apart as Prometheus does: the buckets of a histogram are cumulative. */
export function samplesOf({ name, kind, value, labels = {} }: Measurement): readonly Sample[] {
  if (kind !== "histogram") return [{ name, labels, value }];
  let count = 0;
  const buckets = value.counts.flatMap((more, index) => {
    count += more;
    const bound = value.bounds[index] ?? "last";
    // A last bound that is infinite is the bucket above all bounds once more.
    if (bound === Infinity) return [];
    const le = bound === "last" ? "+Inf" : numberText(bound);
    return [{ name: `${name}_bucket`, labels: { ...labels, le }, value: count }];
  });
  return [
    ...buckets,
    { name: `${name}_sum`, labels, value: value.sum },
    { name: `${name}_count`, labels, value: count },
  ];
}

function textOf({ metric: { name, kind, help }, readings }: Family): string {
  const helpLine = help === "" ? "" : `# HELP ${name} ${escape(help)}\n`;
  return `${helpLine}# TYPE ${name} ${kind}\n${readings.flatMap(samplesOf).map(lineOf).join("")}`;
}

function lineOf({ name, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text).replaceAll('"', '\\"')}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}\n`;
}

/** Writes numbers as Go reads them. */
function numberText(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
