/**
 * Renewals against a model: clients subscribe to a channel and a pattern by frames, server code subscribes them too, they
 * unsubscribe, get other rights, and close, while `authorize` answers at once or later, or fails. Whoever gets messages is
 * who the last answer allowed to or whom the server subscribed; each client hears of exactly what happens to it; and
 * `renew()` resolves when all has been decided that it was about.
 */
import { ChannelManager } from "@vel/channels";
import { Protocol, type Connection } from "@vel/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counted, errorLog, peers, turn, type Peer, type SeenFrame } from "./kit.ts";

const peerCount = 2;
/** What can be subscribed to, and what is published to see who is. */
const names = new Map([
  ["__proto__", "__proto__"],
  ["a.*", "a.b"],
]);

type Answer = "yes" | "no" | "throw";
type Rights = Readonly<Record<string, Answer>>;

const peer = fc.nat({ max: peerCount - 1 });
const channel = fc.constantFrom(...names.keys());
const answer = fc.constantFrom<Answer[]>("yes", "yes", "no", "throw");
const isLater = fc.constantFrom(true, true, false);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("subscribe" as const), peer, channel, isLater }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("renew" as const), peer, answers: fc.tuple(answer, answer), isLater }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat({ max: 9 }), isLater }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), peer, channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("serve" as const), peer, channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), peer }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What `authorize` has been asked and has not answered. */
interface Question {
  readonly connection: Connection;
  readonly channel: string;
  readonly answer: Answer;
  readonly settle: () => void;
}

/** A subscription, in the model. */
interface Sub {
  readonly connection: Connection;
  readonly channel: string;
  /** Whether the client has asked for it. */
  isAsked: boolean;
}

/** What the model knows of a decision: about a frame, or about a subscription. */
interface Decision {
  readonly connection: Connection;
  readonly channel: string;
  readonly sub: Sub | undefined;
  isStale: boolean;
}

/** A `renew()`, and what it waits for. */
interface Renewal {
  readonly waitsFor: Set<Decision>;
  isDone: boolean;
}

/** The real thing and the model beside it. */
class World {
  readonly server = peers();
  readonly peers: Peer[] = [];
  readonly listeners: (() => number)[] = [];
  readonly log = errorLog();
  readonly protocol = new Protocol({ onError: this.log.onError });
  readonly channels = new ChannelManager({
    protocol: this.protocol,
    onError: this.log.onError,
    authorize: (connection, channel) => this.authorize(connection, channel),
  });
  /** What is open, and whether what is asked next is answered later. */
  readonly questions: Question[] = [];
  isLater = false;

  // The model.
  readonly rights = new Map<Connection, Rights>();
  readonly subs: Sub[] = [];
  /** What each open question is about. */
  readonly decisions: Decision[] = [];
  readonly renewals: Renewal[] = [];
  /** What each client is to hear in this step. */
  readonly frames = new Map<Connection, string[]>();
  readonly errors: string[] = [];

  authorize(connection: Connection, channel: string): boolean | Promise<boolean> {
    const answer = (connection.data as Rights)[channel] ?? "no";
    const say = (): boolean => {
      if (answer === "throw") throw new Error("no answer");
      return answer === "yes";
    };
    if (!this.isLater) return say();
    return new Promise<void>((settle) => {
      this.questions.push({ connection, channel, answer, settle });
    }).then(say);
  }

  async open(): Promise<void> {
    this.protocol.add(this.channels.frames());
    for (let i = 0; i < peerCount; i++) {
      const { client, connection: inner } = await this.server.peer();
      const { connection, listeners } = counted(inner);
      this.peers.push({ client, connection });
      this.listeners.push(listeners);
      const rights = { "a.*": "yes", ["__proto__"]: "no" } as const;
      await connection.renew(rights);
      this.rights.set(connection, rights);
      this.frames.set(connection, []);
    }
  }

  async run(action: Step): Promise<void> {
    if ("isLater" in action) this.isLater = action.isLater;
    if (action.do === "subscribe") this.subscribe(action);
    else if (action.do === "renew") this.renew(action);
    else if (action.do === "unsubscribe") this.unsubscribe(action);
    else if (action.do === "serve") await this.serve(action);
    else if (action.do === "answer") this.answer(action.which);
    else this.close(action);
    await turn();
    await this.check();
  }

  subscribe({ peer, channel }: Step & { do: "subscribe" }): void {
    const { connection } = this.peers[peer] as Peer;
    if (!connection.isOpen) return; // its frames are not handed in
    void this.protocol.receive(connection, JSON.stringify({ type: "subscribe", channel }));
    this.ask({ connection, channel, sub: undefined, isStale: false });
  }

  unsubscribe({ peer, channel }: Step & { do: "unsubscribe" }): void {
    const { connection } = this.peers[peer] as Peer;
    void this.protocol.receive(connection, JSON.stringify({ type: "unsubscribe", channel }));
    this.exit(this.subOf(connection, channel));
  }

  async serve({ peer, channel }: Step & { do: "serve" }): Promise<void> {
    const { connection } = this.peers[peer] as Peer;
    if (!connection.isOpen) return;
    await this.channels.subscribe(channel, connection);
    if (!this.subOf(connection, channel)) this.subs.push({ connection, channel, isAsked: false });
    this.hear(connection, `subscribed ${channel}`);
  }

  renew({ peer, answers }: Step & { do: "renew" }): void {
    const { connection } = this.peers[peer] as Peer;
    if (!connection.isOpen) return;
    const rights: Rights = { "a.*": answers[0], ["__proto__"]: answers[1] };
    this.rights.set(connection, rights);
    const before = this.decisions.filter((decision) => decision.connection === connection);
    for (const decision of before) decision.isStale = true;
    const renewal: Renewal = { waitsFor: new Set(before), isDone: false };
    this.renewals.push(renewal);
    void connection.renew(rights).then(() => (renewal.isDone = true));
    for (const sub of this.subs.filter((each) => each.connection === connection && each.isAsked)) {
      if (before.some((decision) => decision.sub === sub)) continue;
      const decision: Decision = { connection, channel: sub.channel, sub, isStale: false };
      renewal.waitsFor.add(decision);
      this.ask(decision);
    }
  }

  answer(which: number): void {
    const question = this.questions[which % Math.max(1, this.questions.length)];
    if (!question) return;
    // In which order a connection's channels are asked about is not promised; about one of them it is that of asking.
    const isLikeIt = ({ connection, channel }: Decision | Question): boolean =>
      connection === question.connection && channel === question.channel;
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
    for (const sub of this.subs.filter((each) => each.connection === connection)) this.exit(sub);
    this.frames.set(connection, []);
  }

  // -------------------------------------------------------------------------------------------------- the model

  subOf(connection: Connection, channel: string): Sub | undefined {
    return this.subs.find((sub) => sub.connection === connection && sub.channel === channel);
  }

  exit(sub: Sub | undefined): void {
    if (sub) this.subs.splice(this.subs.indexOf(sub), 1);
  }

  hear(connection: Connection, frame: string): void {
    if (connection.isOpen) this.frames.get(connection)?.push(frame);
  }

  ask(decision: Decision): void {
    decision.isStale = false;
    if (this.isLater) this.decisions.push(decision);
    else this.decide(decision, this.rights.get(decision.connection)?.[decision.channel] ?? "no");
  }

  decide(decision: Decision, answer: Answer): void {
    const { connection, channel, sub } = decision;
    if (answer === "throw") this.errors.push(sub ? "authorize" : "frame");
    const isIn = sub === undefined || this.subs.includes(sub);
    if (answer === "yes" && decision.isStale && isIn) {
      this.ask(decision);
      return;
    }
    for (const { waitsFor } of this.renewals) waitsFor.delete(decision);
    if (sub) {
      if (answer === "yes" || !isIn) return;
      this.exit(sub);
      this.hear(connection, `unsubscribed ${channel} channel_forbidden`);
    } else if (answer !== "yes") this.hear(connection, answer === "no" ? "error channel_forbidden" : "error internal");
    else if (connection.isOpen) {
      const found = this.subOf(connection, channel);
      if (found) found.isAsked = true;
      else this.subs.push({ connection, channel, isAsked: true });
      this.hear(connection, `subscribed ${channel}`);
    }
  }

  async check(): Promise<void> {
    for (const [name, published] of names) {
      await this.channels.channel(published).publish(name);
      for (const { connection, channel } of this.subs)
        if (channel === name) this.hear(connection, `message ${published}`);
    }
    await turn();
    for (const [i, { client, connection }] of this.peers.entries()) {
      const frames = (client.received as string[]).splice(0).map((text) => JSON.parse(text) as SeenFrame);
      const heard = frames.map(({ type, channel, code }) => [type, channel, code].filter(Boolean).join(" "));
      if (connection.isOpen) expect(heard.toSorted()).toEqual(this.frames.get(connection)?.toSorted());
      this.frames.set(connection, []);
      const open = this.decisions.filter((decision) => decision.connection === connection);
      const hasAsked = this.subs.some((sub) => sub.connection === connection && sub.isAsked);
      expect(this.listeners[i]?.()).toBe(open.length + (hasAsked ? 1 : 0));
    }
    expect(this.channels.size).toBe(new Set(this.subs.map(({ channel }) => channel)).size);
    const about = ({ connection, channel }: Decision | Question): string => `${connection.id} ${channel}`;
    expect(this.questions.map(about).toSorted()).toEqual(this.decisions.map(about).toSorted());
    expect(this.renewals.map(({ isDone }) => isDone)).toEqual(this.renewals.map(({ waitsFor }) => waitsFor.size === 0));
    expect(this.log.errors.map((error) => error.split(":")[0])).toEqual(this.errors);
  }

  /** All questions are answered; then nothing is left. */
  async end(): Promise<void> {
    while (this.questions.length > 0) await this.run({ do: "answer", which: 0, isLater: false });
    for (const { connection, channel, isAsked } of this.subs) {
      if (isAsked) expect(this.rights.get(connection)?.[channel]).toBe("yes");
    }
    await this.channels.close();
    await this.server.vel.close();
    expect(this.listeners.map((count) => count())).toEqual([0, 0]);
  }
}

describe("Connection.renew()", () => {
  test("leaves clients the subscriptions that the last answer allowed, and waits for all answers", async () => {
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
