/**
 * A channel: what is published to it reaches whoever subscribed.
 *
 * @module
 */
import {
  encodeJson,
  logError,
  MemoryBroker,
  validate,
  VelError,
  type Broker,
  type Connection,
  type HistoryOptions,
  type Json,
  type Position,
  type Retention,
  type StandardSchemaV1,
} from "@vel/core";
import { SingleHost, subscribe, type ChannelHost } from "./channel-host.ts";
import type { ChannelMessage } from "./channel-message.ts";
import { assertChannelName } from "./channel-name.ts";
import {
  limitOf,
  type ChannelHistory,
  type ChannelOptions,
  type ChannelPublishOptions,
  type ReadOptions,
  type SpeechOptions,
  type SubscribeOptions,
  type Subscriber,
} from "./channel-options.ts";
import { Delivery, writeOrigin } from "./delivery.ts";
import type { ChannelErrorCode } from "./errors.ts";
import { eventsOf, positionOf, type EventRequest } from "./event-stream.ts";
import type { Source } from "./feed.ts";
import type { Reader } from "./reader.ts";
import { sse, type SseOptions } from "./sse.ts";

/**
 * Publishes, in one process or over a broker in many, to connections, loops and event streams.
 *
 * A stream is a broker and a name: channels of one name on one broker are the same stream, also in several processes. In
 * one process make one `Channel` of a name, or leave that to a {@link ChannelManager}: a connection that subscribes to
 * two gets everything twice.
 *
 * A subscriber gets `{ type: "message", channel, data, position?, from? }`. Before that it is told
 * `{ type: "subscribed", channel, recovered?, position? }`, and `{ type: "gap", channel, position }` whenever messages
 * are missing for it.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { createVel } from "@vel/core";
 * import { connect } from "@vel/testing";
 * import { Channel } from "@vel/channels";
 *
 * const news = new Channel<{ title: string }>("news");
 * const vel = createVel();
 * vel.websocket("/news", { open: async (connection) => void (await news.subscribe(connection)) });
 * const client = await connect(vel, "/news");
 * assert.deepEqual(await client.receiveJson(), { type: "subscribed", channel: "news" });
 * await news.publish({ title: "hello" });
 * assert.deepEqual(await client.receiveJson(), { type: "message", channel: "news", data: { title: "hello" } });
 */
export class Channel<T = unknown, In = T> {
  readonly name: string;
  readonly #host: ChannelHost;
  readonly #broker: Broker;
  readonly #history: Retention | undefined;
  readonly #schema: StandardSchemaV1<In, T> | undefined;

  /**
   * @param host Its manager's; leave it out.
   * @throws {TypeError} When the name is not a string of 1 to 1,024 characters, or is a pattern.
   */
  constructor(name: string, options: ChannelOptions<T, In> & SpeechOptions = {}, host?: ChannelHost) {
    assertChannelName(name);
    this.name = name;
    const { broker = new MemoryBroker(), history, schema, protocol, onError = logError } = options;
    this.#host = host ?? new SingleHost(protocol, onError);
    this.#broker = broker;
    this.#history = history;
    this.#schema = schema;
  }

  /** How many connections, loops and event streams of this process there are. */
  get subscriberCount(): number {
    return this.#host.find(this.name)?.size ?? 0;
  }

  /**
   * Subscribes a connection, until it is not open any more. Subscribing again changes the options, or with `since`
   * begins again after that position; nothing is delivered twice because of it.
   *
   * Resolves when nothing is missed any more. Server code is not asked for permission: that is what frames are, see
   * {@link ChannelManager.frames}.
   *
   * @throws {VelError} `ERR_VEL_CHANNEL_LIMIT`, `ERR_VEL_CHANNEL_CLOSED`; `ERR_VEL_DISCONNECTED` when the connection is
   * not open; `ERR_VEL_BROKER_DOWN`. The connection is not subscribed then.
   * @example
   * const orders = new Channel<{ total: number }>("orders");
   * const subscriber = await orders.subscribe(connection, { filter: ({ data }) => data.total > 100 });
   */
  subscribe(connection: Connection, options: SubscribeOptions<T> = {}): Promise<Subscriber> {
    return subscribe(this.#host, this.#source, connection, options);
  }

  /** Ends a connection's subscription; false when it had none. */
  unsubscribe(connection: Connection): boolean {
    return this.#host.find(this.name)?.unsubscribe(connection) ?? false;
  }

  /**
   * Publishes, from anywhere: a handler, an HTTP endpoint, a job.
   *
   * @returns The position; undefined for a channel without history.
   * @throws {InvalidMessageError} When the data does not fit the schema.
   * @throws {TypeError} When the data has no JSON form.
   * @throws {VelError} `ERR_VEL_BROKER_DOWN` when it cannot be promised that it was published; `ERR_VEL_CHANNEL_CLOSED`.
   * @example
   * const orders = new Channel<{ total: number }>("orders");
   * await orders.publish({ total: 120 }, { idempotencyKey: "order-7" });
   */
  async publish(data: In, options: ChannelPublishOptions = {}): Promise<Position | undefined> {
    const { from, except, idempotencyKey } = options;
    this.#host.assertOpen(this.name);
    const value = this.#schema ? await validate(this.#schema, data) : data;
    const origin = writeOrigin(from, except);
    const position = await this.#broker.publish(this.name, encodeJson(value as Json), {
      ...(this.#history && { history: this.#history }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(origin !== undefined && { origin }),
    });
    this.#host.published();
    return position;
  }

  /**
   * Iterates over what is published from this call on, or after `since`; until the loop is left, the signal aborts or the
   * channel is closed. A loop that is never begun or never left stays subscribed.
   *
   * @throws {VelError} `ERR_VEL_CHANNEL_GAP`, at the reader, when messages are missing: what came after `since` is not
   * kept any more, or the loop is too slow. Iterating again begins with what comes then.
   * @example
   * const orders = new Channel<{ total: number }>("orders");
   * for await (const { data } of orders.messages({ signal: AbortSignal.timeout(60_000) })) console.log(data);
   */
  messages(options: ReadOptions & { signal?: AbortSignal } = {}): AsyncIterableIterator<ChannelMessage<T>, undefined> {
    const { signal } = options;
    const reader = this.#read(options);
    const stop = (): void => {
      reader.stop();
    };
    signal?.addEventListener("abort", stop, { once: true });
    reader.onEnd(() => signal?.removeEventListener("abort", stop));
    if (signal?.aborted) stop();
    const lost = (): VelError<ChannelErrorCode> => {
      stop();
      return new VelError("ERR_VEL_CHANNEL_GAP", `Messages of channel ${JSON.stringify(this.name)} are missing`);
    };
    return {
      async next() {
        for (;;) {
          const { done, value } = await reader.next();
          if (reader.isTooSlow && done) throw lost();
          if (done) return { done, value };
          if (value.type === "message") return { done: false, value: value.message as ChannelMessage<T> };
          if (value.type === "gap" || value.joined.recovered === false) throw lost();
        }
      },
      return() {
        stop();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Answers an HTTP request with the channel as server-sent events. `id` is the position, so that a browser's
   * `EventSource` resumes by itself; what cannot be had any more is an event `gap`. `data` is the message's data as
   * JSON. Who may read is decided before this is called.
   *
   * A reader that is too slow is cut off, and resumes when it comes back.
   *
   * @throws {VelError} `ERR_VEL_CHANNEL_CLOSED`
   * @example
   * import { Channel } from "@vel/channels";
   *
   * const news = new Channel<{ title: string }>("news", { history: { limit: 100, ttl: 60_000 } });
   * const fetch = (request: Request) => news.eventStream(request);
   */
  eventStream(request: EventRequest, options: Omit<SseOptions, "signal"> & { queueLimit?: number } = {}): Response {
    this.#host.assertOpen(this.name);
    const since = positionOf(request.headers.get("last-event-id"));
    const reading = { queueLimit: limitOf(options.queueLimit), ...(since && this.#history && { since }) };
    const events = eventsOf(this.name, () => this.#read(reading));
    return sse(events, { ...options, ...(request.signal && { signal: request.signal }) });
  }

  /**
   * Reads what is kept.
   *
   * @throws {VelError} `ERR_VEL_BROKER_DOWN`
   */
  async history(options?: HistoryOptions): Promise<ChannelHistory<T>> {
    const { publications, top, complete } = await this.#broker.history(this.name, options);
    const messages = publications
      .map((each) => new Delivery(each, this.#host.encoder))
      .filter(({ fault }) => fault === undefined)
      .map(({ message }) => message as ChannelMessage<T>);
    return { messages, position: top, complete };
  }

  /**
   * Ends all subscriptions, loops and event streams; connections stay open. Nobody can subscribe or publish any more; but
   * a manager's channel begins anew.
   */
  close(): void {
    this.#host.closeChannel(this.name);
  }

  get #source(): Source {
    const hasHistory = this.#history !== undefined;
    return { broker: this.#broker, topic: this.name, isPattern: false, hasHistory };
  }

  #read({ since, queueLimit }: ReadOptions): Reader {
    return this.#host.open(this.#source).read(limitOf(queueLimit), since);
  }
}
