/**
 * Where the live part of a channel is kept, by a channel alone or by a manager of many.
 *
 * @module
 */
import { encodeJson, VelError, type Connection, type ErrorContext } from "@vel/core";
import { subscriptionOptions, type SubscribeOptions, type Subscriber } from "./channel-options.ts";
import type { FrameEncoder } from "./delivery.ts";
import type { Source } from "./feed.ts";
import { closedError, Hub, type HubOwner } from "./hub.ts";
import { Visits } from "./visits.ts";

/** Keeps the hubs of channels: each is there while somebody is subscribed. */
export interface ChannelHost {
  readonly encoder: FrameEncoder;
  /** Finds a hub. */
  find(name: string): Hub | undefined;
  /**
   * Finds a hub or makes it.
   *
   * @throws {VelError} `ERR_VEL_CHANNEL_LIMIT`, `ERR_VEL_CHANNEL_CLOSED`
   */
  open(source: Source): Hub;
  /**
   * Lets one more subscription of a connection in.
   *
   * @returns Lets it out.
   * @throws {VelError} `ERR_VEL_CHANNEL_LIMIT`
   */
  enter(connection: Connection, topic: string): () => void;
  /** @throws {VelError} `ERR_VEL_CHANNEL_CLOSED` */
  assertOpen(name: string): void;
  /** A message was published. */
  published(): void;
  /** Ends a channel for good. */
  closeChannel(name: string): void;
}

/** Frames as JSON text. */
export const jsonEncoder: FrameEncoder = { encode: (frame) => encodeJson(frame) };

/** The host of a channel that has no manager. */
export class SingleHost implements ChannelHost, HubOwner {
  readonly encoder: FrameEncoder;
  readonly visits: Visits = new Visits();
  readonly onError: (error: unknown, context: ErrorContext) => unknown;
  #hub: Hub | undefined;
  #isClosed = false;

  constructor(encoder: FrameEncoder = jsonEncoder, onError: (error: unknown, context: ErrorContext) => unknown) {
    this.encoder = encoder;
    this.onError = onError;
  }

  find(): Hub | undefined {
    return this.#hub;
  }

  open(source: Source): Hub {
    this.assertOpen(source.topic);
    return (this.#hub ??= new Hub(source, this));
  }

  enter(): () => void {
    return () => undefined;
  }

  assertOpen(name: string): void {
    if (this.#isClosed) throw closedError(name);
  }

  published(): void {
    // Nobody reads how many there were.
  }

  closeChannel(): void {
    this.#isClosed = true;
    this.#hub?.close();
  }

  emptied(hub: Hub): void {
    if (this.#hub === hub) this.#hub = undefined;
  }
}

/** Subscribes a connection to a channel or pattern. */
export async function subscribe(
  host: ChannelHost,
  source: Source,
  connection: Connection,
  options: SubscribeOptions<never>,
): Promise<Subscriber> {
  const wanted = subscriptionOptions(options);
  assertOpen(connection);
  const found = host.find(source.topic);
  const { hub, leave } = found?.find(connection) ? { hub: found, leave: nothing } : enter(host, source, connection);
  const { joined, subscription } = await hub.subscribe(connection, wanted, options.since, leave);
  assertOpen(connection);
  return {
    ...joined,
    get dropped() {
      return subscription.dropped;
    },
    unsubscribe() {
      if (hub.has(subscription)) hub.unsubscribe(connection);
    },
  };
}

/** Counts before it makes anything: a client that asks for too many channels makes none of them. */
function enter(host: ChannelHost, source: Source, connection: Connection): { hub: Hub; leave: () => void } {
  const leave = host.enter(connection, source.topic);
  try {
    return { hub: host.open(source), leave };
  } catch (error) {
    leave();
    throw error;
  }
}

function nothing(): void {
  // The connection was let in before.
}

function assertOpen(connection: Connection): void {
  if (!connection.isOpen) throw new VelError("ERR_VEL_DISCONNECTED", "Cannot subscribe: the connection is not open");
}
