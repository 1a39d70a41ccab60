/**
 * Recovery over real sockets: two publishers at a pace of their own, and clients that are cut off at random again and
 * again. Nothing is lost, doubled or out of order; or the client is told so, and gets no part of it.
 */
import { setInterval } from "node:timers/promises";
import { type Channel, ChannelManager } from "@vel/channels";
import { createVel, Protocol } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CutClient, type Message } from "./fixtures/cut-client.ts";

/** How often clients are cut off at each pace, and for how many publications each time. */
const cuts = 40;
const lengths = [100, 300];
/** By the pace in milliseconds: among how many clients the cuts are divided, so that slow publishers take no longer. */
const clients: Readonly<Record<number, number>> = { 50: 20, 5: 4, 2: 2, 1: 1 };
const paces = [50, 5, 2, 1];
const nameOf = (history: number, pace: number): string => `history-${String(history)}.every-${String(pace)}-ms`;

const errors: unknown[] = [];
let server: NodeServer;
let channels: ChannelManager;

beforeAll(async () => {
  const onError = (error: unknown): void => void errors.push(error);
  const vel = createVel({ onError });
  const protocol = new Protocol({ onError });
  const authorize = (_: unknown, __: string, action: string): boolean => action === "subscribe";
  channels = new ChannelManager({ protocol, authorize, onError });
  protocol.add(channels.frames());
  vel.websocket("/ws", protocol.hooks());
  server = await serve(vel, { hostname: "127.0.0.1" });
});

afterAll(async () => {
  await channels.close();
  await server.close();
  expect(errors).toEqual([]);
});

/** Two publishers on one channel. */
class Publishers {
  readonly published: Message[] = [];
  readonly #waiting = new Set<{ count: number; resolve: () => void }>();
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;

  constructor(channel: Channel, pace: number) {
    this.#done = Promise.all([this.#run(channel, pace, 1), this.#run(channel, pace, 2)]);
  }

  /** Waits until so many messages have been published from now on. */
  wait(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add({ count: this.published.length + count, resolve });
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(channel: Channel, pace: number, publisher: number): Promise<void> {
    let number = 0;
    const ticks = setInterval(pace, undefined, { signal: this.#stop.signal });
    try {
      for await (const _ of ticks) {
        const data = { publisher, number: ++number };
        const position = await channel.publish(data);
        if (!position) throw new Error("The channel has no history");
        this.published.push({ position, data });
        for (const each of this.#waiting) {
          if (this.published.length < each.count) continue;
          this.#waiting.delete(each);
          each.resolve();
        }
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }
}

/** Runs the clients of one pace until all cuts are through; what each has seen, and all there was to see. */
async function run(history: number, pace: number): Promise<{ seen: CutClient[]; published: Message[] }> {
  const name = nameOf(history, pace);
  const channel = channels.channel(name, { history: { limit: history, ttl: 600_000 } });
  const publishers = new Publishers(channel, pace);
  const each = cuts / (clients[pace] ?? 1);
  const life = async (length: number, seed: number): Promise<CutClient> => {
    const client = new CutClient(`ws://127.0.0.1:${String(server.port)}/ws`, name);
    // At random: after so many messages, of which some are still on their way.
    const moments = fc.sample(fc.integer({ min: 0, max: 20 }), { numRuns: each, seed });
    await client.connect();
    for (const moment of moments) {
      await client.receive(moment);
      await publishers.wait(1 + (moment % 3));
      client.cut();
      await publishers.wait(length);
      await client.connect();
    }
    return client;
  };
  const lives = lengths.flatMap((length) =>
    Array.from({ length: cuts / each }, (_, i) => life(length, 1_000 * history + 10 * length + i)),
  );
  const seen = await Promise.all(lives);
  await publishers.stop();
  // One more, which comes whatever was lost before it.
  const data = { publisher: 0, number: 0 };
  const last = await channel.publish(data);
  if (last) publishers.published.push({ position: last, data });
  for (const client of seen) {
    await client.receiveUpTo(last?.offset ?? 0);
    client.cut();
  }
  return { seen, published: publishers.published };
}

describe.concurrent("Clients that are cut off 40 times each for 100 and for 300 publications", () => {
  test.each(paces)("miss nothing with a history of 1,000 and publishers every %i ms", async (pace) => {
    const { seen, published } = await run(1_000, pace);
    const answers = seen.flatMap((client) => client.answers.slice(1));
    expect(answers).toHaveLength(cuts * lengths.length);
    expect(answers.filter(({ recovered }) => recovered !== true)).toEqual([]);
    for (const client of seen) {
      const first = client.answers[0]?.position.offset ?? 0;
      expect(client.messages).toEqual(published.slice(first));
      expect([client.gaps, client.strange]).toEqual([[], []]);
    }
  });

  test.each(paces)("are told with a history of 10, and publishers every %i ms", async (pace) => {
    const { seen, published } = await run(10, pace);
    const answers = seen.flatMap((client) => client.answers.slice(1));
    expect(answers).toHaveLength(cuts * lengths.length);
    for (const { recovered, position, since, first } of answers) {
      expect(recovered).toBe(false);
      expect(position.offset - (since?.offset ?? 0)).toBeGreaterThanOrEqual(100);
      // Nothing of what was missed.
      if (first) expect(first.offset).toBe(position.offset + 1);
    }
    for (const client of seen) {
      const whole = new Set(published.map(({ position }) => position.offset));
      expect(client.messages.every(({ position }) => whole.has(position.offset))).toBe(true);
      const offsets = client.messages.map(({ position }) => position.offset);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      expect([client.gaps, client.strange]).toEqual([[], []]);
    }
  });
});
