/**
 * All recipes on the runtime that runs this file. `PORT` chooses the port (default 3000), `VEL_ADAPTER` another adapter
 * than the runtime's own.
 *
 * @module
 */
import { createVel } from "@vel/core";
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
for (const addTo of Object.values(recipes)) addTo(vel);

const page = ["Recipes, each a file of apps/recipes/src:", ...Object.keys(recipes), ""].join("\n");
const { port } = await serve(vel, {
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? 3000),
  fetch: ({ url }) => (new URL(url).pathname === "/" ? new Response(page) : new Response(null, { status: 404 })),
});
console.log(`Recipes on http://127.0.0.1:${port} by @vel/${adapter}`);
