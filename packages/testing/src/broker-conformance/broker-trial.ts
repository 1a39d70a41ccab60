/**
 * One run of one case about a broker.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  randomId,
  type Broker,
  type HistoryOptions,
  type HistoryResult,
  type MaybePromise,
  type Payload,
  type Position,
  type Publication,
  type Retention,
} from "@vel/core";
import type { Started } from "./case.ts";
import { Patience } from "./patience.ts";

/** A broker that is started for a case. */
export interface StartedBroker {
  readonly broker: Broker;
  /** Another broker on the same server, as another process has one. Default: the same. */
  readonly peer?: Broker;
  /** Lets so many milliseconds go by, where the broker's time is a test's. Default: waits. */
  advance?(milliseconds: number): MaybePromise<void>;
  /** Ends both. A case may have ended a broker before. */
  close(): Promise<void>;
}

/** Keeps all that a case publishes. */
export const enough: Retention = { limit: 1_000, ttl: 600_000 };

/** What a case works with. */
export class BrokerTrial implements Started {
  readonly broker: Broker;
  readonly peer: Broker;
  readonly patience: Patience;
  readonly #close: () => Promise<void>;
  readonly #id = randomId();

  /** Made by the kit. */
  constructor(started: StartedBroker) {
    this.broker = started.broker;
    this.peer = started.peer ?? started.broker;
    this.patience = new Patience(started.advance?.bind(started));
    this.#close = () => started.close();
  }

  /** Makes the name of a topic that only this case knows. Patterns are made in the same way. */
  topic(name: string): string {
    return `${this.#id}.${name}`;
  }

  /** Subscribes, and collects what comes. */
  async listen(topic: string, options: { on?: Broker; pattern?: boolean } = {}): Promise<Listening> {
    const { on = this.broker, pattern = false } = options;
    const seen: Publication[] = [];
    const off = await on.subscribe(topic, (publication) => void seen.push(publication), { pattern });
    return new Listening(seen, off, this.patience);
  }

  /** Publishes with history. */
  async keep(topic: string, payload: Payload, options: { on?: Broker; history?: Retention } = {}): Promise<Position> {
    const { on = this.broker, history = enough } = options;
    const position = await on.publish(topic, payload, { history });
    assert(position, "A publication that is kept has no position");
    return position;
  }

  /** Publishes several with history, and gives their positions. */
  async keepAll(topic: string, payloads: readonly string[], history: Retention = enough): Promise<Position[]> {
    const positions: Position[] = [];
    for (const payload of payloads) positions.push(await this.keep(topic, payload, { history }));
    return positions;
  }

  /** Reads the history, and gives its texts and whether it is complete. Both brokers must say the same. */
  async read(topic: string, options?: HistoryOptions): Promise<[texts: string[], complete: boolean]> {
    const [one, other] = [await this.broker.history(topic, options), await this.peer.history(topic, options)];
    assert.deepEqual(textsOf(other), textsOf(one), "Two brokers read different histories");
    assert.deepEqual([other.complete, other.top], [one.complete, one.top], "Two brokers read different histories");
    return [textsOf(one), one.complete];
  }

  abandon(): void {
    this.patience.abandon();
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** What a subscription has brought. */
export class Listening {
  readonly seen: readonly Publication[];
  /** Takes the subscription back. */
  readonly off: () => Promise<void>;
  readonly #patience: Patience;

  /** Made by {@link BrokerTrial.listen}. */
  constructor(seen: readonly Publication[], off: () => Promise<void>, patience: Patience) {
    this.seen = seen;
    this.off = off;
    this.#patience = patience;
  }

  get texts(): string[] {
    return textsOf({ publications: this.seen });
  }

  get offsets(): (number | undefined)[] {
    return this.seen.map(({ position }) => position?.offset);
  }

  /** Waits until so many have come, lets more have their chance, and checks that there are no more. */
  async exactly(count: number): Promise<void> {
    await this.#patience.until(() => this.seen.length >= count);
    await this.#patience.rest();
    assert.equal(this.seen.length, count, `Expected ${String(count)} publications, got ${this.texts.join(", ")}`);
  }
}

/** What publications say, those of bytes as their numbers. */
function textsOf({ publications }: Pick<HistoryResult, "publications">): string[] {
  return publications.map(({ payload }) => (typeof payload === "string" ? payload : payload.join(" ")));
}

/** The numbers from 1 to `count`. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}
