/**
 * Connections that are closed when they are idle: the specification's "Connection Pool".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { ConnectionPool } from "@vel/pool";

/**
 * Adds `/ws/pooled`, which sends each text back. Whoever says nothing for ten minutes is closed with 4408, at the latest
 * two looks of the pool later.
 */
export function pooled(vel: Vel): void {
  const pool = new ConnectionPool({
    maxConnections: 10_000,
    cleanupInterval: 300_000, // looks who was used every 5 minutes
    idleTimeout: 600_000, // closes who was not for 10
    clock: vel.clock,
  });

  vel.websocket("/ws/pooled", async (request) => {
    const connection = await request.accept();
    pool.add(connection);
    for await (const message of connection.texts()) connection.send(`Echo: ${message}`);
    // Its end has taken it out of the pool; `pool.remove(connection)` does so before.
  });
}
