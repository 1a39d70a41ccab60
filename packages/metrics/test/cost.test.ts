/** What observing costs a message: nothing that can be counted. */
import { getHeapStatistics } from "node:v8";
import { createVel, type Connection, type Host, type Vel } from "@vel/core";
import { memoryTransport, type MemorySocket } from "@vel/testing";
import { expect, it } from "vitest";
import { WebSocketMetrics } from "../src/index.ts";

const messages = 200_000;

/** A server with one connection whose handler counts, and a way to hand it a message. */
async function server(): Promise<{ vel: Vel; receive: (count: number) => void; end: () => void }> {
  const vel = createVel();
  let received = 0;
  vel.websocket("/ws", { message: () => void received++ });
  // Only what is handed in matters: nothing is ever sent.
  const host: Host<MemorySocket> = vel.bind(memoryTransport());
  const headers = new Headers({ host: "localhost" });
  const { signal } = new AbortController();
  const accepted = await host.upgrade({ url: "/ws", headers, remote: undefined, signal, raw: undefined });
  if (!accepted.accept) throw new Error(`Refused with ${String(accepted.status)}`);
  const connection: Connection = host.open({} as MemorySocket, accepted);
  return {
    vel,
    receive(count) {
      const before = received;
      for (let index = 0; index < count; index++) host.message(connection, "hello", 5);
      expect(received - before).toBe(count);
    },
    end() {
      host.close(connection, 1000, "", true);
      expect(vel.connections.size).toBe(0);
    },
  };
}

/** How many bytes were allocated meanwhile, those included that are garbage by now. */
function allocated(run: () => void): number {
  const total = (): number => (getHeapStatistics() as { total_allocated_bytes?: number }).total_allocated_bytes ?? NaN;
  const before = total();
  run();
  return total() - before;
}

it("WebSocketMetrics.observe() allocates nothing for a message", async () => {
  const [bare, watched] = [await server(), await server()];
  const metrics = new WebSocketMetrics();
  metrics.observe(watched.vel);
  for (const each of [bare, watched, bare, watched]) each.receive(messages); // until all of it is compiled
  const without = allocated(() => bare.receive(messages));
  const observed = allocated(() => watched.receive(messages));
  expect(metrics.snapshot().messagesReceived).toBe(3 * messages);
  // The smallest object has 16 bytes; what is compiled meanwhile is a few thousand in all.
  expect(Math.abs(observed - without) / messages).toBeLessThan(4);
  bare.end();
  watched.end();
});
