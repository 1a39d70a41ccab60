/**
 * What one connection may send.
 *
 * @module
 */
import { TokenBucket, type Rate } from "./token-bucket.ts";

/** The buckets of one connection. A message passes when there is room for it in all, and only then counts in any. */
export class Allowance {
  readonly #messages: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;
  #dropped = 0;
  #droppedAt = -Infinity;

  constructor({ messages, bytes }: { messages: Rate | undefined; bytes: Rate | undefined }, now: number) {
    this.#messages = messages && new TokenBucket(messages, now);
    this.#bytes = bytes && new TokenBucket(bytes, now);
  }

  /**
   * Takes what a message of so many bytes costs; tells in how many milliseconds it would pass, 0 when it does. One without
   * a payload costs a byte: it is work as well.
   */
  take(size: number, now: number): number {
    const cost = Math.max(1, size);
    const wait = Math.max(this.#messages?.wait(1, now) ?? 0, this.#bytes?.wait(cost, now) ?? 0);
    if (wait > 0) return wait;
    this.#messages?.take(1);
    this.#bytes?.take(cost);
    return 0;
  }

  /** Counts a message that was dropped; tells how many were since there last was a pause of so many milliseconds. */
  drop(now: number, pause: number): number {
    if (now - this.#droppedAt >= pause) this.#dropped = 0;
    this.#droppedAt = now;
    return ++this.#dropped;
  }
}
