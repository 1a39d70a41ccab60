/**
 * Connections that are counted, and the numbers over HTTP: the specification's "Monitoring and Metrics".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { WebSocketMetrics } from "@vel/metrics";
import { bearer } from "./bearer.ts";
import { target, type Fetch, type Parts } from "./parts.ts";

/**
 * Adds `/ws/monitored`, which sends each text back and counts by hand, and `GET /ws-metrics`, for those who send
 * `Authorization: Bearer` and the token of the metrics.
 *
 * To count all routes of a server, `metrics.observe(vel)` is enough: then nothing has to be counted in a handler.
 *
 * @throws {TypeError} When the token is not one or more of the characters that can stand there.
 */
export function monitored(vel: Vel, { metricsToken }: Pick<Parts, "metricsToken">): Fetch {
  const refuse = bearer(metricsToken);
  const metrics = new WebSocketMetrics({ clock: vel.clock });

  vel.websocket("/ws/monitored", async (request) => {
    const connection = await request.accept();
    metrics.connectionOpened();
    try {
      for await (const message of connection.texts()) {
        metrics.messageReceived();
        connection.send(`Echo: ${message}`);
        metrics.messageSent();
      }
    } finally {
      metrics.connectionClosed(); // however it ends
    }
  });

  return async (request) => {
    if (target(request) !== "GET /ws-metrics") return undefined;
    const refusal = await refuse(request);
    if (refusal) return refusal;
    const numbers = {
      total_connections: metrics.getTotalConnections(),
      active_connections: metrics.getActiveConnections(),
      messages_per_second: metrics.getMessagesPerSecond(),
      average_connection_duration: metrics.getAverageConnectionDuration(), // milliseconds
    };
    return Response.json(numbers, { headers: { "cache-control": "no-store" } });
  };
}
