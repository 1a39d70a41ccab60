import { Channel, ChannelManager, type ChannelManagerOptions } from "@vel/channels";
import { createVel, Protocol, type Connection } from "@vel/core";
import { connect, settle, type TestClient } from "@vel/testing";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { errorLog, history, peers, short, take, WiredBroker, type SeenFrame } from "./kit.ts";

/** A server that speaks the channels' frames. */
function served(options: ChannelManagerOptions = {}): {
  channels: ChannelManager;
  errors: string[];
  client: () => Promise<TestClient>;
  ask: (client: TestClient, frame: object) => Promise<SeenFrame[]>;
} {
  const { errors, onError } = errorLog();
  const protocol = new Protocol({ onError });
  const channels = new ChannelManager({ protocol, onError, ...options });
  protocol.add(channels.frames());
  const vel = createVel({ onError });
  vel.websocket("/ws", protocol.hooks());
  let id = 0;
  const ask = (client: TestClient, frame: object): Promise<SeenFrame[]> => {
    client.sendJson({ id: ++id, ...frame });
    return take(client);
  };
  return { channels, errors, client: () => connect(vel, "/ws"), ask };
}

describe("ChannelManager.list()", () => {
  test("describes the channels and patterns that have subscribers, in the order in which they got them", async () => {
    const { peer } = peers();
    const [ada, bob] = [(await peer()).connection, (await peer()).connection];
    const channels = new ChannelManager();
    const orders = channels.channel<number>("orders.7", { history });
    expect(channels.list()).toEqual([]); // made, but nobody is in
    await orders.publish(1);
    await channels.subscribe("orders.*", ada);
    await orders.subscribe(ada);
    await orders.subscribe(bob);
    const loop = orders.messages();
    await channels.channel("<b>__proto__</b>").subscribe(bob);
    const position = await orders.publish(2);
    await settle();
    expect(position?.offset).toBe(2);
    const [pattern, seven, hostile] = channels.list();
    expect(channels.list()).toHaveLength(channels.size);
    expect(pattern).toEqual({
      ...{ name: "orders.*", isPattern: true, subscriberCount: 1, messageCount: 1, position: undefined },
    });
    expect(seven).toEqual({ name: "orders.7", isPattern: false, subscriberCount: 3, messageCount: 1, position });
    expect(hostile).toMatchObject({ name: "<b>__proto__</b>", subscriberCount: 1, messageCount: 0 });
    expect(JSON.parse(JSON.stringify(seven))).toEqual(seven);

    // What was noted stays as it was, and the last one takes the count with him.
    await orders.publish(3);
    await settle();
    expect([seven?.messageCount, channels.list()[1]?.messageCount]).toEqual([1, 2]);
    orders.unsubscribe(ada);
    orders.unsubscribe(bob);
    await loop.return?.();
    expect(channels.list().map(({ name }) => name)).toEqual(["orders.*", "<b>__proto__</b>"]);
    await orders.subscribe(ada);
    expect(channels.list().at(-1)).toMatchObject({ name: "orders.7", messageCount: 0, position: { offset: 3 } });
    await channels.close();
    expect(channels.list()).toEqual([]);
  });

  test("asks no broker", async () => {
    const { peer } = peers();
    const broker = new WiredBroker();
    const channels = new ChannelManager({ broker, history });
    await channels.channel("news").subscribe((await peer()).connection);
    const calls = [...broker.calls];
    channels.list();
    await settle();
    expect(broker.calls).toEqual(calls);
    await channels.close();
  });
});

describe("ChannelManager.channel()", () => {
  test("gives the channel of a name, and drops and makes again what is live of it", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const broker = new WiredBroker();
    const channels = new ChannelManager({ broker });
    await channels.channel("news").subscribe(connection);
    await channels.channel("news").publish(1);
    expect([channels.size, channels.channel("news").subscriberCount]).toEqual([1, 1]);
    channels.channel("news").unsubscribe(connection);
    await settle();
    expect([channels.size, broker.subscriptions]).toEqual([0, 0]);
    const held = channels.channel("news");
    await channels.channel("news").subscribe(connection);
    await held.publish(2);
    expect([channels.size, held.subscriberCount]).toEqual([1, 1]);
    expect(await short(client)).toEqual(["subscribed", 1, "subscribed", 2]);
  });

  test("keeps the options that a name was made with, and refuses others", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channels = new ChannelManager();
    const schema = z.object({ total: z.number() });
    const orders = channels.channel("orders", { schema, history: { limit: 5, ttl: 1 } });
    expect(channels.channel("orders", { schema, history: { limit: 5, ttl: 1 } })).toBe(orders);
    expect(channels.channel("orders")).toBe(orders);
    expect(() => channels.channel("orders", { schema })).toThrow(TypeError);
    expect(() => channels.channel("orders.*")).toThrow(TypeError);
    await channels.channel("news").subscribe(connection);
    expect(() => channels.channel("news", { history })).toThrow("in use");
    channels.channel("news", { authorize: () => true });
  });

  test("remembers who was there before, also after a channel was dropped", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channels = new ChannelManager({ history });
    await channels.channel("news").subscribe(connection);
    channels.unsubscribe("news", connection);
    await channels.channel("news").subscribe(connection);
    expect(await short(client)).toEqual(["subscribed", "subscribed", "gap"]);
    for (let i = 0; i < 1_001; i++) {
      await channels.channel(`other-${String(i)}`).subscribe(connection);
      channels.unsubscribe(`other-${String(i)}`, connection);
    }
    await short(client);
    await channels.channel("one-too-many-to-remember").subscribe(connection);
    expect(await short(client)).toEqual(["subscribed", "gap"]);
  });

  test("has limits", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channels = new ChannelManager({ maxChannels: 2 });
    channels.channel("a", {});
    channels.channel("b", {});
    const limit = { code: "ERR_VEL_CHANNEL_LIMIT" };
    expect(() => channels.channel("c", {})).toThrow(expect.objectContaining(limit));
    await channels.channel("d").subscribe(connection);
    await channels.subscribe("e.*", connection);
    await expect(channels.channel("f").subscribe(connection)).rejects.toMatchObject(limit);
    expect(() => channels.channel("f").messages()).toThrow(expect.objectContaining(limit));
    await channels.channel("d").subscribe(connection);
    expect(() => new ChannelManager({ maxChannels: 0 })).toThrow(RangeError);
    expect(() => new ChannelManager({ maxChannelsPerConnection: NaN })).toThrow(RangeError);
  });
});

describe("ChannelManager.subscribe()", () => {
  test("subscribes to a pattern, with one broker subscription, and each message says its channel", async () => {
    const { peer } = peers();
    const [ada, bob] = [await peer(), await peer()];
    const broker = new WiredBroker();
    const channels = new ChannelManager({ broker, history });
    for (const { connection } of [ada, bob]) await channels.subscribe("orders.*", connection);
    await channels.subscribe("orders.>", bob.connection);
    expect(broker.calls).toEqual(["subscribe orders.*", "subscribe orders.>"]);
    await channels.channel("orders.7").publish("paid");
    await channels.channel("orders.7.items").publish("sent");
    await channels.channel("other").publish("no");
    const frames = await take(ada.client);
    expect(frames).toMatchObject([
      { type: "subscribed", channel: "orders.*" },
      { type: "message", channel: "orders.7", data: "paid", position: { offset: 1 } },
    ]);
    expect((await take(bob.client)).map(({ channel }) => channel)).toEqual([
      "orders.*",
      "orders.>",
      "orders.7",
      "orders.7",
      "orders.7.items",
    ]);
    expect(channels.unsubscribe("orders.*", ada.connection)).toBe(true);
    expect(channels.unsubscribe("orders.*", ada.connection)).toBe(false);
    await channels.channel("orders.7").publish("late");
    expect(await take(ada.client)).toEqual([]);
    await expect(channels.subscribe("orders.*", ada.connection, { since: { epoch: "a", offset: 1 } })).rejects.toThrow(
      TypeError,
    );
  });

  test("subscribes to one channel by its name too", async () => {
    const { peer } = peers();
    const { client, connection } = await peer();
    const channels = new ChannelManager();
    const subscriber = await channels.subscribe("news", connection);
    await channels.channel("news").publish(1);
    subscriber.unsubscribe();
    expect([await short(client), channels.size]).toEqual([["subscribed", 1], 0]);
  });

  test("counts a connection's channels, and gives them back", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channels = new ChannelManager({ maxChannelsPerConnection: 2 });
    const names = ["a", "b.*", "c"];
    const limit = { code: "ERR_VEL_CHANNEL_LIMIT" };
    await channels.subscribe("a", connection);
    await channels.subscribe("b.*", connection);
    await channels.subscribe("a", connection);
    await expect(channels.subscribe("c", connection)).rejects.toMatchObject(limit);
    channels.unsubscribe("a", connection);
    await channels.subscribe("c", connection);
    await expect(channels.subscribe("a", connection)).rejects.toMatchObject(limit);
    for (const name of names) channels.unsubscribe(name, connection);
    for (const name of names.slice(1)) await channels.subscribe(name, connection);
    expect(channels.size).toBe(2);
  });
});

describe("ChannelManager.close()", () => {
  test("ends everything, and leaves connections and other people's brokers open", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const broker = new WiredBroker();
    const channels = new ChannelManager({ broker });
    const closed = { code: "ERR_VEL_CHANNEL_CLOSED" };
    await channels.subscribe("a", connection);
    await channels.subscribe("b.*", connection);
    const channel = channels.channel("a");
    await channels[Symbol.asyncDispose]();
    expect([channels.size, broker.subscriptions, broker.state, connection.isOpen]).toEqual([0, 0, "up", true]);
    await expect(channel.publish(1)).rejects.toMatchObject(closed);
    await expect(channel.subscribe(connection)).rejects.toMatchObject(closed);
    await expect(channels.subscribe("c.*", connection)).rejects.toMatchObject(closed);
    expect(() => channels.channel("c")).toThrow(expect.objectContaining(closed));
    await new ChannelManager().close();
  });

  test("of a channel alone ends that one's subscriptions", async () => {
    const { peer } = peers();
    const { connection } = await peer();
    const channels = new ChannelManager();
    await channels.subscribe("a", connection);
    channels.channel("a").close();
    expect(channels.size).toBe(0);
    await channels.subscribe("a", connection);
    expect(channels.size).toBe(1);
  });
});

describe("A client's frames", () => {
  test("are followed where authorize says true, and answered", async () => {
    const { channels, client, ask, errors } = served({ authorize: () => Promise.resolve(true), history });
    const [ada, bob] = [await client(), await client()];
    const [subscribed, ok] = await ask(ada, { type: "subscribe", channel: "news", id: "a" });
    expect(subscribed).toMatchObject({ type: "subscribed", channel: "news", position: { offset: 0 } });
    expect(ok).toEqual({ type: "ok", id: "a", channel: "news", position: subscribed?.position });
    const [sent] = await ask(bob, { type: "publish", channel: "news", data: { a: 1 }, key: "k" });
    expect(sent).toMatchObject({ type: "ok", channel: "news", position: { offset: 1 } });
    await ask(bob, { type: "publish", channel: "news", data: { a: 1 }, key: "k" });
    const [message, ...rest] = await take(ada);
    expect([message, rest]).toMatchObject([{ type: "message", data: { a: 1 }, position: sent?.position }, []]);
    expect(message?.from).toMatch(/./);
    const since = subscribed?.position;
    const [again, replayed] = await ask(bob, { type: "subscribe", channel: "news", since });
    expect([again, replayed]).toMatchObject([{ type: "subscribed", recovered: true }, { data: { a: 1 } }]);
    expect(await ask(ada, { type: "unsubscribe", channel: "news" })).toMatchObject([{ type: "ok", channel: "news" }]);
    expect(await ask(ada, { type: "unsubscribe", channel: "news" })).toMatchObject([{ type: "ok" }]);
    expect([channels.channel("news").subscriberCount, errors]).toEqual([1, []]);
  });

  test.each([
    ["nobody says anything", {}],
    ["authorize says no", { authorize: () => false }],
    ["authorize says what is not true", { authorize: () => 1 as unknown as boolean }],
    ["authorize says undefined", { authorize: () => undefined as unknown as boolean }],
  ])("are forbidden where %s", async (_name, options) => {
    const { channels, client, ask } = served(options);
    const ada = await client();
    const forbidden = [{ type: "error", code: "channel_forbidden" }];
    expect(await ask(ada, { type: "subscribe", channel: "news" })).toMatchObject(forbidden);
    expect(await ask(ada, { type: "publish", channel: "news", data: 1 })).toMatchObject(forbidden);
    expect(await ask(ada, { type: "subscribe", channel: ">" })).toMatchObject(forbidden);
    expect(channels.size).toBe(0);
  });

  test("ask with the connection, the channel and the action; a channel's own authorize comes first", async () => {
    const asked: unknown[] = [];
    const { channels, client, ask } = served({
      authorize: (connection, channel, action) => {
        asked.push([typeof connection.id, channel, action]);
        return action === "subscribe";
      },
    });
    channels.channel("wall", { authorize: (_connection, _channel, action) => action === "publish" });
    const ada = await client();
    expect(await ask(ada, { type: "publish", channel: "wall", data: 1 })).toMatchObject([{ type: "ok" }]);
    expect(await ask(ada, { type: "subscribe", channel: "wall" })).toMatchObject([{ code: "channel_forbidden" }]);
    expect(await ask(ada, { type: "publish", channel: "news", data: 1 })).toMatchObject([
      { code: "channel_forbidden" },
    ]);
    await ask(ada, { type: "subscribe", channel: "news" });
    expect(asked).toEqual([
      ["string", "news", "publish"],
      ["string", "news", "subscribe"],
    ]);
  });

  test("for a pattern need the permission of the pattern, whatever it matches", async () => {
    const granted = new Set(["orders.7", "orders.8.*"]);
    const { channels, client, ask } = served({ authorize: (_, channel) => granted.has(channel) });
    const ada = await client();
    for (const channel of ["orders.*", "orders.>", ">", "*.7", "*", "orders.8.>", "orders.7.>"]) {
      expect(await ask(ada, { type: "subscribe", channel })).toMatchObject([{ code: "channel_forbidden" }]);
    }
    await ask(ada, { type: "subscribe", channel: "orders.7" });
    await ask(ada, { type: "subscribe", channel: "orders.8.*" });
    for (const name of ["orders.7", "orders.8", "orders.8.1", "orders.8.1.1", "orders.9"]) {
      await channels.channel(name).publish(name);
    }
    expect((await take(ada)).map(({ data }) => data)).toEqual(["orders.7", "orders.8.1"]);
  });

  test("that do not fit a schema are refused", async () => {
    const { channels, client, ask, errors } = served({ authorize: () => true });
    channels.channel("orders", { schema: z.object({ total: z.number() }) });
    const ada = await client();
    const refused = [{ type: "error", code: "invalid_message" }];
    expect(await ask(ada, { type: "publish", channel: "orders", data: { total: "7" } })).toMatchObject(refused);
    expect(await ask(ada, { type: "publish", channel: "orders", data: { total: 7 } })).toMatchObject([{ type: "ok" }]);
    expect(errors).toEqual([]);
  });

  test.each([
    ["no channel", { type: "subscribe" }],
    ["a channel that is no text", { type: "subscribe", channel: ["news"] }],
    ["an empty channel", { type: "unsubscribe", channel: "" }],
    ["a long channel", { type: "publish", channel: "x".repeat(1_025), data: 1 }],
    ["a position that is null", { type: "subscribe", channel: "news", since: null }],
    ["a position that is a number", { type: "subscribe", channel: "news", since: 7 }],
    ["a position without an epoch", { type: "subscribe", channel: "news", since: { offset: 1 } }],
    [
      "a position with a long epoch",
      { type: "subscribe", channel: "news", since: { epoch: "x".repeat(129), offset: 1 } },
    ],
    ["a negative offset", { type: "subscribe", channel: "news", since: { epoch: "a", offset: -1 } }],
    ["an offset that is no integer", { type: "subscribe", channel: "news", since: { epoch: "a", offset: 0.5 } }],
    ["an offset that is a text", { type: "subscribe", channel: "news", since: { epoch: "a", offset: "1" } }],
    ["an offset that is not safe", { type: "subscribe", channel: "news", since: { epoch: "a", offset: 2 ** 53 } }],
    ["a pattern and a position", { type: "subscribe", channel: "news.*", since: { epoch: "a", offset: 1 } }],
    ["a pattern to publish to", { type: "publish", channel: "news.*", data: 1 }],
    ["no data", { type: "publish", channel: "news" }],
    ["a key that is no text", { type: "publish", channel: "news", data: 1, key: 7 }],
    ["an empty key", { type: "publish", channel: "news", data: 1, key: "" }],
    ["a long key", { type: "publish", channel: "news", data: 1, key: "x".repeat(129) }],
  ])("with %s are refused, and nobody is asked", async (_name, frame) => {
    const asked: string[] = [];
    const authorize = (_connection: Connection, channel: string): boolean => asked.push(channel) > 0;
    const { channels, client, ask, errors } = served({ authorize, history });
    expect(await ask(await client(), frame)).toMatchObject([{ type: "error", code: "invalid_message" }]);
    expect([asked, channels.size, errors]).toEqual([[], 0, []]);
  });

  test("get an error when authorize throws, and the server is told", async () => {
    const { client, ask, errors } = served({ authorize: () => Promise.reject(new Error("no database")) });
    const answer = await ask(await client(), { type: "subscribe", channel: "news" });
    expect(answer).toMatchObject([{ type: "error", code: "internal" }]);
    expect(errors).toEqual(["frame: Error: no database"]);
  });

  test("cannot use up the server's keys", async () => {
    const { channels, client, ask } = served({ authorize: () => true, history });
    const ada = await client();
    await ask(ada, { type: "publish", channel: "news", data: "client", key: "order-7" });
    await channels.channel("news").publish("server", { idempotencyKey: "order-7" });
    const { messages } = await channels.channel("news").history();
    expect(messages.map(({ data }) => data)).toEqual(["client", "server"]);
  });
});

describe("Hostile names", () => {
  const names = [
    "../news",
    "news/../admin",
    "*x",
    "x>",
    "__proto__",
    "constructor",
    "toString",
    "new\0s",
    "news ",
    " news",
    "NEWS",
    "news.",
    ".news",
    "..",
    "néws",
    "ne\u0301ws",
    "nеws", // with a Cyrillic letter
    "\u{1f600}",
    "\ud800",
    "news\n",
    '{"channel":"news"}',
    "x".repeat(1_024),
  ];

  test("stand for themselves, and reach nothing else", async () => {
    const { peer } = peers();
    const channels = new ChannelManager();
    const all = new Map<string, Awaited<ReturnType<typeof peer>>>();
    for (const name of ["news", "admin", ...names]) {
      const each = await peer();
      await channels.channel(name).subscribe(each.connection);
      all.set(name, each);
    }
    for (const name of all.keys()) await channels.channel(name).publish(name.length);
    for (const [name, { client }] of all) {
      const frames = await take(client);
      expect(frames.map(({ channel, data }) => [channel, data])).toEqual([
        [name, undefined],
        [name, name.length],
      ]);
    }
    expect(({} as { news?: unknown }).news).toBeUndefined();
    expect(channels.size).toBe(all.size);
  });

  test("of a million channels from one client are bounded", async () => {
    const { channels, client, ask, errors } = served({ authorize: () => true, history });
    const bob = await client();
    bob.sendJson({ type: "subscribe", channel: "news" });
    const ada = await client();
    for (let i = 0; i < 1_000; i++) ada.sendJson({ type: "subscribe", channel: `ada-${String(i)}` });
    expect((await take(ada)).filter(({ code }) => code === "channel_limit")).toHaveLength(900);
    expect(channels.size).toBe(101);

    // The rest without the wire.
    const { peer } = peers();
    const eve = await peer();
    const { subscribe } = channels.frames();
    let refused = 0;
    for (let i = 0; i < 1_000_000; i++) {
      try {
        await subscribe?.(eve.connection, { type: "subscribe", channel: `eve-${String(i)}` });
      } catch (error) {
        if ((error as { code?: string }).code === "ERR_VEL_CHANNEL_LIMIT") refused++;
      }
    }
    expect([refused, channels.size, errors]).toEqual([999_900, 201, []]);
    eve.client.drop();
    ada.drop();
    await settle();
    await channels.channel("news").publish(1);
    expect([channels.size, await short(bob)]).toEqual([1, ["subscribed", 1]]);
    expect(await ask(bob, { type: "unsubscribe", channel: "news" })).toMatchObject([{ type: "ok" }]);
  }, 120_000);

  test("of 1 MiB are refused before anybody looks at them", async () => {
    const { channels, client, ask } = served({ authorize: () => true });
    const ada = await client();
    const answer = await ask(ada, { type: "subscribe", channel: "x".repeat(2 ** 20 - 100) });
    expect(answer).toMatchObject([{ type: "error" }]);
    await expect(channels.subscribe("x".repeat(2 ** 20), {} as Connection)).rejects.toThrow(TypeError);
    expect(() => new Channel("x".repeat(2 ** 20))).toThrow(TypeError);
    expect(channels.size).toBe(0);
  });
});
