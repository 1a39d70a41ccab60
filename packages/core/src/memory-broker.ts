/**
 * A broker within one process.
 *
 * @module
 */
import type {
  Broker,
  BrokerState,
  HistoryOptions,
  HistoryResult,
  Position,
  Publication,
  PublishOptions,
  Retention,
} from "./broker.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Unsubscribe } from "./emitter.ts";
import { VelError } from "./errors.ts";
import { randomId } from "./id.ts";
import { notify } from "./maybe-promise.ts";
import type { Payload } from "./payload.ts";
import { logError, type ErrorContext } from "./report.ts";
import { assertTopic, TopicTree } from "./topic.ts";

/** Settings of a {@link MemoryBroker}. */
export interface MemoryBrokerOptions {
  /** How many topics with history there may be; the one that was published to longest ago gives way. Default: 10,000. */
  maxTopics?: number;
  /** How long an idempotency key is remembered, in milliseconds. Default: 300,000. */
  idempotencyTtl?: number;
  /** How many idempotency keys are remembered; the oldest give way. Default: 100,000. */
  maxIdempotencyKeys?: number;
  /** Default: {@link systemClock}. */
  clock?: Clock;
  /** Is told of what listeners throw (stage `listener`). Default: {@link logError}. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

type Listener = (publication: Publication) => unknown;

interface Kept {
  readonly publication: Publication;
  readonly expires: number;
}

/** The stream of one topic. */
class Stream {
  readonly epoch: string;
  offset = 0;
  /** What is kept: offsets without a gap, up to `offset`. */
  #kept: Kept[] = [];
  /** How many of them at the front are gone already; they are cut off now and then, not one by one. */
  #gone = 0;

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  get top(): Position {
    return { epoch: this.epoch, offset: this.offset };
  }

  append(publication: Publication, { limit, ttl }: Retention, now: number): void {
    this.#kept.push({ publication, expires: now + ttl });
    this.#trim(limit, now);
  }

  read(now: number): Publication[] {
    this.#trim(Infinity, now);
    return this.#kept.slice(this.#gone).map(({ publication }) => publication);
  }

  #trim(limit: number, now: number): void {
    while (this.#kept.length - this.#gone > limit || (this.#kept[this.#gone]?.expires ?? Infinity) <= now) this.#gone++;
    if (this.#gone <= this.#kept.length / 2) return;
    this.#kept = this.#kept.slice(this.#gone);
    this.#gone = 0;
  }
}

/**
 * Carries publications within one process: the default of every feature. Subscribers are called before `publish`
 * returns; where one of them publishes, after all have had what came before.
 *
 * What has expired is never handed out, and is let go of when its topic is next used; where a topic stands is known for as long as there are no more than `maxTopics`.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { MemoryBroker } from "@vel/core";
 *
 * const broker = new MemoryBroker();
 * const history = { limit: 100, ttl: 60_000 };
 * await broker.publish("orders", "first", { history });
 * const { top } = await broker.history("orders");
 * await broker.publish("orders", "second", { history });
 * const { publications, complete } = await broker.history("orders", { since: top });
 * assert.deepEqual([publications.map(({ payload }) => payload), complete], [["second"], true]);
 */
export class MemoryBroker implements Broker {
  readonly #maxTopics: number;
  readonly #idempotencyTtl: number;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #patterns = new TopicTree<Listener>();
  /** The one that was published to longest ago comes first. */
  readonly #streams = new Map<string, Stream>();
  /** What was published with a key, oldest first. */
  readonly #keys = new Map<string, { position: Position | undefined; expires: number }>();
  /** What is being handed out, and what listeners have published meanwhile. */
  readonly #waiting: { publication: Publication; listeners: readonly Listener[] }[] = [];
  readonly #states = new Set<(state: BrokerState) => void>();
  readonly #id = randomId();
  #forgotten = 0;
  #isClosed = false;

  /** @throws {RangeError} When a limit is not a positive number. */
  constructor(options: MemoryBrokerOptions = {}) {
    const { maxTopics = 10_000, idempotencyTtl = 300_000, maxIdempotencyKeys = 100_000 } = options;
    for (const [name, value] of Object.entries({ maxTopics, idempotencyTtl, maxIdempotencyKeys })) {
      if (!(value > 0)) throw new RangeError(`Option "${name}" must be a positive number, got ${String(value)}`);
    }
    const { clock = systemClock, onError = logError } = options;
    this.#maxTopics = maxTopics;
    this.#idempotencyTtl = idempotencyTtl;
    this.#maxKeys = maxIdempotencyKeys;
    this.#clock = clock;
    this.#onError = (error) => {
      notify(
        (): unknown => onError(error, { stage: "listener" }),
        (failure) => {
          logError(failure, { stage: "onError" });
          logError(error, { stage: "listener" });
        },
      );
    };
  }

  get state(): BrokerState {
    return this.#isClosed ? "down" : "up";
  }

  onState(listener: (state: BrokerState) => void): Unsubscribe {
    const own = (state: BrokerState): void => {
      listener(state);
    };
    this.#states.add(own);
    return () => {
      this.#states.delete(own);
    };
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- an error is a rejection, as of any broker
  async publish(topic: string, payload: Payload, options: PublishOptions = {}): Promise<Position | undefined> {
    this.#assertUp();
    assertTopic(topic);
    assertPayload(payload);
    const { idempotencyKey, history, origin } = options;
    const now = this.#clock.now();
    const key = idempotencyKey === undefined ? undefined : `${String(topic.length)} ${topic} ${idempotencyKey}`;
    const before = key === undefined ? undefined : this.#keys.get(key);
    if (before && before.expires > now) return before.position;

    let position: Position | undefined;
    // Those who read it later share it: it is not the caller's any more.
    const kept = typeof payload === "string" ? payload : new Uint8Array(payload);
    const publication = (): Publication => ({
      topic,
      payload: kept,
      ...(position && { position }),
      ...(origin !== undefined && { origin }),
    });
    if (history) {
      assertRetention(history);
      const stream = this.#touch(topic);
      position = { epoch: stream.epoch, offset: ++stream.offset };
      stream.append(publication(), history, now);
    }
    if (key !== undefined) this.#remember(key, position, now);
    this.#handOut(publication(), [...(this.#listeners.get(topic) ?? []), ...this.#patterns.find(topic)]);
    return position;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async subscribe(
    topic: string,
    listener: Listener,
    { pattern = false }: { pattern?: boolean } = {},
  ): Promise<() => Promise<void>> {
    this.#assertUp();
    assertTopic(topic);
    let isOn = true;
    // Each subscription is its own, even of the same function; one that was taken back hears nothing more.
    const own: Listener = (publication) => (isOn ? listener(publication) : undefined);
    if (pattern) this.#patterns.add(topic, own);
    else {
      const listeners = this.#listeners.get(topic) ?? new Set();
      this.#listeners.set(topic, listeners.add(own));
    }
    return () => {
      isOn = false;
      if (pattern) this.#patterns.delete(topic, own);
      else {
        const listeners = this.#listeners.get(topic);
        if (listeners?.delete(own) && listeners.size === 0) this.#listeners.delete(topic);
      }
      return Promise.resolve();
    };
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as above
  async history(topic: string, { since, limit = Infinity }: HistoryOptions = {}): Promise<HistoryResult> {
    this.#assertUp();
    assertTopic(topic);
    if (!(limit >= 0)) throw new RangeError(`Option "limit" must be 0 or more, got ${String(limit)}`);
    const now = this.#clock.now();
    // Reading makes no stream, or whoever asks for a million names would push others out.
    const stream = this.#streams.get(topic) ?? new Stream(this.#epoch);
    const { top } = stream;
    const publications = stream.read(now);
    const last = (count: number): Publication[] => publications.slice(Math.max(publications.length - count, 0));
    if (!since) return { publications: last(Math.floor(limit)), top, complete: true };
    const missed = since.epoch === top.epoch && Number.isSafeInteger(since.offset) ? top.offset - since.offset : NaN;
    // Each of these is a no: another stream, a position that never was, what was dropped already, more than was asked for.
    if (!(missed >= 0 && missed <= publications.length && missed <= limit)) {
      return { publications: [], top, complete: false };
    }
    return { publications: last(missed), top, complete: true };
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#listeners.clear();
      this.#streams.clear();
      this.#keys.clear();
      for (const listener of this.#states) {
        notify(() => {
          listener("down");
        }, this.#onError);
      }
    }
    return Promise.resolve();
  }

  /** Calls listeners, after those of what was published before: one of them may be what publishes this. */
  #handOut(publication: Publication, listeners: readonly Listener[]): void {
    if (this.#waiting.push({ publication, listeners }) > 1) return;
    for (const { publication, listeners } of this.#waiting) {
      for (const listener of listeners) notify(() => listener(publication), this.#onError);
    }
    this.#waiting.length = 0;
  }

  /** Finds a topic's stream, or makes it, as the one that was published to last. */
  #touch(topic: string): Stream {
    const stream = this.#streams.get(topic) ?? new Stream(this.#epoch);
    this.#streams.delete(topic);
    this.#streams.set(topic, stream);
    const [oldest] = this.#streams.keys();
    if (this.#streams.size > this.#maxTopics && oldest !== undefined) {
      this.#streams.delete(oldest);
      this.#forgotten++;
    }
    return stream;
  }

  /** The epoch of a stream that begins now. It changes whenever one was forgotten, which may have been that one. */
  get #epoch(): string {
    return `${this.#id}.${String(this.#forgotten)}`;
  }

  #remember(key: string, position: Position | undefined, now: number): void {
    this.#keys.delete(key);
    this.#keys.set(key, { position, expires: now + this.#idempotencyTtl });
    for (const [oldest, { expires }] of this.#keys) {
      if (expires > now && this.#keys.size <= this.#maxKeys) break;
      this.#keys.delete(oldest);
    }
  }

  #assertUp(): void {
    if (this.#isClosed) throw new VelError("ERR_VEL_BROKER_DOWN", "Broker is closed");
  }
}

function assertPayload(payload: Payload): void {
  if (typeof payload !== "string" && !((payload as unknown) instanceof Uint8Array)) {
    throw new TypeError(`Payload must be a string or Uint8Array, got ${typeof payload}: use encode() for values`);
  }
}

function assertRetention({ limit, ttl }: Retention): void {
  if (!(limit >= 1)) throw new RangeError(`Option "history.limit" must be 1 or more, got ${String(limit)}`);
  if (!(ttl > 0)) throw new RangeError(`Option "history.ttl" must be a positive number, got ${String(ttl)}`);
}
