/**
 * The messages of one connection between their arrival and their handler, for both handler forms.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { ReceiveOptions } from "./connection.ts";
import { VelError, type DisconnectError } from "./errors.ts";
import { isPromise } from "./maybe-promise.ts";
import type { Received } from "./payload.ts";

/** Whom messages are handed to. */
export interface Consumer {
  /** Whether a promise of {@link Consumer.take} is awaited before the next message. */
  readonly serial: boolean;
  /** Runs before the first message; a promise is waited for and must not reject. */
  begin(): unknown;
  /** Takes one message; a promise is waited for and must not reject. */
  take(payload: Received): unknown;
  /** Called once, when the connection has ended and the consumer has settled with the last message. */
  end(): void;
}

/** What an inbox tells its connection. */
export interface InboxOwner {
  /** More waits than may, or, once that was said, half of it is left. */
  onFull(isFull: boolean): void;
}

/** What one waiting message costs beside its bytes, so that a flood of empty ones is bounded too. */
const overhead = 64;

interface Waiting {
  readonly payload: Received;
  readonly cost: number;
}

interface Waiter {
  resolve(payload: Received): void;
  reject(error: unknown): void;
}

/**
 * A queue that is either pulled from ({@link Inbox.receive}) or pushed into one consumer ({@link Inbox.consume}).
 * Nothing is lost before the first of the two, and what came before the connection's end is handed out before it.
 */
export class Inbox {
  // Most connections are idle: nothing is made before something waits.
  #queue: (Waiting | undefined)[] = nothing;
  /** Index of the first message that was not taken; keeps taking O(1). */
  #head = 0;
  /** What the waiting messages cost. */
  #cost = 0;
  readonly #limit: number;
  readonly #owner: InboxOwner;
  #isFull = false;
  #waiters: Waiter[] | undefined;
  #consumer: Consumer | undefined;
  #isOver = false;
  /** Whether the next message has to wait: for the consumer, or for what comes before it. */
  #busy = false;
  /** How many messages the consumer has not settled with; more than one only where it is not serial. */
  #running = 0;
  #isDiscarding = false;
  #end: DisconnectError | undefined;

  /**
   * @param limit How many bytes may wait before `onFull(true)`; `onFull(false)` follows when half of that is left.
   * Being full is advice to the sender: what comes all the same is kept.
   */
  constructor(limit: number, owner: InboxOwner) {
    this.#limit = limit;
    this.#owner = owner;
  }

  /** Whether `onFull(true)` was the last that was said. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Puts in a message of `size` bytes. */
  push(payload: Received, size: number): void {
    if (this.#isDiscarding) return;
    const waiter = this.#waiters?.shift();
    if (waiter) {
      waiter.resolve(payload);
    } else if (this.#consumer && !this.#busy && this.#isEmpty) {
      this.#hand(this.#consumer, payload);
      this.#pump(); // what came from within the consumer
    } else {
      const cost = size + overhead;
      if (this.#queue === nothing) this.#queue = [];
      this.#queue.push({ payload, cost });
      this.#cost += cost;
      this.#look();
    }
  }

  /** Throws away what waits and what still comes. */
  discard(): void {
    this.#isDiscarding = true;
    this.#clear();
    this.#look();
  }

  /** Tells that nothing comes any more, and what to throw at those who still ask. */
  end(error: DisconnectError): void {
    this.#end = error;
    this.#turnAway(error);
    this.#pump();
  }

  /** Takes the next message, waiting for it. */
  receive({ signal, timeout }: ReceiveOptions, clock: Clock): Promise<Received> {
    if (this.#consumer) {
      return Promise.reject(taken());
    }
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    if (!this.#isEmpty) return Promise.resolve(this.#take());
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      let timer: unknown;
      const settle = (): void => {
        clock.clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        resolve(payload) {
          settle();
          resolve(payload);
        },
        reject(error) {
          settle();
          reject(error);
        },
      };
      const giveUp = (error: unknown): void => {
        this.#waiters = this.#waiters?.filter((other) => other !== waiter);
        waiter.reject(error);
      };
      const onAbort = (): void => {
        giveUp(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeout !== undefined) {
        timer = clock.setTimeout(() => {
          giveUp(new VelError("ERR_VEL_TIMEOUT", `No message within ${String(timeout)} ms`));
        }, timeout);
      }
      (this.#waiters ??= []).push(waiter);
    });
  }

  /** Hands every message to a consumer from now on, in order, those that wait first. */
  consume(consumer: Consumer): void {
    this.#consumer = consumer;
    // Somebody who asked before and has not got anything must not take the first message of the consumer's.
    this.#turnAway(taken());
    this.#busy = true;
    this.#settle(consumer.begin(), true);
    this.#pump();
  }

  #turnAway(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const waiter of waiters ?? []) waiter.reject(error);
  }

  get #isEmpty(): boolean {
    return this.#head === this.#queue.length;
  }

  #take(): Received {
    const { payload, cost } = this.#queue[this.#head] as Waiting;
    this.#queue[this.#head++] = undefined; // let go of it before the array is
    this.#cost -= cost;
    // A queue that never runs empty is cut off from time to time, or it would grow for ever.
    if (this.#isEmpty || (this.#head >= 1024 && this.#head * 2 >= this.#queue.length)) {
      this.#queue = this.#isEmpty ? nothing : this.#queue.slice(this.#head);
      this.#head = 0;
    }
    this.#look();
    return payload;
  }

  #clear(): void {
    this.#queue = nothing;
    this.#head = 0;
    this.#cost = 0;
  }

  /** Says so when the queue has become full, or half empty again. */
  #look(): void {
    const isFull = this.#isFull ? this.#cost > this.#limit / 2 : this.#cost > this.#limit;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#owner.onFull(isFull);
  }

  #hand(consumer: Consumer, payload: Received): void {
    this.#busy = true; // what comes from within the consumer waits until it has returned
    this.#settle(consumer.take(payload), consumer.serial);
  }

  /** Goes on after what has just run, or once its promise has settled if messages have to wait for that. */
  #settle(result: unknown, wait: boolean): void {
    const isRunning = isPromise(result);
    this.#busy = wait && isRunning;
    if (!isRunning) return;
    this.#running++;
    result.then(() => {
      this.#running--;
      if (wait) this.#busy = false;
      this.#pump();
    });
  }

  #pump(): void {
    const consumer = this.#consumer;
    if (!consumer) return;
    while (!this.#busy && !this.#isEmpty) {
      this.#busy = true; // taking one may let the transport read on
      this.#hand(consumer, this.#take());
    }
    if (this.#busy || this.#running > 0 || !this.#end || this.#isOver) return;
    this.#isOver = true;
    consumer.end();
  }
}

/** The queue in which nothing waits. Never pushed to. */
const nothing: (Waiting | undefined)[] = [];

function taken(): VelError {
  return new VelError("ERR_VEL_STATE", "Cannot receive: a message hook gets the messages");
}
