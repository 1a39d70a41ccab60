/**
 * What is published arrives: whole, in order, once, and where it should.
 *
 * @module
 */
import assert from "node:assert/strict";
import { matchesTopic } from "@vel/core";
import { enough, upTo, type BrokerTrial, type Listening } from "./broker-trial.ts";
import type { Case } from "./case.ts";

/** Names that some server or language takes for something special. */
const oddNames = [
  "a b",
  "é💡",
  "[ab]",
  "a?",
  "{a}",
  "a\\",
  "a:b",
  "a/b",
  "a\r\nb",
  "\0",
  "*a",
  "a>",
  "__proto__",
  "",
  "A",
];

/** Cases about publishing and subscribing. */
export const publishCases: readonly Case<BrokerTrial>[] = [
  {
    name: "publish: every subscriber gets it as it was published",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = [await trial.listen(topic), await trial.listen(topic, { on: trial.peer })];
      listening.push(await trial.listen(trial.topic("*"), { pattern: true }));
      const text = "é💡\0\r\n".repeat(5_000);
      assert.equal(await trial.broker.publish(topic, text, { origin: "n1" }), undefined);
      await trial.broker.publish(topic, Uint8Array.of(0, 128, 255));
      const position = await trial.keep(topic, "");
      for (const each of listening) {
        await each.exactly(3);
        const [first, second, third] = each.seen;
        assert.deepEqual([first?.topic, first?.payload, first?.origin], [topic, text, "n1"]);
        assert.equal(first?.position, undefined);
        assert(second?.payload instanceof Uint8Array);
        assert.deepEqual([[...second.payload], second.origin], [[0, 128, 255], undefined]);
        assert.deepEqual([third?.payload, third?.position], ["", position]);
      }
    },
  },
  {
    name: "publish: bytes are the publisher's again as soon as it has called",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = await trial.listen(topic);
      const bytes = Uint8Array.of(1, 2);
      const published = trial.broker.publish(topic, bytes, { history: enough });
      bytes.fill(9);
      await published;
      await listening.exactly(1);
      assert.deepEqual(listening.texts, ["1 2"]);
      assert.deepEqual(await trial.read(topic), [["1 2"], true]);
    },
  },
  {
    name: "publish: topics are what they are called, however odd",
    async run(trial) {
      const listening = new Map<string, Listening>();
      for (const name of oddNames) listening.set(name, await trial.listen(trial.topic(name)));
      for (const name of oddNames) await trial.keep(trial.topic(name), name, { on: trial.peer });
      for (const [name, each] of listening) {
        await each.exactly(1);
        assert.deepEqual([each.texts, each.offsets], [[name], [1]]);
        assert.deepEqual(await trial.read(trial.topic(name)), [[name], true]);
      }
    },
  },
  {
    name: "order: of two who publish at once all see one order, that of the offsets, without gaps",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = [await trial.listen(topic), await trial.listen(topic, { on: trial.peer })];
      listening.push(await trial.listen(trial.topic(">"), { pattern: true }));
      const given = new Map<number, string>();
      const publishers = [trial.broker, trial.peer, trial.broker].map(async (on, publisher) => {
        for (const n of upTo(40)) {
          const payload = `${String(publisher)} ${String(n)}`;
          given.set((await trial.keep(topic, payload, { on })).offset, payload);
        }
      });
      await Promise.all(publishers);
      const expected = upTo(120).map((offset) => given.get(offset));
      for (const each of listening) {
        await each.exactly(120);
        assert.deepEqual(each.offsets, upTo(120));
        assert.deepEqual(each.texts, expected);
      }
      assert.deepEqual(await trial.read(topic), [expected, true]);
      for (const publisher of ["0", "1", "2"]) {
        const own = expected.filter((text) => text?.startsWith(publisher));
        assert.deepEqual(
          own,
          upTo(40).map((n) => `${publisher} ${String(n)}`),
        );
      }
    },
  },
  {
    name: "order: holds when many are published without waiting",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = await trial.listen(topic, { on: trial.peer });
      const positions = await Promise.all(upTo(200).map((n) => trial.keep(topic, String(n))));
      await listening.exactly(200);
      assert.deepEqual(listening.offsets, upTo(200));
      assert.deepEqual(
        listening.texts,
        upTo(200).map((offset) => String(positions.findIndex((position) => position.offset === offset) + 1)),
      );
    },
  },
  {
    name: "order: holds when a listener publishes",
    async run(trial) {
      const topic = trial.topic("a");
      const before = await trial.listen(topic);
      await trial.broker.subscribe(topic, ({ payload }) => {
        if (Number(payload) < 5) void trial.keep(topic, String(Number(payload) + 1));
      });
      const after = await trial.listen(topic);
      await trial.keep(topic, "1");
      for (const each of [before, after]) {
        await each.exactly(5);
        assert.deepEqual([each.texts, each.offsets], [["1", "2", "3", "4", "5"], upTo(5)]);
      }
    },
  },
  {
    name: "pattern: brings the topics that match it, and tells which",
    async run(trial) {
      const patterns = ["*", "a.*", "*.b", "a.>", ">", "*.*.c", "a.b", "*.>", "[ab].*", "a?.b", "a.b*"];
      const topics = ["a", "b", "a.b", "b.b", "a.b.c", "a.", "[ab].x", "aa.b", "a.bb", "a.*"];
      const listening = new Map<string, Listening>();
      for (const each of patterns) listening.set(each, await trial.listen(trial.topic(each), { pattern: true }));
      for (const each of topics) await trial.peer.publish(trial.topic(each), each);
      for (const [pattern, each] of listening) {
        const expected = topics.filter((topic) => matchesTopic(pattern, topic));
        await each.exactly(expected.length);
        assert.deepEqual(each.texts.sort(), expected.sort(), `Pattern ${pattern}`);
        for (const { topic, payload } of each.seen) assert.equal(topic, trial.topic(String(payload)));
      }
    },
  },
  {
    name: "pattern: without the option a name is a name",
    async run(trial) {
      const star = await trial.listen(trial.topic("*"));
      const rest = await trial.listen(trial.topic(">"));
      for (const name of ["a", "a.b", "*", ">"]) await trial.broker.publish(trial.topic(name), name);
      await star.exactly(1);
      await rest.exactly(1);
      assert.deepEqual([star.texts, rest.texts], [["*"], [">"]]);
    },
  },
  {
    name: "subscribe: nothing is missed from the moment that it resolves",
    async run(trial) {
      for (const i of upTo(20)) {
        const topic = trial.topic(String(i));
        const listening = await trial.listen(topic);
        await trial.peer.publish(topic, "1");
        await listening.exactly(1);
      }
    },
  },
  {
    name: "subscribe: each subscription is its own, even of the same listener",
    async run(trial) {
      const topic = trial.topic("a");
      let calls = 0;
      const listener = (): void => void calls++;
      const offs = [await trial.broker.subscribe(topic, listener), await trial.broker.subscribe(topic, listener)];
      const marker = await trial.listen(topic);
      await trial.broker.publish(topic, "1");
      await marker.exactly(1);
      assert.equal(calls, 2);
      await offs[0]?.();
      await offs[0]?.();
      await trial.broker.publish(topic, "2");
      await marker.exactly(2);
      assert.equal(calls, 3);
    },
  },
  {
    name: "unsubscribe: nothing comes any more, and others go on",
    async run(trial) {
      const topic = trial.topic("a");
      const gone = [await trial.listen(topic), await trial.listen(trial.topic("*"), { pattern: true })];
      const stays = [await trial.listen(topic), await trial.listen(trial.topic("*"), { pattern: true })];
      await trial.keep(topic, "1");
      for (const each of [...gone, ...stays]) await each.exactly(1);
      for (const each of gone) await each.off();
      for (const each of gone) await each.off();
      await trial.keep(topic, "2");
      for (const each of stays) await each.exactly(2);
      for (const each of gone) await each.exactly(1);
      // The last one of a topic, and the topic again.
      for (const each of stays) await each.off();
      await trial.keep(topic, "3");
      const again = await trial.listen(topic);
      await trial.keep(topic, "4");
      await again.exactly(1);
      for (const each of stays) await each.exactly(2);
    },
  },
  {
    name: "unsubscribe: within a listener keeps nothing from others",
    async run(trial) {
      const topic = trial.topic("a");
      const seen: unknown[] = [];
      const off = await trial.broker.subscribe(topic, ({ payload }) => {
        seen.push(payload);
        void off();
      });
      const other = await trial.listen(topic);
      await trial.broker.publish(topic, "1");
      await other.exactly(1);
      await trial.broker.publish(topic, "2");
      await other.exactly(2);
      assert.deepEqual(seen, ["1"]);
    },
  },
  {
    name: "listener: one that throws or rejects keeps nothing from others, and the publisher is not told",
    async run(trial) {
      const topic = trial.topic("a");
      await trial.broker.subscribe(topic, () => {
        throw new Error("Thrown by a listener of the conformance kit");
      });
      const rejecting = (): unknown => Promise.reject(new Error("Rejected by a listener of the conformance kit"));
      await trial.broker.subscribe(topic, rejecting);
      const listening = await trial.listen(topic);
      assert.equal((await trial.keep(topic, "1")).offset, 1);
      await trial.keep(topic, "2");
      await listening.exactly(2);
    },
  },
];
