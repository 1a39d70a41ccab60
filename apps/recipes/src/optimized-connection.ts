/**
 * A connection with settings of its own, in the hook form, which is the fast one: the specification's "Connection
 * Optimization".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { HeartbeatManager } from "@vel/heartbeat";

/** Adds `/ws/optimized`, which sends each message back as it came. */
export function optimizedConnection(vel: Vel): void {
  const heartbeats = new HeartbeatManager({ pingInterval: 30_000 }, { clock: vel.clock });

  vel.websocket("/ws/optimized", {
    protocols: ["chat"],
    maxPayload: 1024 * 1024, // 1 MiB; a larger message closes with 1009
    compression: "auto", // where the runtime can
    upgrade: () => ({ headers: { "X-Custom": "value" } }),
    open: (connection) => {
      heartbeats.start(connection);
    },
    message: (connection, message) => connection.send(message),
  });
}
