/**
 * What becomes of messages, against models: slow mode, the order of typed messages, names of types.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StandardSchemaV1 } from "@vel/core";
import { Room, RoomManager, type HandlerTable, type RoomUser, type UserRole } from "@vel/rooms";
import { ManualClock } from "@vel/testing";
import { peers, type Peer } from "./kit.ts";

const numRuns = 1_000;
const { peer } = peers();
const pool: Peer[] = [];
async function take(count: number): Promise<Peer[]> {
  while (pool.length < count) pool.push(await peer());
  return pool.slice(0, count);
}

/** A schema that takes so many turns as the message says, and likes it or not. */
function turningSchema(): StandardSchemaV1<unknown, number> {
  const check = ({ n, isFit }: Turning): StandardSchemaV1.Result<number> =>
    isFit ? { value: n } : { issues: [{ message: "unfit" }] };
  const later = async (message: Turning): Promise<StandardSchemaV1.Result<number>> => {
    for (let left = message.turns; left > 0; left--) await Promise.resolve();
    return check(message);
  };
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => ((value as Turning).turns > 0 ? later(value as Turning) : check(value as Turning)),
    },
  };
}
interface Turning {
  readonly type: string;
  readonly n: number;
  readonly turns: number;
  readonly isFit: boolean;
}

describe("Room.receive()", () => {
  // Fails with `slowMode - 1` in Moderation.pace().
  it("takes a message in slow mode exactly when the wait is over, across tabs, leaving and joining", async () => {
    const event = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant("speak" as const), user: fc.nat(1), tab: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("rejoin" as const), user: fc.nat(1) }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant("wait" as const), time: fc.constantFrom(1, 49, 50, 99, 100) }),
      },
    );
    const roles = fc.constantFrom<UserRole[]>("guest", "member", "moderator");
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 16, size: "max" }), roles, async (events, role) => {
        const clock = new ManualClock();
        const rooms = new RoomManager({ clock, defaults: { slowMode: 100 } });
        const ends = (await take(4)).map(({ connection }) => connection);
        const join = async (user: number): Promise<void> => {
          for (const tab of [0, 1]) {
            await rooms.join("lobby", ends[user * 2 + tab]!, {
              userId: String(user),
              role: user === 0 ? role : "guest",
            });
          }
        };
        for (const user of [0, 1]) await join(user);
        const last = [-Infinity, -Infinity];
        for (const each of events) {
          if (each.do === "wait") await clock.advance(each.time);
          else if (each.do === "rejoin") {
            for (const tab of [0, 1]) rooms.leave("lobby", ends[each.user * 2 + tab]!);
            await join(each.user);
          } else {
            let error: unknown;
            try {
              void rooms.get("lobby")!.receive(ends[each.user * 2 + each.tab]!, "hello");
            } catch (reason) {
              error = reason;
            }
            const left = last[each.user]! + 100 - clock.now();
            const isExempt = role === "moderator" && each.user === 0;
            if (isExempt || left <= 0) expect(error).toBeUndefined();
            else expect(error).toMatchObject({ code: "ERR_VEL_ROOM_SLOW", retryAfter: left });
            if (!isExempt && left <= 0) last[each.user] = clock.now();
          }
        }
        expect(clock.pending).toBe(0);
        await rooms.close();
      }),
      { numRuns },
    );
  }, 120_000);

  // Fails when a message does not wait for one before it: with `const before = undefined` in Reception.receive().
  it("calls handlers in the order in which messages came, however long their schemas take", async () => {
    const message = fc.record({ isTyped: fc.boolean(), isFit: fc.boolean(), turns: fc.nat(4), pause: fc.nat(3) });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 12 }), async (messages) => {
        const log: number[] = [];
        class OrderRoom extends Room {
          protected override readonly messages: HandlerTable = this.handlers(
            { typed: turningSchema() },
            { typed: (_user, n) => log.push(n) },
          );
          override onMessage(_user: RoomUser, message: unknown): void {
            log.push((message as Turning).n);
          }
        }
        const clock = new ManualClock();
        const rooms = new RoomManager({ room: OrderRoom, clock });
        const [{ connection }] = (await take(1)) as [Peer];
        const room = await rooms.join("lobby", connection);
        const received: unknown[] = [];
        for (const [n, { isTyped, isFit, turns, pause }] of messages.entries()) {
          try {
            const result = room.receive(connection, { type: isTyped ? "typed" : "other", n, turns, isFit });
            received.push(
              result?.then(
                () => n,
                (error: unknown) => error,
              ),
            );
            // What is fit and needs no schema's promise is done at once, if nothing is before it.
            if (result === undefined) expect(log.at(-1)).toBe(n);
          } catch (error) {
            received.push(error);
          }
          for (let left = pause; left > 0; left--) await Promise.resolve();
        }
        const results = await Promise.all(received);
        const taken = messages.flatMap(({ isTyped, isFit }, n) => (isFit || !isTyped ? [n] : []));
        expect(log).toEqual(taken);
        for (const [n, { isTyped, isFit }] of messages.entries()) {
          if (isTyped && !isFit) expect(results[n]).toMatchObject({ code: "ERR_VEL_INVALID_MESSAGE" });
          else expect(results[n] ?? n).toBe(n);
        }
        expect(clock.pending).toBe(0);
        await rooms.close();
      }),
      { numRuns },
    );
  }, 60_000);

  // Fails when TypedMessages.find() reads a `type` that is inherited: without `Object.hasOwn(message, "type")`.
  it("reaches a handler by the message's own type alone, whatever it is called", async () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom("__proto__", "constructor", "toString", "valueOf", "say", "hasOwnProperty", "type"),
    );
    const typed = fc.uniqueArray(name, { maxLength: 4 });
    const [{ connection }] = (await take(1)) as [Peer];
    await fc.assert(
      fc.asyncProperty(typed, name, fc.jsonValue(), fc.boolean(), async (types, type, other, isOwn) => {
        const log: unknown[] = [];
        const define = (value: (each: string) => unknown): object => {
          const table = {};
          for (const each of types) Object.defineProperty(table, each, { value: value(each), enumerable: true });
          return table;
        };
        const any = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } };
        class NameRoom extends Room {
          protected override readonly messages: HandlerTable = this.handlers(
            define(() => any) as never,
            define((each) => () => log.push(["handler", each])) as never,
          );
          override onMessage(): void {
            log.push("onMessage");
          }
        }
        const rooms = new RoomManager({ room: NameRoom });
        const room = await rooms.join("lobby", connection);
        const message = isOwn ? { type } : (Object.create({ type }) as object);
        void room.receive(connection, message);
        expect(log.splice(0)).toEqual([isOwn && types.includes(type) ? ["handler", type] : "onMessage"]);
        void room.receive(connection, other);
        const own = typeof other === "object" && other !== null && Object.hasOwn(other, "type");
        if (!own) expect(log).toEqual(["onMessage"]);
        await rooms.close();
      }),
      { numRuns },
    );
  }, 60_000);
});
