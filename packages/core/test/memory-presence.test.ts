import { queryObjects } from "node:v8";
import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryPresenceStore, type PresenceEntry } from "../src/index.ts";

const lease = 30_000;

function setup(): { store: MemoryPresenceStore; clock: ManualClock } {
  const clock = new ManualClock();
  return { store: new MemoryPresenceStore({ clock }), clock };
}

function entry(
  key: string,
  connectionId: string,
  { node = "n1", meta = null }: Partial<PresenceEntry> = {},
): PresenceEntry {
  return { key, connectionId, node, meta };
}

/** Who is listed, short: `ada: c1 c2`. */
async function listed(store: MemoryPresenceStore, topic: string): Promise<string[]> {
  const users = await store.list(topic);
  return [...users].map(([key, entries]) => `${key}: ${entries.map(({ connectionId }) => connectionId).join(" ")}`);
}

/** How many objects of a kind there are, after a garbage collection. Others in this process make some too. */
function countOf(kind: typeof Map | typeof Set | typeof Array): number {
  return queryObjects(kind, { format: "count" });
}

describe("MemoryPresenceStore.join()", () => {
  it("tells whether the user had no entry before, at each topic by itself", async () => {
    const { store } = setup();
    expect(await store.join("lobby", entry("ada", "c1"), lease)).toEqual({ first: true });
    expect(await store.join("lobby", entry("ada", "c2"), lease)).toEqual({ first: false });
    expect(await store.join("lobby", entry("bob", "c3"), lease)).toEqual({ first: true });
    expect(await store.join("hall", entry("ada", "c1"), lease)).toEqual({ first: true });
    expect(await listed(store, "lobby")).toEqual(["ada: c1 c2", "bob: c3"]);
    expect(await listed(store, "hall")).toEqual(["ada: c1"]);
  });

  it("replaces and renews the entry of the same connection", async () => {
    const { store, clock } = setup();
    await store.join("lobby", entry("ada", "c1", { meta: "old" }), lease);
    await clock.advance(lease - 1);
    expect(await store.join("lobby", entry("ada", "c1", { meta: "new", node: "n2" }), lease)).toEqual({ first: false });
    await clock.advance(lease - 1);
    expect([...(await store.list("lobby")).values()].flat()).toEqual([entry("ada", "c1", { meta: "new", node: "n2" })]);
    await clock.advance(1);
    expect(await store.count("lobby")).toEqual({ users: 0, connections: 0 });
  });

  it("answers calls that are made at once in their order", async () => {
    const { store } = setup();
    const [one, two, three] = await Promise.all([
      store.join("lobby", entry("ada", "c1"), lease),
      store.join("lobby", entry("ada", "c2"), lease),
      store.leave("lobby", "ada", "c1"),
    ]);
    expect([one, two, three]).toEqual([{ first: true }, { first: false }, { last: false }]);
  });

  it("is first again after all entries of the user have expired", async () => {
    const { store, clock } = setup();
    await store.join("lobby", entry("ada", "c1"), 100);
    await store.join("lobby", entry("bob", "c2"), 1_000);
    await clock.advance(100);
    expect(await store.join("lobby", entry("ada", "c3"), lease)).toEqual({ first: true });
    expect(await listed(store, "lobby")).toEqual(["bob: c2", "ada: c3"]);
  });

  it("rejects with RangeError at a lease that is no positive number, as refresh() does", async () => {
    const { store, clock } = setup();
    await store.join("lobby", entry("ada", "c1"), lease);
    for (const value of [0, -1, NaN]) {
      const error = new RangeError(`Lease must be a positive number, got ${value}`);
      await expect(store.join("lobby", entry("bob", "c2"), value)).rejects.toThrow(error);
      await expect(store.refresh("n1", value)).rejects.toThrow(error);
    }
    await clock.advance(lease);
    expect(await store.count("lobby")).toEqual({ users: 0, connections: 0 });
  });
});

describe("MemoryPresenceStore.leave()", () => {
  it("tells whether it was the user's last", async () => {
    const { store } = setup();
    await store.join("lobby", entry("ada", "c1"), lease);
    await store.join("lobby", entry("ada", "c2"), lease);
    await store.join("lobby", entry("bob", "c3"), lease);
    expect(await store.leave("lobby", "ada", "c1")).toEqual({ last: false });
    expect(await store.leave("lobby", "ada", "c2")).toEqual({ last: true });
    expect(await listed(store, "lobby")).toEqual(["bob: c3"]);
  });

  it("does nothing for an entry that is not there, expired ones included", async () => {
    const { store, clock } = setup();
    expect(await store.leave("lobby", "ada", "c1")).toEqual({ last: false });
    await store.join("lobby", entry("ada", "c1"), lease);
    await store.join("lobby", entry("bob", "c2"), 2 * lease);
    expect(await store.leave("lobby", "ada", "c2")).toEqual({ last: false });
    expect(await store.leave("lobby", "bob", "c1")).toEqual({ last: false });
    expect(await store.leave("hall", "ada", "c1")).toEqual({ last: false });
    expect(await store.count("lobby")).toEqual({ users: 2, connections: 2 });
    await clock.advance(lease);
    expect(await store.leave("lobby", "ada", "c1")).toEqual({ last: false });
  });
});

describe("MemoryPresenceStore.refresh()", () => {
  it("renews the entries of a process at every topic, and nobody else's", async () => {
    const { store, clock } = setup();
    await store.join("lobby", entry("ada", "c1", { node: "n1" }), lease);
    await store.join("lobby", entry("ada", "c2", { node: "n2" }), lease);
    await store.join("hall", entry("bob", "c3", { node: "n1" }), lease);
    await clock.advance(lease - 1);
    await store.refresh("n1", lease);
    await clock.advance(lease - 1);
    expect([await listed(store, "lobby"), await listed(store, "hall")]).toEqual([["ada: c1"], ["bob: c3"]]);
    await clock.advance(1);
    expect([await listed(store, "lobby"), await listed(store, "hall")]).toEqual([[], []]);
  });

  it("does not bring back what has expired", async () => {
    const { store, clock } = setup();
    await store.join("lobby", entry("ada", "c1"), lease);
    await clock.advance(lease);
    await store.refresh("n1", lease);
    expect(await listed(store, "lobby")).toEqual([]);
  });
});

describe("MemoryPresenceStore.list() and count()", () => {
  it("are of a moment: later changes do not show, and changing the answer changes nothing", async () => {
    const { store } = setup();
    await store.join("lobby", entry("ada", "c1"), lease);
    const before = (await store.list("lobby")) as Map<string, PresenceEntry[]>;
    await store.join("lobby", entry("ada", "c2"), lease);
    expect(before.get("ada")).toHaveLength(1);
    before.get("ada")!.length = 0;
    before.clear();
    expect(await store.count("lobby")).toEqual({ users: 1, connections: 2 });
  });

  it("know names that objects have", async () => {
    const { store } = setup();
    const names = ["__proto__", "constructor", "toString", "\0", ""];
    for (const name of names) {
      expect(await store.count(name)).toEqual({ users: 0, connections: 0 });
      expect(await store.join(name, entry(name, name), lease)).toEqual({ first: true });
      expect(await listed(store, name)).toEqual([`${name}: ${name}`]);
      expect(await store.leave(name, name, name)).toEqual({ last: true });
    }
  });
});

describe("MemoryPresenceStore", () => {
  // Fails when a lease lasts a moment longer: `expires < now` in #present().
  it("agrees with a list of entries, whatever is called (against a model)", async () => {
    const topic = fc.constantFrom("t1", "t2");
    const key = fc.constantFrom("ada", "bob");
    const connectionId = fc.constantFrom("c1", "c2", "c3");
    const node = fc.constantFrom("n1", "n2");
    const time = fc.integer({ min: 1, max: 10 });
    const step = fc.oneof(
      fc.record({ call: fc.constant("join" as const), topic, key, connectionId, node, time }),
      fc.record({ call: fc.constant("leave" as const), topic, key, connectionId }),
      fc.record({ call: fc.constant("refresh" as const), node, time }),
      fc.record({ call: fc.constant("wait" as const), time }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        let now = 0;
        const clock = { now: () => now, wall: () => 0, setTimeout: () => 0, clearTimeout: () => undefined };
        const store = new MemoryPresenceStore({ clock });
        let all: (PresenceEntry & { topic: string; expires: number })[] = [];
        for (const each of steps) {
          if (each.call === "wait") now += each.time;
          all = all.filter(({ expires }) => expires > now);
          if (each.call === "refresh") {
            await store.refresh(each.node, each.time);
            for (const lease of all) if (lease.node === each.node) lease.expires = now + each.time;
          }
          if (each.call === "join" || each.call === "leave") {
            const { topic, key, connectionId } = each;
            const ofUser = all.filter((lease) => lease.topic === topic && lease.key === key);
            const others = ofUser.filter((lease) => lease.connectionId !== connectionId);
            all = all.filter((lease) => !ofUser.includes(lease) || others.includes(lease));
            if (each.call === "leave") {
              const last = ofUser.length > others.length && others.length === 0;
              expect(await store.leave(topic, key, connectionId)).toEqual({ last });
            } else {
              const made = { ...entry(key, connectionId, { node: each.node }), topic, expires: now + each.time };
              all.push(made);
              const { first } = await store.join(topic, entry(key, connectionId, { node: each.node }), each.time);
              expect(first).toBe(ofUser.length === 0);
            }
          }
          for (const topic of ["t1", "t2"]) {
            const here = all.filter((lease) => lease.topic === topic);
            const users = new Set(here.map(({ key }) => key)).size;
            expect(await store.count(topic)).toEqual({ users, connections: here.length });
            const names = (entries: readonly PresenceEntry[]): string[] =>
              entries.map(({ key, connectionId, node }) => `${key} ${connectionId} ${node}`).sort();
            expect(names([...(await store.list(topic)).values()].flat())).toEqual(names(here));
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("leaves nothing of topics that all have left, or whose leases are over at the next refresh", async () => {
    const { store, clock } = setup();
    const before = countOf(Map);
    for (let i = 0; i < 10_000; i++) {
      await store.join(`left.${i}`, entry("ada", "c1"), lease);
      await store.join(`expired.${i}`, entry("ada", "c1"), lease);
      await store.leave(`left.${i}`, "ada", "c1");
      void store.list(`read.${i}`);
      void store.leave(`read.${i}`, "ada", "c1");
    }
    expect(countOf(Map) - before).toBeGreaterThan(10_000);
    await clock.advance(lease);
    await store.refresh("n1", lease);
    expect(countOf(Map) - before).toBeLessThan(1_000);
  });
});
