/**
 * What carries publications from whoever publishes to whoever subscribed, and keeps the last of them.
 *
 * @module
 */
import type { Unsubscribe } from "./emitter.ts";
import type { Payload } from "./payload.ts";

/**
 * Where somebody stands in the stream of a topic.
 *
 * Offsets count from 1 without gaps within an epoch; a stream that lost its memory has another epoch, so that numbers
 * that fit by accident are not taken for knowledge.
 */
export interface Position {
  /** Which stream it was. */
  readonly epoch: string;
  /** The number of the last publication that was seen; 0 for none. */
  readonly offset: number;
}

/** What was published. */
export interface Publication {
  /** The topic that it was published to, also where a pattern subscribed. */
  readonly topic: string;
  /** What it says. Shared by all who get it: not to be changed. */
  readonly payload: Payload;
  /** Its place in the topic's stream; undefined for a topic without history. */
  readonly position?: Position;
  /** Who published it, as {@link PublishOptions.origin} said. */
  readonly origin?: string;
}

/** How much of a topic's stream is kept. */
export interface Retention {
  /** How many publications at most. */
  limit: number;
  /** For how long, in milliseconds. */
  ttl: number;
}

/** How something is published. */
export interface PublishOptions {
  /**
   * Publishing with the same key again does nothing and gives the position of the first time, for as long as the broker
   * remembers it. Default: none.
   */
  idempotencyKey?: string;
  /** Keeps it, so that it can be recovered. Default: not kept, and without a position. */
  history?: Retention;
  /** Is handed on to subscribers. Default: none. */
  origin?: string;
}

/** How {@link Broker.history} reads. */
export interface HistoryOptions {
  /** Reads what came after it. Default: reads the last ones. */
  since?: Position;
  /** How many publications at most. Default: all that are kept. */
  limit?: number;
}

/** What {@link Broker.history} found. */
export interface HistoryResult {
  /** In order. With `since`, empty unless complete. */
  readonly publications: readonly Publication[];
  /** Where the stream stands: the position of its last publication. */
  readonly top: Position;
  /** Whether nothing is missing between `since` and `top`. Always true without `since`. */
  readonly complete: boolean;
}

/** Whether a broker can do its work: all of it, with delays or losses that are told of, or none. */
export type BrokerState = "up" | "degraded" | "down";

/**
 * Carries publications, within a process or between many.
 *
 * With history, publishing is one step: look up the idempotency key, number, keep, hand out. Subscribers of a topic get
 * its publications in the order of their offsets, local ones too.
 *
 * @example
 * const broker: Broker = new MemoryBroker();
 * const unsubscribe = await broker.subscribe("orders", ({ payload }) => console.log(payload));
 * await broker.publish("orders", '{"id":1}');
 * await unsubscribe();
 */
export interface Broker extends AsyncDisposable {
  readonly state: BrokerState;
  /** Calls back when the state changes. */
  onState(listener: (state: BrokerState) => void): Unsubscribe;
  /**
   * Publishes to a topic.
   *
   * @returns The position, of a publication that is kept.
   * @throws {VelError} `ERR_VEL_BROKER_DOWN` when it cannot be promised that it was published.
   */
  publish(topic: string, payload: Payload, options?: PublishOptions): Promise<Position | undefined>;
  /**
   * Calls back on each publication to a topic, or with `pattern` to all topics that match (see {@link matchesTopic}).
   * Resolves when nothing that is published from now on is missed.
   *
   * @returns Takes it back, and resolves when nothing comes any more.
   * @throws {VelError} `ERR_VEL_BROKER_DOWN`
   */
  subscribe(
    topic: string,
    listener: (publication: Publication) => void,
    options?: { pattern?: boolean },
  ): Promise<() => Promise<void>>;
  /**
   * Reads what is kept of a topic.
   *
   * @throws {VelError} `ERR_VEL_BROKER_DOWN`
   */
  history(topic: string, options?: HistoryOptions): Promise<HistoryResult>;
}
