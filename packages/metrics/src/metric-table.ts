/**
 * Every metric of Vel's packages, said once: Prometheus, OpenTelemetry, the dashboard and the documentation are made from
 * this table, and the alerts are checked against it.
 *
 * @module
 */

/** One metric. */
export interface Metric {
  /** As Prometheus names metrics. */
  readonly name: string;
  /** A counter only grows; a gauge goes up and down; a histogram says how often values of which size were seen. */
  readonly kind: "counter" | "gauge" | "histogram";
  /** `bytes`, `seconds`, or what is counted: `connection`, `message`. */
  readonly unit: string;
  /** What it says, without a full stop. */
  readonly help: string;
  /** The labels that it may have, each of few values that no client can choose. */
  readonly labels: readonly string[];
  /** The package that measures it. */
  readonly from: "core" | "heartbeat" | "rooms" | "channels" | "pool" | "auth";
}

/** A line of the table. */
type Row = readonly [name: string, kind: Metric["kind"], unit: string, help: string, ...labels: readonly string[]];

/** All of them, in the order in which they are shown. */
export const metricTable: readonly Metric[] = [
  ...rowsOf("core", [
    ["vel_connections", "gauge", "connection", "Open connections", "route"],
    ["vel_connections_age_seconds", "gauge", "seconds", "Sum of the ages of the open connections", "route"],
    ["vel_connections_opened_total", "counter", "connection", "Connections whose handler started", "route"],
    ["vel_connections_closed_total", "counter", "connection", "Connections that ended", "route", "code", "by"],
    ["vel_connection_duration_seconds", "histogram", "seconds", "How long connections lasted", "route"],
    ["vel_upgrades_total", "counter", "request", "Requests that were let in or refused", "route", "answer"],
    ["vel_messages_received_total", "counter", "message", "Messages received", "route"],
    ["vel_messages_sent_total", "counter", "message", "Messages that were taken to be sent", "route"],
    ["vel_received_bytes_total", "counter", "bytes", "Payload bytes received", "route"],
    ["vel_sent_bytes_total", "counter", "bytes", "Payload bytes that were taken to be sent", "route"],
    ["vel_messages_dropped_total", "counter", "message", "Messages that were dropped instead of sent", "route"],
    ["vel_send_buffer_bytes", "gauge", "bytes", "Bytes that wait to leave", "route"],
    ["vel_slow_consumers", "gauge", "connection", "Connections with bytes that wait to leave", "route"],
  ]),
  ...rowsOf("heartbeat", [
    ["vel_heartbeat_connections", "gauge", "connection", "Connections whose peers are watched"],
    ["vel_heartbeat_pings_total", "counter", "ping", "Questions to peers whether they are there"],
    ["vel_heartbeat_misses_total", "counter", "ping", "Questions that stayed without an answer"],
    ["vel_heartbeat_timeouts_total", "counter", "connection", "Peers that were found dead"],
    ["vel_ping_rtt_seconds", "histogram", "seconds", "Time from a ping to its pong"],
  ]),
  ...rowsOf("rooms", [
    ["vel_rooms", "gauge", "room", "Rooms, empty ones that are still kept included"],
    ["vel_room_users", "gauge", "user", "Users in rooms, each counted once a room"],
    ["vel_room_connections", "gauge", "connection", "Connections in rooms, each counted once a room"],
    ["vel_room_joins_total", "counter", "connection", "Connections that joined a room"],
    ["vel_room_leaves_total", "counter", "connection", "Connections that left a room", "reason"],
  ]),
  ...rowsOf("channels", [
    ["vel_channels", "gauge", "channel", "Channels and patterns with subscribers in this process"],
    ["vel_channel_subscriptions", "gauge", "subscription", "Connections, loops and event streams that are subscribed"],
    ["vel_channel_publishes_total", "counter", "message", "Messages that this process has published"],
  ]),
  ...rowsOf("pool", [
    ["vel_pool_connections", "gauge", "connection", "Connections in the pool"],
    ["vel_pool_refusals_total", "counter", "connection", "Connections that the pool did not take", "reason"],
    ["vel_evictions_total", "counter", "connection", "Connections that the pool closed", "reason"],
    ["vel_connection_limit", "gauge", "connection", "How many connections are allowed", "scope"],
    ["vel_limit_connections", "gauge", "connection", "Connections and requests that count against limits", "scope"],
    ["vel_limit_rejections_total", "counter", "request", "Requests above a limit", "scope", "mode"],
    ["vel_limit_keys", "gauge", "key", "Addresses and users that the limits keep in mind", "table"],
    ["vel_limit_uncounted_total", "counter", "request", "Attempts let in uncounted, the table being full"],
    ["vel_limit_store_failures_total", "counter", "failure", "Failures of the store that the limits are shared by"],
    ["vel_rate_limit_exceeded_total", "counter", "message", "Messages above the rate", "action"],
  ]),
  ...rowsOf("auth", [
    ["vel_auth_sessions", "gauge", "connection", "Connections that live by a token"],
    ["vel_auth_attempts_total", "counter", "request", "Tokens that were shown, or were not", "strategy", "result"],
    ["vel_auth_refreshes_total", "counter", "request", "Tokens that were to replace the one before", "result"],
    ["vel_auth_expirations_total", "counter", "connection", "Connections closed because their token had expired"],
    ["vel_auth_revocations_total", "counter", "call", "Calls that revoked tokens"],
  ]),
];

function rowsOf(from: Metric["from"], rows: readonly Row[]): Metric[] {
  return rows.map(([name, kind, unit, help, ...labels]) => ({ name, kind, unit, help, labels, from }));
}
