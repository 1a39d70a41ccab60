/**
 * Makes dashboards/vel.json of the table: each metric is a panel's, with the query that its kind asks for.
 *
 * @module
 */
import { metricTable, type Metric } from "../src/index.ts";

/** One panel: what it is called, and the metrics in it. Two that are `per` are divided. */
interface Panel {
  readonly title: string;
  readonly metrics: readonly string[];
  readonly per?: string;
}

/** What stands where. */
const rows: Readonly<Record<string, readonly Panel[]>> = {
  Connections: [
    { title: "Open connections", metrics: ["vel_connections"] },
    { title: "Opened", metrics: ["vel_connections_opened_total"] },
    { title: "Ended, by close code", metrics: ["vel_connections_closed_total"] },
    { title: "Duration of those that ended", metrics: ["vel_connection_duration_seconds"] },
    { title: "Average age of those that are open", metrics: ["vel_connections_age_seconds"], per: "vel_connections" },
    { title: "Requests, by answer", metrics: ["vel_upgrades_total"] },
  ],
  Traffic: [
    { title: "Messages received", metrics: ["vel_messages_received_total"] },
    { title: "Messages sent", metrics: ["vel_messages_sent_total"] },
    { title: "Messages dropped", metrics: ["vel_messages_dropped_total"] },
    { title: "Bytes received", metrics: ["vel_received_bytes_total"] },
    { title: "Bytes sent", metrics: ["vel_sent_bytes_total"] },
  ],
  "Slow consumers": [
    { title: "Slow consumers", metrics: ["vel_slow_consumers"] },
    { title: "Bytes that wait to leave", metrics: ["vel_send_buffer_bytes"] },
  ],
  Heartbeat: [
    { title: "Connections watched", metrics: ["vel_heartbeat_connections"] },
    { title: "Pings and misses", metrics: ["vel_heartbeat_pings_total", "vel_heartbeat_misses_total"] },
    { title: "Peers found dead", metrics: ["vel_heartbeat_timeouts_total"] },
    { title: "Round trip", metrics: ["vel_ping_rtt_seconds"] },
  ],
  "Rooms and channels": [
    { title: "Rooms", metrics: ["vel_rooms"] },
    { title: "Users and connections in rooms", metrics: ["vel_room_users", "vel_room_connections"] },
    { title: "Joins", metrics: ["vel_room_joins_total"] },
    { title: "Leaves, by reason", metrics: ["vel_room_leaves_total"] },
    { title: "Channels and subscriptions", metrics: ["vel_channels", "vel_channel_subscriptions"] },
    { title: "Messages published", metrics: ["vel_channel_publishes_total"] },
  ],
  "Limits and auth": [
    { title: "Connections in the pool", metrics: ["vel_pool_connections"] },
    { title: "Evictions, by reason", metrics: ["vel_evictions_total"] },
    { title: "Refused by the pool, by reason", metrics: ["vel_pool_refusals_total"] },
    { title: "Connections and their limits", metrics: ["vel_limit_connections", "vel_connection_limit"] },
    { title: "Above a limit", metrics: ["vel_limit_rejections_total"] },
    { title: "Above the rate", metrics: ["vel_rate_limit_exceeded_total"] },
    { title: "Kept in mind", metrics: ["vel_limit_keys"] },
    { title: "Let in unlimited", metrics: ["vel_limit_uncounted_total", "vel_limit_store_failures_total"] },
    { title: "Connections that live by a token", metrics: ["vel_auth_sessions"] },
    { title: "Tokens shown", metrics: ["vel_auth_attempts_total"] },
    { title: "Tokens replaced", metrics: ["vel_auth_refreshes_total"] },
    { title: "Expired and revoked", metrics: ["vel_auth_expirations_total", "vel_auth_revocations_total"] },
  ],
};

const datasource = { type: "prometheus", uid: "${datasource}" };
const table = new Map(metricTable.map((metric) => [metric.name, metric]));
const columns = 3;
const width = 24 / columns;
const height = 8;

/** The dashboard as Grafana takes it. */
export function dashboard(): unknown {
  const panels: unknown[] = [];
  let y = 0;
  for (const [title, members] of Object.entries(rows)) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: 24, h: 1 },
    });
    y++;
    for (const [index, panel] of members.entries()) {
      const place = { x: (index % columns) * width, y: y + Math.floor(index / columns) * height, w: width, h: height };
      panels.push({ id: panels.length + 1, ...panelOf(panel), gridPos: place });
    }
    y += Math.ceil(members.length / columns) * height;
  }
  return {
    uid: "vel-websockets",
    title: "Vel: WebSockets",
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [
        { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
        variable("job", "label_values(vel_connections, job)"),
        variable("instance", 'label_values(vel_connections{job=~"$job"}, instance)'),
        variable("route", 'label_values(vel_connections{job=~"$job", instance=~"$instance"}, route)'),
      ],
    },
    panels,
  };
}

function variable(name: string, query: string): unknown {
  return {
    name,
    label: name,
    type: "query",
    datasource,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  };
}

function panelOf({ title, metrics, per }: Panel): object {
  const known = metrics.map(find);
  const queries = known.flatMap((metric) => queriesOf(metric, known.length > 1 ? `${metric.help} ` : ""));
  return {
    type: "timeseries",
    title,
    description: known.map(({ help }) => `${help}.`).join(" "),
    datasource,
    fieldConfig: {
      defaults: { unit: unitOf(known[0]), min: 0, custom: { fillOpacity: 10, showPoints: "never" } },
      overrides: [],
    },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr: per === undefined ? expr : `${expr} / ${queriesOf(find(per), "")[0]?.expr ?? ""}`,
      legendFormat: legend,
    })),
  };
}

function find(name: string): Metric {
  const metric = table.get(name);
  if (!metric) throw new Error(`Metric ${name} is not in the table`);
  return metric;
}

interface Query {
  readonly expr: string;
  readonly legend: string;
}

function queriesOf({ name, kind, labels, help }: Metric, prefix: string): readonly Query[] {
  const filter = `{job=~"$job", instance=~"$instance"${labels.includes("route") ? ', route=~"$route"' : ""}}`;
  const rate = (metric: string): string => `rate(${metric}${filter}[$__rate_interval])`;
  if (kind === "histogram") {
    return [0.5, 0.95, 0.99].map((quantile) => ({
      expr: `histogram_quantile(${String(quantile)}, sum by (le) (${rate(`${name}_bucket`)}))`,
      legend: `${prefix}p${String(quantile * 100)}`,
    }));
  }
  const by = labels.length > 0 ? ` by (${labels.join(", ")})` : "";
  const value = kind === "counter" ? rate(name) : `${name}${filter}`;
  const shown = labels.map((label) => `{{${label}}}`).join(" ");
  return [{ expr: `sum${by} (${value})`, legend: (prefix + shown).trim() || help }];
}

/** The unit as Grafana calls it. */
function unitOf(metric: Metric | undefined): string {
  const isRate = metric?.kind === "counter";
  if (metric?.unit === "bytes") return isRate ? "Bps" : "bytes";
  if (metric?.unit === "seconds") return "s";
  return isRate ? "cps" : "short";
}
