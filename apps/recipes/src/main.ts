/**
 * All recipes on the runtime that runs this file, until SIGINT or SIGTERM. `PORT` chooses the port (default 3000),
 * `VEL_ADAPTER` another adapter than the runtime's own, `NOTIFICATION_SECRET` what those who broadcast have to know
 * (default: random, so that nobody does).
 *
 * @module
 */
import { ChannelManager } from "@vel/channels";
import { createVel } from "@vel/core";
import { LiveSource } from "./live-source.ts";
import { target, type Recipe } from "./parts.ts";
import * as recipes from "./recipes.ts";

const adapters = {
  node: () => import("@vel/node"),
  bun: () => import("@vel/bun"),
  deno: () => import("@vel/deno"),
};
const own = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";
const adapter = (process.env["VEL_ADAPTER"] || own) as keyof typeof adapters;
const { serve } = await adapters[adapter]();

const vel = createVel();
const manager = new ChannelManager();
const live = new LiveSource({ poll: () => ({ connections: vel.connections.size }), clock: vel.clock });
const secret = process.env["NOTIFICATION_SECRET"] || crypto.randomUUID();
const all: readonly Recipe[] = Object.values(recipes);
const answers = all.map((addTo) => addTo(vel, { manager, live, secret }));

const page = ["Recipes, each a file of apps/recipes/src:", ...Object.keys(recipes), ""].join("\n");
const server = await serve(vel, {
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? 3000),
  fetch: async (request) => {
    for (const answer of answers) {
      const response = await answer?.(request);
      if (response) return response;
    }
    return target(request) === "GET /" ? new Response(page) : new Response(null, { status: 404 });
  },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    live.close(); // first: the server waits for event streams
    void manager.close();
    void server.close();
  });
}
console.log(`Recipes on http://127.0.0.1:${server.port} by @vel/${adapter}`);
