/** What the tests share: a server whose connections are at hand, and a broker that does what the test says. */
import {
  createVel,
  MemoryBroker,
  type Broker,
  type BrokerState,
  type Connection,
  type HistoryOptions,
  type HistoryResult,
  type MaybePromise,
  type Position,
  type Publication,
  type PublishOptions,
  type Unsubscribe,
  type Vel,
  type VelOptions,
} from "@vel/core";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";

/** Both ends of one connection. */
export interface Peer {
  readonly client: TestClient;
  readonly connection: Connection;
}

/** A server with one route that does nothing, to take connections from. */
export function peers(options: VelOptions = {}): { vel: Vel; peer: () => Promise<Peer> } {
  const vel = createVel(options);
  let opened: Connection | undefined;
  vel.websocket("/peer", { open: (connection) => void (opened = connection) });
  const peer = async (): Promise<Peer> => {
    opened = undefined;
    const client = await connect(vel, "/peer");
    if (!opened) throw new Error("The route was not opened");
    return { client, connection: opened };
  };
  return { vel, peer };
}

/** Where errors go, as `stage: text`. */
export function errorLog(): { errors: string[]; onError: (error: unknown, context: { stage: string }) => void } {
  const errors: string[] = [];
  return { errors, onError: (error, { stage }) => void errors.push(`${stage}: ${String(error)}`) };
}

/** Lets everything in memory arrive, without the millisecond that a timer takes. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** A frame as a client sees it. */
export interface SeenFrame {
  readonly type: string;
  readonly channel: string;
  readonly data?: unknown;
  readonly from?: string;
  readonly recovered?: boolean;
  readonly position?: Position;
  readonly code?: string;
  readonly id?: unknown;
}

/** Takes everything that has arrived, parsed. */
export async function take(client: TestClient): Promise<SeenFrame[]> {
  await settle();
  return (client.received as unknown[]).splice(0).map((payload) => JSON.parse(payload as string) as SeenFrame);
}

/** What arrived, in short: `subscribed`, `gap`, and the data of messages. */
export async function short(client: TestClient): Promise<unknown[]> {
  return (await take(client)).map(({ type, data, recovered }) =>
    type === "message" ? data : recovered === undefined ? type : `${type} ${recovered ? "with all" : "with nothing"}`,
  );
}

export const history = { limit: 1_000, ttl: 60_000 };

/** Publishes numbers, one after the other. */
export async function publishAll(
  channel: { publish(data: number): Promise<Position | undefined> },
  ...numbers: number[]
): Promise<Position | undefined> {
  let position: Position | undefined;
  for (const number of numbers) position = await channel.publish(number);
  return position;
}

/**
 * A memory broker with a wire in front of its subscribers and its history: what a test puts there is what a network does.
 * Counts what is asked of it.
 */
export class WiredBroker implements Broker {
  readonly clock: ManualClock = new ManualClock();
  readonly inner: MemoryBroker;
  readonly calls: string[] = [];
  subscriptions = 0;
  /** What becomes of a publication on its way to a subscriber. */
  onWire: (publication: Publication, hand: (publication: Publication) => void) => void = (publication, hand) => {
    hand(publication);
  };
  /** What becomes of an answer. */
  onHistory: (result: HistoryResult, options: HistoryOptions) => HistoryResult | Promise<HistoryResult> = (result) =>
    result;
  onSubscribe: () => Promise<void> | void = () => undefined;
  readonly #states = new Set<(state: BrokerState) => void>();

  constructor(maxTopics = 10_000) {
    this.inner = new MemoryBroker({ clock: this.clock, maxTopics });
  }

  get state(): BrokerState {
    return this.inner.state;
  }

  onState(listener: (state: BrokerState) => void): Unsubscribe {
    this.#states.add(listener);
    return () => {
      this.#states.delete(listener);
    };
  }

  get stateListeners(): number {
    return this.#states.size;
  }

  tell(state: BrokerState): void {
    for (const listener of this.#states) listener(state);
  }

  publish(topic: string, payload: string, options?: PublishOptions): Promise<Position | undefined> {
    return this.inner.publish(topic, payload, options);
  }

  async subscribe(
    topic: string,
    listener: (publication: Publication) => void,
    options?: { pattern?: boolean },
  ): Promise<() => Promise<void>> {
    this.calls.push(`subscribe ${topic}`);
    const off = await this.inner.subscribe(
      topic,
      (publication) => {
        this.onWire(publication, listener);
      },
      options,
    );
    this.subscriptions++;
    await this.onSubscribe();
    return async () => {
      this.calls.push(`unsubscribe ${topic}`);
      this.subscriptions--;
      await off();
    };
  }

  async history(topic: string, options: HistoryOptions = {}): Promise<HistoryResult> {
    return this.onHistory(await this.inner.history(topic, options), options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.inner[Symbol.asyncDispose]();
  }
}

/** A connection that counts who listens to its renewals. */
export function counted(connection: Connection): { connection: Connection; listeners: () => number } {
  let listeners = 0;
  const proxy = new Proxy(connection, {
    get(target, key) {
      if (key === "onRenew") {
        return (listener: () => MaybePromise<void>) => {
          listeners++;
          const off = target.onRenew(listener);
          return () => {
            listeners--;
            off();
          };
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { connection: proxy, listeners: () => listeners };
}
