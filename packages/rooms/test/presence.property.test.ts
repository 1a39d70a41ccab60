/**
 * Presence against a model: whoever applies the state and then every diff holds what the room says, and hears nothing
 * outside. With users who join, leave, drop, are kicked, and come back within the grace and after it, also while
 * `onJoin` runs.
 *
 * Found when planted: a newcomer is told of its own join again (its position is taken before the change is recorded),
 * after 1 run; one who left while `onJoin` ran gets the state, after 3; who is out stays in the audience, after 11; of
 * two newcomers the older one gets the younger one's diff, after 11; grace for who left, after 8; a return within the
 * grace keeps the old meta, after 115.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connection } from "@vel/core";
import { Room, RoomManager, RoomPresence, type Join, type RoomUser } from "@vel/rooms";
import { ManualClock, settle } from "@vel/testing";
import { gate, peers, take, type Gate, type Peer } from "./kit.ts";

const peerCount = 4;
const userIds = ["ada", "ada", "bob", "__proto__"];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      who: fc.nat({ max: peerCount - 1 }),
      user: fc.constantFrom(...userIds),
      meta: fc.constantFrom(null, 1, { a: 1 }),
      isSlow: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("go" as const),
      who: fc.nat({ max: peerCount - 1 }),
      how: fc.constantFrom("leave", "leave", "drop", "drop", "terminate", "kick"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("wait" as const), time: fc.constantFrom(0, 10, 100, 985, 1_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Lists of metas by user: those of a client, and those of the model. Metas as JSON, sorted. */
type Lists = Map<string, string[]>;

function add(lists: Lists, userId: string, metas: readonly unknown[]): void {
  lists.set(userId, [...(lists.get(userId) ?? []), ...metas.map((meta) => JSON.stringify(meta))].sort());
}

function remove(lists: Lists, userId: string, metas: readonly unknown[]): void {
  const list = lists.get(userId) ?? [];
  for (const meta of metas) {
    const at = list.indexOf(JSON.stringify(meta));
    expect(at, "a leave of somebody unknown").toBeGreaterThanOrEqual(0);
    list.splice(at, 1);
  }
  if (list.length === 0) lists.delete(userId);
}

type Told = { readonly room: string } & (
  | { readonly type: "presence_state"; readonly users: Record<string, unknown[]> }
  | {
      readonly type: "presence_diff";
      readonly joins: Record<string, unknown[]>;
      readonly leaves: Record<string, unknown[]>;
    }
  | { readonly type: "presence_count"; readonly users: number; readonly connections: number }
);

/** What a client makes of what it hears. */
class Replica {
  users: Lists = new Map();
  counts: readonly number[] = [];
  hasState = false;

  apply(told: Told): void {
    if (told.type === "presence_count") {
      this.counts = [told.users, told.connections];
    } else if (told.type === "presence_state") {
      this.users = new Map();
      for (const [userId, metas] of Object.entries(told.users)) add(this.users, userId, metas);
      this.hasState = true;
    } else {
      expect(this.hasState, "a diff before the state").toBe(true);
      expect(Object.keys({ ...told.joins, ...told.leaves }).length, "an empty diff").toBeGreaterThan(0);
      for (const [userId, metas] of Object.entries(told.joins)) add(this.users, userId, metas);
      for (const [userId, metas] of Object.entries(told.leaves)) remove(this.users, userId, metas);
    }
  }
}

/** A peer, and where it should be. */
interface Person extends Peer {
  stay: { readonly userId: string; readonly meta: unknown } | undefined;
  /** Set while `onJoin` runs, also when it has left meanwhile. */
  door: Gate | undefined;
  /** Why it left while `onJoin` ran. */
  gone: "left" | "dropped" | undefined;
  /** Settles when `onJoin` has. */
  joining: Promise<unknown>;
  /** How many frames it had been sent when it went out. */
  sent: number;
  readonly replica: Replica;
}

const server = peers();
/** Connections of earlier runs that are open still: to connect takes longer than a run. */
const spares: Peer[] = [];

class World {
  readonly clock = new ManualClock();
  readonly people: Person[] = [];
  readonly metas = new Map<Connection, unknown>();
  readonly ghosts = new Map<string, { readonly meta: unknown; readonly due: number }>();
  readonly rooms: RoomManager<Room & { presence: RoomPresence }>;
  readonly options: { readonly mode: "users" | "count"; readonly grace: number; readonly interval: number };
  door: Gate | undefined;

  constructor(options: World["options"]) {
    this.options = options;
    const { clock, metas } = this;
    const doorNow = (): Gate | undefined => this.door;
    class TestRoom extends Room {
      readonly presence = new RoomPresence(this, { ...options, clock, metaOf: (_, { id }) => find(id) });
      override onJoin(_: RoomUser, __: Join): Promise<void> | undefined {
        return doorNow()?.promise;
      }
    }
    const find = (id: string): unknown => [...metas].find(([connection]) => connection.id === id)?.[1];
    this.rooms = new RoomManager({ room: TestRoom, clock, emptyTtl: Infinity });
  }

  get presence(): RoomPresence {
    return this.rooms.getOrCreate("a").presence;
  }

  async start(): Promise<void> {
    for (let i = 0; i < peerCount; i++) this.people.push(await this.arrive());
  }

  async arrive(): Promise<Person> {
    const peer = spares.pop() ?? (await server.peer());
    const sent = peer.connection.messagesSent;
    const nowhere = { stay: undefined, door: undefined, gone: undefined, joining: Promise.resolve(), sent };
    return { ...peer, ...nowhere, replica: new Replica() };
  }

  async run(action: Step): Promise<void> {
    if (action.do === "join") await this.join(action);
    else if (action.do === "go") await this.go(action);
    else if (action.do === "open") await this.open();
    else if (action.do === "wait") await this.wait(action.time);
    else await this.look();
    for (const { stay, door, connection, sent } of this.people) {
      if (!stay || door) expect(connection.messagesSent, "frames to who is out").toBe(sent);
    }
    expect(this.lists()).toEqual(this.expected());
  }

  async join({ who, user, meta, isSlow }: Step & { do: "join" }): Promise<void> {
    let person = this.people[who] as Person;
    if (person.door || person.stay) return;
    if (!person.connection.isOpen) person = this.people[who] = await this.arrive();
    person.stay = { userId: user, meta };
    this.metas.set(person.connection, meta);
    this.door = isSlow ? gate() : undefined;
    person.door = this.door;
    person.joining = this.rooms.join("a", person.connection, { userId: user, meta });
    if (person.door) return;
    await person.joining;
    this.ghosts.delete(user);
  }

  async go({ who, how }: Step & { do: "go" }): Promise<void> {
    const person = this.people[who] as Person;
    const { stay } = person;
    if (how === "kick" && stay) {
      this.rooms.get("a")?.kick(stay.userId, { by: "system" });
      for (const other of this.people) if (other.stay?.userId === stay.userId) this.gone(other, "left");
      return;
    }
    if (how === "leave") this.rooms.leave("a", person.connection);
    else if (how === "terminate") person.connection.terminate();
    else if (how === "drop") {
      person.client.drop();
      await settle();
    }
    if (stay) this.gone(person, how === "leave" ? "left" : "dropped");
    if (how === "drop") await this.wait(10); // so that not all are due together
  }

  /** Somebody is not in the room any more. */
  gone(person: Person, why: "left" | "dropped"): void {
    if (person.door) person.gone ??= why;
    else this.exit(person, why);
  }

  exit(person: Person, why: "left" | "dropped"): void {
    const { stay } = person;
    person.stay = undefined;
    if (!stay) return;
    const present = this.people.filter((other) => other.stay && !other.door).map((other) => other.stay?.userId);
    if (present.length === 0) this.ghosts.clear();
    else if (why === "dropped" && this.options.grace > 0 && !present.includes(stay.userId)) {
      this.ghosts.set(stay.userId, { meta: stay.meta, due: this.clock.now() + this.options.grace });
    }
    person.sent = person.connection.messagesSent;
  }

  /** Opens the door for the first who waits. */
  async open(): Promise<void> {
    const person = this.people.find(({ door }) => door);
    if (!person?.stay) return;
    person.door?.open();
    await person.joining;
    person.door = undefined;
    this.ghosts.delete(person.stay.userId);
    if (person.gone) {
      expect(person.connection.messagesSent, "frames to who went while onJoin ran").toBe(person.sent);
      this.exit(person, person.gone);
    }
    person.gone = undefined;
  }

  async wait(time: number): Promise<void> {
    await this.clock.advance(time);
    for (const [userId, { due }] of this.ghosts) if (due <= this.clock.now()) this.ghosts.delete(userId);
  }

  /** Waits until nothing is left to be told; then everybody must hold what the room says. */
  async look(): Promise<void> {
    for (let i = 0; this.clock.pending > Math.min(1, this.ghosts.size); i++) {
      expect(i, "a timer that is left").toBeLessThan(20);
      await this.wait(this.options.interval);
    }
    await settle();
    const here = this.lists();
    for (const { client, stay, door, replica } of this.people) {
      for (const told of take(client) as Told[]) replica.apply(told);
      if (!stay || door) continue;
      if (this.options.mode === "users") expect(replica.users).toEqual(here);
      else expect(replica.counts).toEqual([here.size, [...here.values()].flat().length]);
    }
  }

  /** What the room says. */
  lists(): Lists {
    const lists: Lists = new Map();
    for (const [userId, metas] of this.presence.users) add(lists, userId, metas);
    expect(this.presence.userCount).toBe(lists.size);
    expect(this.presence.connectionCount).toBe([...lists.values()].flat().length);
    return lists;
  }

  /** What the model says. */
  expected(): Lists {
    const lists: Lists = new Map();
    for (const { stay, door } of this.people) if (stay && !door) add(lists, stay.userId, [stay.meta]);
    for (const [userId, { meta }] of this.ghosts) add(lists, userId, [meta]);
    return lists;
  }

  /** Everybody goes; then nothing may be left. */
  async end(): Promise<void> {
    while (this.people.some(({ door }) => door)) await this.open();
    await this.look();
    for (const { client, connection } of this.people) {
      this.rooms.leave("a", connection);
      if (connection.isOpen) spares.push({ client, connection });
    }
    expect(this.clock.pending).toBe(0);
    await settle();
    for (const { client } of spares) take(client);
    expect(this.presence.users.size).toBe(0);
    expect(server.errors).toEqual([]);
  }
}

describe("RoomPresence", () => {
  it("lets every client hold what the room says, by the state and every diff", async () => {
    const options = fc.record({
      mode: fc.constantFrom<("users" | "count")[]>("users", "users", "count"),
      grace: fc.constantFrom(0, 1_000, 1_000),
      interval: fc.constantFrom(0, 100),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.array(step, { maxLength: 30, size: "max" }), async (given, steps) => {
        const world = new World(given);
        await world.start();
        for (const action of steps) await world.run(action);
        await world.end();
      }),
      { numRuns: 1_000 },
    );
  }, 120_000);
});
