import { Channel } from "@vel/channels";
import { settle } from "@vel/testing";
import { expect, test } from "vitest";
import { history, publishAll, WiredBroker } from "./kit.ts";

/** Reads so many messages. */
async function read(loop: AsyncIterator<{ data: number }, undefined>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const { done, value } = await loop.next();
    if (done) break;
    numbers.push(value.data);
  }
  return numbers;
}

test("Channel.messages() gives what is published from the call on, and leaves when the loop is left", async () => {
  const broker = new WiredBroker();
  const channel = new Channel<number>("news", { broker, history });
  await channel.publish(0);
  const loop = channel.messages();
  await publishAll(channel, 1, 2, 3);
  const seen: number[] = [];
  for await (const { data, position } of loop) {
    seen.push(data, position?.offset ?? 0);
    if (data === 2) break;
  }
  await settle();
  expect([seen, channel.subscriberCount, broker.subscriptions]).toEqual([[1, 2, 2, 3], 0, 0]);
  expect(await loop.next()).toEqual({ done: true, value: undefined });
});

test("Channel.messages() begins after a position, and throws when that cannot be had", async () => {
  const channel = new Channel<number>("news", { history: { limit: 3, ttl: 60_000 } });
  const since = await channel.publish(1);
  if (!since) throw new Error("no position");
  await publishAll(channel, 2, 3);
  const loop = channel.messages({ since });
  await channel.publish(4);
  expect(await read(loop, 3)).toEqual([2, 3, 4]);
  await channel.publish(5);
  const late = channel.messages({ since });
  await expect(late.next()).rejects.toMatchObject({ code: "ERR_VEL_CHANNEL_GAP" });
  expect(await late.next()).toEqual({ done: true, value: undefined });
  expect(channel.subscriberCount).toBe(1);
});

test("Channel.messages() ends when its signal aborts", async () => {
  const channel = new Channel<number>("news");
  const abort = new AbortController();
  const loop = channel.messages({ signal: abort.signal });
  const [first, second] = [loop.next(), loop.next()];
  abort.abort();
  expect([(await first).done, (await second).done, channel.subscriberCount]).toEqual([true, true, 0]);
  expect((await channel.messages({ signal: AbortSignal.abort() }).next()).done).toBe(true);
  expect(channel.subscriberCount).toBe(0);
});

test("Channel.messages() hands out what waits and then throws when the loop is too slow", async () => {
  const channel = new Channel<number>("news");
  const loop = channel.messages({ queueLimit: 400 }); // room for three: each takes 128 bytes besides its payload
  await settle();
  await publishAll(channel, 1, 2, 3, 4, 5);
  expect(channel.subscriberCount).toBe(0);
  expect(await read(loop, 3)).toEqual([1, 2, 3]);
  await expect(loop.next()).rejects.toMatchObject({ code: "ERR_VEL_CHANNEL_GAP" });
});

test("Channel.messages() throws when the broker loses something for good", async () => {
  const broker = new WiredBroker();
  const channel = new Channel<number>("news", { broker, history: { limit: 1, ttl: 60_000 } });
  const loop = channel.messages();
  await channel.publish(1);
  expect(await read(loop, 1)).toEqual([1]);
  broker.onWire = () => undefined;
  await publishAll(channel, 2, 3);
  broker.onWire = (publication, hand) => {
    hand(publication);
  };
  await channel.publish(4);
  await expect(loop.next()).rejects.toMatchObject({ code: "ERR_VEL_CHANNEL_GAP" });
});
