/** Defects that were found in use and repaired: each test says what went wrong. */
import { Channel, ChannelManager, sse, type FullPolicy } from "@vel/channels";
import { createVel, Protocol, type Frame, type VelOptions } from "@vel/core";
import { connect, ManualClock, settle } from "@vel/testing";
import { describe, expect, test } from "vitest";
import { errorLog, history, peers, publishAll, short, take, turn, WiredBroker } from "./kit.ts";

/** Room for about ten small messages; half of that is what channels fill. */
const small: VelOptions = { sendBuffer: { limit: 1_024 } };

/** Lets a test say when something goes on. */
function latch(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Encodes JSON, except what the test refuses. */
const refusing = (isRefused: (frame: Frame) => boolean): { encode: (frame: Frame) => string } => ({
  encode: (frame) => {
    if (isRefused(frame)) throw new Error("refused");
    return JSON.stringify(frame);
  },
});

/** Keeps publications on their way until they are let go. */
function holdWire(broker: WiredBroker): () => void {
  const late: (() => void)[] = [];
  broker.onWire = (publication, hand) => {
    late.push(() => {
      hand(publication);
    });
  };
  return () => {
    broker.onWire = (publication, hand) => {
      hand(publication);
    };
    for (const hand of late) hand();
  };
}

/** Loses what is published meanwhile. */
async function lose(broker: WiredBroker, publish: () => Promise<unknown>): Promise<void> {
  broker.onWire = () => undefined;
  await publish();
  broker.onWire = (publication, hand) => {
    hand(publication);
  };
}

describe("Subscribing again", () => {
  // The first put the connection among those who hold nothing back, so that what came live went out before history.
  test.each(["before", "after"])(
    "with a position, behind another, gets each message once and in order, history being read %s the last",
    async (when) => {
      const broker = new WiredBroker();
      const channel = new Channel<number>("news", { broker, history });
      const { peer } = peers();
      const [other, { client, connection }] = [await peer(), await peer()];
      await channel.subscribe(other.connection);
      const since = await channel.publish(1);
      if (!since) throw new Error("no position");
      await channel.publish(2);
      const { opened, open } = latch();
      broker.onHistory = async (result, options) => {
        await opened;
        return when === "before" ? result : broker.inner.history("news", options);
      };
      const joins = [channel.subscribe(connection), channel.subscribe(connection, { since })];
      await turn();
      await channel.publish(3);
      await turn();
      open();
      await Promise.all(joins);
      await channel.publish(4);
      expect(await short(client)).toEqual(["subscribed", "subscribed with all", 2, 3, 4]);
    },
  );

  // The position that it had come to by recovery was forgotten, so that what was on its way came a second time.
  test("without a position delivers nothing twice", async () => {
    const broker = new WiredBroker();
    const channel = new Channel<number>("news", { broker, history });
    const { peer } = peers();
    const [other, { client, connection }] = [await peer(), await peer()];
    await channel.subscribe(other.connection);
    const since = await channel.publish(1);
    if (!since) throw new Error("no position");
    const letGo = holdWire(broker);
    await publishAll(channel, 2, 3);
    await channel.subscribe(connection, { since });
    const again = await channel.subscribe(connection, { onFull: "queue" });
    letGo();
    await channel.publish(4);
    expect(again.position?.offset).toBe(3);
    expect((await short(client)).filter((each) => each !== "gap")).toEqual([
      "subscribed with all",
      2,
      3,
      "subscribed",
      4,
    ]);
  });

  // The gap waited for room under the old policy, and came after the newer messages that waited under the new one.
  test("with another policy tells of the gap of `drop` before anything newer", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channel = new Channel<string>("news", { history });
    await channel.subscribe(connection, { onFull: "drop" });
    client.pause();
    for (let i = 0; i < 4; i++) await channel.publish("x".repeat(500));
    await channel.subscribe(connection, { onFull: "queue" });
    await channel.publish("new");
    await channel.publish("newer");
    client.resume();
    await turn();
    const seen = await short(client);
    expect(seen).toContain("gap");
    expect(seen.slice(seen.indexOf("new"))).toEqual(["new", "newer"]);
  });
});

describe("Many channels on one connection", () => {
  const names = Array.from({ length: 30 }, (_, i) => `news.${String(i)}`);
  const policies: [string, FullPolicy][] = [
    ["queue", "queue"],
    ["drop", "drop"],
    ["latestBy", { latestBy: () => "key" }],
  ];

  // Each looked at the buffer for itself: one message of each, sent at once, overflowed it.
  test.each(policies)("do not close it together while it is paused, by %s", async (_name, onFull) => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channels = new ChannelManager();
    for (const name of names) await channels.subscribe(name, connection, { onFull });
    await take(client);
    client.pause();
    for (const name of names) await channels.channel(name).publish("x".repeat(50));
    expect(connection.isOpen).toBe(true);
    client.resume();
    await turn();
    const seen = (await take(client)).map(({ channel }) => channel);
    expect(seen).toEqual(onFull === "drop" ? names.slice(0, seen.length) : names);
  });

  // When there was room again, all of them took it at once.
  test("do not close it together when it reads on", async () => {
    const { peer } = peers(small);
    const { client, connection } = await peer();
    const channels = new ChannelManager();
    for (const name of names) await channels.subscribe(name, connection, { onFull: "queue" });
    await take(client);
    client.pause();
    connection.send(JSON.stringify("x".repeat(600)));
    for (const name of names) await channels.channel(name).publish("");
    for (const name of names) await channels.channel(name).publish("y".repeat(50));
    client.resume();
    await turn();
    expect([connection.isOpen, (await take(client)).length]).toEqual([true, 1 + 2 * names.length]);
  });
});

describe("A reader that stops", () => {
  // Only payloads counted: a million messages of one byte waited within a limit of one megabyte.
  test("on a channel of tiny messages is cut off too", async () => {
    const channel = new Channel<number>("news");
    const loop = channel.messages({ queueLimit: 1_000 });
    await settle();
    for (let i = 0; i < 10; i++) await channel.publish(1);
    expect(channel.subscriberCount).toBe(0);
    await loop.return?.();
  });
});

describe("A codec", () => {
  // Recovery failed for everybody until the message was forgotten.
  test("that refuses one message keeps back no other from who recovers", async () => {
    const { errors, onError } = errorLog();
    const protocol = refusing(({ data }) => data === "bad");
    const channel = new Channel<string>("news", { history, protocol, onError });
    const { peer } = peers();
    const [other, { client, connection }] = [await peer(), await peer()];
    await channel.subscribe(other.connection);
    const since = await channel.publish("a");
    if (!since) throw new Error("no position");
    await channel.publish("bad");
    await channel.publish("b");
    await channel.subscribe(connection, { since });
    await channel.publish("c");
    expect(await short(client)).toEqual(["subscribed with all", "b", "c"]);
    expect(errors).toEqual(["encode: Error: refused", "encode: Error: refused"]);
  });

  // Each who recovered had every message read and encoded for itself: many who come back at once are a storm.
  test("encodes once what is recovered by many", async () => {
    const encoded: unknown[] = [];
    const protocol = {
      encode: (frame: Frame) => {
        if (frame.type === "message") encoded.push(frame["data"]);
        return JSON.stringify(frame);
      },
    };
    const channel = new Channel<number>("news", { history, protocol });
    const { peer } = peers();
    const other = await peer();
    await channel.subscribe(other.connection);
    const since = await channel.publish(0);
    if (!since) throw new Error("no position");
    await publishAll(channel, 1, 2, 3);
    encoded.length = 0;
    for (let i = 0; i < 10; i++) {
      const { client, connection } = await peer();
      await channel.subscribe(connection, { since });
      expect(await short(client)).toEqual(["subscribed with all", 1, 2, 3]);
    }
    expect(encoded).toEqual([1, 2, 3]);
  });

  // What it threw stopped the channel's repair halfway, and nothing came any more.
  test("that refuses to tell of a gap does not end the channel", async () => {
    const { errors, onError } = errorLog();
    const broker = new WiredBroker();
    const protocol = refusing(({ type }) => type === "gap");
    const channel = new Channel<number>("news", { broker, history: { limit: 1, ttl: 60_000 }, protocol, onError });
    const { peer } = peers();
    const { client, connection } = await peer();
    await channel.subscribe(connection);
    await channel.publish(1);
    await lose(broker, () => publishAll(channel, 2, 3));
    await channel.publish(4);
    await turn();
    await publishAll(channel, 5, 6);
    expect([await short(client), errors]).toEqual([["subscribed", 1, 4, 5, 6], ["encode: Error: refused"]]);
  });
});

describe("A source of server-sent events", () => {
  /** Throws where it should reject. */
  const throwing = (): never => {
    throw new Error("boom");
  };

  // The ping's timer stayed, and threw when it fired on a stream that had ended.
  test("that throws at once in next() breaks the stream off, and leaves no timer", async () => {
    const clock = new ManualClock();
    const { body } = sse({ [Symbol.asyncIterator]: () => ({ next: throwing }) }, { clock });
    const reader = body?.getReader();
    await reader?.read();
    await expect(reader?.read()).rejects.toThrow("boom");
    expect(clock.pending).toBe(0);
  });

  // The stream was not closed, and what was thrown reached nobody who could catch it.
  test("that throws at once in return() does not keep an aborted stream open", async () => {
    const abort = new AbortController();
    const never = new Promise<IteratorResult<string>>(() => undefined);
    const source = { [Symbol.asyncIterator]: () => ({ next: () => never, return: throwing }) };
    const reader = sse(source, { signal: abort.signal }).body?.getReader();
    await reader?.read();
    const last = reader?.read();
    abort.abort();
    expect(await Promise.race([last, turn().then(() => "still open")])).toEqual({ done: true, value: undefined });
  });
});

describe("A broker", () => {
  // What was read did not know of what was lost after it was asked, and nobody asked again.
  test("that comes back while history is read is asked again", async () => {
    const broker = new WiredBroker();
    const channel = new Channel<number>("news", { broker, history });
    const { peer } = peers();
    const { client, connection } = await peer();
    await channel.subscribe(connection);
    await channel.publish(1);
    const { opened, open } = latch();
    broker.onHistory = (result) => opened.then(() => result);
    broker.tell("down");
    broker.tell("up");
    await turn();
    broker.tell("down");
    await lose(broker, () => channel.publish(2));
    broker.tell("up");
    open();
    await turn();
    expect(await short(client)).toEqual(["subscribed", 1, 2]);
  });

  // Of a stream that the channel had not come to yet, it was given everything a second time, after a gap.
  test("that has begun another stream gives who recovers from it each message once", async () => {
    const broker = new WiredBroker(1);
    const channel = new Channel<number>("news", { broker, history });
    const { peer } = peers();
    const [other, { client, connection }] = [await peer(), await peer()];
    await channel.subscribe(other.connection);
    await channel.publish(0);
    const letGo = holdWire(broker);
    await broker.publish("another topic", "1", { history }); // there is room for one: the stream is forgotten
    const since = await channel.publish(1);
    if (!since) throw new Error("no position");
    await publishAll(channel, 2, 3);
    await channel.subscribe(connection, { since });
    letGo();
    await turn();
    await channel.publish(4);
    expect(await short(client)).toEqual(["subscribed with all", 2, 3, 4]);
    expect(await short(other.client)).toEqual(["subscribed", 0, "gap", 1, 2, 3, 4]);
  });

  // Nobody held the subscription that was already under way, so that it was never ended.
  test("whose history() throws at once keeps no subscription", async () => {
    const broker = new WiredBroker();
    broker.history = () => {
      throw new Error("boom");
    };
    const channel = new Channel<number>("news", { broker, history });
    const { peer } = peers();
    const { connection } = await peer();
    await expect(channel.subscribe(connection)).rejects.toThrow("boom");
    await turn();
    expect([broker.subscriptions, broker.stateListeners, channel.subscriberCount]).toEqual([0, 0, 0]);
  });

  // Some characters that `encodeURIComponent` leaves alone were not read: such a stream never resumed.
  test("may have any epoch: an event stream resumes", async () => {
    const epoch = "!it's (so)* ~%/é";
    const broker = new WiredBroker();
    const asked: unknown[] = [];
    broker.onHistory = (result, { since }) => {
      asked.push(since);
      return result;
    };
    const channel = new Channel<number>("news", { broker, history });
    const headers = { "last-event-id": `1:${encodeURIComponent(epoch)}` };
    const reader = channel.eventStream(new Request("http://localhost/", { headers })).body?.getReader();
    await reader?.read();
    await reader?.read();
    expect(asked).toContainEqual({ epoch, offset: 1 });
    await reader?.cancel();
  });
});

describe("A filter", () => {
  // What it published was delivered at once, in the middle of what was still held back.
  test("that publishes while its subscriber joins keeps the order", async () => {
    const channel = new Channel<string>("news", { history });
    const { peer } = peers();
    const { client, connection } = await peer();
    const since = await channel.publish("a");
    if (!since) throw new Error("no position");
    await channel.publish("b");
    await channel.publish("c");
    const filter = ({ data }: { data: string }): boolean => {
      if (data.length < 3) void channel.publish(`${data}!`);
      return true;
    };
    await channel.subscribe(connection, { since, filter });
    await turn();
    expect(await short(client)).toEqual(["subscribed with all", "b", "c", "b!", "c!", "b!!", "c!!"]);
  });

  // What was being recovered was sent all the same.
  test("that ends its subscription gets nothing more", async () => {
    const channel = new Channel<number>("news", { history });
    const { peer } = peers();
    const { client, connection } = await peer();
    const since = await channel.publish(1);
    if (!since) throw new Error("no position");
    await publishAll(channel, 2, 3);
    const filter = (): boolean => channel.unsubscribe(connection) || true;
    await channel.subscribe(connection, { since, filter });
    await channel.publish(4);
    expect([await short(client), channel.subscriberCount]).toEqual([["subscribed with all"], 0]);
  });
});

describe("A client's key", () => {
  // It was only prefixed with a word, which a server's key may begin with as well.
  test("uses up none of the server's", async () => {
    const protocol = new Protocol();
    const channels = new ChannelManager({ protocol, authorize: () => true });
    protocol.add(channels.frames());
    const vel = createVel();
    vel.websocket("/", protocol.hooks());
    const client = await connect(vel, "/");
    client.sendJson({ type: "subscribe", channel: "orders" });
    client.sendJson({ type: "publish", channel: "orders", data: "from a client", key: "7 created" });
    await settle();
    await channels.channel("orders").publish("from the server", { idempotencyKey: "client 7 created" });
    expect(await short(client)).toEqual(["subscribed", "from a client", "from the server"]);
  });
});
