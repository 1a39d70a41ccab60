/**
 * All recipes on the runtime that runs this file, until SIGINT or SIGTERM. `PORT` chooses the port (default 3000),
 * `VEL_ADAPTER` another adapter than the runtime's own, `JWT_SECRET` what tokens are signed with; `API_KEY`,
 * `NOTIFICATION_SECRET` and `METRICS_TOKEN` what programs, those who broadcast and those who read the metrics have to know.
 *
 * @module
 */
import { JwtHandler } from "@vel/auth";
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
const jwt = new JwtHandler({ secret: secretFrom("JWT_SECRET"), algorithms: ["HS256"], clock: vel.clock });
const [keys, secret] = [[secretFrom("API_KEY")], secretFrom("NOTIFICATION_SECRET")];
const parts = { manager, live, jwt, keys, secret, metricsToken: secretFrom("METRICS_TOKEN") };
const all: readonly Recipe[] = Object.values(recipes);
const answers = all.map((addTo) => addTo(vel, parts));

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
    void server.close().then(() => jwt.close());
  });
}
console.log(`Recipes on http://127.0.0.1:${server.port} by @vel/${adapter}`);

/** What is not given is random, so that nobody knows it. */
function secretFrom(name: string): string {
  return process.env[name] || crypto.randomUUID();
}
