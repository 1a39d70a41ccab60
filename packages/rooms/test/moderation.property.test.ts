/**
 * Moderation against a model, and what must hold whatever the table says.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  defaultCapabilities,
  Room,
  RoomManager,
  roleRank,
  UserRole,
  type Actor,
  type Capability,
  type Join,
  type Leave,
  type RoomUser,
} from "@vel/rooms";
import { ManualClock } from "@vel/testing";
import { codeOf, gate, peers, type Gate, type Peer } from "./kit.ts";

const numRuns = 1_000;
const system = { by: "system" } as const;
const roles = Object.keys(UserRole) as UserRole[];
const ids = ["ada", "bob", "__proto__", "system", "eve"];

const role = fc.constantFrom(...roles);
const id = fc.constantFrom(...ids);
const duration = fc.constantFrom<(number | undefined)[]>(undefined, undefined, 10, 50);

let pool: Peer[] = [];
beforeAll(async () => {
  const { peer } = peers();
  pool = [];
  for (let i = 0; i < 10; i++) pool.push(await peer());
});
const connectionOf = (userId: string, tab = 0) => pool[ids.indexOf(userId) * 2 + tab]!.connection;

const act = fc.record({
  do: fc.constantFrom("kick", "ban", "unban", "mute", "unmute", "setRole" as const),
  by: fc.oneof(id, fc.constantFrom("as system", "as somebody before")),
  target: id,
  role,
  for: duration,
});
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;
const join = fc.record({ do: fc.constant("join" as const), id, role: fc.option(role, { nil: undefined }) });
const leave = fc.record({ do: fc.constant("leave" as const), id });
const speak = fc.record({ do: fc.constant("speak" as const), id });
const wait = fc.record({ do: fc.constant("wait" as const), time: fc.constantFrom(9, 10, 41) });
const step = fc.oneof(
  { weight: 8, arbitrary: act },
  { weight: 6, arbitrary: join },
  { weight: 2, arbitrary: leave },
  { weight: 3, arbitrary: speak },
  { weight: 1, arbitrary: wait },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a room should know, written down as plainly as can be. */
class Model {
  now = 0;
  /** The role of each who is in. */
  readonly inside = new Map<string, UserRole>();
  readonly given = new Map<string, UserRole>();
  /** What those were who left. */
  readonly former = new Map<string, UserRole>();
  readonly bans = new Map<string, number>();
  readonly mutes = new Map<string, number>();

  holds(table: Map<string, number>, userId: string): boolean {
    return (table.get(userId) ?? -1) > this.now;
  }

  roleOf(userId: string): UserRole {
    const former = this.former.get(userId);
    const known = former !== undefined && roleRank(former) > 1 ? former : "member";
    return this.inside.get(userId) ?? this.given.get(userId) ?? known;
  }

  may({ do: what, by, target, role }: Act): boolean {
    if (by === "as system") return true;
    const actor = this.inside.get(by);
    if (actor === undefined) return false;
    const least = { kick: 2, ban: 2, unban: 2, mute: 2, unmute: 2, setRole: 3 }[what];
    const rank = roleRank(actor);
    return rank >= least && rank > roleRank(this.roleOf(target)) && (what !== "setRole" || rank > roleRank(role));
  }

  out(userId: string): void {
    const role = this.inside.get(userId);
    if (role === undefined) return;
    this.inside.delete(userId);
    this.former.set(userId, role);
  }

  /** Does what may be done. */
  apply({ do: what, target, role, for: time = Infinity }: Act): void {
    if (what === "kick") this.out(target);
    else if (what === "ban") {
      this.bans.set(target, this.now + time);
      this.out(target);
    } else if (what === "unban") this.bans.delete(target);
    else if (what === "mute") this.mutes.set(target, this.now + time);
    else if (what === "unmute") this.mutes.delete(target);
    else {
      this.given.set(target, role);
      if (this.inside.has(target)) this.inside.set(target, role);
    }
  }
}

/** Does an act in a room. */
function perform(room: Room, { do: what, target, role, for: time }: Act, by: Actor): void {
  if (what === "setRole") room.setRole(target, role, { by });
  else if (what === "ban" || what === "mute") room[what](target, { by, for: time });
  else room[what](target, { by });
}

class TalkRoom extends Room {
  override onMessage(_user: RoomUser, message: unknown): void {
    this.broadcast(message as string);
  }
}

/** A room and its model side by side. */
class World {
  readonly clock = new ManualClock();
  readonly model = new Model();
  readonly rooms = new RoomManager({ room: TalkRoom, clock: this.clock, emptyTtl: Infinity });
  readonly room = this.rooms.getOrCreate("lobby");
  /** Users as the room gave them out, who may have left since. */
  readonly known: RoomUser[] = [];

  async run(step: Step): Promise<void> {
    const { model, room } = this;
    if (step.do === "wait") {
      model.now += step.time;
      await this.clock.advance(step.time);
    } else if (step.do === "join") await this.join(step.id, step.role);
    else if (step.do === "leave") {
      expect(this.rooms.leave("lobby", connectionOf(step.id))).toBe(model.inside.has(step.id));
      model.out(step.id);
    } else if (step.do === "speak") this.speak(step.id);
    else this.act(step);
    expect(new Map([...room.users.values()].map(({ id, role }) => [id, role]))).toEqual(model.inside);
  }

  async join(userId: string, role: UserRole | undefined): Promise<void> {
    const { model, room, rooms } = this;
    const error: unknown = await rooms.join("lobby", connectionOf(userId), { userId, role }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (model.inside.has(userId)) expect(error).toMatchObject({ code: "ERR_VEL_ROOM_MEMBER" });
    else if (model.holds(model.bans, userId)) {
      const left = (model.bans.get(userId) ?? 0) - model.now;
      expect(error).toMatchObject({ code: "ERR_VEL_ROOM_BANNED", retryAfter: left < Infinity ? left : undefined });
    } else {
      expect(error).toBeUndefined();
      model.inside.set(userId, model.given.get(userId) ?? role ?? "member");
      this.known.push(room.users.get(userId)!);
    }
  }

  speak(userId: string): void {
    const { model, room } = this;
    const code = codeOf(() => room.receive(connectionOf(userId), "hello"));
    if (!model.inside.has(userId)) expect(code).toBe("ERR_VEL_ROOM_NOT_MEMBER");
    else expect(code).toBe(model.holds(model.mutes, userId) ? "ERR_VEL_ROOM_MUTED" : undefined);
  }

  act(step: Act): void {
    const { model, room, known } = this;
    const stale = known.findLast((user) => room.users.get(user.id) !== user);
    let by: Actor | undefined = room.users.get(step.by);
    if (step.by === "as system") by = "system";
    if (step.by === "as somebody before") by = stale;
    const isAllowed = model.may(step);
    expect(codeOf(() => perform(room, step, by as Actor))).toBe(isAllowed ? undefined : "ERR_VEL_ROOM_FORBIDDEN");
    if (isAllowed) model.apply(step);
  }
}

describe("moderation", () => {
  // Fails with `rank >= ` in place of `rank > ` in Moderation.authorize().
  it("follows the model: who is in, with which role, who is banned and muted, and who may act", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
        const world = new World();
        for (const each of steps) await world.run(each);
      }),
      { numRuns },
    );
  }, 120_000);

  // Fails without the check of the given role in Moderation.authorize().
  it("never lets users together raise anybody to the highest rank among them, nor harm who has it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(role, { minLength: 5, maxLength: 5 }),
        fc.array(act, { maxLength: 30 }),
        async (first, acts) => {
          const world = new World();
          for (const [i, userId] of ids.entries()) await world.join(userId, first[i]);
          const top = Math.max(...first.map(roleRank));
          const tops = ids.filter((_, i) => roleRank(first[i]!) === top);
          for (const each of acts.filter(({ by }) => by !== "as system")) {
            codeOf(() => perform(world.room, each, world.room.users.get(each.by)!));
          }
          const highest = [...world.room.users.values()].filter(({ role }) => roleRank(role) >= top);
          expect(highest.map(({ id }) => id).sort()).toEqual([...tops].sort());
          for (const userId of tops) expect(world.room.receive(connectionOf(userId), "hello")).toBeUndefined();
        },
      ),
      { numRuns },
    );
  }, 60_000);

  // Fails with `roleRank(role) > ` in place of `roleRank(role) >= ` in Moderation's #suffices().
  it("can() follows any table, and a higher role can do all that a lower one can", async () => {
    const capabilities = Object.keys(defaultCapabilities) as Capability[];
    const table = fc.record(Object.fromEntries(capabilities.map((each) => [each, role])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(table, table, async (defaults, own) => {
        const rooms = new RoomManager({ defaults: { capabilities: defaults } });
        const room = rooms.getOrCreate("lobby", Room, { capabilities: own });
        const can: Capability[][] = [];
        for (const [i, each] of roles.entries()) {
          await rooms.join("lobby", pool[i]!.connection, { userId: each, role: each });
          can.push(capabilities.filter((capability) => room.can(room.users.get(each)!, capability)));
        }
        for (const [rank, list] of can.entries()) {
          expect(list).toEqual(
            capabilities.filter((name) => rank >= roleRank(own[name] ?? defaults[name] ?? defaultCapabilities[name])),
          );
          for (const name of list) if (rank < 4) expect(can[rank + 1]).toContain(name);
        }
      }),
      { numRuns },
    );
  }, 60_000);

  // Fails when Moderation.assertMaySpeak() looks at mutes with `left > 10`.
  it("a muted user's message reaches nobody, and everybody else's reaches everybody", async () => {
    const change = fc.record({ id, do: fc.constantFrom("mute", "unmute", "speak", "speak", "rejoin"), for: duration });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 40 }), fc.boolean(), async (changes, hasTime) => {
        const world = new World();
        const { room, rooms, clock } = world;
        for (const userId of ids) await world.join(userId, "guest");
        const muted = new Map<string, number>();
        const half = hasTime ? changes.length >> 1 : -1;
        for (const [i, each] of changes.entries()) {
          if (i === half) await clock.advance(45);
          if (each.do === "mute") {
            room.mute(each.id, { ...system, for: each.for });
            muted.set(each.id, clock.now() + (each.for ?? Infinity));
          } else if (each.do === "unmute") {
            room.unmute(each.id, system);
            muted.delete(each.id);
          } else if (each.do === "rejoin") {
            rooms.leave("lobby", connectionOf(each.id));
            await rooms.join("lobby", connectionOf(each.id), { userId: each.id });
          } else {
            const before = ids.map((userId) => connectionOf(userId).messagesSent);
            const code = codeOf(() => room.receive(connectionOf(each.id), "hello"));
            const isMuted = (muted.get(each.id) ?? -1) > clock.now();
            expect(code).toBe(isMuted ? "ERR_VEL_ROOM_MUTED" : undefined);
            const after = ids.map((userId) => connectionOf(userId).messagesSent);
            expect(after).toEqual(before.map((count) => count + (isMuted ? 0 : 1)));
          }
        }
      }),
      { numRuns },
    );
  }, 60_000);

  // Fails when Room.kick() lets only the first of a user's connections out.
  it("first and last alternate for each user, under kicks and bans, whatever onJoin takes", async () => {
    const event = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant("join" as const), id, tab: fc.nat(1), isSlow: fc.boolean() }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("kick", "ban" as const), id }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), id, tab: fc.nat(1) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const), which: fc.nat(3) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40, size: "max" }), async (events) => {
        const turns = new Map<string, string[]>(ids.map((each) => [each, []]));
        const doors: { door: Gate; joining: Promise<unknown> }[] = [];
        let door: Gate | undefined;
        class TurnRoom extends Room {
          override async onJoin({ id }: RoomUser, { first }: Join): Promise<void> {
            if (first) turns.get(id)?.push("first");
            await door?.promise;
          }
          override onLeave({ id }: RoomUser, { last }: Leave): void {
            if (last) turns.get(id)?.push("last");
          }
        }
        const rooms = new RoomManager({ room: TurnRoom });
        const room = rooms.getOrCreate("lobby");
        for (const each of events) {
          if (each.do === "join") {
            door = each.isSlow ? gate() : undefined;
            const joining = rooms.join("lobby", connectionOf(each.id, each.tab), { userId: each.id }).catch(() => 0);
            if (door) doors.push({ door, joining });
            else await joining;
          } else if (each.do === "open") {
            const [slow] = doors.splice(each.which % Math.max(1, doors.length), 1);
            slow?.door.open();
            await slow?.joining;
          } else if (each.do === "leave") rooms.leave("lobby", connectionOf(each.id, each.tab));
          else {
            room[each.do](each.id, system);
            expect(room.users.has(each.id)).toBe(false);
            room.unban(each.id, system);
          }
        }
        for (const slow of doors) slow.door.open();
        await Promise.all(doors.map(({ joining }) => joining));
        await rooms.close();
        for (const told of turns.values()) {
          expect(told).toEqual(told.map((_, i) => (i % 2 === 0 ? "first" : "last")));
          expect(told.length % 2).toBe(0);
        }
      }),
      { numRuns },
    );
  }, 60_000);
});
