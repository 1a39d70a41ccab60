/**
 * The heartbeat against a model of its peers: whoever answers in time lives, whoever does not is found in time, and few are asked
 * at once.
 *
 * Faults that it finds, each a change of the sources: judging by `pulse.time` instead of `pulse.read`; time that is not cut at
 * two intervals; `read` one beat old; a round that begins when the answer was due instead of where it was; failures that are not
 * cleared; `suspend` that keeps the question; a stopped connection that is asked again.
 */
import { createVel, type Connection } from "@vel/core";
import { connect, memoryTransport, type TestClient } from "@vel/testing";
import fc from "fast-check";
import { expect, it } from "vitest";
import { HeartbeatManager } from "../src/index.ts";
import { LoopClock } from "./loop-clock.ts";

/** The longest and the shortest interval differ in how many slots there are, and whether a question outlasts a turn. */
const policies = [
  { pingInterval: 200, pongTimeout: 50, maxFailures: 2 },
  { pingInterval: 200, pongTimeout: 200, maxFailures: 3 },
  { pingInterval: 150, pongTimeout: 90, maxFailures: 1 },
  { pingInterval: 70, pongTimeout: 15, maxFailures: 3 },
] as const;
type Policy = (typeof policies)[number];

/** How long a beat takes with each of these policies. */
const beat = 10;

const which = fc.nat(4);
/** What part of its time a peer takes to answer; more than 1 is never. */
const pace = fc.constantFrom(0, 0, 0.5, 1, 1, Infinity);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect" as const), pace }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("turn" as const), which, pace }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("speak" as const), which, how: fc.constantFrom("text", "ping", "pong") }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("leave" as const), which, how: fc.constantFrom("drop", "close") }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("suspend", "resume", "stop", "start" as const), which }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("run" as const), time: fc.integer({ min: 1, max: 400 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("block" as const),
      time: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 100, max: 10_000 })),
      times: fc.constantFrom(1 as const, 2 as const),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A peer as the model knows it. */
class Peer {
  readonly client: TestClient;
  readonly connection: Connection;
  pace: number;
  isWatched = true;
  isSuspended = false;
  /** The pings that it will answer, and when, in time that counts. */
  readonly answers: { data: Uint8Array; at: number }[] = [];
  /** How many questions it has left without an answer. */
  unanswered = 0;
  /** Since when it has been silent or watched, in time in which the loop ran. */
  silentSince: number;
  /** The same in time that counts. */
  countedSince: number;

  constructor(client: TestClient, connection: Connection, pace: number, clock: LoopClock) {
    this.client = client;
    this.connection = connection;
    this.pace = pace;
    this.silentSince = clock.running;
    this.countedSince = clock.counted;
  }

  /** Something is known of it from now on: it was heard, or is watched anew. */
  mark(clock: LoopClock): void {
    this.unanswered = 0;
    this.silentSince = clock.running;
    this.countedSince = clock.counted;
  }
}

class Model {
  // A block is noticed when it outlasts a beat and its successor.
  readonly clock = new LoopClock(2 * beat);
  readonly vel = createVel({ clock: this.clock, closeTimeout: 1_000 });
  readonly policy: Policy;
  readonly manager: HeartbeatManager;
  readonly peers: Peer[] = [];
  readonly dead = new Set<Connection>();
  /** What the model's listeners found wrong. */
  readonly errors: unknown[] = [];
  /** The most peers that there were. */
  most = 0;
  /** How many pings were sent at which time, and how many misses there were before. */
  pings = new Map<number, number>();
  readonly #slack: number;

  constructor(policy: Policy) {
    this.policy = policy;
    this.vel.websocket("/ws", {});
    const onError = (error: unknown): void => void this.errors.push(error);
    this.manager = new HeartbeatManager(policy, { clock: this.clock, onError });
    this.manager.observe(this.vel);
    this.#slack = (3 * policy.maxFailures + 1) * beat;
    this.clock.onTime = () => {
      for (const peer of this.peers) {
        while (peer.answers[0] && peer.answers[0].at <= this.clock.counted) {
          peer.client.pong(peer.answers.shift()!.data);
          peer.mark(this.clock);
        }
      }
    };
    this.manager.on("dead", (connection) => {
      const peer = this.peers.find((each) => each.connection === connection)!;
      expect(peer.isWatched && !peer.isSuspended).toBe(true);
      // Never too early: it had all its chances since it was heard last, in time in which it could be heard.
      const silence = this.clock.counted - peer.countedSince;
      expect(silence).toBeGreaterThanOrEqual(policy.maxFailures * policy.pongTimeout);
      expect(peer.answers).toEqual([]); // none that was still in time
      expect(peer.unanswered).toBeGreaterThanOrEqual(policy.maxFailures); // who answers in time never dies
      this.dead.add(connection);
    });
  }

  async run(step: Step): Promise<void> {
    if (step.do === "connect") await this.connect(step.pace);
    else if (step.do === "run") await this.clock.run(step.time);
    else if (step.do === "block") await this.clock.block(step.time, step.times);
    else {
      const peer = this.peers[step.which];
      if (!peer) return;
      if (step.do === "turn") {
        peer.pace = step.pace;
        if (step.pace === Infinity) peer.unanswered += peer.answers.splice(0).length;
      } else if (step.do === "speak") {
        if (step.how === "text") peer.client.send("here");
        else if (step.how === "pong") peer.client.pong();
        else void peer.client.ping();
        peer.mark(this.clock);
      } else if (step.do === "leave") {
        this.peers.splice(step.which, 1);
        if (step.how === "drop") peer.client.drop();
        else peer.connection.close();
      } else this.manage(step.do, peer);
    }
    await this.clock.run(0.001);
    this.check();
  }

  async connect(pace: number): Promise<void> {
    if (this.peers.length === 5) return;
    let connection: Connection | undefined;
    const off = this.vel.on("open", (opened) => (connection = opened));
    const base = memoryTransport();
    const transport: typeof base = {
      ...base,
      ping: (socket, data) => {
        const { clock, pings, policy } = this;
        pings.set(clock.now(), (pings.get(clock.now()) ?? 0) + 1);
        const peer = this.peers.find(({ client }) => client.socket === socket)!;
        if (peer.pace === Infinity) peer.unanswered++;
        else peer.answers.push({ data: data!, at: clock.counted + peer.pace * policy.pongTimeout });
        peer.answers.sort((one, other) => one.at - other.at);
      },
    };
    const client = await connect(this.vel, "/ws", { transport });
    off();
    this.peers.push(new Peer(client, connection!, pace, this.clock));
    this.most = Math.max(this.most, this.peers.length);
  }

  manage(what: "suspend" | "resume" | "stop" | "start", peer: Peer): void {
    const { connection } = peer;
    if (what === "start") {
      this.manager.start(connection);
      if (!peer.isWatched) {
        peer.mark(this.clock);
        peer.isSuspended = false;
      }
      peer.isWatched = true;
      return;
    }
    const isExpected = peer.isWatched && (what !== "resume" || peer.isSuspended);
    expect(this.manager[what](connection)).toBe(isExpected);
    if (!isExpected) return;
    if (what === "stop") peer.isWatched = false;
    else peer.isSuspended = what === "suspend";
    peer.mark(this.clock);
  }

  check(): void {
    if (this.errors.length > 0) throw this.errors[0];
    const { pingInterval, pongTimeout, maxFailures } = this.policy;
    for (const peer of [...this.peers]) {
      const { connection, isWatched, isSuspended } = peer;
      expect(connection.isOpen).toBe(!this.dead.has(connection));
      if (!connection.isOpen) {
        expect(connection.closeInfo).toMatchObject({ code: 1006, reason: "heartbeat timeout" });
        this.peers.splice(this.peers.indexOf(peer), 1);
        continue;
      }
      // Never too late: not longer than patience and what the beats take.
      if (isWatched && !isSuspended) {
        const silence = this.clock.running - peer.silentSince;
        expect(silence).toBeLessThanOrEqual(pingInterval + maxFailures * pongTimeout + this.#slack);
      }
    }
    // At most two slots in a beat, each with its share, and as many again for each question that may be open.
    const share = Math.ceil(this.most / Math.floor(pingInterval / beat));
    for (const count of this.pings.values()) expect(count).toBeLessThanOrEqual(2 * share * maxFailures);
    this.pings.clear();
  }

  async end(): Promise<void> {
    this.manager.close();
    for (const { client } of this.peers) client.drop();
    await this.vel.close();
    await this.clock.run(2_000); // what was closed and does not answer
    expect(this.manager.size).toBe(0);
    expect(this.vel.connections.size).toBe(0);
    expect(this.clock.pending).toBe(0);
  }
}

it("a heartbeat kills nobody who answers in time, everybody else in time, and asks few at once", async () => {
  const seen = { dead: 0, pings: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...policies),
      fc.array(step, { minLength: 10, maxLength: 50, size: "max" }),
      async (policy, steps) => {
        const model = new Model(policy);
        model.manager.on("ping", () => seen.pings++);
        for (const each of steps) await model.run(each);
        seen.dead += model.dead.size;
        await model.end();
      },
    ),
    { numRuns: 1_000 },
  );
  // The steps do bring it about.
  expect(seen.dead).toBeGreaterThan(300);
  expect(seen.pings).toBeGreaterThan(3_000);
}, 120_000);
