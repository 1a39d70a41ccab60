/** Subscribers that stop reading and go on at random. Each property names a fault that makes it fail. */
import { Channel, type FullPolicy } from "@vel/channels";
import fc from "fast-check";
import { expect, test } from "vitest";
import { history, peers, turn, type SeenFrame } from "./kit.ts";

const runs = { numRuns: 1_000 };
const steps = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom("pause" as const, "resume" as const)),
  {
    minLength: 1,
    maxLength: 20,
  },
);

/** Publishes, pauses and resumes; what the subscriber saw after a last message, and how many were dropped. */
async function run(
  all: readonly (number | "pause" | "resume")[],
  onFull: FullPolicy<number>,
): Promise<{ frames: SeenFrame[]; published: number; dropped: number }> {
  const { peer } = peers({ sendBuffer: { limit: 1_000 } });
  const { client, connection } = await peer();
  const channel = new Channel<number>("news", { history });
  const subscriber = await channel.subscribe(connection, { onFull });
  await turn();
  let published = 0;
  for (const step of all) {
    if (step === "pause") client.pause();
    else if (step === "resume") {
      client.resume();
      await turn();
    } else for (let i = 0; i < step; i++) await channel.publish(++published);
  }
  client.resume();
  await turn();
  await channel.publish(++published);
  await turn();
  expect(connection.isOpen).toBe(true);
  const frames = (client.received as string[]).slice(1).map((each) => JSON.parse(each) as SeenFrame);
  return { frames, published, dropped: subscriber.dropped };
}

// Planted: an `Outlet.#pump` that forgets the message for which the buffer was full.
test("A queue loses nothing and keeps the order", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const { frames, published, dropped } = await run(all, "queue");
      expect(frames.map(({ data }) => data)).toEqual(Array.from({ length: published }, (_, i) => i + 1));
      expect(dropped).toBe(0);
    }),
    runs,
  );
}, 60_000);

// Planted: an `Outlet` that drops without remembering what it missed: no gap is told.
test("What is dropped is counted, and told before the next message", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const { frames, published, dropped } = await run(all, "drop");
      let at = 0;
      let missed = 0;
      for (const { type, data, position } of frames) {
        if (type === "gap") {
          expect(position?.offset).toBeGreaterThan(at);
          missed += (position?.offset ?? 0) - at;
          at = position?.offset ?? 0;
        } else expect(data).toBe(++at);
      }
      expect([at, missed]).toEqual([published, dropped]);
    }),
    runs,
  );
}, 60_000);

// Planted: an `Outlet.#enqueue` that leaves the newer one in the older one's place.
test("latestBy gives the newest of each key, and never an older one after it", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 4 }), async (all, keys) => {
      const { frames, published, dropped } = await run(all, { latestBy: (data) => String(data % keys) });
      const seen = frames.map(({ data }) => data as number);
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
      expect(seen).toEqual(
        expect.arrayContaining(Array.from({ length: Math.min(keys, published) }, (_, i) => published - i)),
      );
      expect(seen.length + dropped).toBe(published);
    }),
    runs,
  );
}, 60_000);
