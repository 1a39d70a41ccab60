/**
 * A channel as server-sent events, and positions as their ids.
 *
 * @module
 */
import type { Position } from "@vel/core";
import type { Reader, ReaderItem } from "./reader.ts";
import type { SseEvent } from "./sse-event.ts";

/** What is read of an HTTP request; a web `Request` is one. */
export interface EventRequest {
  readonly headers: { get(name: string): string | null };
  /** Ends the stream when it aborts. */
  readonly signal?: AbortSignal | null;
}

/** Stands for an id that nobody gave out: it is no position of any stream, so that the reader hears of a gap. */
const nowhere: Position = { epoch: "", offset: 0 };

/** Reads the header `Last-Event-ID`. */
export function positionOf(id: string | null): Position | undefined {
  if (id === null || id === "") return undefined;
  const [, offset = "", epoch = ""] = /^(\d{1,16}):([\w.~%!'()*-]{1,512})$/.exec(id) ?? [];
  try {
    return offset === "" ? nowhere : { epoch: decodeURIComponent(epoch), offset: Number(offset) };
  } catch {
    return nowhere;
  }
}

/** Writes a position as an id: of characters that are safe in a header. */
function idOf({ epoch, offset }: Position): string {
  return `${String(offset)}:${encodeURIComponent(epoch)}`;
}

/** Reads a channel as events. It is not opened before the first is asked for. */
export function eventsOf(channel: string, open: () => Reader): AsyncIterable<SseEvent> {
  let reader: Reader | undefined;
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        reader ??= open();
        const { done, value } = await reader.next();
        return done ? { done, value } : { done: false, value: eventOf(channel, value) };
      },
      return() {
        reader?.stop();
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
}

function eventOf(channel: string, item: ReaderItem): SseEvent {
  if (item.type === "message") {
    const { data, position } = item.message;
    return { ...(position && { id: idOf(position) }), data: JSON.stringify(data) };
  }
  const position = item.type === "gap" ? item.position : item.joined.position;
  const isGap = item.type === "gap" || item.joined.recovered === false;
  return {
    // An id without data tells nobody, and is kept: whoever is cut off before the first message resumes here.
    ...(position && { id: idOf(position) }),
    ...(isGap && { event: "gap", data: JSON.stringify({ channel, position }) }),
    ...(!isGap && !position && { comment: "" }),
  };
}
