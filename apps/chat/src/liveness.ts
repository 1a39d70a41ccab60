/**
 * Dropping peers that have fallen silent: the page pings, and whoever says nothing at all for too long is gone.
 *
 * @module
 */
import type { Connection, Vel } from "@vel/core";

/** What was last seen of a connection. */
interface Sighting {
  frames: number;
  at: number;
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
    }
    next();
  };
  const next = (): void => {
    if (vel.connections.size === 0) clock.clearTimeout(timer);
    else timer ??= clock.setTimeout(look, silence / 4);
    if (vel.connections.size === 0) timer = undefined;
  };
  vel.on("open", next);
  vel.on("close", next);
}
