/**
 * Dropping peers that have fallen silent: the page pings, the server asks whoever does not, and whoever says nothing at
 * all for too long is gone. A page in a hidden tab needs to be asked: browsers slow down its timers.
 *
 * @module
 */
import type { Connection, Vel } from "@vel/core";
import { toWire } from "./wire.ts";

/** What was last seen of a connection. */
interface Sighting {
  readonly frames: number;
  readonly at: number;
}

/**
 * Closes connections from which nothing came for so long, in milliseconds. One timer for all of them, and none while
 * there are none.
 */
export function dropSilentPeers(vel: Vel, silence: number): void {
  const { clock } = vel;
  const seen = new WeakMap<Connection, Sighting>();
  let timer: unknown;

  const look = (): void => {
    timer = undefined;
    const now = clock.now();
    for (const connection of vel.connections) {
      const last = seen.get(connection);
      if (last?.frames !== connection.framesReceived)
        seen.set(connection, { frames: connection.framesReceived, at: now });
      else if (now - last.at >= silence) connection.close(4408, "Nothing heard for too long");
      else connection.sendJson(toWire({ type: "ping" }));
    }
    next();
  };
  const next = (): void => {
    if (vel.connections.size > 0) {
      timer ??= clock.setTimeout(look, silence / 3);
    } else {
      clock.clearTimeout(timer);
      timer = undefined;
    }
  };
  vel.on("open", next);
  vel.on("close", next);
}
