/**
 * Rooms against a model: connections of a few users join and leave a few rooms, close, are cut, and `onJoin` succeeds
 * or fails, at once or later. Whatever the order, counts are those of the model, and joins and leaves match.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DisconnectError, type Connection } from "@vel/core";
import { Room, RoomManager, type Join, type Leave, type RoomClass, type RoomUser } from "@vel/rooms";
import { settle } from "@vel/testing";
import { gate, peers, type Gate, type Peer } from "./kit.ts";

const peerCount = 4;
const roomNames = ["a", "__proto__"];
const outcomes = ["now", "later", "fail now", "fail later"] as const;
type Outcome = (typeof outcomes)[number];

const peer = fc.nat({ max: peerCount - 1 });
const room = fc.constantFrom("a", "a", "a", "__proto__");
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      peer,
      room,
      userId: fc.constantFrom("ada", "ada", "bob", undefined),
      outcome: fc.constantFrom("later", "now", "later", "fail now", "fail later"),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("leave" as const), peer, room }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const), which: fc.nat({ max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      peer,
      by: fc.constantFrom("client", "drop", "server", "terminate"),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What the room's hooks were told of one join. */
interface Stay {
  readonly room: string;
  readonly userId: string;
  readonly connection: Connection;
  readonly outcome: Outcome;
  readonly gate: Gate;
  state: "pending" | "completed" | "failed";
  leaves: number;
}

/** Makes rooms that do what they are told to and write down what happens. */
class Recorder {
  readonly stays: Stay[] = [];
  /** `first` and `last` of each user in each room, in the order of the hooks. */
  readonly turns = new Map<string, string[]>();
  outcome: Outcome = "now";

  room(): RoomClass<Room> {
    const recorder = this;
    return class extends Room {
      override async onJoin({ id }: RoomUser, { connection, first }: Join): Promise<void> {
        const { outcome } = recorder;
        const stay: Stay = {
          room: this.name,
          userId: id,
          connection,
          outcome,
          gate: gate(),
          state: "pending",
          leaves: 0,
        };
        recorder.stays.push(stay);
        if (first) recorder.#turn(this.name, id, "first");
        try {
          if (outcome.endsWith("later")) await stay.gate.promise;
          if (outcome.startsWith("fail")) throw new Error("refused");
          stay.state = "completed";
        } catch (error) {
          stay.state = "failed";
          throw error;
        }
      }
      override onLeave({ id }: RoomUser, { connection, last }: Leave): void {
        if (last) recorder.#turn(this.name, id, "last");
        const stay = recorder.stays.find(
          (other) =>
            other.room === this.name &&
            other.connection === connection &&
            other.userId === id &&
            other.state === "completed" &&
            other.leaves === 0,
        );
        expect(stay, "a leave without a completed join").toBeDefined();
        if (stay) stay.leaves++;
      }
    };
  }

  #turn(room: string, userId: string, what: string): void {
    const key = JSON.stringify([room, userId]);
    this.turns.set(key, [...(this.turns.get(key) ?? []), what]);
  }
}

/** The real thing and the model beside it. */
class World {
  readonly recorder = new Recorder();
  readonly server = peers();
  readonly peers: Peer[] = [];
  readonly rooms = new RoomManager({
    room: this.recorder.room(),
    emptyTtl: Infinity,
    onError: (error) => this.server.errors.push(error),
  });
  /** Who should be in. */
  readonly seats = new Map(roomNames.map((name) => [name, new Map<Connection, Stay>()]));
  readonly pending: Stay[] = [];

  async run(action: Step): Promise<void> {
    if (action.do === "join") await this.join(action);
    else if (action.do === "leave") this.leave(action);
    else if (action.do === "settle") await this.settle(action.which);
    else await this.end(action);
    this.check();
  }

  async join(action: Step & { do: "join" }): Promise<void> {
    const { connection } = this.peers[action.peer] as Peer;
    const seats = this.seats.get(action.room);
    this.recorder.outcome = action.outcome as Outcome;
    const joining = this.rooms.join(action.room, connection, { userId: action.userId });
    if (!connection.isOpen) {
      await expect(joining).rejects.toBeInstanceOf(DisconnectError);
    } else if (seats?.has(connection)) {
      await expect(joining).rejects.toMatchObject({ code: "ERR_VEL_ROOM_MEMBER" });
    } else if (action.outcome === "fail now") {
      await expect(joining).rejects.toThrow("refused");
    } else {
      const stay = this.recorder.stays.at(-1) as Stay;
      expect(stay.userId).toBe(action.userId ?? connection.id);
      seats?.set(connection, stay);
      if (action.outcome === "now") expect(await joining).toBe(this.rooms.get(action.room));
      else {
        this.pending.push(stay);
        joining.catch(() => undefined);
      }
    }
  }

  leave(action: Step & { do: "leave" }): void {
    const { connection } = this.peers[action.peer] as Peer;
    expect(this.rooms.leave(action.room, connection)).toBe(this.seats.get(action.room)?.delete(connection));
  }

  async settle(which: number): Promise<void> {
    const [stay] = this.pending.splice(which % Math.max(1, this.pending.length), 1);
    if (!stay) return;
    stay.gate.open();
    await settle();
    // A join that fails takes back its own seat, not one that the connection has got since.
    const seats = this.seats.get(stay.room);
    if (stay.state === "failed" && seats?.get(stay.connection) === stay) seats.delete(stay.connection);
  }

  async end(action: Step & { do: "end" }): Promise<void> {
    const { client, connection } = this.peers[action.peer] as Peer;
    if (action.by === "client") client.close();
    else if (action.by === "drop") client.drop();
    else if (action.by === "server") connection.close();
    else connection.terminate();
    await settle();
    for (const seats of this.seats.values()) seats.delete(connection);
  }

  check(): void {
    for (const [name, seats] of this.seats) {
      const users = new Map<string, Set<Connection>>();
      for (const [connection, { userId }] of seats) {
        users.set(userId, (users.get(userId) ?? new Set()).add(connection));
      }
      const info = this.rooms.info(name);
      expect(info?.connectionCount ?? 0).toBe(seats.size);
      expect(info?.userCount ?? 0).toBe(users.size);
      expect(new Set(info?.users.map(({ id }) => id))).toEqual(new Set(users.keys()));
      expect(this.rooms.broadcast(name, "")).toBe(seats.size);
      for (const [userId, connections] of users) {
        expect(this.rooms.get(name)?.users.get(userId)?.connections).toEqual(connections);
      }
    }
  }

  /** Everything comes to its end; then the books must balance. */
  async close(managerFirst: boolean): Promise<void> {
    for (const stay of this.pending) stay.gate.open();
    await settle();
    if (managerFirst) await this.rooms.close();
    await this.server.vel.close();
    await settle();
    for (const seats of this.seats.values()) seats.clear();
    this.check();

    const refused = new Set<string>();
    for (const { room, userId, outcome, state, leaves } of this.recorder.stays) {
      expect(state).toBe(outcome.startsWith("fail") ? "failed" : "completed");
      expect(leaves).toBe(state === "completed" ? 1 : 0);
      if (state === "failed") refused.add(JSON.stringify([room, userId]));
    }
    // Unless one of his joins failed, a user comes first, goes last, comes first …
    for (const [key, turns] of this.recorder.turns) {
      if (refused.has(key)) continue;
      expect(turns).toEqual(turns.map((_, i) => (i % 2 === 0 ? "first" : "last")));
      expect(turns.length % 2).toBe(0);
    }
    expect(this.server.errors).toEqual([]);
  }
}

describe("membership", () => {
  it("matches the model, and every completed join gets exactly one leave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), fc.boolean(), async (steps, managerFirst) => {
        const world = new World();
        for (let i = 0; i < peerCount; i++) world.peers.push(await world.server.peer());
        for (const action of steps) await world.run(action as Step);
        await world.close(managerFirst);
      }),
      { numRuns: 100 },
    );
  }, 30_000);
});
