/**
 * What is kept can be recovered: all of it or nothing, and each publication once.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Broker, Position, Publication } from "@vel/core";
import { enough, upTo, type BrokerTrial } from "./broker-trial.ts";
import type { Case } from "./case.ts";

/** Cases about history, resuming, keys and the broker's end. */
export const historyCases: readonly Case<BrokerTrial>[] = [
  {
    name: "history: offsets count from 1 without gaps, of what is kept alone",
    async run(trial) {
      const topic = trial.topic("a");
      const other = trial.topic("b");
      const listening = await trial.listen(topic);
      const start = (await trial.broker.history(topic)).top;
      assert.equal(start.offset, 0);
      const positions = [await trial.keep(topic, "1"), await trial.keep(other, "x"), await trial.keep(topic, "2")];
      assert.equal(await trial.broker.publish(topic, "not kept"), undefined);
      positions.push(await trial.keep(topic, "3", { on: trial.peer }));
      assert.deepEqual(
        positions.map(({ offset }) => offset),
        [1, 1, 2, 3],
      );
      await listening.exactly(4);
      assert.deepEqual(listening.offsets, [1, 2, undefined, 3]);
      assert.deepEqual(await trial.read(topic), [["1", "2", "3"], true]);
      const { publications, top } = await trial.broker.history(topic);
      assert.deepEqual(
        publications.map(({ topic, position }) => [topic, position]),
        [positions[0], positions[2], positions[3]].map((position) => [topic, position]),
      );
      assert.deepEqual(top, positions[3]);
    },
  },
  {
    name: "history: since a position brings all that came after it",
    async run(trial) {
      const topic = trial.topic("a");
      const positions = await trial.keepAll(topic, ["1", "2", "3", "4"]);
      for (const [i, since] of positions.entries()) {
        assert.deepEqual(await trial.read(topic, { since }), [["1", "2", "3", "4"].slice(i + 1), true]);
      }
      const [first] = positions;
      assert(first);
      assert.deepEqual(await trial.read(topic, { since: { ...first, offset: 0 } }), [["1", "2", "3", "4"], true]);
    },
  },
  {
    name: "history: a limit brings the last ones, in order",
    async run(trial) {
      const topic = trial.topic("a");
      await trial.keepAll(topic, ["1", "2", "3"]);
      assert.deepEqual(await trial.read(topic, { limit: 2 }), [["2", "3"], true]);
      assert.deepEqual(await trial.read(topic, { limit: 3 }), [["1", "2", "3"], true]);
      assert.deepEqual(await trial.read(topic, { limit: 10 }), [["1", "2", "3"], true]);
      assert.deepEqual(await trial.read(topic, { limit: 0 }), [[], true]);
    },
  },
  {
    name: "history: what is not kept any more makes it incomplete: nothing, never a part",
    async run(trial) {
      const topic = trial.topic("a");
      const positions = await trial.keepAll(topic, ["1", "2", "3", "4", "5"], { ...enough, limit: 3 });
      const found = [];
      for (const since of positions) found.push(await trial.read(topic, { since }));
      assert.deepEqual(found, [
        [[], false],
        [["3", "4", "5"], true],
        [["4", "5"], true],
        [["5"], true],
        [[], true],
      ]);
      assert.deepEqual(await trial.read(topic), [["3", "4", "5"], true]);
      assert.deepEqual((await trial.broker.history(topic, { since: positions[0] as Position })).top, positions[4]);
    },
  },
  {
    name: "history: more than the limit makes it incomplete: nothing, never a part",
    async run(trial) {
      const topic = trial.topic("a");
      const [since] = await trial.keepAll(topic, ["1", "2", "3", "4"]);
      assert(since);
      assert.deepEqual(await trial.read(topic, { since, limit: 2 }), [[], false]);
      assert.deepEqual(await trial.read(topic, { since, limit: 3 }), [["2", "3", "4"], true]);
    },
  },
  {
    name: "history: a position of another epoch, from the future or of no kind is incomplete",
    async run(trial) {
      const topic = trial.topic("a");
      const positions = await trial.keepAll(topic, ["1", "2", "3"]);
      const { epoch } = positions[0] as Position;
      for (const offset of [4, 1e9, -1, 1.5, NaN, Infinity, 2 ** 53]) {
        assert.deepEqual(await trial.read(topic, { since: { epoch, offset } }), [[], false], String(offset));
      }
      for (const other of [`${epoch}x`, "", "__proto__", "*"]) {
        for (const offset of [0, 2, 3]) {
          assert.deepEqual(await trial.read(topic, { since: { epoch: other, offset } }), [[], false], other);
        }
      }
    },
  },
  {
    name: "history: what has expired is gone, and numbers that fit by accident are not taken for knowledge",
    async run(trial) {
      const topic = trial.topic("a");
      const [first, second] = await trial.keepAll(topic, ["1", "2"], { limit: 10, ttl: 200 });
      await trial.patience.eventually(async () => (await trial.broker.history(topic)).publications.length === 0);
      assert.deepEqual(await trial.read(topic, { since: first as Position }), [[], false]);
      assert.deepEqual((await trial.read(topic, { since: second as Position }))[0], []);
      const next = await trial.keep(topic, "3");
      const isSame = next.epoch === second?.epoch;
      assert.equal(next.offset, isSame ? 3 : 1);
      assert.deepEqual(await trial.read(topic, { since: second as Position }), isSame ? [["3"], true] : [[], false]);
    },
  },
  {
    name: "history: a topic that nobody published to is empty, and reading many makes none",
    async run(trial) {
      const topic = trial.topic("a");
      const since = await trial.keep(topic, "1");
      await trial.keep(topic, "2");
      for (const i of upTo(500)) {
        const { publications, top, complete } = await trial.broker.history(trial.topic(String(i)));
        assert.deepEqual([publications, top.offset, complete], [[], 0, true]);
      }
      assert.deepEqual(await trial.read(topic, { since }), [["2"], true]);
    },
  },
  {
    name: "resume: who subscribes, reads the history and merges misses nothing, whenever that is",
    async run(trial) {
      const topic = trial.topic("a");
      const since = await trial.keep(topic, "1");
      let isPublishing = true;
      const publishing = Promise.allSettled(
        [trial.broker, trial.peer].map(async (on) => {
          while (isPublishing) {
            await trial.keep(topic, "more", { on });
            await setImmediate();
          }
        }),
      );
      const resumed: { live: readonly Publication[]; read: readonly Publication[] }[] = [];
      try {
        for (const i of upTo(20)) {
          // Published at once, so that something falls between any two steps.
          const between = [1, 2, 3].map(() => trial.keep(topic, "between", { on: trial.peer }));
          resumed.push(await resume(trial, i % 2 ? trial.broker : trial.peer, topic, since));
          await Promise.all(between);
          await setImmediate();
        }
      } finally {
        isPublishing = false;
      }
      for (const { status } of await publishing) assert.equal(status, "fulfilled");
      const last = await trial.keep(topic, "last");
      for (const { live, read } of resumed) {
        await trial.patience.until(() => live.some(({ position }) => position?.offset === last.offset));
        const merged = new Map([...read, ...live].map(({ position }) => [position?.offset, position?.epoch]));
        const offsets = [...merged.keys()].map(Number).sort((a, b) => a - b);
        assert.deepEqual(offsets, upTo(last.offset).slice(1), "The merged stream has a gap");
        assert.deepEqual([...new Set(merged.values())], [since.epoch]);
      }
    },
  },
  {
    name: "idempotency: the same key is published once, and gives the position of the first time",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = await trial.listen(topic);
      const options = { history: enough, idempotencyKey: "k" };
      const first = await trial.broker.publish(topic, "1", options);
      await trial.keep(topic, "2");
      assert.deepEqual(await trial.peer.publish(topic, "again", options), first);
      assert.deepEqual((await trial.broker.publish(topic, "3", { ...options, idempotencyKey: "K" }))?.offset, 3);
      await listening.exactly(3);
      assert.deepEqual(await trial.read(topic), [["1", "2", "3"], true]);
    },
  },
  {
    name: "idempotency: holds for those who publish at once",
    async run(trial) {
      const topic = trial.topic("a");
      const listening = [await trial.listen(topic), await trial.listen(topic, { on: trial.peer })];
      const options = { history: enough, idempotencyKey: "k" };
      const positions = await Promise.all(
        upTo(20).map((n) => (n % 2 ? trial.broker : trial.peer).publish(topic, String(n), options)),
      );
      assert.deepEqual(new Set(positions.map((position) => position?.offset)), new Set([1]));
      const [texts] = await trial.read(topic);
      for (const each of listening) {
        await each.exactly(1);
        assert.deepEqual(each.texts, texts);
      }
    },
  },
  {
    name: "idempotency: holds without history, and each topic has keys of its own",
    async run(trial) {
      const all = await trial.listen(trial.topic(">"), { pattern: true });
      for (const name of ["a", "a.b", "a", "a.b", "a"]) {
        assert.equal(await trial.broker.publish(trial.topic(name), name, { idempotencyKey: "k" }), undefined);
      }
      await all.exactly(2);
      assert.deepEqual(all.texts.sort(), ["a", "a.b"]);
    },
  },
  {
    name: "end: a broker that was ended is down, says so once, and promises nothing",
    async run(trial) {
      const { broker } = trial;
      assert.equal(broker.state, "up");
      const topic = trial.topic("a");
      const states: string[] = [];
      broker.onState((state) => states.push(state));
      const off = broker.onState((state) => states.push(state));
      off();
      const listening = await trial.listen(topic);
      await broker[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
      assert.deepEqual([broker.state, states], ["down", ["down"]]);
      const down = { code: "ERR_VEL_BROKER_DOWN" };
      await assert.rejects(broker.publish(topic, "1"), down);
      await assert.rejects(
        broker.subscribe(topic, () => undefined),
        down,
      );
      await assert.rejects(broker.history(topic), down);
      await listening.off();
      await listening.exactly(0);
    },
  },
];

/** The first half of resuming: hears what comes from now on, then reads what came before. */
async function resume(
  trial: BrokerTrial,
  on: Broker,
  topic: string,
  since: Position,
): Promise<{ live: readonly Publication[]; read: readonly Publication[] }> {
  const { seen } = await trial.listen(topic, { on });
  const { publications, complete } = await on.history(topic, { since });
  assert(complete, "What is kept is not complete");
  return { live: seen, read: publications };
}
