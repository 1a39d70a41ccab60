import {
  MemoryBroker,
  MemoryPresenceStore,
  type Broker,
  type MaybePromise,
  type PresenceEntry,
  type PresenceStore,
  type Publication,
} from "@vel/core";
import { describe, expect, it } from "vitest";
import {
  conformanceTable,
  ManualClock,
  runBrokerConformance,
  runPresenceConformance,
  type StartedBroker,
  type StartedPresence,
} from "../src/index.ts";

/** What the planted faults change of a broker, and see of it. */
type Fault<T> = (inner: T, clock: ManualClock) => Partial<T>;

/** How long a case may hang on a planted fault, in milliseconds. On a slow machine they fail the more. */
const timeout = 250;

/** Puts methods in front of those of something. */
function changed<T extends object>(inner: T, fault: Fault<T>, clock: ManualClock): T {
  const own: Partial<T> = fault(inner, clock);
  return new Proxy(inner, {
    get(_, name) {
      const value: unknown = Reflect.get(name in own ? own : inner, name);
      return typeof value === "function" ? value.bind(name in own ? own : inner) : value;
    },
  });
}

function startBroker(fault: Fault<Broker> = () => ({}), makePeer?: (clock: ManualClock) => Broker): StartedBroker {
  const clock = new ManualClock();
  const inner = new MemoryBroker({ clock, onError: () => undefined });
  const broker = changed<Broker>(inner, fault, clock);
  const peer = makePeer?.(clock);
  return {
    broker,
    ...(peer && { peer }),
    advance: (milliseconds) => clock.advance(milliseconds),
    close: () => inner[Symbol.asyncDispose](),
  };
}

function startPresence(
  fault: Fault<PresenceStore> = () => ({}),
  makePeer?: (clock: ManualClock) => PresenceStore,
): StartedPresence {
  const clock = new ManualClock();
  const store = changed<PresenceStore>(new MemoryPresenceStore({ clock }), fault, clock);
  const peer = makePeer?.(clock);
  return {
    store,
    ...(peer && { peer }),
    advance: (milliseconds) => clock.advance(milliseconds),
    close: () => Promise.resolve(),
  };
}

/** A planted fault, and the cases that it makes fail. */
interface Planted<T> {
  readonly what: string;
  readonly fails: readonly string[];
  readonly fault?: Fault<T>;
  readonly peer?: (clock: ManualClock) => T;
}

type Listener = (publication: Publication) => void;

/** Changes what arrives at listeners. */
function delivering(change: (deliver: Listener) => Listener): Fault<Broker> {
  return (inner) => ({
    subscribe: (topic, listener, options) => inner.subscribe(topic, change(listener), options),
  });
}

const brokerFaults: readonly Planted<Broker>[] = [
  {
    what: "drops every third publication",
    fails: ["publish: every subscriber", "order: of two", "order: holds when many", "resume:"],
    fault: delivering((deliver) => {
      let count = 0;
      return (publication) => {
        if (++count % 3 !== 0) deliver(publication);
      };
    }),
  },
  {
    what: "delivers twice",
    fails: ["publish: every subscriber", "order: of two", "idempotency: holds for those"],
    fault: delivering((deliver) => (publication) => {
      deliver(publication);
      deliver(publication);
    }),
  },
  {
    what: "delivers the newest of a turn first",
    fails: ["order: holds when many"],
    fault: delivering((deliver) => {
      const waiting: Publication[] = [];
      return (publication) => {
        if (waiting.push(publication) > 1) return;
        setImmediate(() => {
          for (const each of waiting.splice(0).reverse()) deliver(each);
        });
      };
    }),
  },
  {
    what: "swaps neighbours",
    fails: ["order: of two", "order: holds when many"],
    fault: delivering((deliver) => {
      let held: Publication | undefined;
      return (publication) => {
        if (!held) return void (held = publication);
        deliver(publication);
        deliver(held);
        held = undefined;
      };
    }),
  },
  {
    what: "calls others before a listener's own publication, in the middle of another",
    fails: ["order: holds when a listener publishes"],
    fault(inner) {
      const listeners: Listener[] = [];
      let offset = 0;
      return {
        subscribe(_, listener) {
          listeners.push(listener);
          return Promise.resolve(() => Promise.resolve());
        },
        publish(topic, payload, options) {
          const position = { epoch: "e", offset: ++offset };
          for (const listener of listeners) listener({ topic, payload, position });
          return inner.publish(topic, payload, options);
        },
      };
    },
  },
  {
    what: "drops the origin and turns bytes into text",
    fails: ["publish: every subscriber"],
    fault: delivering((deliver) => ({ topic, payload, position }) => {
      deliver({ topic, payload: new TextDecoder().decode(Buffer.from(payload)), ...(position && { position }) });
    }),
  },
  {
    what: "reads bytes after publish() has returned",
    fails: ["publish: bytes are"],
    fault: (inner) => ({
      async publish(topic, payload, options) {
        await Promise.resolve();
        return inner.publish(topic, payload, options);
      },
    }),
  },
  {
    what: "confuses topics of odd names",
    fails: ["publish: topics are"],
    fault(inner) {
      const plain = (topic: string): string => topic.toLowerCase().replace(/[\r\n\0]/g, "");
      return {
        publish: (topic, ...rest) => inner.publish(plain(topic), ...rest),
        subscribe: (topic, ...rest) => inner.subscribe(plain(topic), ...rest),
        history: (topic, ...rest) => inner.history(plain(topic), ...rest),
      };
    },
  },
  {
    what: "lets * stand for several segments",
    fails: ["pattern: brings"],
    fault: (inner) => ({
      subscribe(topic, listener, options) {
        if (!options?.pattern) return inner.subscribe(topic, listener, options);
        const [prefix = "", ...rest] = topic.split(".");
        const glob = rest.join(".").replaceAll(/[?\\]/g, "\\$&").replaceAll(/[*>]/g, ".*");
        const pattern = new RegExp(`^${glob}$`, "s");
        const filtered: Listener = (each) => {
          if (pattern.test(each.topic.slice(prefix.length + 1))) listener(each);
        };
        return inner.subscribe(`${prefix}.>`, filtered, options);
      },
    }),
  },
  {
    what: "takes every name for a pattern",
    fails: ["pattern: without"],
    fault: (inner) => ({ subscribe: (topic, listener) => inner.subscribe(topic, listener, { pattern: true }) }),
  },
  {
    what: "tells subscribers of a pattern the pattern",
    fails: ["pattern: brings", "publish: every subscriber"],
    fault: (inner) => ({
      subscribe: (topic, listener, options) =>
        inner.subscribe(topic, (publication) => listener({ ...publication, topic }), options),
    }),
  },
  {
    what: "says that it subscribed before it has",
    fails: ["subscribe: nothing is missed", "resume:"],
    fault: (inner) => ({
      async subscribe(topic, listener, options) {
        setImmediate(() => void inner.subscribe(topic, listener, options).catch(() => undefined));
        return () => Promise.resolve();
      },
    }),
  },
  {
    what: "keeps listeners in a set, by themselves",
    fails: ["subscribe: each subscription"],
    fault(inner) {
      const offs = new Map<Listener, () => Promise<void>>();
      return {
        async subscribe(topic, listener, options) {
          const off = offs.get(listener) ?? (await inner.subscribe(topic, listener, options));
          offs.set(listener, off);
          return off;
        },
      };
    },
  },
  {
    what: "does not unsubscribe",
    fails: ["unsubscribe: nothing comes", "unsubscribe: within", "subscribe: each subscription"],
    fault: (inner) => ({
      async subscribe(...args) {
        await inner.subscribe(...args);
        return () => Promise.resolve();
      },
    }),
  },
  {
    what: "lets go of a topic altogether when one unsubscribes",
    fails: ["unsubscribe: nothing comes", "unsubscribe: within"],
    fault(inner) {
      const offs = new Map<string, (() => Promise<void>)[]>();
      return {
        async subscribe(topic, ...rest) {
          offs.set(topic, [...(offs.get(topic) ?? []), await inner.subscribe(topic, ...rest)]);
          return async () => {
            await Promise.all((offs.get(topic) ?? []).map((off) => off()));
          };
        },
      };
    },
  },
  {
    what: "tells the publisher what a listener throws",
    fails: ["listener:"],
    fault(inner) {
      let thrown: Error | undefined;
      return {
        subscribe: (topic, listener, options) =>
          inner.subscribe(
            topic,
            (publication) => {
              try {
                listener(publication);
              } catch (error) {
                thrown = error as Error;
              }
            },
            options,
          ),
        async publish(...args) {
          const position = await inner.publish(...args);
          if (thrown) throw thrown;
          return position;
        },
      };
    },
  },
  {
    what: "numbers what is not kept",
    fails: ["history: offsets count"],
    fault: (inner) => ({
      async publish(topic, payload, options) {
        const position = await inner.publish(topic, payload, { history: { limit: 1e3, ttl: 6e5 }, ...options });
        return options?.history ? position : undefined;
      },
    }),
  },
  {
    what: "leaves out numbers",
    fails: ["history: offsets count", "order: of two"],
    fault(inner) {
      const far = (publication: Publication): Publication => {
        const { position } = publication;
        return position ? { ...publication, position: { ...position, offset: 2 * position.offset } } : publication;
      };
      return {
        subscribe: (topic, listener, options) => inner.subscribe(topic, (each) => listener(far(each)), options),
        async publish(topic, payload, options) {
          const position = await inner.publish(topic, payload, options);
          return position && far({ topic, payload, position }).position;
        },
      };
    },
  },
  {
    what: "fills in a part, and says that something is missing",
    fails: ["history: what is not kept", "history: more than the limit"],
    fault: (inner) => ({
      async history(topic, options) {
        const found = await inner.history(topic, options);
        return found.complete ? found : { ...found, publications: (await inner.history(topic)).publications };
      },
    }),
  },
  {
    what: "fills in a part, and says that it is all",
    fails: ["history: what is not kept", "history: more than the limit", "history: a position of another"],
    fault: (inner) => ({
      async history(topic, options) {
        const found = await inner.history(topic, options);
        return found.complete
          ? found
          : { ...found, publications: (await inner.history(topic)).publications, complete: true };
      },
    }),
  },
  {
    what: "brings the position itself once more",
    fails: ["history: since", "history: what is not kept"],
    fault: (inner) => ({
      history(topic, { since, ...rest } = {}) {
        if (!since || since.offset < 1) return inner.history(topic, { ...rest, ...(since && { since }) });
        return inner.history(topic, { ...rest, since: { ...since, offset: since.offset - 1 } });
      },
    }),
  },
  {
    what: "limits to the first ones",
    fails: ["history: a limit"],
    fault: (inner) => ({
      async history(topic, { limit = Infinity, ...rest } = {}) {
        const found = await inner.history(topic, rest);
        return { ...found, publications: found.publications.slice(0, limit) };
      },
    }),
  },
  {
    what: "does not ask for the epoch",
    fails: ["history: a position of another"],
    fault: (inner) => ({
      async history(topic, options = {}) {
        const { epoch } = (await inner.history(topic)).top;
        return inner.history(topic, { ...options, ...(options.since && { since: { ...options.since, epoch } }) });
      },
    }),
  },
  {
    what: "takes a position from the future for the top",
    fails: ["history: a position of another"],
    fault: (inner) => ({
      async history(topic, options = {}) {
        const { top } = await inner.history(topic);
        const since = options.since && options.since.offset > top.offset ? top : options.since;
        return inner.history(topic, { ...options, ...(since && { since }) });
      },
    }),
  },
  {
    what: "keeps for ever",
    fails: ["history: what has expired"],
    fault: (inner) => ({
      publish: (topic, payload, { history, ...rest } = {}) =>
        inner.publish(topic, payload, { ...rest, ...(history && { history: { ...history, ttl: Infinity } }) }),
    }),
  },
  {
    what: "counts anew in the same epoch when all has expired",
    fails: ["history: what has expired"],
    fault(inner) {
      let forgotten = 0;
      const sameEpoch = <T extends { epoch: string }>(position: T): T => ({ ...position, epoch: "e" });
      const real = async (topic: string): Promise<string> => {
        const name = `${topic}.${String(forgotten)}`;
        const { publications, top } = await inner.history(name);
        if (publications.length > 0 || top.offset === 0) return name;
        return `${topic}.${String(++forgotten)}`;
      };
      return {
        async publish(topic, payload, options) {
          const position = await inner.publish(await real(topic), payload, options);
          return position && sameEpoch(position);
        },
        async history(topic, { since, ...rest } = {}) {
          const name = await real(topic);
          const { epoch } = (await inner.history(name)).top;
          const found = await inner.history(name, { ...rest, ...(since && { since: { ...since, epoch } }) });
          return { ...found, top: sameEpoch(found.top) };
        },
      };
    },
  },
  {
    what: "makes a stream of every name that is read",
    fails: ["history: a topic that nobody"],
    fault(_, clock) {
      const small = new MemoryBroker({ clock, maxTopics: 100 });
      return {
        publish: (...args) => small.publish(...args),
        async history(topic, options) {
          const found = await small.history(topic, options);
          if (found.top.offset === 0) await small.publish(topic, "", { history: { limit: 1, ttl: 1 } });
          return found;
        },
      };
    },
  },
  {
    what: "forgets keys",
    fails: ["idempotency: the same key", "idempotency: holds for those", "idempotency: holds without"],
    fault: (inner) => ({
      publish: (topic, payload, { idempotencyKey: _key, ...rest } = {}) => inner.publish(topic, payload, rest),
    }),
  },
  {
    what: "remembers keys when it has published, not before",
    fails: ["idempotency: holds for those"],
    fault(inner) {
      const known = new Map<string, unknown>();
      return {
        async publish(topic, payload, { idempotencyKey, ...rest } = {}) {
          const key = `${topic} ${String(idempotencyKey)}`;
          if (idempotencyKey !== undefined && known.has(key)) return known.get(key) as never;
          const position = await inner.publish(topic, payload, rest);
          known.set(key, position);
          return position;
        },
      };
    },
  },
  {
    what: "gives keys of one topic to all",
    fails: ["idempotency: holds without"],
    fault(inner) {
      const known = new Set<string>();
      return {
        async publish(topic, payload, options) {
          const key = options?.idempotencyKey;
          if (key !== undefined && known.has(key)) return undefined;
          if (key !== undefined) known.add(key);
          return inner.publish(topic, payload, options);
        },
      };
    },
  },
  {
    what: "is up after its end",
    fails: ["end:"],
    fault: () => ({ [Symbol.asyncDispose]: () => Promise.resolve() }),
  },
  {
    what: "is one for each process",
    fails: [
      "publish: every subscriber",
      "publish: topics are",
      "order: of two",
      "pattern: brings",
      "resume:",
      "idempotency: the same key",
      "idempotency: holds for those",
    ],
    peer: (clock) => new MemoryBroker({ clock }),
  },
];

type Key = readonly [topic: string, key: string, connectionId: string];

const presenceFaults: readonly Planted<PresenceStore>[] = [
  {
    what: "calls every connection first",
    fails: ["join: the first", "join: the same", "join: of connections"],
    fault: (inner) => ({ join: (...args) => inner.join(...args).then(() => ({ first: true })) }),
  },
  {
    what: "calls every leave the last",
    fails: ["leave: the last", "leave: nothing", "join: of connections"],
    fault: (inner) => ({ leave: (...args) => inner.leave(...args).then(() => ({ last: true })) }),
  },
  {
    what: "calls a leave of nobody the last",
    fails: ["leave: nothing"],
    fault: (inner) => ({
      async leave(topic, key, connectionId) {
        const { last } = await inner.leave(topic, key, connectionId);
        return { last: last || !(await inner.list(topic)).has(key) };
      },
    }),
  },
  {
    what: "keeps the first entry of a connection",
    fails: ["join: the same", "lease: joining again"],
    fault: (inner) => ({
      async join(topic, entry, lease) {
        const entries = (await inner.list(topic)).get(entry.key) ?? [];
        const isIn = entries.some(({ connectionId }) => connectionId === entry.connectionId);
        return isIn ? { first: false } : inner.join(topic, entry, lease);
      },
    }),
  },
  {
    what: "looks who is there before it adds, not in one step",
    fails: ["join: of connections"],
    fault: (inner) => ({
      async join(topic, entry, lease) {
        const first = !(await inner.list(topic)).has(entry.key);
        await inner.join(topic, entry, lease);
        return { first };
      },
    }),
  },
  {
    what: "loses what it does not know of an entry's meta",
    fails: ["list: gives"],
    fault: (inner) => ({
      join: (topic, entry, lease) => inner.join(topic, { ...entry, meta: String(entry.meta) }, lease),
    }),
  },
  {
    what: "hands out its own lists",
    fails: ["list: is of a moment"],
    fault() {
      const users = new Map<string, PresenceEntry[]>();
      return {
        join(_, entry) {
          users.set(entry.key, users.get(entry.key) ?? []);
          users.get(entry.key)?.push(entry);
          return Promise.resolve({ first: true });
        },
        list: () => Promise.resolve(users),
      };
    },
  },
  {
    what: "counts connections for users",
    fails: ["count:", "join: of connections"],
    fault: (inner) => ({
      async count(topic) {
        const { connections } = await inner.count(topic);
        return { users: connections, connections };
      },
    }),
  },
  {
    what: "joins the parts of a key",
    fails: ["names:"],
    fault(inner) {
      const split = (topic: string, key: string, connectionId: string): Key => {
        const [first = "", ...rest] = `${key}:${connectionId}`.split(":");
        return [topic, first, rest.join(":")];
      };
      return {
        join(topic, entry, lease) {
          const [, key, connectionId] = split(topic, entry.key, entry.connectionId);
          return inner.join(topic, { ...entry, key, connectionId }, lease);
        },
        leave: (topic, key, connectionId) => inner.leave(...split(topic, key, connectionId)),
      };
    },
  },
  {
    what: "keeps entries for ever",
    fails: ["lease: an entry", "lease: joining again", "refresh: renews", "refresh: brings"],
    fault: (inner) => ({ join: (topic, entry) => inner.join(topic, entry, Infinity) }),
  },
  {
    what: "renews the entries of all processes",
    fails: ["refresh: renews"],
    fault: (inner) => ({
      async refresh(_, lease) {
        const nodes = new Set<string>();
        for (const topic of topicsOf.get(inner) ?? []) {
          for (const { node } of [...(await inner.list(topic)).values()].flat()) nodes.add(node);
        }
        for (const node of nodes) await inner.refresh(node, lease);
      },
      join(topic, entry, lease) {
        topicsOf.set(inner, (topicsOf.get(inner) ?? new Set()).add(topic));
        return inner.join(topic, entry, lease);
      },
    }),
  },
  {
    what: "renews nobody",
    fails: ["refresh: renews"],
    fault: () => ({ refresh: () => Promise.resolve() }),
  },
  {
    what: "brings back who is gone when it renews",
    fails: ["refresh: brings"],
    fault(inner) {
      const all: [string, PresenceEntry][] = [];
      return {
        join(topic, entry, lease) {
          all.push([topic, entry]);
          return inner.join(topic, entry, lease);
        },
        async refresh(node, lease) {
          for (const [topic, entry] of all) if (entry.node === node) await inner.join(topic, entry, lease);
        },
      };
    },
  },
  {
    what: "is one for each process",
    fails: ["join: the first", "join: of connections", "leave: the last", "list: gives", "count:", "lease: an entry"],
    peer: (clock) => new MemoryPresenceStore({ clock }),
  },
];

/** The topics that somebody joined, of a fault that must know them. */
const topicsOf = new WeakMap<PresenceStore, Set<string>>();

describe.each([
  {
    kit: "runBrokerConformance()",
    run: () => runBrokerConformance({ start: () => startBroker() }),
    faults: brokerFaults.map(({ what, fails, fault, peer }) => ({
      what,
      fails,
      run: (only: (name: string) => boolean) =>
        runBrokerConformance({ only, timeout, start: () => startBroker(fault, peer) }),
    })),
  },
  {
    kit: "runPresenceConformance()",
    run: () => runPresenceConformance({ start: () => startPresence() }),
    faults: presenceFaults.map(({ what, fails, fault, peer }) => ({
      what,
      fails,
      run: (only: (name: string) => boolean) =>
        runPresenceConformance({ only, timeout, start: () => startPresence(fault, peer) }),
    })),
  },
])("$kit", ({ run, faults }) => {
  it("passes the one in memory", async () => {
    const results = await run();
    expect(results.length).toBeGreaterThanOrEqual(10);
    expect(results.filter(({ outcome }) => outcome !== "passed")).toEqual([]);
    expect(new Set(results.map(({ name }) => name)).size).toBe(results.length);
    expect(conformanceTable({ memory: results })).toContain(`| ${results[0]?.name ?? ""} | ok |`);
  });

  it("passes two of one server", async () => {
    const results = await Promise.all([
      runBrokerConformance({ start: () => withItself(startBroker(), ({ broker }) => broker) }),
      runPresenceConformance({ start: () => withItself(startPresence(), ({ store }) => store) }),
    ]);
    expect(results.flat().filter(({ outcome }) => outcome !== "passed")).toEqual([]);
  });

  it.each(faults)("fails one that $what", async ({ fails, run: runFault }) => {
    const results = await runFault((name) => fails.some((each) => name.startsWith(each)));
    expect(results.length).toBe(fails.length);
    expect(results.filter(({ outcome }) => outcome !== "failed")).toEqual([]);
  });

  it("has no case that none of these faults makes fail", async () => {
    const names = (await run()).map(({ name }) => name);
    const caught = new Set(faults.flatMap(({ fails }) => fails));
    expect(names.filter((name) => ![...caught].some((each) => name.startsWith(each)))).toEqual([]);
    for (const each of caught) expect(names.filter((name) => name.startsWith(each))).toHaveLength(1);
  });
});

/** The same broker under two names, as two connections to one server are. */
function withItself<T extends StartedBroker | StartedPresence, P extends object>(
  started: T,
  one: (started: T) => P,
): T & { peer: P } {
  return { ...started, peer: changed<P>(one(started), () => ({}), new ManualClock()) };
}

describe("Cases", () => {
  it("run one after the other, each with a broker that is closed after it", async () => {
    const told: string[] = [];
    const started: string[] = [];
    const results = await runBrokerConformance({
      only: (name) => name.startsWith("idempotency:"),
      start() {
        started.push("start");
        const { broker, close } = startBroker();
        return {
          broker,
          close() {
            started.push("close");
            return close();
          },
        };
      },
      onResult: ({ name, outcome }) => told.push(`${outcome} ${name}`),
    });
    expect(told).toEqual(results.map(({ name, outcome }) => `${outcome} ${name}`));
    expect(started).toEqual(["start", "close", "start", "close", "start", "close"]);
  });

  it("fail when start() throws or never ends, and when close() rejects; the next one runs", async () => {
    let call = 0;
    const results = await runPresenceConformance({
      only: (name) => name.startsWith("j") || name.startsWith("leave: the"),
      timeout: 100,
      start(): MaybePromise<StartedPresence> {
        switch (call++) {
          case 0:
            throw new Error("No server");
          case 1:
            return new Promise<never>(() => undefined);
          case 2:
            return { ...startPresence(), close: () => Promise.reject(new Error("No end")) };
          default:
            return startPresence();
        }
      },
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "failed", "passed"]);
    expect(results.map(({ note }) => /No server|Hung for 100 ms|No end/.exec(note)?.[0])).toEqual([
      "No server",
      "Hung for 100 ms",
      "No end",
      undefined,
    ]);
  });
});
