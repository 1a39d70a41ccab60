/**
 * Connections that make room for others: the specification's "Memory Management".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { ConnectionPool } from "@vel/pool";

/**
 * Adds `/ws/memory`, which sends each message back. Where there are too many connections, or the process uses too much
 * memory, those whose last message is longest ago are closed with 1013.
 */
export function memoryManagement(vel: Vel): void {
  const pool = new ConnectionPool({
    maxConnections: 5_000,
    memory: { limit: 512 * 1024 * 1024, threshold: 0.8 }, // some go when the process uses more than 80 % of 512 MiB
    cleanupStrategy: "leastRecentlyUsed",
    clock: vel.clock,
  });

  // Of all routes of a server: `pool.observe(vel)`.
  vel.websocket("/ws/memory", {
    open: (connection) => {
      pool.add(connection);
    },
    message: (connection, message) => connection.send(message),
  });
}
