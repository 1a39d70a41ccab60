export { metricTable, type Metric } from "./metric-table.ts";
export { exportMetrics, type OtelMeter, type OtelOptions, type OtelResult } from "./opentelemetry.ts";
export type { ChannelSource, ChannelSummary, RoomSource, RoomSummary, RoundTripSource } from "./page-sources.ts";
export { metricsPage, type MetricsPageOptions, type PageRequest } from "./page.ts";
export { registerMetrics, type PromRegistry } from "./prom-client.ts";
export { prometheusType } from "./prometheus.ts";
export type { MetricsSnapshot } from "./snapshot.ts";
export { WebSocketMetrics, type MetricsOptions } from "./websocket-metrics.ts";
