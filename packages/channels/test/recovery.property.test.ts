/**
 * Whatever happens to streams, wires and connections: what is declared recovered is all there, once and in order, and
 * what is not is said. Each property names a fault that makes it fail.
 */
import { Channel } from "@vel/channels";
import type { Position, Publication } from "@vel/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { continueFrom, restart } from "../src/continuity.ts";
import { peers, turn, WiredBroker, type Peer, type SeenFrame } from "./kit.ts";

const runs = { numRuns: 1_000 };

/** What was published, in order. */
type Truth = { readonly position: Position; readonly number: number }[];

/** Where a stream goes on after a position; undefined when nothing is known of it. */
function after(truth: Truth, { epoch, offset }: Position): number | undefined {
  const index = truth.findIndex(({ position }) => position.epoch === epoch && position.offset === offset + 1);
  if (index >= 0) return index;
  const last = truth.findLastIndex(({ position }) => position.epoch === epoch);
  return last >= 0 && truth[last]?.position.offset === offset ? last + 1 : undefined;
}

/**
 * Follows what one client saw: after a position, messages come one by one as they were published, until another position
 * is told.
 */
class Follower {
  cursor: number | undefined;
  position: Position | undefined;
  /** How each subscription was asked for. */
  readonly asked: { readonly since: Position | undefined; readonly isAgain: boolean }[] = [];
  #expectsGap = false;

  follow(truth: Truth, { type, recovered, position, data }: SeenFrame): void {
    if (!position) throw new Error("A frame without a position");
    if (this.#expectsGap) expect(type).toBe("gap");
    this.#expectsGap = false;
    if (type === "message") {
      expect(this.cursor).toBeDefined();
      expect({ position, number: data }).toEqual(truth[this.cursor ?? -1]);
      this.cursor = (this.cursor ?? 0) + 1;
    } else {
      if (type === "subscribed") {
        const asked = this.asked.shift();
        expect(recovered === undefined).toBe(asked?.since === undefined);
        if (recovered) expect(position).toEqual(asked?.since);
        this.#expectsGap = asked?.isAgain === true && asked.since === undefined;
      } else expect(type).toBe("gap");
      this.cursor = after(truth, position);
    }
    this.position = position;
  }
}

/** One client over all its connections. */
class Client {
  readonly follower = new Follower();
  peer: Peer | undefined;
  #wasIn = false;

  readonly #channel: Channel<number>;
  readonly #truth: Truth;
  readonly #connect: () => Promise<Peer>;

  constructor(channel: Channel<number>, truth: Truth, connect: () => Promise<Peer>) {
    this.#channel = channel;
    this.#truth = truth;
    this.#connect = connect;
  }

  read(): void {
    if (!this.peer) return;
    for (const payload of (this.peer.client.received as string[]).splice(0)) {
      this.follower.follow(this.#truth, JSON.parse(payload) as SeenFrame);
    }
  }

  drop(): void {
    this.read();
    this.peer?.client.drop();
    this.peer = undefined;
    this.follower.asked.length = 0;
  }

  async subscribe(withSince: boolean, isSlow: boolean): Promise<boolean | undefined> {
    if (!this.peer) {
      this.peer = await this.#connect();
      this.#wasIn = false;
    }
    this.read();
    const since = withSince ? this.follower.position : undefined;
    this.follower.asked.push({ since, isAgain: this.#wasIn });
    this.#wasIn = true;
    const options = isSlow ? { filter: () => true } : {};
    return (await this.#channel.subscribe(this.peer.connection, { ...(since && { since }), ...options })).recovered;
  }
}

const op = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      who: fc.nat(1),
      withSince: fc.boolean(),
      /** How many are published while it is on its way. */
      meanwhile: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5 })),
      ownWishes: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), who: fc.nat(1), hasRead: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), who: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("new epoch" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("wire" as const),
      mode: fc.constantFrom("pass" as const, "lose" as const, "double" as const, "hold" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("back" as const) }) },
);

// Planted: `continueFrom` without its check for holes; `Hub.#join` without `member.held`; `Member` without its floor;
// `Feed.#take` that hands on what is not next; `Subscription.begin` without the gap. Each fails here.
test("Clients that drop and come back, streams that are trimmed and begin anew, wires that lose and double", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 25 }), async (ops) => {
      const broker = new WiredBroker(1);
      const retention = { limit: 4, ttl: 1_000 };
      const channel = new Channel<number>("news", { broker, history: retention });
      const { peer } = peers();
      const truth: Truth = [];
      const clients = [new Client(channel, truth, peer), new Client(channel, truth, peer)] as const;
      let held: (() => void)[] = [];
      const publish = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const number = truth.length;
          // Known before anybody gets it.
          const { position: top } = await channel.history({ limit: 0 });
          const slot = { position: { epoch: top.epoch, offset: top.offset + 1 }, number };
          truth.push(slot);
          const position = await channel.publish(number);
          if (position) slot.position = position;
        }
      };
      const pass = (publication: Publication, hand: (publication: Publication) => void): void => {
        hand(publication);
      };
      for (const each of ops) {
        const client = "who" in each ? clients[each.who === 0 ? 0 : 1] : clients[0];
        if (each.do === "publish") await publish(each.count);
        else if (each.do === "subscribe") {
          const since = each.withSince ? client.follower.position : undefined;
          await turn();
          client.read();
          const kept =
            since && client.follower.position && (await channel.history({ since: client.follower.position }));
          const subscribing = client.subscribe(each.withSince, each.ownWishes);
          await publish(each.meanwhile);
          const recovered = await subscribing;
          if (each.meanwhile === 0 && kept) expect(recovered).toBe(kept.complete);
        } else if (each.do === "drop") {
          if (each.hasRead) await turn();
          client.drop();
        } else if (each.do === "unsubscribe") {
          await turn();
          client.read();
          if (client.peer) channel.unsubscribe(client.peer.connection);
        } else if (each.do === "new epoch") await broker.publish("other", "0", { history: retention });
        else if (each.do === "expire") await broker.clock.advance(1_000);
        else if (each.do === "back") broker.tell("up");
        else {
          for (const hand of held) hand();
          held = [];
          broker.onWire =
            each.mode === "pass"
              ? pass
              : each.mode === "lose"
                ? () => undefined
                : each.mode === "double"
                  ? (publication, hand) => {
                      hand(publication);
                      hand(publication);
                    }
                  : (publication, hand) => {
                      held.push(() => {
                        hand(publication);
                      });
                    };
        }
      }
      broker.onWire = pass;
      for (const hand of held) hand();
      await turn();
      await publish(1);
      await turn();
      for (const client of clients) {
        client.read();
        const isIn = client.peer !== undefined && client.follower.cursor !== undefined;
        // Whoever is in has everything up to the end, or was told.
        if (isIn && client.peer && channel.unsubscribe(client.peer.connection)) {
          expect(client.follower.cursor).toBe(truth.length);
        }
        client.drop();
      }
      await turn();
      expect([channel.subscriberCount, broker.subscriptions]).toEqual([0, 0]);
    }),
    runs,
  );
}, 60_000);

// Planted: a `Feed.#take` that takes everything for the next one, which is lost, doubled or turned around here.
test("A wire that loses, doubles and turns around, over a history that has all", async () => {
  const wire = fc.array(fc.nat(9), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(wire, async (order) => {
      const broker = new WiredBroker();
      const channel = new Channel<number>("news", { broker, history: { limit: 100, ttl: 1_000 } });
      const { peer } = peers();
      const [ada, bob] = [await peer(), await peer()];
      await channel.subscribe(ada.connection);
      await channel.subscribe(bob.connection, { filter: () => true });
      const hands: (() => void)[] = [];
      broker.onWire = (publication, hand) => {
        hands.push(() => {
          hand(publication);
        });
      };
      for (let number = 0; number < 10; number++) await channel.publish(number);
      for (const each of order) {
        hands[each]?.();
        if (each % 3 === 0) await turn();
      }
      hands[9]?.();
      await turn();
      for (const { client } of [ada, bob]) {
        const frames = (client.received as string[]).map((each) => JSON.parse(each) as SeenFrame);
        expect(frames.map(({ type, data }) => data ?? type)).toEqual(["subscribed", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      }
    }),
    runs,
  );
}, 60_000);

/** A stream, the part of it that is kept, and what came live: some of it lost, doubled and turned around. */
const stream = fc
  .record({
    length: fc.integer({ min: 0, max: 12 }),
    kept: fc.nat(12),
    since: fc.integer({ min: -1, max: 14 }),
    read: fc.nat(12),
  })
  .chain((each) =>
    fc.record({
      ...Object.fromEntries(Object.entries(each).map(([name, value]) => [name, fc.constant(value)])),
      held: fc.array(fc.integer({ min: 1, max: Math.max(each.length, 1) }), { maxLength: 14 }),
    } as {
      length: fc.Arbitrary<number>;
      kept: fc.Arbitrary<number>;
      since: fc.Arbitrary<number>;
      read: fc.Arbitrary<number>;
      held: fc.Arbitrary<number[]>;
    }),
  );
const placed = (offset: number): { position: Position } => ({ position: { epoch: "a", offset } });

// Planted: no sort, `isPast` with `<` in place of `<=`, no check of the end, none for holes. Each fails here.
test("continueFrom() gives everything there is, or nothing", () => {
  fc.assert(
    fc.property(stream, ({ length, kept, since, read, held }) => {
      const top = Math.min(read, length);
      const has = Math.min(kept, top);
      const publications = Array.from({ length: has }, (_, i) => placed(top - has + 1 + i));
      const live = held.filter((offset) => offset <= length);
      const found = { publications, top: placed(top).position };
      const result = continueFrom(placed(since).position, found, live.map(placed));
      const known = new Set([...publications.map(({ position }) => position.offset), ...live]);
      const end = Math.max(top, ...live);
      const wanted = Array.from({ length: Math.max(end - since, 0) }, (_, i) => since + 1 + i);
      const isThere = since <= top && wanted.every((offset) => known.has(offset));
      expect(result?.map(({ position }) => position.offset)).toEqual(isThere ? wanted : undefined);
    }),
    runs,
  );
});

// Planted: a `restart` that begins at the first that was held, whatever is missing behind it.
test("restart() begins where nothing is missing any more, and not later than it must", () => {
  fc.assert(
    fc.property(stream, fc.boolean(), ({ length, held, read }, isKnown) => {
      const live = held.filter((offset) => offset <= length);
      const top = isKnown ? placed(Math.min(read, length)).position : undefined;
      const { position, next } = restart(top, live.map(placed));
      const offsets = next.map((each) => each.position.offset);
      const end = Math.max(top?.offset ?? 0, ...live);
      if (!position) {
        expect([top, live]).toEqual([undefined, []]);
        return;
      }
      expect(offsets).toEqual(Array.from({ length: end - position.offset }, (_, i) => position.offset + 1 + i));
      // The one before was not there.
      if (offsets.length > 0) expect(live).not.toContain(position.offset);
    }),
    runs,
  );
});

// Planted: an event stream that gives a message the id of the one before it.
test("An event stream that breaks off anywhere resumes where it was, or says gap", async () => {
  const sessions = fc.array(fc.record({ before: fc.nat(6), read: fc.nat(8), after: fc.nat(6) }), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(sessions, fc.integer({ min: 1, max: 8 }), async (all, limit) => {
      const broker = new WiredBroker();
      const channel = new Channel<number>("news", { broker, history: { limit, ttl: 1_000 } });
      let published = 0;
      const publish = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) await channel.publish(++published);
      };
      let id: string | null = null;
      let seen: number | undefined;
      for (const { before, read, after: later } of all) {
        await publish(before);
        const kept = Math.min(published, limit);
        const response = channel.eventStream({ headers: { get: () => id } });
        const reader = response.body?.getReader();
        const next = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value);
        await next();
        const begin = await next();
        const isGap = begin.includes("event: gap");
        expect(isGap).toBe(seen !== undefined && published - seen > kept);
        if (isGap || seen === undefined) seen = published;
        id = /^id: (.*)$/m.exec(begin)?.[1] ?? null;
        await publish(later);
        for (let i = 0; i < read && seen < published; i++) {
          const event = await next();
          expect(event).toMatch(/^id: /);
          expect(/^data: (.*)$/m.exec(event)?.[1]).toBe(String(++seen));
          id = /^id: (.*)$/m.exec(event)?.[1] ?? null;
        }
        await reader?.cancel();
      }
      await turn();
      expect([channel.subscriberCount, broker.subscriptions]).toEqual([0, 0]);
    }),
    runs,
  );
}, 60_000);
