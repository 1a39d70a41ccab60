/**
 * A channel while somebody is subscribed to it: one subscription to the broker, fanned out.
 *
 * @module
 */
import {
  VelError,
  report,
  type Connection,
  type ErrorContext,
  type Frame,
  type Payload,
  type Position,
  type Publication,
} from "@vel/core";
import type { ChannelInfo } from "./channel-info.ts";
import { continueFrom } from "./continuity.ts";
import { Crowd } from "./crowd.ts";
import { Delivery, type FrameEncoder } from "./delivery.ts";
import type { ChannelErrorCode } from "./errors.ts";
import { Feed, type FeedOwner, type Source } from "./feed.ts";
import type { Joined, Member } from "./member.ts";
import { Reader } from "./reader.ts";
import { Subscription, type SubscriptionOptions, type SubscriptionOwner } from "./subscription.ts";
import type { Visits } from "./visits.ts";

/** What a hub needs of whoever made it. */
export interface HubOwner {
  readonly encoder: FrameEncoder;
  readonly visits: Visits;
  readonly onError: (error: unknown, context: ErrorContext) => unknown;
  /** Nobody is in any more. */
  emptied(hub: Hub): void;
}

/** Everybody who is subscribed to a channel or pattern in this process. */
export class Hub implements FeedOwner, SubscriptionOwner {
  readonly name: string;
  readonly #source: Source;
  readonly #owner: HubOwner;
  readonly #feed: Feed;
  /** By the id of the connection. */
  readonly #subscriptions = new Map<string, { readonly subscription: Subscription; readonly leave: () => void }>();
  readonly #readers = new Set<Reader>();
  /** Subscriptions that are like all others. */
  readonly #crowd = new Crowd();
  /** Subscriptions that have wishes of their own, or are catching up. */
  readonly #others = new Set<Subscription>();
  /** Each publication is read and encoded once, however many recover it. */
  readonly #deliveries = new WeakMap<Publication, Delivery>();
  #messages = 0;
  #isClosed = false;

  constructor(source: Source, owner: HubOwner) {
    this.name = source.topic;
    this.#source = source;
    this.#owner = owner;
    this.#feed = new Feed(source, this);
  }

  /** How many connections, loops and event streams there are. */
  get size(): number {
    return this.#subscriptions.size + this.#readers.size;
  }

  /** How it is now. */
  get info(): ChannelInfo {
    return {
      name: this.name,
      isPattern: this.#source.isPattern,
      subscriberCount: this.size,
      messageCount: this.#messages,
      position: this.#feed.position,
    };
  }

  /**
   * Lets a connection in, or changes how it is in.
   *
   * @param leave Is called once it is out, if it was not in.
   */
  async subscribe(
    connection: Connection,
    options: SubscriptionOptions,
    since: Position | undefined,
    leave: () => void,
  ): Promise<{ joined: Joined; subscription: Subscription }> {
    const isAgain = this.#source.hasHistory && this.#owner.visits.enter(connection, this.name);
    const found = this.find(connection);
    const subscription = found ?? this.#add(connection, options, leave);
    if (found) {
      found.change(options);
      this.#crowd.delete(connection);
      this.#others.add(found);
    }
    const isIn = (): boolean => this.has(subscription);
    try {
      const joined = await subscription.inTurn(() => {
        subscription.isAgain = isAgain;
        return this.#join(subscription, since, isIn);
      });
      return { joined, subscription };
    } catch (error) {
      if (isIn()) this.unsubscribe(connection);
      throw error;
    }
  }

  /** Lets a connection out; false when it was not in. */
  unsubscribe(connection: Connection): boolean {
    const entry = this.#subscriptions.get(connection.id);
    if (!entry) return false;
    this.#subscriptions.delete(connection.id);
    this.#crowd.delete(connection);
    this.#others.delete(entry.subscription);
    entry.subscription.end();
    entry.leave();
    this.#leftBy();
    return true;
  }

  /** Lets a connection out that may not be in any more, and tells it. */
  withdraw(connection: Connection): void {
    const subscription = this.find(connection);
    if (!subscription) return;
    this.unsubscribe(connection);
    try {
      subscription.tell(this.#encode({ type: "unsubscribed", channel: this.name, code: "channel_forbidden" }));
    } catch (error) {
      this.report(error, "encode", connection);
    }
  }

  /** Tells whether this is what it is made of. */
  isOf({ broker, hasHistory }: Pick<Source, "broker" | "hasHistory">): boolean {
    return this.#source.broker === broker && this.#source.hasHistory === hasHistory;
  }

  /** Finds how a connection is in. */
  find(connection: Connection): Subscription | undefined {
    return this.#subscriptions.get(connection.id)?.subscription;
  }

  /** Tells whether a connection is in by this subscription. */
  has(subscription: Subscription): boolean {
    return this.find(subscription.connection) === subscription;
  }

  /** Makes a reader of what comes from now on, or from `since` on. */
  read(limit: number, since: Position | undefined): Reader {
    const reader: Reader = new Reader(limit, () => {
      if (this.#readers.delete(reader)) this.#leftBy();
    });
    this.#readers.add(reader);
    this.#join(reader, since, () => this.#readers.has(reader)).catch((error: unknown) => {
      reader.fail(error);
    });
    return reader;
  }

  /** Everybody out. */
  close(): void {
    this.#isClosed = true;
    for (const { subscription } of [...this.#subscriptions.values()]) this.unsubscribe(subscription.connection);
    for (const reader of [...this.#readers]) reader.end();
    this.#feed.stop();
  }

  // ------------------------------------------------------------------------------------------------ for its feed

  take(publication: Publication): void {
    this.#messages++;
    const delivery = new Delivery(publication, this.#owner.encoder);
    const isReadable = delivery.fault === undefined;
    if (!isReadable) this.report(delivery.fault, "decode");
    for (const reader of this.#readers) reader.receive(delivery);
    if (this.#subscriptions.size === 0) return;
    try {
      const except = delivery.except === undefined ? undefined : this.#subscriptions.get(delivery.except);
      if (isReadable) this.#crowd.broadcast(delivery.frame, except?.subscription.connection);
    } catch (error) {
      this.report(error, "encode");
      return;
    }
    for (const subscription of this.#others) {
      subscription.receive(delivery);
      this.#settle(subscription);
    }
  }

  skip(position: Position): void {
    for (const reader of this.#readers) reader.skip(position);
    const frame = this.gapFrame(position);
    if (frame !== undefined) this.#crowd.broadcast(frame);
    for (const subscription of this.#others) subscription.skip(position);
  }

  report(error: unknown, stage: string, connection?: Connection): void {
    report(this.#owner.onError, error, { stage, connection });
  }

  // ----------------------------------------------------------------------------------------- for its subscriptions

  subscribedFrame({ recovered, position }: Joined): Payload {
    return this.#encode({
      type: "subscribed",
      channel: this.name,
      ...(recovered !== undefined && { recovered }),
      ...(position && { position }),
    });
  }

  /** Nobody awaits what a gap is told by: a codec that refuses it is reported, and the channel goes on. */
  gapFrame(position: Position): Payload | undefined {
    // One position says nothing about many streams.
    if (!this.#source.hasHistory) return undefined;
    try {
      return this.#encode({ type: "gap", channel: this.name, position });
    } catch (error) {
      this.report(error, "encode");
      return undefined;
    }
  }

  // --------------------------------------------------------------------------------------------------------------

  #add(connection: Connection, options: SubscriptionOptions, leave: () => void): Subscription {
    const subscription = new Subscription(connection, options, this);
    const off = connection.onClosing(() => {
      if (this.has(subscription)) this.unsubscribe(connection);
    });
    const entry = {
      subscription,
      leave: () => {
        off();
        leave();
      },
    };
    this.#subscriptions.set(connection.id, entry);
    this.#others.add(subscription);
    return subscription;
  }

  /** Lets somebody in at a position: what was kept since, what is held meanwhile, merged and checked. */
  async #join(member: Member, since: Position | undefined, isIn: () => boolean): Promise<Joined> {
    if (since && member.isLive) {
      // A join before this one may have put it among those who hold nothing back.
      if (member instanceof Subscription && isIn()) {
        this.#crowd.delete(member.connection);
        this.#others.add(member);
      }
      member.hold();
    }
    await this.#feed.ready;
    const found =
      since && this.#source.hasHistory ? await this.#source.broker.history(this.name, { since }) : undefined;
    if (this.#isClosed) throw closedError(this.name);
    // It has left meanwhile.
    if (!isIn()) return { recovered: since && false, position: undefined };

    if (since && found) {
      const publications = found.publications.map((each) => this.#deliveryOf(each));
      const missed = continueFrom(since, { publications, top: found.top }, member.held);
      const joined: Joined = missed
        ? { recovered: true, position: since }
        : { recovered: false, position: this.#feed.position };
      member.start(joined, missed ?? []);
      this.#settle(member);
      return joined;
    }
    const { held } = member;
    const isAhead = member.isLive && member.isAheadOf(this.#feed.position);
    const joined: Joined = { recovered: since && false, position: isAhead ? member.floor : this.#before(held) };
    member.start(joined, held);
    this.#settle(member);
    return joined;
  }

  /** Where somebody stands who gets, of what has come already, only what was held for him. */
  #before(held: readonly Delivery[]): Position | undefined {
    const first = held.find(({ position }) => position)?.position;
    return first && this.#feed.position ? { epoch: first.epoch, offset: first.offset - 1 } : this.#feed.position;
  }

  /** Whoever has caught up, and has no wishes of his own, goes to the others. */
  #settle(subscription: Member): void {
    if (!(subscription instanceof Subscription) || !this.has(subscription)) return;
    if (!subscription.isPlain || subscription.isBeyond(this.#feed.position)) return;
    this.#others.delete(subscription);
    this.#crowd.add(subscription.connection);
  }

  #deliveryOf(publication: Publication): Delivery {
    const delivery = this.#deliveries.get(publication) ?? new Delivery(publication, this.#owner.encoder);
    this.#deliveries.set(publication, delivery);
    return delivery;
  }

  #encode(frame: Frame): Payload {
    return this.#owner.encoder.encode(frame);
  }

  #leftBy(): void {
    if (this.size > 0) return;
    this.#feed.stop();
    this.#owner.emptied(this);
  }
}

/** Says that nobody can come in any more. */
export function closedError(name: string): VelError<ChannelErrorCode> {
  return new VelError("ERR_VEL_CHANNEL_CLOSED", `Cannot use channel ${JSON.stringify(name)}: it was closed`);
}
