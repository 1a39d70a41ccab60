/**
 * So many connections from one address, and so many in all: the specification's "Connection Limits".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { connectionLimit } from "@vel/pool";

/**
 * Adds `/ws/limited`, which sends each text back: ten connections from one address and 1,000 in all. More are refused
 * with 429 and 503, and told when to come again.
 *
 * For all routes of a server: `vel.use(connectionLimit({ perIp: 10, total: 1_000 }))`, before the first of them.
 */
export function limited(vel: Vel): void {
  const few = vel.with(connectionLimit({ perIp: 10, total: 1_000 }));
  few.websocket("/ws/limited", async (request) => {
    const connection = await request.accept();
    for await (const message of connection.texts()) connection.send(`Echo: ${message}`);
  });
}
