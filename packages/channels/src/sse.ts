/**
 * Server-sent events out of any source, as a web `Response`.
 *
 * @module
 */
import { systemClock, type Clock } from "@vel/core";
import { encodeEvent, type SseEvent } from "./sse-event.ts";

/** Settings of {@link sse}. */
export interface SseOptions {
  /** Ends the stream when it aborts: the request's, where the server does not cancel what it streams. */
  signal?: AbortSignal;
  /**
   * After how long without an event a comment is sent, in milliseconds, so that proxies keep the connection; `Infinity`
   * for never. Default: 15,000.
   */
  pingInterval?: number;
  /** Headers of the response besides the usual ones, or instead of them. */
  headers?: Readonly<Record<string, string>>;
  /** Default: core's `systemClock`. */
  clock?: Clock;
}

const usualHeaders = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no", // nginx would collect events
};

/**
 * Answers with a stream of server-sent events. The source is asked for the next one when the reader has room for it, and
 * ended with `return()` when the reader leaves.
 *
 * The first thing sent is a comment, so that the response begins at once. What the source throws breaks the stream off;
 * a browser comes back then.
 *
 * @throws {RangeError} When `pingInterval` is not a positive number.
 * @example
 * import assert from "node:assert/strict";
 * import { sse } from "@vel/channels";
 *
 * async function* ticks() {
 *   for (let id = 1; id <= 2; id++) yield { id: String(id), data: "tick" };
 * }
 * const response = sse(ticks());
 * assert.equal(await response.text(), ": \n\nid: 1\ndata: tick\n\nid: 2\ndata: tick\n\n");
 */
export function sse(source: AsyncIterable<SseEvent | string>, options: SseOptions = {}): Response {
  const { headers = {} } = options;
  const all = new Headers(usualHeaders);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  return new Response(eventBytes(source, options), { headers: all });
}

/** Reads a source as bytes: one event a chunk, none before it is asked for. */
function eventBytes(
  source: AsyncIterable<SseEvent | string>,
  { signal, pingInterval = 15_000, clock = systemClock }: SseOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (!(pingInterval > 0)) {
    throw new RangeError(`Option "pingInterval" must be a positive number, got ${String(pingInterval)}`);
  }
  const encoder = new TextEncoder();
  const iterator = source[Symbol.asyncIterator]();
  let controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  let timer: unknown;
  /** Ends the pull that waits. */
  let wake: (() => void) | undefined;
  /** Whether the source owes an event. */
  let isAsked = false;
  let isOver = false;
  /** What came when a ping had been sent instead, and the reader had no room for both. */
  let ready: string | undefined = ": \n\n";

  const finish = (): void => {
    isOver = true;
    clock.clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    wake?.();
  };
  /** Ends the source, which may take until its next event: nobody waits for that. */
  const leave = (): void => {
    finish();
    void (async () => iterator.return?.())().catch(() => undefined);
  };
  const onAbort = (): void => {
    if (isOver) return;
    leave();
    controller.close();
  };
  const fail = (error: unknown): void => {
    if (isOver) return;
    finish();
    controller.error(error);
  };
  const send = (text: string): void => {
    clock.clearTimeout(timer);
    controller.enqueue(encoder.encode(text));
    wake?.();
    wake = undefined;
  };
  const take = ({ done, value }: IteratorResult<SseEvent | string, unknown>): void => {
    isAsked = false;
    if (isOver) return;
    if (done === true) {
      finish();
      controller.close();
      return;
    }
    let text: string;
    try {
      text = encodeEvent(value);
    } catch (error) {
      leave();
      controller.error(error);
      return;
    }
    if (wake) send(text);
    else ready = text;
  };

  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(own) {
        controller = own;
        signal?.addEventListener("abort", onAbort, { once: true });
        if (signal?.aborted) onAbort();
      },
      pull() {
        const text = ready;
        ready = undefined;
        if (text !== undefined) {
          send(text);
          return undefined;
        }
        return new Promise<void>((resolve) => {
          wake = resolve;
          timer = clock.setTimeout(() => {
            send(": \n\n");
          }, pingInterval);
          if (isAsked) return;
          isAsked = true;
          (async () => iterator.next())().then(take, fail);
        });
      },
      cancel() {
        if (!isOver) leave();
      },
    },
    { highWaterMark: 0 },
  );
}
