/**
 * Peers that are asked whether they are still there: the specification's "Heartbeat Monitoring".
 *
 * @module
 */
import type { Connection, Vel } from "@vel/core";
import { Heartbeat, HeartbeatManager } from "@vel/heartbeat";

/**
 * Adds `/ws/heartbeat`, which answers each text and cuts whoever leaves three pings in a row without an answer; and
 * `/ws/heartbeat/custom`, which asks more often and says so.
 *
 * For all routes of a server: `heartbeats.observe(vel)`. On `@vel/deno` it is the only way, since Deno itself asks there.
 */
export function heartbeat(vel: Vel): void {
  const { clock } = vel;
  const heartbeats = new HeartbeatManager(
    {
      pingInterval: 30_000, // asks every 30 seconds
      pongTimeout: 10_000, // waits 10 seconds for an answer
      maxFailures: 3, // cuts at the third that does not come
    },
    { clock },
  );
  const custom = new HeartbeatManager(new CustomHeartbeat({ pingInterval: 20_000, pongTimeout: 5_000 }), { clock });

  for (const [path, manager] of [
    ["/ws/heartbeat", heartbeats],
    ["/ws/heartbeat/custom", custom],
  ] as const) {
    vel.websocket(path, async (request) => {
      const connection = await request.accept();
      manager.start(connection);
      for await (const message of connection.texts()) connection.send(`Received: ${message}`);
      // Its end has stopped the heartbeat; `manager.stop(connection)` does so before.
      console.log("WebSocket disconnected");
    });
  }
}

/** A heartbeat that says what it does. */
class CustomHeartbeat extends Heartbeat {
  override onPingSent(connection: Connection): void {
    console.log(`Ping sent to ${hostOf(connection)}`);
  }
  override onPongReceived(connection: Connection): void {
    console.log(`Pong received from ${hostOf(connection)}`);
  }
  /** Here the specification closes with 1000. Who is dead hears nothing of that, and the connection is cut already. */
  override onHeartbeatFailed(connection: Connection): void {
    console.log(`Heartbeat failed for ${hostOf(connection)}`);
  }
}

function hostOf({ remote }: Connection): string {
  return remote?.address ?? "somebody";
}
