/**
 * Rooms against a model: connections of a few users join and leave a few rooms, close, are cut, and `onJoin` succeeds
 * or fails, at once or later. Whatever the order, counts are those of the model, and joins and leaves match.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DisconnectError, type Connection } from "@vel/core";
import { Room, RoomManager, type Join, type Leave, type RoomUser } from "@vel/rooms";
import { settle } from "@vel/testing";
import { gate, peers, type Gate, type Peer } from "./kit.ts";

const mayJoin = ["now", "later", "fail now", "fail later"] as const;
const peerCount = 5;
const roomNames = ["a", "__proto__"];
const userIds = ["ada", "bob"];

const peerIndex = fc.nat({ max: peerCount - 1 });
const roomName = fc.constantFrom(...roomNames);
const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      peer: peerIndex,
      room: roomName,
      userId: fc.option(fc.constantFrom(...userIds), { nil: undefined }),
      how: fc.constantFrom(...mayJoin),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), peer: peerIndex, room: roomName }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const), which: fc.nat({ max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      peer: peerIndex,
      by: fc.constantFrom("client", "drop", "server", "terminate"),
    }),
  },
);

/** What the hooks of one stay were told. */
interface Stay {
  readonly room: string;
  readonly userId: string;
  readonly first: boolean;
  completed: boolean;
  failed: boolean;
  leaves: Leave[];
}

class Recorder {
  readonly stays: Stay[] = [];
  /** The stay of each connection whose leave was not told yet, oldest first: a connection may be back before. */
  readonly untold = new Map<string, Stay[]>();
  /** The hooks' order for each user of each room: "first", "last" or "". */
  readonly turns = new Map<string, string[]>();
  next: { how: (typeof mayJoin)[number]; gate: Gate } | undefined;

  turn(room: string, userId: string, what: string): void {
    const key = JSON.stringify([room, userId]);
    this.turns.set(key, [...(this.turns.get(key) ?? []), what]);
  }
}

function recordingRoom(recorder: Recorder) {
  return class extends Room {
    override async onJoin(user: RoomUser, { connection, first }: Join): Promise<void> {
      const { next } = recorder;
      const stay: Stay = { room: this.name, userId: user.id, first, completed: false, failed: false, leaves: [] };
      recorder.stays.push(stay);
      recorder.turn(this.name, user.id, first ? "first" : "");
      const key = JSON.stringify([this.name, connection.id]);
      recorder.untold.set(key, [...(recorder.untold.get(key) ?? []), stay]);
      try {
        if (next?.how === "later" || next?.how === "fail later") await next.gate.promise;
        if (next?.how === "fail now") throw new Error("refused");
        stay.completed = true;
      } catch (error) {
        stay.failed = true;
        recorder.untold.set(
          key,
          (recorder.untold.get(key) ?? []).filter((other) => other !== stay),
        );
        throw error;
      }
    }
    override onLeave(user: RoomUser, leave: Leave): void {
      recorder.turn(this.name, user.id, leave.last ? "last" : "");
      const stays = recorder.untold.get(JSON.stringify([this.name, leave.connection.id])) ?? [];
      const stay = stays.find(
        ({ completed, userId, leaves }) => completed && userId === user.id && leaves.length === 0,
      );
      expect(stay, "a leave without a completed join").toBeDefined();
      stay?.leaves.push(leave);
    }
  };
}

describe("membership", () => {
  it("matches the model, and every completed join gets exactly one leave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), fc.boolean(), async (operations, closesManager) => {
        const { vel, peer, errors } = peers();
        const recorder = new Recorder();
        const rooms = new RoomManager({
          room: recordingRoom(recorder),
          emptyTtl: Infinity,
          onError: (error) => errors.push(error),
        });
        const all: Peer[] = [];
        for (let i = 0; i < peerCount; i++) all.push(await peer());
        const model = new Map(roomNames.map((name) => [name, new Map<Connection, string>()]));
        const gates: { gate: Gate; fails: boolean; undo: () => void }[] = [];
        const joins: Promise<unknown>[] = [];
        /** Whose seat a connection has in a room. */
        const seatOf = new Map<Connection, Map<string, Stay>>();

        const check = (): void => {
          for (const [name, seats] of model) {
            const users = new Map<string, Connection[]>();
            for (const [connection, userId] of seats) users.set(userId, [...(users.get(userId) ?? []), connection]);
            const room = rooms.get(name);
            expect(room?.connectionCount ?? 0).toBe(seats.size);
            expect(room?.userCount ?? 0).toBe(users.size);
            expect(rooms.broadcast(name, "")).toBe(seats.size);
            expect(new Set(room?.users.keys())).toEqual(new Set(users.keys()));
            for (const [userId, connections] of users) {
              expect(new Set(room?.users.get(userId)?.connections)).toEqual(new Set(connections));
            }
          }
        };

        for (const step of operations) {
          if (step.do === "join") {
            const { connection } = all[step.peer] as Peer;
            const seats = model.get(step.room) as Map<Connection, string>;
            const wasIn = seats.has(connection);
            const next = { how: step.how, gate: gate() };
            recorder.next = next;
            const joining = rooms.join(step.room, connection, { userId: step.userId });
            recorder.next = undefined;
            if (!connection.isOpen) {
              await expect(joining).rejects.toBeInstanceOf(DisconnectError);
            } else if (wasIn) {
              await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_ROOM_MEMBER" });
            } else if (step.how === "fail now") {
              await expect(joining).rejects.toThrow("refused");
            } else {
              const userId = step.userId ?? connection.id;
              seats.set(connection, userId);
              joins.push(joining.catch(() => undefined));
              if (step.how !== "now") {
                const stay = recorder.stays.at(-1) as Stay;
                gates.push({
                  gate: next.gate,
                  fails: step.how === "fail later",
                  // A failing join takes back its own seat only, not one that the connection has got since.
                  undo: () => {
                    if (seatOf.get(connection)?.get(step.room) === stay) seats.delete(connection);
                  },
                });
              } else await joining;
              const seatOfConnection = seatOf.get(connection) ?? new Map<string, Stay>();
              seatOfConnection.set(step.room, recorder.stays.at(-1) as Stay);
              seatOf.set(connection, seatOfConnection);
            }
          } else if (step.do === "leave") {
            const { connection } = all[step.peer] as Peer;
            expect(rooms.leave(step.room, connection)).toBe(model.get(step.room)?.delete(connection));
            seatOf.get(connection)?.delete(step.room);
          } else if (step.do === "settle") {
            const [pending] = gates.splice(step.which % Math.max(1, gates.length), 1);
            if (pending?.fails) {
              pending.gate.fail(new Error("refused"));
              pending.undo();
            } else pending?.gate.open();
            await settle();
          } else {
            const { client, connection } = all[step.peer] as Peer;
            if (step.by === "client") client.close();
            else if (step.by === "drop") client.drop();
            else if (step.by === "server") connection.close();
            else connection.terminate();
            await settle();
            for (const seats of model.values()) seats.delete(connection);
            seatOf.delete(connection);
          }
          check();
        }

        for (const { gate: pending, fails } of gates) {
          if (fails) pending.fail(new Error("refused"));
          else pending.open();
        }
        await Promise.all(joins);
        if (closesManager) await rooms.close();
        await vel.close();
        await settle();

        for (const name of roomNames) {
          expect(rooms.get(name)?.info.connectionCount ?? 0).toBe(0);
          expect(rooms.get(name)?.userCount ?? 0).toBe(0);
        }
        for (const stay of recorder.stays) {
          expect(stay.completed).toBe(!stay.failed);
          expect(stay.leaves.length).toBe(stay.completed ? 1 : 0);
        }
        // Where no join failed, each user comes first, goes last, comes first …
        const failedUsers = new Set(
          recorder.stays.filter(({ failed }) => failed).map(({ room, userId }) => JSON.stringify([room, userId])),
        );
        for (const [key, turns] of recorder.turns) {
          if (failedUsers.has(key)) continue;
          const marks = turns.filter((what) => what !== "");
          marks.forEach((mark, i) => expect(mark).toBe(i % 2 === 0 ? "first" : "last"));
          expect(marks.length % 2).toBe(0);
        }
        expect(errors).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
