import { Channel } from "@vel/channels";
import { createVel, Protocol, type Connection } from "@vel/core";
import { connect, settle } from "@vel/testing";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { errorLog, history, peers, publishAll, short, take, WiredBroker } from "./kit.ts";

describe("Channel.publish()", () => {
  test("reaches every subscriber, the publisher included, as the documented frame", async () => {
    const { peer } = peers();
    const [ada, bob] = [await peer(), await peer()];
    const channel = new Channel("news");
    await channel.subscribe(ada.connection);
    await channel.subscribe(bob.connection);
    expect(await channel.publish({ title: "hello" }, { from: ada.connection })).toBeUndefined();
    const message = { type: "message", channel: "news", data: { title: "hello" }, from: ada.connection.id };
    for (const { client } of [ada, bob]) {
      expect(await take(client)).toEqual([{ type: "subscribed", channel: "news" }, message]);
    }
  });

  test("tells the position on a channel with history", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel("news", { history });
    const { position, recovered } = await channel.subscribe(connection);
    expect([position?.offset, recovered]).toEqual([0, undefined]);
    const first = await channel.publish("one");
    expect(first).toEqual({ epoch: position?.epoch, offset: 1 });
    expect(await take(client)).toEqual([
      { type: "subscribed", channel: "news", position },
      { type: "message", channel: "news", data: "one", position: first },
    ]);
  });

  test("leaves out whom it is told to", async () => {
    const { peer } = peers();
    const [ada, bob] = [await peer(), await peer()];
    const channel = new Channel<number>("news");
    await channel.subscribe(ada.connection);
    await channel.subscribe(bob.connection, { filter: () => true });
    await channel.publish(1, { from: ada.connection, except: ada.connection });
    await channel.publish(2, { except: bob.connection });
    expect(await short(ada.client)).toEqual(["subscribed", 2]);
    expect(await take(bob.client)).toEqual([
      { type: "subscribed", channel: "news" },
      { type: "message", channel: "news", data: 1, from: ada.connection.id },
    ]);
  });

  test("rejects what does not fit the schema, and publishes what the schema made of the rest", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel("orders", { schema: z.object({ total: z.coerce.number() }).strip() });
    await channel.subscribe(connection);
    await expect(channel.publish({ total: "many" })).rejects.toMatchObject({ code: "ERR_VEL_INVALID_MESSAGE" });
    await channel.publish({ total: "7", secret: true } as { total: string });
    expect(await short(client)).toEqual(["subscribed", { total: 7 }]);
  });

  test("rejects what has no JSON form, and nobody gets anything", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel("news");
    await channel.subscribe(connection);
    await expect(channel.publish(undefined)).rejects.toThrow(TypeError);
    await expect(channel.publish({ ten: 10n })).rejects.toThrow(TypeError);
    expect(await short(client)).toEqual(["subscribed"]);
  });

  test("publishes once for one key", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel("news", { history });
    await channel.subscribe(connection);
    const first = await channel.publish(1, { idempotencyKey: "a" });
    expect(await channel.publish(1, { idempotencyKey: "a" })).toEqual(first);
    expect(await short(client)).toEqual(["subscribed", 1]);
  });

  test("encodes a message once, however many there are", async () => {
    const { peer } = peers();
    const protocol = new Protocol();
    const encode = vi.spyOn(protocol, "encode");
    const channel = new Channel("news", { protocol });
    const all = [await peer(), await peer(), await peer()];
    for (const { connection } of all) await channel.subscribe(connection);
    const own = await peer();
    await channel.subscribe(own.connection, { filter: () => true });
    encode.mockClear();
    await channel.publish("one");
    expect(encode).toHaveBeenCalledTimes(1);
    for (const { client } of [...all, own]) expect(await short(client)).toEqual(["subscribed", "one"]);
  });

  test("goes through a codec of bytes", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const protocol = { encode: (frame: object) => new TextEncoder().encode(JSON.stringify(frame)) };
    const channel = new Channel("news", { protocol });
    await channel.subscribe(connection);
    await channel.publish("one");
    await client.receiveBytes();
    expect(JSON.parse(new TextDecoder().decode(await client.receiveBytes()))).toEqual({
      type: "message",
      channel: "news",
      data: "one",
    });
  });

  test("reaches other processes over one broker", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const broker = new WiredBroker();
    const [here, there] = [new Channel("news", { broker }), new Channel("news", { broker })];
    await here.subscribe(connection);
    await there.publish("from there");
    expect(await short(client)).toEqual(["subscribed", "from there"]);
  });
});

describe("Channel.subscribe()", () => {
  test("makes one broker subscription with the first, and drops it with the last", async () => {
    const { peer } = peers();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker, history });
    const all = [await peer(), await peer(), await peer()] as const;
    await Promise.all(all.map(({ connection }) => channel.subscribe(connection)));
    const reader = channel.messages();
    expect([broker.calls, channel.subscriberCount]).toEqual([["subscribe news"], 4]);
    for (const { connection } of all) channel.unsubscribe(connection);
    expect(broker.subscriptions).toBe(1);
    await reader.return?.();
    await settle();
    expect([broker.calls, broker.subscriptions, broker.stateListeners, channel.subscriberCount]).toEqual([
      ["subscribe news", "unsubscribe news"],
      0,
      0,
      0,
    ]);
    await channel.subscribe(all[0].connection);
    expect(broker.subscriptions).toBe(1);
  });

  test("is no second delivery when it is called again, and changes the options", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel<number>("news");
    await channel.subscribe(connection);
    await channel.subscribe(connection);
    await channel.publish(1);
    await channel.subscribe(connection, { filter: ({ data }) => data > 2 });
    await publishAll(channel, 2, 3);
    await channel.subscribe(connection);
    await channel.publish(4);
    expect(channel.subscriberCount).toBe(1);
    expect(await short(client)).toEqual(["subscribed", "subscribed", 1, "subscribed", 3, "subscribed", 4]);
  });

  test("misses nothing that is published after the call, before it has resolved too", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel<number>("news", { history });
    await publishAll(channel, 1, 2);
    const subscribing = channel.subscribe(connection);
    await publishAll(channel, 3, 4);
    expect((await subscribing).position?.offset).toBe(2);
    await channel.publish(5);
    expect(await short(client)).toEqual(["subscribed", 3, 4, 5]);
  });

  test("ends with the connection, with unsubscribe() and by the subscriber's own end", async () => {
    const { peer } = peers();
    const all = [await peer(), await peer(), await peer()] as const;
    const channel = new Channel("news");
    const subscribers = await Promise.all(all.map(({ connection }) => channel.subscribe(connection)));
    all[0].connection.close();
    expect(channel.unsubscribe(all[1].connection)).toBe(true);
    expect(channel.unsubscribe(all[1].connection)).toBe(false);
    subscribers[2]?.unsubscribe();
    subscribers[2]?.unsubscribe();
    expect(channel.subscriberCount).toBe(0);
    await channel.publish(1);
    for (const { client } of all) expect(await short(client)).toEqual(["subscribed"]);
  });

  test("does not let an old subscriber's end take a new one out", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channel = new Channel("news");
    const old = await channel.subscribe(connection);
    channel.unsubscribe(connection);
    await channel.subscribe(connection);
    old.unsubscribe();
    expect(channel.subscriberCount).toBe(1);
  });

  test("rejects for a connection that is closed, or closes meanwhile, and leaves nothing behind", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker });
    const subscribing = channel.subscribe(connection);
    connection.close();
    await expect(subscribing).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    await expect(channel.subscribe(connection)).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    await settle();
    expect([channel.subscriberCount, broker.subscriptions]).toEqual([0, 0]);
  });

  test("rejects when the broker is down, and can be tried again", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker, history });
    broker.onSubscribe = () => Promise.reject(new Error("no broker"));
    await expect(channel.subscribe(connection)).rejects.toThrow("no broker");
    await expect(channel.messages().next()).rejects.toThrow("no broker");
    expect(channel.subscriberCount).toBe(0);
    broker.onSubscribe = () => undefined;
    broker.onHistory = () => Promise.reject(new Error("no history"));
    await expect(channel.subscribe(connection)).rejects.toThrow("no history");
    broker.onHistory = (result) => result;
    await channel.subscribe(connection);
    expect(channel.subscriberCount).toBe(1);
  });

  test("rejects twice when it was called twice and fails", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker, history });
    broker.onHistory = () => Promise.reject(new Error("no history"));
    const both = [channel.subscribe(connection), channel.subscribe(connection)];
    for (const each of both) await expect(each).rejects.toThrow("no history");
    expect(channel.subscriberCount).toBe(0);
  });

  test("may be undone before it has resolved", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker });
    const subscribing = channel.subscribe(connection);
    channel.unsubscribe(connection);
    expect(await subscribing).toMatchObject({ recovered: undefined, position: undefined });
    await channel.publish(1);
    await settle();
    expect([await take(client), broker.subscriptions]).toEqual([[], 0]);
  });

  test("refuses options that are none", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channel = new Channel("news");
    const subscribe = (options: object): Promise<unknown> => channel.subscribe(connection, options);
    await expect(subscribe({ filter: "all" })).rejects.toThrow(TypeError);
    for (const onFull of ["wait", null, {}, { latestBy: "id" }]) {
      await expect(subscribe({ onFull })).rejects.toThrow(TypeError);
    }
    for (const queueLimit of [0, -1, NaN]) await expect(subscribe({ queueLimit })).rejects.toThrow(RangeError);
    expect(() => new Channel("orders.*")).toThrow(TypeError);
    expect(() => new Channel(">")).toThrow(TypeError);
    expect(() => new Channel("")).toThrow(TypeError);
  });
});

describe("A filter", () => {
  test("lets through what it answers true for, and nothing else will do", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel<number>("news");
    const promise = (() => Promise.resolve(true)) as unknown as () => boolean;
    await channel.subscribe(connection, { filter: promise });
    await channel.publish(1);
    await channel.subscribe(connection, { filter: ({ data, channel: name }) => data === 3 && name === "news" });
    await publishAll(channel, 2, 3);
    expect(await short(client)).toEqual(["subscribed", "subscribed", 3]);
  });

  test("that throws ends one delivery, and nobody else's", async () => {
    const { peer } = peers();
    const [ada, bob, eve] = [await peer(), await peer(), await peer()];
    const { errors, onError } = errorLog();
    const channel = new Channel<number>("news", { onError });
    await channel.subscribe(ada.connection);
    await channel.subscribe(eve.connection, {
      filter: ({ data }) => {
        if (data === 1) throw new Error("eve");
        return true;
      },
    });
    await channel.subscribe(bob.connection, { filter: () => true });
    await publishAll(channel, 1, 2);
    expect(await short(eve.client)).toEqual(["subscribed", 2]);
    for (const { client } of [ada, bob]) expect(await short(client)).toEqual(["subscribed", 1, 2]);
    expect(errors).toEqual(["filter: Error: eve"]);
  });

  test("may publish and unsubscribe: everybody hears it in the same order", async () => {
    const { peer } = peers();
    const [ada, bob] = [await peer(), await peer()];
    const channel: Channel<number> = new Channel<number>("news", { history });
    await channel.subscribe(ada.connection, {
      filter: ({ data }) => {
        if (data < 3) void channel.publish(data + 1);
        if (data === 3) channel.unsubscribe(ada.connection);
        return true;
      },
    });
    await channel.subscribe(bob.connection);
    await channel.publish(1);
    expect(await short(bob.client)).toEqual(["subscribed", 1, 2, 3]);
    expect(channel.subscriberCount).toBe(1);
  });

  test("applies to what is recovered, and so does except", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channel = new Channel<number>("news", { history });
    const since = await channel.publish(0);
    await publishAll(channel, 1, 2);
    await channel.publish(4, { except: connection });
    await channel.publish(6);
    const filter = ({ data }: { data: number }): boolean => data % 2 === 0;
    const { recovered } = await channel.subscribe(connection, { ...(since && { since }), filter });
    expect([recovered, await short(client)]).toEqual([true, ["subscribed with all", 2, 6]]);
  });
});

describe("Channel.history()", () => {
  test("reads what is kept", async () => {
    const channel = new Channel<number>("news", { history: { limit: 2, ttl: 60_000 } });
    const since = await channel.publish(1);
    const position = await publishAll(channel, 2, 3);
    const all = await channel.history();
    expect([all.messages.map(({ data }) => data), all.position, all.complete]).toEqual([[2, 3], position, true]);
    expect(await channel.history({ limit: 1 })).toMatchObject({ messages: [{ data: 3, channel: "news" }] });
    expect(await channel.history({ ...(since && { since }) })).toMatchObject({ complete: true });
    await channel.publish(4);
    expect(await channel.history({ ...(since && { since }) })).toMatchObject({ complete: false, messages: [] });
  });
});

describe("Channel.close()", () => {
  test("ends subscriptions and loops, and leaves connections open", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const broker = new WiredBroker();
    const channel = new Channel("news", { broker, history });
    await channel.subscribe(connection);
    const next = channel.messages().next();
    channel.close();
    channel.close();
    expect(await next).toEqual({ done: true, value: undefined });
    await settle();
    expect([channel.subscriberCount, broker.subscriptions, connection.isOpen]).toEqual([0, 0, true]);
    const closed = { code: "ERR_VEL_CHANNEL_CLOSED" };
    await expect(channel.subscribe(connection)).rejects.toMatchObject(closed);
    await expect(channel.publish(1)).rejects.toMatchObject(closed);
    expect(() => channel.messages()).toThrow(expect.objectContaining(closed));
  });
});

test("What another program publishes that is not JSON reaches nobody, and is told", async () => {
  const { peer } = peers();
  const { client, connection } = await peer();
  const broker = new WiredBroker();
  const { errors, onError } = errorLog();
  const channel = new Channel("news", { broker, onError });
  await channel.subscribe(connection);
  await broker.publish("news", "},{");
  await broker.inner.publish("news", new TextEncoder().encode('{"bytes":"too"}'));
  expect(await short(client)).toEqual(["subscribed", { bytes: "too" }]);
  expect(errors).toEqual([expect.stringContaining("decode: SyntaxError")]);
});

test("What is not JSON has its place in a stream all the same", async () => {
  const { peer } = peers();
  const { client, connection } = await peer();
  const broker = new WiredBroker();
  const { errors, onError } = errorLog();
  const channel = new Channel("news", { broker, history, onError });
  const since = await channel.publish(1);
  await channel.subscribe(connection, { ...(since && { since }) });
  await broker.publish("news", "{", { history });
  await channel.publish(3);
  await channel.subscribe(connection, { ...(since && { since }) });
  expect(await short(client)).toEqual(["subscribed with all", 3, "subscribed with all", 3]);
  expect((await channel.history()).messages.map(({ data }) => data)).toEqual([1, 3]);
  expect(errors).toEqual([expect.stringContaining("decode: SyntaxError")]);
});

test("An onError that throws or rejects breaks nothing", async () => {
  const { peer } = peers();
  const { client, connection } = await peer();
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const answers = [() => Promise.reject(new Error("late")), () => JSON.parse("{") as unknown];
  const channel = new Channel("news", { onError: () => answers.pop()?.() });
  await channel.subscribe(connection, { filter: () => JSON.parse("{") as boolean });
  await channel.publish(1);
  await channel.publish(2);
  expect(await short(client)).toEqual(["subscribed"]);
  expect(log).toHaveBeenCalledTimes(4);
  log.mockRestore();
});

test("A connection that closes during a fan-out is out, and the others get all", async () => {
  const { peer } = peers();
  const all = [await peer(), await peer(), await peer()] as const;
  const channel = new Channel<number>("news");
  for (const { connection } of all) await channel.subscribe(connection);
  const victim: Connection = all[1].connection;
  const own = await peer();
  await channel.subscribe(own.connection, {
    filter: () => {
      victim.terminate();
      return true;
    },
  });
  await publishAll(channel, 1, 2);
  expect(channel.subscriberCount).toBe(3);
  expect(await short(all[2].client)).toEqual(["subscribed", 1, 2]);
});

test("A client that leaves while it is subscribed is no error of its handler", async () => {
  // subscribe() throws ERR_VEL_DISCONNECTED then, which the handler lets through: its connection has simply ended.
  const errors: unknown[] = [];
  const channel = new Channel("news");
  const vel = createVel({ onError: (error) => errors.push(error) });
  vel.websocket("/hooks", { open: async (connection) => void (await channel.subscribe(connection)) });
  vel.websocket("/pull", async (request) => {
    const connection = await request.accept();
    await settle();
    await channel.subscribe(connection);
  });
  for (const path of ["/hooks", "/pull"]) {
    const client = await connect(vel, path);
    client.close();
    await client.closed;
    await settle();
    await settle();
  }
  expect(errors).toEqual([]);
  expect(channel.subscriberCount).toBe(0);
});
