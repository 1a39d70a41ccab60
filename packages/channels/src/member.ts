/**
 * Somebody who gets what a channel publishes: a connection, a loop, an event stream.
 *
 * @module
 */
import type { Position } from "@vel/core";
import { isPast } from "./continuity.ts";
import type { Delivery } from "./delivery.ts";
import { maxHeld } from "./feed.ts";

/** How somebody came in. */
export interface Joined {
  /** Whether all was there since the position that was asked for; undefined when none was. */
  readonly recovered: boolean | undefined;
  /** What follows, recovered or new, comes after this position; undefined without history. */
  readonly position: Position | undefined;
}

/** Gets deliveries, and holds them back while it is not known yet what comes before them. */
export abstract class Member {
  #held: Delivery[] | undefined = [];
  /** What it has got already, where history was ahead of what is live. */
  #floor: Position | undefined;
  /** Up to where messages are missing that were missed while it held back. */
  #skipped: Position | undefined;

  /** Whether it gets what comes at once. */
  get isLive(): boolean {
    return this.#held === undefined;
  }

  /** What it has got already, at least. */
  get floor(): Position | undefined {
    return this.#floor;
  }

  /** Whether it has got what the channel has not come to yet. */
  isAheadOf(position: Position | undefined): boolean {
    return this.#floor?.epoch === position?.epoch && (this.#floor?.offset ?? 0) > (position?.offset ?? 0);
  }

  /** Whether it has got what comes after a position, or of a stream that the channel has not come to yet. */
  isBeyond(position: Position | undefined): boolean {
    return this.#floor !== undefined && (!position || !isPast(position, this.#floor));
  }

  /** Holds back what comes from now on. */
  hold(): void {
    this.#held = [];
    this.#skipped = undefined;
  }

  /** What was held back so far. */
  get held(): readonly Delivery[] {
    return this.#held ?? [];
  }

  /** Takes a message that was published. */
  receive(delivery: Delivery): void {
    if (this.#held) {
      // Continuity is checked afterwards: what is thrown away here will be missed there.
      if (this.#held.length >= maxHeld) this.#held = [];
      this.#held.push(delivery);
    } else this.#hand(delivery);
  }

  #hand(delivery: Delivery): void {
    const isNew = !this.#floor || !delivery.position || !isPast(this.#floor, delivery.position);
    if (!isNew) return;
    if (this.#floor && delivery.position) this.#floor = delivery.position;
    if (delivery.fault === undefined) this.deliver(delivery);
  }

  /** Hears that messages up to a position are missing. */
  skip(position: Position): void {
    if (this.#held) {
      this.#held = [];
      this.#skipped = position;
    } else if (!this.#floor || !isPast(this.#floor, position)) {
      // Otherwise history had given it what is missing live.
      if (this.#floor) this.#floor = position;
      this.gap(position);
    }
  }

  /** Begins, or begins again, with what it missed; then with what came while it did. */
  start(joined: Joined, missed: readonly Delivery[]): void {
    this.#held = [];
    this.#floor = missed.at(-1)?.position ?? joined.position;
    this.begin(
      joined,
      missed.filter(({ fault }) => fault === undefined),
    );
    // What was recovered ends before that.
    const missing = this.#takeSkipped();
    if (joined.recovered && missing && this.#floor && !isPast(this.#floor, missing)) {
      this.#floor = missing;
      this.gap(missing);
    }
    // What somebody publishes who gets one of these comes after the last of them.
    for (let late: readonly Delivery[] = this.#held; late.length > 0; late = this.held) {
      this.#held = [];
      for (const delivery of late) this.#hand(delivery);
    }
    this.#held = undefined;
    const skipped = this.#takeSkipped();
    if (skipped) this.skip(skipped);
  }

  #takeSkipped(): Position | undefined {
    const skipped = this.#skipped;
    this.#skipped = undefined;
    return skipped;
  }

  protected abstract begin(joined: Joined, missed: readonly Delivery[]): void;
  protected abstract deliver(delivery: Delivery): void;
  protected abstract gap(position: Position): void;
  /** It is over: the channel has closed. */
  abstract end(): void;
}
