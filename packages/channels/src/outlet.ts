/**
 * One subscriber's way out: what becomes of messages that its connection has no room for.
 *
 * @module
 */
import { payloadSize, type Connection, type Payload, type Position } from "@vel/core";
import type { Delivery } from "./delivery.ts";

/**
 * What becomes of messages that a subscriber is too slow for.
 *
 * - `close`: the connection is closed with 1013 as soon as its send buffer refuses one.
 * - `drop`: they are left out and counted; on a channel with history the subscriber is told by a `gap`, and can recover.
 * - `queue`: they wait, up to `queueLimit` bytes; one more closes the connection with 1013.
 * - `{ latestBy }`: they wait, of each key the newest only; beyond `queueLimit` bytes as with `queue`.
 */
export type FullPolicy<T = unknown> = "close" | "drop" | "queue" | { readonly latestBy: (data: T) => string };

/** How an {@link Outlet} works. */
export interface OutletOptions {
  readonly onFull: FullPolicy<never>;
  /** How many bytes may wait here. */
  readonly queueLimit: number;
}

/** Where messages fill the limit, there is still so much room for frames that tell of them: 64 KiB. */
const spare = 2 ** 16;

interface Waiting {
  readonly frame: Payload;
  /** What it counts for; 0 for what was asked for and comes from history. */
  readonly size: number;
}

/** The outlets that wait for room, by their connection: while one does, all do. */
const gates = new WeakMap<Connection, Set<Outlet>>();

/**
 * Sends to one connection, in order. While its buffer is more than half full nothing is sent that can wait, so that one
 * channel does not end a connection that others share.
 */
export class Outlet {
  /** Messages that were left out, or replaced by newer ones. */
  dropped = 0;
  readonly #connection: Connection;
  readonly #gapFrame: (position: Position) => Payload | undefined;
  #onFull: FullPolicy<never>;
  #limit: number;
  /** What waits, in order: by the key of `latestBy`, or by a number. */
  readonly #waiting = new Map<string | number, Waiting>();
  #last = 0;
  #bytes = 0;
  /** Whether something was left out that the subscriber has not been told of, and up to which position. */
  #missed: { readonly position: Position | undefined } | undefined;

  constructor(connection: Connection, options: OutletOptions, gapFrame: (position: Position) => Payload | undefined) {
    this.#connection = connection;
    this.#onFull = options.onFull;
    this.#limit = options.queueLimit;
    this.#gapFrame = gapFrame;
  }

  /** Whether a message that comes now is sent at once, and a refusal closes: whether many can share the work. */
  get isPlain(): boolean {
    return this.#onFull === "close" && this.#isIdle;
  }

  /** Changes the policy, for what comes from now on. */
  change({ onFull, queueLimit }: OutletOptions): void {
    this.#tellMissed(); // before what will wait from now on
    this.#onFull = onFull;
    this.#limit = queueLimit;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
    this.#missed = undefined;
  }

  /** Sends a frame that is never left out. */
  tell(frame: Payload): void {
    this.#enqueue(++this.#last, frame, payloadSize(frame), this.#limit + spare);
    this.#pump();
  }

  /** Sends what the subscriber has asked for, at its own pace. */
  replay(deliveries: readonly Delivery[]): void {
    for (const { frame } of deliveries) this.#enqueue(++this.#last, frame, 0);
    this.#pump();
  }

  /** Sends a message, or does with it what the policy says. */
  deliver(delivery: Delivery): void {
    if (this.#isIdle || (this.#onFull === "close" && this.#waiting.size === 0)) {
      const status = this.#connection.send(delivery.frame);
      if (status === "queued" && this.#onFull !== "close") this.#pause();
      if (status !== "dropped") return;
      if (this.#onFull === "close") {
        this.#overflow();
        return;
      }
      this.#keep(delivery);
      this.#pause();
    } else {
      this.#keep(delivery);
      if (this.#isPaused) this.#pause();
    }
  }

  /** Whether the connection's buffer is waited for, by this one or another. */
  get #isPaused(): boolean {
    return gates.has(this.#connection);
  }

  get #isIdle(): boolean {
    return !this.#isPaused && this.#waiting.size === 0;
  }

  /** There is no room now. */
  #keep(delivery: Delivery): void {
    const { frame, size } = delivery;
    if (this.#onFull === "drop") {
      // What somebody asked for may go on waiting in front; after the first that was left out nothing follows.
      const isRoom = !this.#missed && this.#waiting.size > 0 && this.#bytes + size <= this.#limit;
      if (isRoom) this.#enqueue(++this.#last, frame, size);
      else {
        this.dropped++;
        this.#missed = { position: delivery.position };
      }
    } else if (typeof this.#onFull === "object") {
      this.#enqueue(this.#keyOf(this.#onFull, delivery), frame, size);
    } else this.#enqueue(++this.#last, frame, size);
  }

  #keyOf({ latestBy }: { readonly latestBy: (data: never) => unknown }, { message }: Delivery): string {
    try {
      return String(latestBy(message.data as never));
    } catch (error) {
      this.dropped++;
      throw error;
    }
  }

  #enqueue(key: string | number, frame: Payload, size: number, limit: number = this.#limit): void {
    const before = this.#waiting.get(key);
    if (before) {
      this.dropped++;
      this.#bytes -= before.size;
      this.#waiting.delete(key); // the newest stands last, so that positions only grow
    }
    this.#waiting.set(key, { frame, size });
    this.#bytes += size;
    if (this.#bytes > limit) this.#overflow();
  }

  /** Sends what waits, until the connection's buffer is half full. */
  #pump(): void {
    if (this.#isPaused) {
      this.#pause();
      return;
    }
    for (const [key, { frame, size }] of this.#waiting) {
      const status = this.#connection.send(frame);
      if (status === "dropped") this.#overflow();
      if (status === "dropped" || status === "closed") return;
      this.#waiting.delete(key);
      this.#bytes -= size;
      if (status === "queued") {
        this.#pause();
        return;
      }
    }
    this.#tellMissed();
  }

  #tellMissed(): void {
    const missed = this.#missed;
    this.#missed = undefined;
    const gap = missed?.position && this.#gapFrame(missed.position);
    if (gap !== undefined) this.tell(gap);
  }

  #pause(): void {
    const connection = this.#connection;
    const waiting = gates.get(connection);
    if (waiting) {
      waiting.add(this);
      return;
    }
    const gate = new Set<Outlet>([this]);
    gates.set(connection, gate);
    void connection.drained().then(() => {
      gates.delete(connection);
      if (!connection.isOpen) return;
      // The first that fills the buffer again lets the rest wait again, in front of it.
      for (const outlet of gate) outlet.#pump();
      const next = gates.get(connection);
      const [first] = next ?? [];
      if (next && first) {
        next.delete(first);
        next.add(first);
      }
    });
  }

  #overflow(): void {
    this.clear();
    this.#connection.close(1013, "too slow for a channel");
  }
}
