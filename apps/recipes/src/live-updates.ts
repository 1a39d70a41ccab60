/**
 * News as server-sent events, beside commands over a WebSocket: the specification's "Server-Sent Events Integration".
 *
 * @module
 */
import { sse } from "@vel/channels";
import { Protocol, type Vel } from "@vel/core";
import { target, type Fetch, type Parts } from "./parts.ts";

/**
 * Adds `GET /sse/live-updates`, which sends the live data every second, and `/ws/commands`, which takes commands about
 * it: `{ type: "latest", id: 1 }` is answered with `{ type: "ok", id: 1, result }`, a wrong one with an error of the
 * same id, and the connection stays open.
 */
export function liveUpdates(vel: Vel, { live }: Pick<Parts, "live">): Fetch {
  const commands = new Protocol().add({
    listeners: () => ({ result: live.listeners }),
    latest: () => ({ result: live.latest ?? null }),
  });
  vel.websocket("/ws/commands", commands.hooks());

  return (request) => {
    if (target(request) !== "GET /sse/live-updates") return undefined;
    return sse(live.texts(), { signal: request.signal, clock: vel.clock });
  };
}
