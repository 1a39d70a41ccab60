/**
 * The channels of one application, by name.
 *
 * @module
 */
import {
  assertTopic,
  logError,
  MemoryBroker,
  VelError,
  report,
  type Connection,
  type ErrorContext,
  type FrameHandlers,
  type Measurable,
  type Measurement,
} from "@vel/core";
import { channelFrames } from "./channel-frames.ts";
import { jsonEncoder, subscribe, type ChannelHost } from "./channel-host.ts";
import type { ChannelInfo } from "./channel-info.ts";
import { isPattern } from "./channel-name.ts";
import type {
  Authorize,
  ChannelOptions,
  CommonOptions,
  SpeechOptions,
  SubscribeOptions,
  Subscriber,
} from "./channel-options.ts";
import { Channel } from "./channel.ts";
import type { FrameEncoder } from "./delivery.ts";
import type { ChannelErrorCode } from "./errors.ts";
import type { Source } from "./feed.ts";
import { Grants } from "./grants.ts";
import { closedError, Hub, type HubOwner } from "./hub.ts";
import { Visits } from "./visits.ts";

/** Settings of a manager. */
export interface ChannelManagerOptions extends CommonOptions, SpeechOptions {
  /** How many channels and patterns a connection may be subscribed to. Default: 100. */
  maxChannelsPerConnection?: number;
  /**
   * How many channels and patterns may have subscribers at the same time, and how many channels may be made with
   * options of their own. Default: 100,000.
   */
  maxChannels?: number;
}

/** A channel that was made with options of its own. */
interface Declared {
  readonly channel: Channel;
  readonly options: ChannelOptions<unknown, unknown>;
}

/**
 * Keeps channels by name, and lets clients in by frames.
 *
 * A channel without subscribers costs nothing: what is live of it is dropped with the last and made again with the next.
 *
 * @example
 * import { createVel, Protocol } from "@vel/core";
 * import { ChannelManager } from "@vel/channels";
 *
 * const protocol = new Protocol();
 * const channels = new ChannelManager({
 *   protocol,
 *   history: { limit: 1_000, ttl: 300_000 },
 *   authorize: (_connection, channel, action) => action === "subscribe" && channel.startsWith("public."),
 * });
 * protocol.add(channels.frames());
 * const vel = createVel();
 * vel.websocket("/ws", protocol.hooks());
 * await channels.channel("public.news").publish({ title: "hello" });
 */
export class ChannelManager implements AsyncDisposable, Measurable {
  readonly #options: CommonOptions & SpeechOptions & Required<Pick<CommonOptions, "broker">>;
  readonly #maxPerConnection: number;
  readonly #maxChannels: number;
  readonly #declared = new Map<string, Declared>();
  readonly #hubs = new Map<string, Hub>();
  readonly #counts = new WeakMap<Connection, number>();
  readonly #host: ChannelHost & HubOwner;
  readonly #grants: Grants;
  readonly #ownBroker: AsyncDisposable | undefined;
  #publishes = 0;
  #isClosed = false;

  /** @throws {RangeError} When a limit is below 1. */
  constructor(options: ChannelManagerOptions = {}) {
    const { maxChannelsPerConnection = 100, maxChannels = 100_000, onError = logError, ...rest } = options;
    for (const [name, value] of Object.entries({ maxChannelsPerConnection, maxChannels })) {
      if (!(value >= 1)) throw new RangeError(`Option "${name}" must be 1 or more, got ${String(value)}`);
    }
    const broker = options.broker ?? new MemoryBroker();
    this.#ownBroker = options.broker ? undefined : broker;
    this.#options = { ...rest, broker, onError };
    this.#maxPerConnection = maxChannelsPerConnection;
    this.#maxChannels = maxChannels;
    this.#host = this.#makeHost(options.protocol ?? jsonEncoder, onError);
    this.#grants = new Grants({
      isIn: (connection, channel) => this.#hubs.get(channel)?.find(connection) !== undefined,
      mayStay: (connection, channel) => this.#authorizeOf(channel)?.(connection, channel, "subscribe"),
      withdraw: (connection, channel) => this.#hubs.get(channel)?.withdraw(connection),
      report: (error, stage, connection) => {
        report(onError, error, { stage, connection });
      },
    });
  }

  /** How many channels and patterns have subscribers in this process. */
  get size(): number {
    return this.#hubs.size;
  }

  /**
   * Describes the channels and patterns that have subscribers in this process, {@link ChannelManager.size} of them, in the
   * order in which they got them. Asks no broker. Whoever gets this sees names that `authorize` may keep from him.
   *
   * @example
   * const channels = new ChannelManager();
   * channels.channel("news").messages();
   * channels.list().map(({ name, subscriberCount }) => `${name}: ${subscriberCount}`); // ["news: 1"]
   */
  list(): ChannelInfo[] {
    return Array.from(this.#hubs.values(), ({ info }) => info);
  }

  /**
   * Finds a channel or makes it. A name that was made with options keeps them; all others have the manager's.
   *
   * @param options What is different from the manager's. Make such channels at start, before anybody asks for the name: a
   * channel that was given out before goes on with the manager's.
   * @throws {TypeError} When the name is not a string of 1 to 1,024 characters, or is a pattern; when it was made, or is
   * in use, with other options.
   * @throws {VelError} `ERR_VEL_CHANNEL_LIMIT` when too many were made with options, `ERR_VEL_CHANNEL_CLOSED`
   * @example
   * const channels = new ChannelManager();
   * const orders = channels.channel<{ total: number }>("orders");
   */
  channel<T = unknown, In = T>(name: string, options?: ChannelOptions<T, In>): Channel<T, In> {
    this.#host.assertOpen(name);
    const declared = this.#declared.get(name);
    if (declared) {
      if (!options || isSame(options, declared.options)) return declared.channel as Channel<T, In>;
      throw new TypeError(`Channel ${JSON.stringify(name)} was made with other options`);
    }
    const channel = new Channel<T, In>(name, { ...this.#options, ...options }, this.#host);
    if (options) this.#declare(name, channel, options);
    return channel;
  }

  /**
   * Subscribes a connection to all channels that a pattern stands for (`orders.*`, `orders.>`), those that do not exist
   * yet included, or to one channel. Messages of a pattern are not recovered; each says which channel it was.
   *
   * @throws {VelError} As {@link Channel.subscribe} does.
   * @throws {TypeError} When `since` is given with a pattern.
   * @example
   * const channels = new ChannelManager();
   * await channels.subscribe("orders.*", connection);
   */
  async subscribe(pattern: string, connection: Connection, options: SubscribeOptions = {}): Promise<Subscriber> {
    assertTopic(pattern);
    if (!isPattern(pattern)) return this.channel(pattern).subscribe(connection, options);
    if (options.since) throw new TypeError(`Option "since" needs one channel, got ${JSON.stringify(pattern)}`);
    const source: Source = { broker: this.#options.broker, topic: pattern, isPattern: true, hasHistory: false };
    return subscribe(this.#host, source, connection, options);
  }

  /** Ends a connection's subscription to a channel or pattern; false when it had none. */
  unsubscribe(pattern: string, connection: Connection): boolean {
    return this.#hubs.get(pattern)?.unsubscribe(connection) ?? false;
  }

  /**
   * Makes handlers for core's `Protocol`: `subscribe` with `channel` (or a pattern) and `since`, `unsubscribe` with
   * `channel`, `publish` with `channel`, `data` and `key`. `authorize` is asked for each but `unsubscribe`; for a pattern
   * it is asked about the pattern as it is written, whatever it would match.
   *
   * When a connection is renewed (core's `connection.renew()`), `authorize` is asked again about each subscription that
   * its client has asked for. Anything but true ends it, also a throw, which goes to `onError` with the stage `authorize`:
   * the client is told `{ type: "unsubscribed", channel, code: "channel_forbidden" }`, and nothing that waited for it
   * follows. Until it has answered the subscription stays, as it was allowed; `renew()` waits for that, so `authorize`
   * must not wait for `renew()`.
   *
   * @example
   * const protocol = new Protocol();
   * const channels = new ChannelManager({ protocol, authorize: () => true });
   * protocol.add(channels.frames());
   */
  frames(): FrameHandlers {
    return channelFrames(this, (name) => this.#authorizeOf(name), this.#grants);
  }

  /**
   * Reads how many channels and patterns have subscribers in this process, how many subscriptions that are (connections,
   * loops and event streams), and how many messages this manager's channels have published.
   */
  *measure(): Generator<Measurement, void, undefined> {
    const subscriptions = [...this.#hubs.values()].reduce((sum, hub) => sum + hub.size, 0);
    yield { name: "vel_channels", kind: "gauge", value: this.#hubs.size };
    yield { name: "vel_channel_subscriptions", kind: "gauge", value: subscriptions };
    yield { name: "vel_channel_publishes_total", kind: "counter", value: this.#publishes };
  }

  /** Ends all subscriptions; connections stay open. Nobody can subscribe or publish any more. */
  close(): Promise<void> {
    this.#isClosed = true;
    for (const hub of [...this.#hubs.values()]) hub.close();
    return Promise.resolve(this.#ownBroker?.[Symbol.asyncDispose]());
  }

  /** The same as {@link ChannelManager.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #authorizeOf(name: string): Authorize | undefined {
    return this.#declared.get(name)?.options.authorize ?? this.#options.authorize;
  }

  #declare(name: string, channel: Channel, options: ChannelOptions<unknown, unknown>): void {
    const { broker, history } = { ...this.#options, ...options };
    const hub = this.#hubs.get(name);
    if (hub && !hub.isOf({ broker, hasHistory: history !== undefined })) {
      throw new TypeError(`Channel ${JSON.stringify(name)} is in use with other options`);
    }
    if (this.#declared.size >= this.#maxChannels) throw this.#limitError(name, this.#declared.size);
    this.#declared.set(name, { channel, options });
  }

  #makeHost(
    encoder: FrameEncoder,
    onError: (error: unknown, context: ErrorContext) => unknown,
  ): ChannelHost & HubOwner {
    const host: ChannelHost & HubOwner = {
      encoder,
      onError,
      visits: new Visits(),
      find: (name) => this.#hubs.get(name),
      open: (source) => {
        const { topic } = source;
        host.assertOpen(topic);
        const found = this.#hubs.get(topic);
        if (found) return found;
        if (this.#hubs.size >= this.#maxChannels) throw this.#limitError(topic, this.#hubs.size);
        const hub = new Hub(source, host);
        this.#hubs.set(topic, hub);
        return hub;
      },
      enter: (connection, topic) => this.#enter(connection, topic),
      assertOpen: (name) => {
        if (this.#isClosed) throw closedError(name);
      },
      published: () => {
        this.#publishes++;
      },
      closeChannel: (name) => {
        this.#hubs.get(name)?.close();
      },
      emptied: (hub) => {
        if (this.#hubs.get(hub.name) === hub) this.#hubs.delete(hub.name);
      },
    };
    return host;
  }

  #enter(connection: Connection, topic: string): () => void {
    const count = this.#counts.get(connection) ?? 0;
    if (count >= this.#maxPerConnection) {
      throw new VelError<ChannelErrorCode>(
        "ERR_VEL_CHANNEL_LIMIT",
        `Cannot subscribe: the connection has ${String(count)} channels already`,
      );
    }
    this.#counts.set(connection, count + 1);
    return () => {
      this.#counts.set(connection, (this.#counts.get(connection) ?? 1) - 1);
      this.#grants.delete(connection, topic);
    };
  }

  #limitError(name: string, count: number): VelError<ChannelErrorCode> {
    return new VelError(
      "ERR_VEL_CHANNEL_LIMIT",
      `Cannot make channel ${JSON.stringify(name)}: there are ${String(count)} already`,
    );
  }
}

/** Tells whether two say the same. */
function isSame<T, In>(a: ChannelOptions<T, In>, b: ChannelOptions<unknown, unknown>): boolean {
  return (
    a.schema === b.schema &&
    a.broker === b.broker &&
    a.authorize === b.authorize &&
    a.history?.limit === b.history?.limit &&
    a.history?.ttl === b.history?.ttl
  );
}
