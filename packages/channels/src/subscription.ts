/**
 * One connection's place in a channel.
 *
 * @module
 */
import type { Connection, Payload, Position } from "@vel/core";
import type { ChannelMessage } from "./channel-message.ts";
import type { Delivery } from "./delivery.ts";
import { Member, type Joined } from "./member.ts";
import { Outlet, type OutletOptions } from "./outlet.ts";

/** What a subscriber gets, and how. */
export interface SubscriptionOptions extends OutletOptions {
  readonly filter: ((message: ChannelMessage<never>) => unknown) | undefined;
}

/** What a subscription needs of its channel. */
export interface SubscriptionOwner {
  subscribedFrame(joined: Joined): Payload;
  /** Undefined where no position means anything. */
  gapFrame(position: Position): Payload | undefined;
  report(error: unknown, stage: string, connection?: Connection): void;
}

/** Gets the messages of a channel for a connection. */
export class Subscription extends Member {
  readonly connection: Connection;
  readonly #owner: SubscriptionOwner;
  readonly #outlet: Outlet;
  #filter: SubscriptionOptions["filter"];
  /** Whether the subscriber is told of what it missed: it was here before, and gave no position. */
  isAgain = false;
  #isOver = false;
  /** One join after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection, options: SubscriptionOptions, owner: SubscriptionOwner) {
    super();
    this.connection = connection;
    this.#owner = owner;
    this.#outlet = new Outlet(connection, options, (position) => owner.gapFrame(position));
    this.#filter = options.filter;
  }

  /** Messages that were left out, or replaced by newer ones. */
  get dropped(): number {
    return this.#outlet.dropped;
  }

  /** Whether it gets what everybody gets. */
  get isPlain(): boolean {
    return this.isLive && !this.#filter && this.#outlet.isPlain;
  }

  change(options: SubscriptionOptions): void {
    this.#outlet.change(options);
    this.#filter = options.filter;
  }

  /** Runs one join when those before it are done; not when one of them has failed, which ended the subscription. */
  inTurn<R>(join: () => Promise<R>): Promise<R> {
    const turn = this.#turn.then(join);
    turn.catch(() => undefined);
    this.#turn = turn;
    return turn;
  }

  protected override begin(joined: Joined, missed: readonly Delivery[]): void {
    const outlet = this.#outlet;
    // Whoever names a position gets everything after it, and what waits is part of that.
    if (joined.recovered !== undefined) outlet.clear();
    outlet.tell(this.#owner.subscribedFrame(joined));
    if (this.isAgain && joined.recovered === undefined && joined.position) this.gap(joined.position);
    outlet.replay(missed.filter((delivery) => this.#wants(delivery) && this.#canSay(delivery)));
  }

  protected override deliver(delivery: Delivery): void {
    if (!this.#wants(delivery)) return;
    try {
      this.#outlet.deliver(delivery);
    } catch (error) {
      this.#owner.report(error, "subscriber", this.connection);
    }
  }

  protected override gap(position: Position): void {
    const frame = this.#owner.gapFrame(position);
    if (frame !== undefined) this.#outlet.tell(frame);
  }

  /** Sends a frame that is never left out, when it has ended too. */
  tell(frame: Payload): void {
    this.#outlet.tell(frame);
  }

  override end(): void {
    this.#isOver = true;
    this.#outlet.clear();
  }

  /** What cannot be encoded reaches nobody, now or later: it must not keep everything else back. */
  #canSay(delivery: Delivery): boolean {
    try {
      void delivery.frame; // is made when it is first asked for
      return true;
    } catch (error) {
      this.#owner.report(error, "encode", this.connection);
      return false;
    }
  }

  #wants(delivery: Delivery): boolean {
    if (this.#isOver || delivery.except === this.connection.id) return false;
    if (!this.#filter) return true;
    try {
      // Nothing else will do: a promise is no permission.
      return this.#filter(delivery.message as ChannelMessage<never>) === true && !this.#isOver;
    } catch (error) {
      this.#owner.report(error, "filter", this.connection);
      return false;
    }
  }
}
