/**
 * What it costs a message that a server is observed: `pnpm bench:observe [rounds]`, a million messages in each.
 *
 * One connection on a transport that does nothing, so that core and the handler are all that runs; every variant has a server
 * of its own in the same process, and the rounds are interleaved. `again` is the same as what stands above it: what
 * differs there is noise. CPU is the process's own; the bytes are all that was allocated, garbage included; what is left
 * is the heap after collecting garbage, less what it was before the first round. Prints a Markdown table.
 *
 * @module
 */
import process from "node:process";
import { getHeapStatistics } from "node:v8";
import { createVel, type Transport } from "@vel/core";
import { WebSocketMetrics } from "@vel/metrics";
import { machine, median } from "./processes.ts";

const rounds = Number(process.argv[2] ?? 10);
const perRound = 1_000_000;

/** A transport on which nothing leaves. */
const transport: Transport<object> = {
  name: "none",
  capabilities: {
    ping: false,
    terminate: false,
    compression: false,
    pause: false,
    idleTimeout: false,
    buffered: true,
    maxPayload: undefined,
  },
  send: () => "sent",
  close: () => undefined,
  buffered: () => 0,
};

/** Makes a server that echoes, and what hands it a million messages. */
async function echo(isObserved: boolean): Promise<() => void> {
  const vel = createVel();
  vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
  if (isObserved) new WebSocketMetrics().observe(vel);
  const host = vel.bind(transport);
  const headers = new Headers({ host: "localhost" });
  const { signal } = new AbortController();
  const accepted = await host.upgrade({ url: "/ws", headers, remote: undefined, signal, raw: undefined });
  if (!accepted.accept) throw new Error(`Refused with ${String(accepted.status)}`);
  const connection = host.open({}, accepted);
  return () => {
    const before = connection.messagesSent;
    for (let index = 0; index < perRound; index++) host.message(connection, "hello", 5);
    if (connection.messagesSent - before !== perRound) throw new Error("An echo is missing");
  };
}

function heap(): number {
  for (let times = 0; times < 4; times++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function allocated(): number {
  return (getHeapStatistics() as { total_allocated_bytes?: number }).total_allocated_bytes ?? NaN;
}

const variants = [
  { name: "not observed", run: await echo(false) },
  { name: "again", run: await echo(false) },
  { name: "observed", run: await echo(true) },
  { name: "observed again", run: await echo(true) },
].map((variant) => ({ ...variant, nanos: [] as number[], bytes: [] as number[], left: 0 }));

for (const { run } of variants) run(); // until all of it is compiled
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < variants.length; i++) {
    const variant = variants[(i + round) % variants.length];
    if (!variant) continue;
    const left = heap();
    const bytes = allocated();
    const cpu = process.cpuUsage();
    variant.run();
    const { user, system } = process.cpuUsage(cpu);
    variant.nanos.push(((user + system) * 1_000) / perRound);
    variant.bytes.push((allocated() - bytes) / perRound);
    variant.left += heap() - left;
  }
}

console.log(machine());
console.log(`Median of ${String(rounds)} interleaved rounds, ${String(perRound)} messages in each\n`);
console.log("| server | CPU, ns a message | allocated, B a message | left, B a message |");
console.log("| --- | --- | --- | --- |");
for (const { name, nanos, bytes, left } of variants) {
  const leftPerMessage = left / rounds / perRound;
  console.log(`| ${name} | ${median(nanos).toFixed(0)} | ${median(bytes).toFixed(2)} | ${leftPerMessage.toFixed(4)} |`);
}
