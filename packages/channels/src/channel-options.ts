/**
 * Settings of channels, and how one is subscribed to, published to and read.
 *
 * @module
 */
import type { Broker, Connection, ErrorContext, MaybePromise, Position, Retention, StandardSchemaV1 } from "@vel/core";
import type { ChannelMessage } from "./channel-message.ts";
import type { FrameEncoder } from "./delivery.ts";
import type { FullPolicy } from "./outlet.ts";
import type { SubscriptionOptions } from "./subscription.ts";

/** Says whether a client may do something by a frame. Nothing but `true` allows it. */
export type Authorize = (
  connection: Connection,
  channel: string,
  action: "subscribe" | "publish",
) => MaybePromise<boolean>;

/** Settings that channels share with each other. */
export interface CommonOptions {
  /** What carries the messages. Default: a `MemoryBroker` of its own, for one process. */
  broker?: Broker;
  /** How much is kept, so that a subscriber can recover what it missed. Default: nothing is. */
  history?: Retention;
  /**
   * Asked before a client's frame is followed, and again about what a client has subscribed to by frames when its
   * connection is renewed, see {@link ChannelManager.frames}; server code asks nobody. A pattern is asked about under its own name, and
   * brings whatever it matches, channels with an `authorize` of their own too: allow only patterns that you know.
   * Default: clients may do nothing.
   */
  authorize?: Authorize;
}

/** Settings of a channel. */
export interface ChannelOptions<T, In> extends CommonOptions {
  /** What is published has to fit, and is published as the schema made it. Default: anything that has a JSON form. */
  schema?: StandardSchemaV1<In, T>;
}

/** How connections are spoken to, and who hears of errors. */
export interface SpeechOptions {
  /** Encodes frames, as core's `Protocol` does. Default: JSON text. */
  protocol?: FrameEncoder;
  /**
   * Is told of what nobody awaits: what a filter throws (stage `filter`), `latestBy` (`subscriber`), a broker that
   * cannot be asked (`history`, `unsubscribe`), a publication that is not JSON (`decode`), a codec (`encode`), `authorize`
   * when it is asked again (`authorize`). Default: core's `logError`.
   */
  onError?: (error: unknown, context: ErrorContext) => unknown;
}

/** How a connection subscribes. */
export interface SubscribeOptions<T = unknown> {
  /** Asks for everything that came after it. Default: only what comes from now on. */
  since?: Position;
  /** Lets through what it answers `true` for. Default: everything. */
  filter?: (message: ChannelMessage<T>) => boolean;
  /** What becomes of messages that the subscriber is too slow for. Default: `close`. */
  onFull?: FullPolicy<T>;
  /** How many bytes may wait for one subscriber besides the connection's own send buffer. Default: 1,048,576. */
  queueLimit?: number;
}

/** A connection that has subscribed. */
export interface Subscriber {
  /**
   * Whether it gets everything since the position that it asked for; false when that cannot be had, and it begins at
   * `position`. Undefined when it asked for none.
   */
  readonly recovered: boolean | undefined;
  /** What it gets comes after this position; undefined for a channel without history. */
  readonly position: Position | undefined;
  /** How many messages were left out because it was too slow, by `drop`, or replaced by newer ones, by `latestBy`. */
  readonly dropped: number;
  /** Ends it; does nothing when it has ended. */
  unsubscribe(): void;
}

/** How something is published. */
export interface ChannelPublishOptions {
  /** Whose message it is: its id is in the message. Default: the server's. */
  from?: Connection;
  /** Who does not get it. Default: all get it, who published it included. */
  except?: Connection;
  /** Publishing again with the same key does nothing, for as long as the broker remembers it. Default: none. */
  idempotencyKey?: string;
}

/** How a channel is read by this process. */
export interface ReadOptions {
  /** Reads what came after it. Default: only what comes from now on. */
  since?: Position;
  /** How many bytes may wait until they are asked for. Default: 1,048,576. */
  queueLimit?: number;
}

/** What a channel keeps. */
export interface ChannelHistory<T = unknown> {
  /** In order. With `since`, empty unless complete. */
  readonly messages: readonly ChannelMessage<T>[];
  /** Where the channel stands. */
  readonly position: Position;
  /** Whether nothing is missing between `since` and `position`. Always true without `since`. */
  readonly complete: boolean;
}

/** How many bytes wait for somebody unless he says otherwise: 1 MiB. */
const defaultLimit = 2 ** 20;

/** Fills in what a subscriber did not say, and checks what it did. */
export function subscriptionOptions({
  filter,
  onFull = "close",
  queueLimit,
}: SubscribeOptions<never>): SubscriptionOptions {
  if (filter !== undefined && typeof filter !== "function") throw new TypeError(`Option "filter" must be a function`);
  const isKnown = onFull === "close" || onFull === "drop" || onFull === "queue";
  if (!isKnown && typeof (onFull as { latestBy?: unknown } | null)?.latestBy !== "function") {
    throw new TypeError(`Option "onFull" must be "close", "drop", "queue" or { latestBy }`);
  }
  return { filter, onFull, queueLimit: limitOf(queueLimit) };
}

/**
 * Fills in how much may wait.
 *
 * @throws {RangeError} When it is not a positive number.
 */
export function limitOf(queueLimit: number = defaultLimit): number {
  if (!(queueLimit > 0)) {
    throw new RangeError(`Option "queueLimit" must be a positive number, got ${String(queueLimit)}`);
  }
  return queueLimit;
}
