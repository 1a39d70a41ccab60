/** Runs the conformance suite on the runtime that runs this file. Prints each result as a line of JSON. */
import process from "node:process";
import type { Vel } from "@vel/core";
import type * as Node from "@vel/node";
import { connect, memoryTransport, runTransportConformance, type StartedAdapter } from "@vel/testing";
import { columns } from "./adapters.ts";

const { VEL_COLUMN: name = "", VEL_ADAPTER: adapter = "", VEL_ONLY: only = "" } = process.env;
const column = columns[name];
if (!column) throw new Error(`No column is called "${name}"`);

async function start(vel: Vel): Promise<StartedAdapter> {
  if (name === "Memory") {
    const transport = memoryTransport();
    vel.bind(transport); // as servers do: what is missing is told at the start
    return { connect: (path, options) => connect(vel, path, { transport, ...options }), close: () => vel.close() };
  }
  const { serve } = (await import(`@vel/${adapter}`)) as typeof Node;
  return serve(vel, { hostname: "127.0.0.1" });
}

const { bun, deno, node } = process.versions;
console.log(JSON.stringify({ version: deno ?? bun ?? node }));
await runTransportConformance({
  ...column,
  start,
  sockets: name !== "Memory",
  only: (name) => new RegExp(only).test(name),
  onResult(result) {
    console.log(JSON.stringify(result));
  },
});
process.exit();
