/**
 * A channel read in a loop, or by an event stream.
 *
 * @module
 */
import type { Position } from "@vel/core";
import type { ChannelMessage } from "./channel-message.ts";
import type { Delivery } from "./delivery.ts";
import { Member, type Joined } from "./member.ts";

/** What a reader is told, in order. */
export type ReaderItem =
  | { readonly type: "start"; readonly joined: Joined }
  | { readonly type: "message"; readonly message: ChannelMessage }
  /** Messages are missing; what comes next comes after the position. */
  | { readonly type: "gap"; readonly position: Position };

interface Waiter {
  resolve(result: IteratorResult<ReaderItem, undefined>): void;
  reject(error: unknown): void;
}

/** Keeps what was published until it is asked for. */
export class Reader extends Member {
  readonly #limit: number;
  readonly #onEnd: (() => void)[];
  #items: { readonly item: ReaderItem; readonly size: number }[] = [];
  #bytes = 0;
  #waiters: Waiter[] = [];
  #isOver = false;
  #isTooSlow = false;
  #error: { readonly reason: unknown } | undefined;

  /**
   * @param limit How many bytes may wait.
   * @param leave Takes it out of the channel.
   */
  constructor(limit: number, leave: () => void) {
    super();
    this.#limit = limit;
    this.#onEnd = [leave];
  }

  /** Whether it has ended because too much waited. */
  get isTooSlow(): boolean {
    return this.#isTooSlow;
  }

  /** Waits for what comes next. */
  next(): Promise<IteratorResult<ReaderItem, undefined>> {
    const first = this.#items.shift();
    if (first) {
      this.#bytes -= first.size;
      return Promise.resolve({ done: false, value: first.item });
    }
    const error = this.#error;
    this.#error = undefined;
    if (error) return Promise.reject(error.reason);
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /** Calls back once it has ended. */
  onEnd(listener: () => void): void {
    this.#onEnd.push(listener);
  }

  /** Ends it; what waits is forgotten. */
  stop(): void {
    this.end();
    this.#items = [];
    this.#bytes = 0;
  }

  /** Ends it with an error, after what waits. */
  fail(error: unknown): void {
    if (this.#isOver) return;
    const [first] = this.#waiters;
    if (first) {
      this.#waiters.shift();
      first.reject(error);
    } else this.#error = { reason: error };
    this.end();
  }

  override end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { resolve } of this.#waiters.splice(0)) resolve({ done: true, value: undefined });
    for (const listener of this.#onEnd) listener();
  }

  protected override begin(joined: Joined, missed: readonly Delivery[]): void {
    this.#push({ type: "start", joined }, 0);
    for (const { message } of missed) this.#push({ type: "message", message }, 0);
  }

  protected override deliver({ message, weight }: Delivery): void {
    this.#push({ type: "message", message }, weight);
  }

  protected override gap(position: Position): void {
    this.#push({ type: "gap", position }, 0);
  }

  #push(item: ReaderItem, size: number): void {
    if (this.#isOver) return;
    const waiter = this.#waiters.shift();
    if (waiter) {
      waiter.resolve({ done: false, value: item });
      return;
    }
    if (this.#bytes + size > this.#limit) {
      this.#isTooSlow = true;
      this.end();
      return;
    }
    this.#items.push({ item, size });
    this.#bytes += size;
  }
}
