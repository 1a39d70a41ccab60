/**
 * Renewals against a model: a few connections join and leave a few rooms, get other rights, and close, while `canJoin`
 * answers at once or later, or fails. Whoever is in is who the last answer about him let in; nobody is asked about twice
 * at a time; and `renew()` resolves when all has been decided that it was about.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Connection } from "@vel/core";
import { Room, RoomManager, type Leave, type RoomUser } from "@vel/rooms";
import { counted, peers, type Peer } from "./kit.ts";

const peerCount = 2;
const roomNames = ["a", "__proto__"];

type Answer = "yes" | "no" | "throw";
type Rights = Readonly<Record<string, Answer>>;

const peer = fc.nat({ max: peerCount - 1 });
const room = fc.constantFrom("a", "a", "__proto__");
const answer = fc.constantFrom<Answer[]>("yes", "yes", "no", "throw");
const isLater = fc.constantFrom(true, true, false);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("join" as const), peer, room, isLater }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("renew" as const), peer, answers: fc.tuple(answer, answer), isLater }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat({ max: 9 }), isLater }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("leave" as const), peer, room }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), peer }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What `canJoin` has been asked and has not answered. */
interface Question {
  readonly connection: Connection;
  readonly room: string;
  readonly answer: Answer;
  readonly settle: () => void;
}

/** What the model knows of a decision: a join that waits at the door, or a member that is asked about. */
interface Decision {
  readonly connection: Connection;
  readonly room: string;
  readonly seat: Seat | undefined;
  isStale: boolean;
}

/** A member, in the model. */
interface Seat {
  readonly connection: Connection;
  readonly room: string;
}

/** A `renew()`, and what it waits for. */
interface Renewal {
  readonly waitsFor: Set<Decision>;
  isDone: boolean;
}

/** Everything that waits in memory. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** The real thing and the model beside it. */
class World {
  readonly server = peers();
  readonly peers: Peer[] = [];
  readonly listeners: (() => number)[] = [];
  readonly errors: string[] = [];
  readonly leaves: string[] = [];
  /** What is open, and whether what is asked next is answered later. */
  readonly questions: Question[] = [];
  isLater = false;
  readonly rooms: RoomManager;

  // The model.
  readonly rights = new Map<Connection, Rights>();
  readonly seats: Seat[] = [];
  /** What each open question is about. */
  readonly decisions: Decision[] = [];
  readonly renewals: Renewal[] = [];
  readonly expectedLeaves: string[] = [];
  expectedErrors = 0;

  constructor() {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the room's methods have a `this` of their own
    const world = this;
    this.rooms = new RoomManager({
      room: class extends Room {
        override canJoin(connection: Connection): boolean | Promise<boolean> {
          const answer = (connection.data as Rights)[this.name] ?? "no";
          const say = (): boolean => {
            if (answer === "throw") throw new Error("no answer");
            return answer === "yes";
          };
          if (!world.isLater) return say();
          return new Promise<void>((resolve) => {
            world.questions.push({ connection, room: this.name, answer, settle: resolve });
          }).then(say);
        }
        override onLeave(_: RoomUser, { connection, reason }: Leave): void {
          world.leaves.push(`${connection.id} ${this.name} ${reason}`);
        }
      },
      emptyTtl: Infinity,
      onError: (_, { stage }) => world.errors.push(stage),
    });
  }

  async open(): Promise<void> {
    for (let i = 0; i < peerCount; i++) {
      const { client, connection: inner } = await this.server.peer();
      const { connection, listeners } = counted(inner);
      this.peers.push({ client, connection });
      this.listeners.push(listeners);
      const rights = { a: "yes", ["__proto__"]: "no" } as const;
      await connection.renew(rights);
      this.rights.set(connection, rights);
    }
  }

  async run(action: Step): Promise<void> {
    if ("isLater" in action) this.isLater = action.isLater;
    if (action.do === "join") this.join(action);
    else if (action.do === "renew") this.renew(action);
    else if (action.do === "leave") this.leave(action);
    else if (action.do === "answer") this.answer(action.which);
    else this.close(action);
    await turn();
    this.check();
  }

  join({ peer, room }: Step & { do: "join" }): void {
    const { connection } = this.peers[peer] as Peer;
    this.rooms.join(room, connection, { userId: connection.id }).catch(() => undefined);
    if (!connection.isOpen || this.seatOf(connection, room)) return;
    this.ask({ connection, room, seat: undefined, isStale: false });
  }

  renew({ peer, answers }: Step & { do: "renew" }): void {
    const { connection } = this.peers[peer] as Peer;
    if (!connection.isOpen) return;
    const rights: Rights = { a: answers[0], ["__proto__"]: answers[1] };
    this.rights.set(connection, rights);
    const before = this.decisions.filter((decision) => decision.connection === connection);
    for (const decision of before) decision.isStale = true;
    const renewal: Renewal = { waitsFor: new Set(before), isDone: false };
    this.renewals.push(renewal);
    void connection.renew(rights).then(() => (renewal.isDone = true));
    // A name that is like Object's own is a right like others.
    expect(Object.keys(connection.data as object)).toContain("__proto__");
    for (const seat of this.seats.filter((each) => each.connection === connection)) {
      if (before.some((decision) => decision.seat === seat)) continue;
      const decision: Decision = { ...seat, seat, isStale: false };
      renewal.waitsFor.add(decision);
      this.ask(decision);
    }
  }

  leave({ peer, room }: Step & { do: "leave" }): void {
    const { connection } = this.peers[peer] as Peer;
    const seat = this.seatOf(connection, room);
    expect(this.rooms.leave(room, connection)).toBe(seat !== undefined);
    if (seat) this.exit(seat, "left");
  }

  answer(which: number): void {
    const question = this.questions[which % Math.max(1, this.questions.length)];
    if (!question) return;
    // In which order the rooms of a connection are asked is not promised; about one of them it is that of asking.
    const isLikeIt = ({ connection, room }: Decision | Question): boolean =>
      connection === question.connection && room === question.room;
    const decision = this.decisions.filter(isLikeIt)[this.questions.filter(isLikeIt).indexOf(question)];
    if (!decision) throw new Error("Nobody should have been asked");
    this.questions.splice(this.questions.indexOf(question), 1);
    this.decisions.splice(this.decisions.indexOf(decision), 1);
    question.settle();
    this.decide(decision, question.answer);
  }

  close({ peer }: Step & { do: "close" }): void {
    const { connection } = this.peers[peer] as Peer;
    connection.terminate();
    for (const seat of this.seats.filter((each) => each.connection === connection)) this.exit(seat, "disconnected");
  }

  // -------------------------------------------------------------------------------------------------- the model

  seatOf(connection: Connection, room: string): Seat | undefined {
    return this.seats.find((seat) => seat.connection === connection && seat.room === room);
  }

  exit(seat: Seat, reason: string): void {
    this.seats.splice(this.seats.indexOf(seat), 1);
    this.expectedLeaves.push(`${seat.connection.id} ${seat.room} ${reason}`);
  }

  ask(decision: Decision): void {
    decision.isStale = false;
    if (this.isLater) this.decisions.push(decision);
    else this.decide(decision, this.rights.get(decision.connection)?.[decision.room] ?? "no");
  }

  decide(decision: Decision, answer: Answer): void {
    const { connection, room, seat } = decision;
    if (answer === "throw" && seat) this.expectedErrors++;
    const isIn = seat === undefined || this.seats.includes(seat);
    if (answer === "yes" && decision.isStale && isIn) {
      this.ask(decision);
      return;
    }
    for (const { waitsFor } of this.renewals) waitsFor.delete(decision);
    if (seat) {
      if (answer !== "yes" && isIn) this.exit(seat, "forbidden");
    } else if (answer === "yes" && connection.isOpen && !this.seatOf(connection, room)) {
      this.seats.push({ connection, room });
    }
  }

  check(): void {
    for (const [i, { connection }] of this.peers.entries()) {
      const own = this.seats.filter((seat) => seat.connection === connection);
      expect(new Set(this.rooms.roomsOf(connection).map(({ name }) => name))).toEqual(
        new Set(own.map(({ room }) => room)),
      );
      const open = this.decisions.filter((decision) => decision.connection === connection);
      const joining = connection.isOpen && open.some(({ seat }) => seat === undefined);
      const isListened = own.length > 0 || joining;
      expect(this.listeners[i]?.()).toBe(open.length + (isListened ? 1 : 0));
    }
    for (const name of roomNames) {
      const members = this.seats.filter(({ room }) => room === name);
      expect(this.rooms.broadcast(name, "")).toBe(members.length);
    }
    expect(this.leaves.toSorted()).toEqual(this.expectedLeaves.toSorted());
    const about = ({ connection, room }: Decision | Question): string => `${connection.id} ${room}`;
    expect(this.questions.map(about).toSorted()).toEqual(this.decisions.map(about).toSorted());
    expect(this.renewals.map(({ isDone }) => isDone)).toEqual(this.renewals.map(({ waitsFor }) => waitsFor.size === 0));
    expect(this.errors).toEqual(Array<string>(this.expectedErrors).fill("canJoin"));
  }

  /** All questions are answered; then nothing is left. */
  async end(): Promise<void> {
    this.isLater = false;
    while (this.questions.length > 0) await this.run({ do: "answer", which: 0, isLater: false });
    // Who is in is in by what he may now.
    for (const { connection, room } of this.seats) expect(this.rights.get(connection)?.[room]).toBe("yes");
    await this.rooms.close();
    await this.server.vel.close();
    expect(this.listeners.map((count) => count())).toEqual([0, 0]);
    expect(this.server.errors).toEqual([]);
  }
}

describe("Connection.renew()", () => {
  it("leaves those in rooms whom the last answer let in, and waits for all answers", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
        const world = new World();
        await world.open();
        for (const action of steps) await world.run(action);
        await world.end();
      }),
      { numRuns: 1_000 },
    );
  }, 60_000);
});
