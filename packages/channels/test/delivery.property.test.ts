/** Who gets what, and who may. Each property names a fault that makes it fail. */
import { Channel, ChannelManager } from "@vel/channels";
import { createVel, matchesTopic, Protocol } from "@vel/core";
import { connect } from "@vel/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { history, peers, turn, WiredBroker, type Peer, type SeenFrame } from "./kit.ts";

const runs = { numRuns: 1_000 };
const dataOf = ({ client }: Peer): unknown[] =>
  (client.received as string[])
    .map((each) => JSON.parse(each) as SeenFrame)
    .flatMap(({ type, data }) => (type === "message" ? [data] : []));

// Planted: a `Hub.take` that serves the crowd only.
test("Subscribers with wishes of their own get what those without get, less what they do not wish", async () => {
  const ops = fc.array(
    fc.record({ who: fc.nat(3), does: fc.constantFrom("subscribe", "filter", "unsubscribe", "publish", "except") }),
    { maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(ops, async (all) => {
      const { peer } = peers();
      const channel = new Channel<number>("news");
      const people = [await peer(), await peer(), await peer(), await peer()];
      const wants = new Map<number, (number: number) => boolean>();
      const expected: number[][] = [[], [], [], []];
      let number = 0;
      for (const { who, does } of all) {
        const one = people[who];
        if (!one) continue;
        if (does === "subscribe") {
          await channel.subscribe(one.connection);
          wants.set(who, () => true);
        } else if (does === "filter") {
          await channel.subscribe(one.connection, { filter: ({ data }) => data % 2 === 0 });
          wants.set(who, (each) => each % 2 === 0);
        } else if (does === "unsubscribe") {
          expect(channel.unsubscribe(one.connection)).toBe(wants.delete(who));
        } else {
          number++;
          for (const [each, filter] of wants) {
            if (filter(number) && !(does === "except" && each === who)) expected[each]?.push(number);
          }
          await channel.publish(number, does === "except" ? { except: one.connection } : {});
        }
      }
      await turn();
      expect(channel.subscriberCount).toBe(wants.size);
      expect(people.map(dataOf)).toEqual(expected);
    }),
    runs,
  );
}, 60_000);

// Planted: a `Feed.stop` that does not let go of the broker.
test("There is one broker subscription while anybody is there, and none otherwise", async () => {
  const ops = fc.array(
    fc.record({ who: fc.nat(2), does: fc.constantFrom("subscribe", "unsubscribe", "close", "read", "leave", "turn") }),
    { maxLength: 25 },
  );
  await fc.assert(
    fc.asyncProperty(ops, fc.boolean(), async (all, hasHistory) => {
      const broker = new WiredBroker();
      const { peer } = peers();
      const channel = new Channel<number>("news", { broker, ...(hasHistory && { history }) });
      const people: Peer[] = [await peer(), await peer(), await peer()];
      const readers: AsyncIterator<unknown>[] = [];
      const waiting: Promise<unknown>[] = [];
      for (const { who, does } of all) {
        const one = people[who];
        if (!one) continue;
        // Not waited for: what comes next finds it on its way.
        if (does === "subscribe") waiting.push(channel.subscribe(one.connection).catch(() => undefined));
        else if (does === "unsubscribe") channel.unsubscribe(one.connection);
        else if (does === "close") {
          one.connection.close();
          people[who] = await peer();
        } else if (does === "read") readers.push(channel.messages());
        else if (does === "leave") await readers.pop()?.return?.();
        else await turn();
      }
      await Promise.all(waiting);
      await turn();
      expect(broker.subscriptions).toBe(channel.subscriberCount > 0 ? 1 : 0);
      for (const reader of readers) await reader.return?.();
      for (const { connection } of people) connection.close();
      await turn();
      expect([channel.subscriberCount, broker.subscriptions, broker.stateListeners]).toEqual([0, 0, 0]);
    }),
    runs,
  );
}, 60_000);

const segment = fc.constantFrom("a", "b", "*", ">", "");
const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("."));

// Planted: a `channelFrames` that asks about `channel.replace("*", "a")`; one that takes any answer for a yes.
test("Nobody gets a message by frames whose channel or pattern was not allowed by its own name", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(name), fc.array(name), fc.array(name), async (granted, wanted, published) => {
      const protocol = new Protocol();
      const allowed = new Set(granted);
      const channels = new ChannelManager({ protocol, authorize: (_connection, channel) => allowed.has(channel) });
      protocol.add(channels.frames());
      const vel = createVel();
      vel.websocket("/ws", protocol.hooks());
      const client = await connect(vel, "/ws");
      for (const channel of wanted) client.sendJson({ type: "subscribe", channel });
      await turn();
      const isName = (each: string): boolean => {
        try {
          return channels.channel(each).name === each;
        } catch {
          return false;
        }
      };
      for (const channel of published.filter(isName)) await channels.channel(channel).publish(channel);
      await turn();
      const had = new Set([...wanted].filter((each) => each !== "" && allowed.has(each)));
      const expected = published
        .filter(isName)
        .flatMap((channel) =>
          [...had].filter((each) => (isName(each) ? each === channel : matchesTopic(each, channel))).map(() => channel),
        );
      const seen = (client.received as string[])
        .map((each) => JSON.parse(each) as SeenFrame)
        .filter(({ type }) => type === "message");
      expect(seen.map(({ data }) => data)).toEqual(expected);
      expect(seen.every(({ channel, data }) => channel === data)).toBe(true);
    }),
    runs,
  );
}, 60_000);

// Planted: a `channelOf` that lets the TypeError of `assertTopic` through, which is told as the server's own fault.
test("Whatever a client sends is answered, told to nobody as a fault, and bounded", async () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("news", "news.*", "__proto__", "a\0"),
    fc.record({ epoch: fc.jsonValue(), offset: fc.jsonValue() }),
  );
  const frame = fc.record({ channel: value, since: value, data: fc.jsonValue(), key: value }, { requiredKeys: [] });
  const frames = fc.array(fc.tuple(fc.constantFrom("subscribe", "unsubscribe", "publish"), frame), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(frames, async (all) => {
      const faults: unknown[] = [];
      const onError = (error: unknown): void => void faults.push(error);
      const protocol = new Protocol({ onError });
      const channels = new ChannelManager({
        protocol,
        onError,
        history,
        maxChannelsPerConnection: 2,
        authorize: () => true,
      });
      protocol.add(channels.frames());
      const vel = createVel({ onError });
      vel.websocket("/ws", protocol.hooks());
      const client = await connect(vel, "/ws");
      all.forEach(([type, fields], id) => {
        client.send(JSON.stringify({ ...fields, type, id }));
      });
      await turn();
      const answers = (client.received as string[])
        .map((each) => JSON.parse(each) as SeenFrame)
        .filter(({ type }) => type === "ok" || type === "error");
      // In order; a frame that is not even read is answered without its id.
      expect(answers.map(({ id }, i) => id ?? i)).toEqual(all.map((_, id) => id));
      expect([faults, channels.size <= 2]).toEqual([[], true]);
      client.drop();
      await turn();
      expect(channels.size).toBe(0);
    }),
    runs,
  );
}, 60_000);
