import { Channel, ChannelManager } from "@vel/channels";
import type { VelOptions } from "@vel/core";
import { settle } from "@vel/testing";
import { describe, expect, test } from "vitest";
import { errorLog, history, peers, short, take, type Peer } from "./kit.ts";

/** Room for about ten messages of the channels below; half of that is what they fill. */
const small: VelOptions = { sendBuffer: { limit: 1_024 } };
const dropping: VelOptions = { sendBuffer: { limit: 1_024, onFull: "drop" } };

interface Item {
  readonly number: number;
  readonly text: string;
}

const item = (number: number): Item => ({ number, text: "x".repeat(50) });

async function publish(channel: Channel<Item>, from: number, to: number): Promise<void> {
  for (let number = from; number <= to; number++) await channel.publish(item(number));
}

/** The numbers that came, and the types of other frames. */
async function numbers(client: Peer["client"]): Promise<unknown[]> {
  return (await take(client)).map(({ type, data }) => (type === "message" ? (data as Item).number : type));
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

describe("A slow subscriber", () => {
  test.each([
    ["where the route closes", small],
    ["where the route drops", dropping],
  ])("is closed with 1013 by default, %s; the others get all", async (_name, options) => {
    const { peer } = peers(options);
    const [slow, fast, other] = [await peer(), await peer(), await peer()];
    const channel = new Channel<Item>("news");
    for (const { connection } of [slow, fast]) await channel.subscribe(connection);
    await channel.subscribe(other.connection, { filter: () => true });
    slow.client.pause();
    await publish(channel, 1, 30);
    expect([slow.connection.isOpen, channel.subscriberCount]).toEqual([false, 2]);
    slow.client.resume();
    expect(await slow.client.closed).toMatchObject({ code: 1013 });
    for (const { client } of [fast, other]) expect(await numbers(client)).toEqual(["subscribed", ...upTo(30)]);
  });

  test("is closed with 1013 where it has a filter and the route drops", async () => {
    const { peer } = peers(dropping);
    const slow = await peer();
    const channel = new Channel<Item>("news");
    await channel.subscribe(slow.connection, { filter: () => true });
    slow.client.pause();
    await publish(channel, 1, 30);
    expect(slow.connection.isOpen).toBe(false);
    slow.client.resume();
    expect(await slow.client.closed).toMatchObject({ code: 1013 });
  });

  test("is not closed for what others of its connection's messages were dropped", async () => {
    const { peer } = peers(dropping);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news");
    await channel.subscribe(connection);
    client.pause();
    for (let i = 0; i < 3; i++) connection.send("x".repeat(1_024));
    expect(connection.messagesDropped).toBeGreaterThan(0);
    client.resume();
    await settle();
    await publish(channel, 1, 2);
    expect(connection.isOpen).toBe(true);
  });

  test("with drop stays, is counted, is told of the gap when there is room, and can recover", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news", { history });
    const subscriber = await channel.subscribe(connection, { onFull: "drop" });
    client.pause();
    await publish(channel, 1, 30);
    expect([connection.isOpen, connection.messagesDropped]).toEqual([true, 0]);
    expect(subscriber.dropped).toBeGreaterThan(20);
    client.resume();
    await settle();
    await publish(channel, 31, 31);
    const frames = await take(client);
    const gap = frames.findIndex(({ type }) => type === "gap");
    const got = 30 - subscriber.dropped;
    expect(gap).toBe(1 + got);
    expect(frames[gap]).toMatchObject({ channel: "news", position: { offset: 30 } });
    expect(frames.slice(gap + 1)).toMatchObject([{ data: { number: 31 } }]);
    const since = frames[gap - 1]?.position;
    expect(since?.offset).toBe(got);
    await channel.subscribe(connection, { ...(since && { since }), onFull: "drop" });
    expect(await numbers(client)).toEqual(["subscribed", ...upTo(31).slice(got)]);
  });

  test("with drop hears of no gap on a channel without history", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news");
    const subscriber = await channel.subscribe(connection, { onFull: "drop" });
    client.pause();
    await publish(channel, 1, 30);
    client.resume();
    await settle();
    await publish(channel, 31, 31);
    expect(await numbers(client)).toEqual(["subscribed", ...upTo(30 - subscriber.dropped), 31]);
  });

  test("of a pattern with drop hears of no gap: one position says nothing about many channels", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channels = new ChannelManager({ history });
    const subscriber = await channels.subscribe("news.*", connection, { onFull: "drop" });
    client.pause();
    await publish(channels.channel("news.a"), 1, 30);
    client.resume();
    await settle();
    await publish(channels.channel("news.b"), 31, 31);
    expect(await numbers(client)).toEqual(["subscribed", ...upTo(30 - subscriber.dropped), 31]);
  });

  test("with drop is told of the gap where the route drops what others send", async () => {
    const { peer } = peers(dropping);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news", { history });
    const subscriber = await channel.subscribe(connection, { onFull: "drop" });
    client.pause();
    connection.send("x".repeat(1_025));
    await publish(channel, 1, 1);
    expect([subscriber.dropped, connection.isOpen]).toEqual([1, true]);
    client.resume();
    await settle();
    expect(client.received.slice(-1).map((each) => JSON.parse(each as string) as unknown)).toMatchObject([
      { type: "gap", position: { offset: 1 } },
    ]);
  });

  test("with queue gets everything, later", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news");
    const subscriber = await channel.subscribe(connection, { onFull: "queue" });
    client.pause();
    await publish(channel, 1, 200);
    client.resume();
    await settle();
    await publish(channel, 201, 202);
    expect(await numbers(client)).toEqual(["subscribed", ...upTo(202)]);
    expect(subscriber.dropped).toBe(0);
  });

  test.each(["queue", "latestBy"])("with %s is closed with 1013 beyond the limit", async (policy) => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news");
    const onFull = policy === "queue" ? "queue" : { latestBy: ({ number }: Item) => String(number) };
    await channel.subscribe(connection, { onFull, queueLimit: 2_000 });
    client.pause();
    await publish(channel, 1, 20);
    expect(connection.isOpen).toBe(true);
    await publish(channel, 21, 60);
    expect([connection.isOpen, channel.subscriberCount]).toEqual([false, 0]);
    client.resume();
    expect(await client.closed).toMatchObject({ code: 1013 });
  });

  test("with latestBy gets the newest of each key, in order", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news", { history });
    const latestBy = ({ number }: Item): string => String(number % 3);
    const subscriber = await channel.subscribe(connection, { onFull: { latestBy } });
    client.pause();
    await publish(channel, 1, 50);
    client.resume();
    await settle();
    await publish(channel, 51, 51);
    const seen = (await numbers(client)).slice(1) as number[];
    expect(seen.slice(-4)).toEqual([48, 49, 50, 51]);
    expect(seen).toEqual([...upTo(seen.length - 4), 48, 49, 50, 51]);
    expect(subscriber.dropped).toBe(51 - seen.length);
  });

  test("whose latestBy throws, or gives numbers, harms nobody", async () => {
    const { peer } = peers(small);
    const [ada, bob] = [await peer(), await peer()];
    const { errors, onError } = errorLog();
    const channel = new Channel<Item>("news", { onError });
    const latestBy = ({ number }: Item): string => {
      if (number === 20) throw new Error("no key");
      return (number % 2) as unknown as string;
    };
    await channel.subscribe(ada.connection, { onFull: { latestBy } });
    await channel.subscribe(bob.connection);
    ada.client.pause();
    await publish(channel, 1, 22);
    ada.client.resume();
    const seen = await numbers(ada.client);
    expect(seen.slice(-2)).toEqual([21, 22]);
    expect(await numbers(bob.client)).toEqual(["subscribed", ...upTo(22)]);
    expect(errors).toEqual(["subscriber: Error: no key"]);
  });

  test("recovers more than its send buffer holds, at its own pace", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news", { history });
    const { position } = await channel.history();
    await publish(channel, 1, 300);
    client.pause();
    const { recovered } = await channel.subscribe(connection, { since: { epoch: position.epoch, offset: 0 } });
    await publish(channel, 301, 310);
    expect([recovered, connection.isOpen, connection.messagesDropped]).toEqual([true, true, 0]);
    client.resume();
    await settle();
    await publish(channel, 311, 312);
    const seen = await numbers(client);
    expect(seen.slice(1)).toEqual(upTo(seen.length - 1));
    expect(seen).toHaveLength(313);
  });

  test("that asks again and again without reading is closed", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<Item>("news", { history });
    client.pause();
    let asked = 0;
    while (connection.isOpen && asked < 10_000) {
      await channel.subscribe(connection, { onFull: "drop", queueLimit: 10 }).catch(() => undefined);
      asked++;
    }
    expect(asked).toBeLessThan(2_000);
    expect(channel.subscriberCount).toBe(0);
  });

  test("comes back to the others when it has caught up", async () => {
    const { peer } = peers(small);
    const [ada, bob] = [await peer(), await peer()];
    const channel = new Channel<Item>("news", { history });
    for (const { connection } of [ada, bob]) await channel.subscribe(connection);
    const { position } = await channel.history();
    await publish(channel, 1, 100);
    await channel.subscribe(ada.connection, { since: position });
    await settle();
    await publish(channel, 101, 102);
    expect((await short(bob.client)).length).toBe(103);
    const seen = await numbers(ada.client);
    expect(seen.slice(seen.lastIndexOf("subscribed") + 1)).toEqual(upTo(102));
  });
});
