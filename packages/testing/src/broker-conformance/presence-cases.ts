/**
 * Who is present is listed, for as long as the lease, and nobody else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { upTo } from "./broker-trial.ts";
import type { Case } from "./case.ts";
import { long, type PresenceTrial } from "./presence-trial.ts";

/** Cases about presence stores. */
export const presenceCases: readonly Case<PresenceTrial>[] = [
  {
    name: "join: the first of a user's connections is first, and no other",
    async run(trial) {
      const topic = trial.name("lobby");
      assert.deepEqual(await trial.store.join(topic, trial.entry("ada", "c1"), long), { first: true });
      assert.deepEqual(await trial.peer.join(topic, trial.entry("ada", "c2"), long), { first: false });
      assert.deepEqual(await trial.store.join(topic, trial.entry("bob", "c3"), long), { first: true });
      assert.deepEqual(await trial.store.join(trial.name("hall"), trial.entry("ada", "c1"), long), { first: true });
      assert.deepEqual(await trial.present(topic), ["ada c1", "ada c2", "bob c3"]);
    },
  },
  {
    name: "join: the same connection again replaces its entry",
    async run(trial) {
      const topic = trial.name("lobby");
      await trial.store.join(topic, trial.entry("ada", "c1", { meta: "old" }), long);
      const entry = trial.entry("ada", "c1", { meta: "new", node: "n2" });
      assert.deepEqual(await trial.peer.join(topic, entry, long), { first: false });
      assert.deepEqual([...(await trial.store.list(topic))], [["ada", [entry]]]);
      assert.deepEqual(await trial.store.count(topic), { users: 1, connections: 1 });
    },
  },
  {
    name: "join: of connections that join at once one is first; of those that leave at once one is last",
    async run(trial) {
      const topic = trial.name("lobby");
      const ids = upTo(20).map((n) => `c${String(n)}`);
      const storeOf = (i: number): PresenceTrial["store"] => (i % 2 ? trial.store : trial.peer);
      const joins = await Promise.all(ids.map((id, i) => storeOf(i).join(topic, trial.entry("ada", id), long)));
      assert.equal(joins.filter(({ first }) => first).length, 1);
      assert.deepEqual(await trial.store.count(topic), { users: 1, connections: 20 });
      const leaves = await Promise.all(ids.map((id, i) => storeOf(i + 1).leave(topic, "ada", id)));
      assert.equal(leaves.filter(({ last }) => last).length, 1);
      assert.deepEqual(await trial.store.count(topic), { users: 0, connections: 0 });
    },
  },
  {
    name: "leave: the last of a user's connections is last, and the next one first again",
    async run(trial) {
      const topic = trial.name("lobby");
      for (const id of ["c1", "c2"]) await trial.store.join(topic, trial.entry("ada", id), long);
      await trial.store.join(topic, trial.entry("bob", "c3"), long);
      assert.deepEqual(await trial.peer.leave(topic, "ada", "c1"), { last: false });
      assert.deepEqual(await trial.store.leave(topic, "ada", "c2"), { last: true });
      assert.deepEqual(await trial.present(topic), ["bob c3"]);
      assert.deepEqual(await trial.store.join(topic, trial.entry("ada", "c4"), long), { first: true });
    },
  },
  {
    name: "leave: nothing happens where there is no such entry",
    async run(trial) {
      const topic = trial.name("lobby");
      assert.deepEqual(await trial.store.leave(topic, "ada", "c1"), { last: false });
      await trial.store.join(topic, trial.entry("ada", "c1"), long);
      await trial.store.join(topic, trial.entry("bob", "c2"), long);
      for (const [key, id] of [
        ["ada", "c2"],
        ["bob", "c1"],
        ["eve", "c1"],
      ] as const) {
        assert.deepEqual(await trial.store.leave(topic, key, id), { last: false });
      }
      assert.deepEqual(await trial.store.leave(trial.name("hall"), "ada", "c1"), { last: false });
      assert.deepEqual(await trial.present(topic), ["ada c1", "bob c2"]);
      await trial.store.leave(topic, "ada", "c1");
      assert.deepEqual(await trial.store.leave(topic, "ada", "c1"), { last: false });
    },
  },
  {
    name: "list: gives every entry whole, by user",
    async run(trial) {
      const topic = trial.name("lobby");
      const metas = [null, "é💡", 0, false, [1, [2]], { name: "Ada", tags: ["a"], more: { deep: null } }, ""];
      const entries = metas.map((meta, i) => trial.entry(i % 2 ? "ada" : "bob", `c${String(i)}`, { meta }));
      for (const entry of entries) await trial.store.join(topic, entry, long);
      const listed = await trial.peer.list(topic);
      assert.deepEqual([...listed.keys()].sort(), ["ada", "bob"]);
      for (const [key, found] of listed) {
        const sorted = [...found].sort((a, b) => a.connectionId.localeCompare(b.connectionId));
        assert.deepEqual(
          sorted,
          entries.filter((entry) => entry.key === key),
        );
      }
    },
  },
  {
    name: "list: is of a moment, and the caller's to change",
    async run(trial) {
      const topic = trial.name("lobby");
      await trial.store.join(topic, trial.entry("ada", "c1"), long);
      const before = (await trial.store.list(topic)) as Map<string, unknown[]>;
      await trial.store.join(topic, trial.entry("ada", "c2"), long);
      assert.equal(before.get("ada")?.length, 1);
      before.get("ada")?.pop();
      before.clear();
      assert.deepEqual(await trial.present(topic, trial.store), ["ada c1", "ada c2"]);
    },
  },
  {
    name: "count: counts users and connections, of that topic alone",
    async run(trial) {
      const topic = trial.name("lobby");
      assert.deepEqual(await trial.store.count(topic), { users: 0, connections: 0 });
      await trial.store.join(topic, trial.entry("ada", "c1"), long);
      await trial.store.join(topic, trial.entry("ada", "c2"), long);
      await trial.store.join(topic, trial.entry("bob", "c1"), long);
      await trial.store.join(trial.name("lobby.more"), trial.entry("eve", "c1"), long);
      assert.deepEqual(await trial.peer.count(topic), { users: 2, connections: 3 });
    },
  },
  {
    name: "names: are what they are, however odd",
    async run(trial) {
      const names = ["a b", "a:b", "é💡", "__proto__", "constructor", "*", "\0", "a\r\nb", "{a}", "A", "a"];
      for (const name of names) {
        const { first } = await trial.store.join(trial.name(name), trial.entry(name, name), long);
        assert(first, name);
      }
      for (const name of names) assert.deepEqual(await trial.present(trial.name(name)), [`${name} ${name}`]);
      // Where the parts of a key are joined, those must not be confused.
      const topic = trial.name("pairs");
      await trial.store.join(topic, trial.entry("a", "b:c"), long);
      await trial.store.join(topic, trial.entry("a:b", "c"), long);
      assert.deepEqual(await trial.store.count(topic), { users: 2, connections: 2 });
      assert.deepEqual(await trial.store.leave(topic, "a:b", "c"), { last: true });
      assert.deepEqual(await trial.present(topic), ["a b:c"]);
    },
  },
  {
    name: "lease: an entry that nobody renews is gone when it is over, and the user's next is first",
    async run(trial) {
      const topic = trial.name("lobby");
      await trial.store.join(topic, trial.entry("ada", "c1"), 200);
      await trial.store.join(topic, trial.entry("bob", "c2"), 200);
      await trial.store.join(topic, trial.entry("bob", "c3"), long);
      await trial.patience.eventually(async () => (await trial.store.count(topic)).connections === 1);
      assert.deepEqual(await trial.store.count(topic), { users: 1, connections: 1 });
      assert.deepEqual(await trial.present(topic), ["bob c3"]);
      assert.deepEqual(await trial.store.leave(topic, "ada", "c1"), { last: false });
      assert.deepEqual(await trial.peer.join(topic, trial.entry("ada", "c4"), long), { first: true });
      assert.deepEqual(await trial.peer.join(topic, trial.entry("bob", "c5"), long), { first: false });
    },
  },
  {
    name: "lease: joining again renews it",
    async run(trial) {
      const [topic, other] = [trial.name("lobby"), trial.name("hall")];
      await trial.store.join(topic, trial.entry("ada", "c1"), 1_000);
      await trial.store.join(topic, trial.entry("ada", "c1"), long);
      await trial.store.join(other, trial.entry("ada", "c1"), 1_000);
      await trial.patience.eventually(async () => (await trial.store.count(other)).connections === 0);
      assert.deepEqual(await trial.present(topic), ["ada c1"]);
    },
  },
  {
    name: "refresh: renews all entries of a process, at every topic, and of no other",
    async run(trial) {
      const [topic, other] = [trial.name("lobby"), trial.name("hall")];
      await trial.store.join(topic, trial.entry("ada", "c1", { node: "n1" }), 1_000);
      await trial.peer.join(topic, trial.entry("ada", "c2", { node: "n2" }), 1_000);
      await trial.peer.join(topic, trial.entry("bob", "c3", { node: "n11" }), 1_000);
      await trial.store.join(other, trial.entry("eve", "c4", { node: "n1" }), 1_000);
      await trial.store.refresh(trial.name("n1"), long);
      await trial.patience.eventually(async () => (await trial.store.count(topic)).connections === 1);
      assert.deepEqual([await trial.present(topic), await trial.present(other)], [["ada c1"], ["eve c4"]]);
    },
  },
  {
    name: "refresh: brings nobody back",
    async run(trial) {
      const topic = trial.name("lobby");
      await trial.store.join(topic, trial.entry("ada", "c1"), 200);
      await trial.store.join(topic, trial.entry("bob", "c2"), long);
      await trial.store.leave(topic, "bob", "c2");
      await trial.patience.eventually(async () => (await trial.store.count(topic)).connections === 0);
      await trial.store.refresh(trial.name("n1"), long);
      await trial.store.refresh(trial.name("nobody"), long);
      assert.deepEqual(await trial.present(topic), []);
    },
  },
];
