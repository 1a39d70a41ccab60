/**
 * The numbers as JSON: for a page, a log line, a health check.
 *
 * @module
 */
import type { Distribution, Measurement } from "@vel/core";
import type { Family } from "./collection.ts";

/** What a server has counted. Durations are milliseconds, sizes bytes. */
export interface MetricsSnapshot {
  /** How many connections there have been. */
  readonly totalConnections: number;
  /** How many are open. */
  readonly activeConnections: number;
  /** How long they last: those that have ended, and those that are open so far. */
  readonly averageConnectionDuration: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly messagesDropped: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Over {@link MetricsOptions.window}. */
  readonly messagesPerSecond: { readonly received: number; readonly sent: number };
  /** How many connections ended with each code, or with `other` ones. */
  readonly closeCodes: Readonly<Record<string, number>>;
  /** How many connections have something waiting to leave, and how many bytes that is. */
  readonly slowConsumers: number;
  readonly bufferedBytes: number;
  /**
   * Of the pongs that came; undefined while none has, or nobody measures. The percentiles are estimated from a histogram,
   * as Prometheus does.
   */
  readonly roundTrip:
    { readonly count: number; readonly average: number; readonly p50: number; readonly p95: number } | undefined;
}

/**
 * Makes a snapshot.
 *
 * @param duration How long those connections lasted that were counted by hand.
 */
export function snapshotOf(
  families: readonly Family[],
  messagesPerSecond: MetricsSnapshot["messagesPerSecond"],
  duration: number,
): MetricsSnapshot {
  const byName = new Map(families.map(({ metric, readings }) => [metric.name, readings]));
  const readingsOf = (name: string): readonly Measurement[] => byName.get(name) ?? [];
  const sum = (name: string): number => sumOf(readingsOf(name));
  const total = sum("vel_connections_opened_total");
  const observed = (sum("vel_connection_duration_seconds") + sum("vel_connections_age_seconds")) * 1_000;
  return {
    totalConnections: total,
    activeConnections: sum("vel_connections"),
    averageConnectionDuration: total === 0 ? 0 : (observed + duration) / total,
    messagesReceived: sum("vel_messages_received_total"),
    messagesSent: sum("vel_messages_sent_total"),
    messagesDropped: sum("vel_messages_dropped_total"),
    bytesReceived: sum("vel_received_bytes_total"),
    bytesSent: sum("vel_sent_bytes_total"),
    messagesPerSecond,
    closeCodes: closeCodesOf(readingsOf("vel_connections_closed_total")),
    slowConsumers: sum("vel_slow_consumers"),
    bufferedBytes: sum("vel_send_buffer_bytes"),
    roundTrip: roundTripOf(readingsOf("vel_ping_rtt_seconds")),
  };
}

/** Adds up readings over all their labels; of a histogram, what it has seen. */
export function sumOf(readings: readonly Measurement[]): number {
  return readings.reduce((sum, { kind, value }) => sum + (kind === "histogram" ? value.sum : value), 0);
}

function closeCodesOf(readings: readonly Measurement[]): Record<string, number> {
  const codes = new Map<string, number>();
  for (const reading of readings) {
    const code = reading.labels?.["code"] ?? "other";
    codes.set(code, (codes.get(code) ?? 0) + sumOf([reading]));
  }
  return Object.fromEntries(codes);
}

/** Nothing tells round trips apart: there is one reading at most. */
function roundTripOf([reading]: readonly Measurement[]): MetricsSnapshot["roundTrip"] {
  if (reading?.kind !== "histogram") return undefined;
  const seen = reading.value;
  const count = seen.counts.reduce((sum, more) => sum + more, 0);
  if (count === 0) return undefined;
  const percentile = (percent: number): number => valueAt(seen, (percent / 100) * count) * 1_000;
  return { count, average: (seen.sum / count) * 1_000, p50: percentile(50), p95: percentile(95) };
}

/** Estimates the value that so many are not above: evenly spread within a bucket, as `histogram_quantile` takes it. */
function valueAt({ bounds, counts }: Distribution, rank: number): number {
  let below = 0;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const low = bounds[index - 1] ?? 0;
      const high = bounds[index] ?? low;
      return low + ((high - low) * (rank - below)) / count;
    }
    below += count;
  }
  return 0;
}
