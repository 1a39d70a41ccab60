/**
 * Data that somebody has to ask for, as a channel: asked for once for all who listen, while somebody does.
 *
 * @module
 */
import { Channel } from "@vel/channels";
import { encodeJson, type Clock, type Connection, type Frame, type Json, type Payload } from "@vel/core";

/** What listeners get. */
export interface LiveUpdate {
  readonly type: "live_update";
  readonly data: Json;
  readonly timestamp: string;
}

/** Settings of a {@link LiveSource}. */
export interface LiveSourceOptions {
  /**
   * Asks for the data. Nobody is asked again until it has answered, so it should give up when the signal aborts: nobody
   * listens any more then.
   */
  poll: (signal: AbortSignal) => Json | Promise<Json>;
  clock: Clock;
  /** How often, in milliseconds. Default: 1,000. */
  interval?: number;
}

/** A poller and its channel. */
export class LiveSource {
  readonly #options: Required<LiveSourceOptions>;
  readonly #channel = new Channel<LiveUpdate>("live-data", { protocol: { encode: bare } });
  #latest: LiveUpdate | undefined;
  #listeners = 0;
  /** Ends the polling that is under way. */
  #polling = new AbortController();
  /** Resolves when it has ended. */
  #ended = Promise.resolve();
  /** Not before this time is asked again, whoever comes and goes. */
  #due = 0;

  constructor(options: LiveSourceOptions) {
    this.#options = { interval: 1_000, ...options };
  }

  /** How many listen. */
  get listeners(): number {
    return this.#listeners;
  }

  /** The newest data; undefined while there is none, and when nobody listens. */
  get latest(): Json | undefined {
    return this.#latest?.data;
  }

  /**
   * Sends every update to a connection, until it is not open any more, and the newest at once; to one that reads too
   * slowly only the newest.
   */
  async subscribe(connection: Connection): Promise<void> {
    await this.#channel.subscribe(connection, { onFull: { latestBy: () => "newest" } });
    if (this.#latest) connection.sendJson({ ...this.#latest });
    connection.onClosing(this.#listen());
  }

  /**
   * Iterates over the data as JSON texts, for whoever asks too slowly the newest only. Listens from the first that is
   * asked for until `return()`, at once even while that waits: a generator would come to its end with the next text.
   */
  texts(): AsyncIterableIterator<string, undefined> {
    let newest: string | undefined;
    let wake = (): void => undefined;
    const left = new AbortController();
    let reading: Promise<void> | undefined;
    let isOver = false;
    const end = (): void => {
      isOver = true;
      wake();
    };
    const read = async (): Promise<void> => {
      const messages = this.#channel.messages({ signal: left.signal });
      newest = this.#latest && JSON.stringify(this.#latest.data);
      const leave = this.#listen();
      try {
        for await (const { data } of messages) {
          newest = JSON.stringify(data.data);
          wake();
        }
      } finally {
        leave();
      }
    };
    return {
      async next() {
        if (!reading) {
          reading = read();
          reading.then(end, end);
        }
        if (newest === undefined && !isOver) await new Promise<void>((resolve) => (wake = resolve));
        if (newest === undefined) await reading; // throws what ended it
        const value = newest;
        newest = undefined;
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return() {
        left.abort();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Ends it for all who listen, for good; connections stay open. */
  close(): void {
    this.#channel.close();
    this.#polling.abort();
  }

  /** Counts a listener; gives back what counts it out again. */
  #listen(): () => void {
    if (++this.#listeners === 1) {
      console.log("Live data is listened to");
      this.#polling = new AbortController();
      const { signal } = this.#polling;
      this.#ended = this.#ended.then(() => this.#poll(signal));
    }
    return () => {
      if (--this.#listeners > 0) return;
      this.#polling.abort();
      this.#latest = undefined;
      console.log("Live data is not listened to any more");
    };
  }

  /** Polls at the same points of time, however long each poll takes, and misses those that it comes too late for. */
  async #poll(signal: AbortSignal): Promise<void> {
    const { clock, interval } = this.#options;
    this.#due = Math.max(this.#due, clock.now());
    for (;;) {
      await waitUntil(this.#due, clock, signal);
      if (signal.aborted) return;
      await this.#publishNext(signal);
      const missed = Math.max(0, Math.floor((clock.now() - this.#due) / interval));
      this.#due += (missed + 1) * interval;
    }
  }

  /** Never rejects: the next poll may go well. */
  async #publishNext(signal: AbortSignal): Promise<void> {
    const { poll, clock } = this.#options;
    try {
      const data = await poll(signal);
      if (signal.aborted) return;
      encodeJson(data); // what has no JSON form is no update
      this.#latest = { type: "live_update", data, timestamp: new Date(clock.wall()).toISOString() };
      await this.#channel.publish(this.#latest);
    } catch (error) {
      if (!signal.aborted) console.error("Error sending live updates:", error);
    }
  }
}

/** Messages as they were published, without the channel around them: it is the only one of its connections. */
function bare(frame: Frame): Payload {
  return encodeJson((frame.type === "message" ? frame["data"] : frame) as Json);
}

/** Waits until a time, or until the signal aborts. */
function waitUntil(time: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const delay = time - clock.now();
    if (delay <= 0 || signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clock.clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimeout(done, delay);
    signal.addEventListener("abort", done);
  });
}
