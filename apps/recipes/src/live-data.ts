/**
 * News that the server sends by itself: the specification's "Live Data Updates".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import type { Parts } from "./parts.ts";

/** Adds `/ws/live-data`, which sends `{ type: "live_update", data, timestamp }` every second. */
export function liveData(vel: Vel, { live }: Pick<Parts, "live">): void {
  vel.websocket("/ws/live-data", {
    open: (connection) => live.subscribe(connection),
    close: () => {
      console.log("Live data WebSocket disconnected");
    },
  });
}
