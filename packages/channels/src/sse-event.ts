/**
 * The text of a server-sent event. https://html.spec.whatwg.org/multipage/server-sent-events.html
 *
 * @module
 */

/** One server-sent event. */
export interface SseEvent {
  /** What it says; lines may end in LF, CRLF or CR, and arrive with LF. Without it a browser hears of nothing. */
  data?: string;
  /** Its name. Default: none, which browsers call `message`. */
  event?: string;
  /** What a browser sends as `Last-Event-ID` when it comes back; the empty text forgets what was. */
  id?: string;
  /** How long a browser waits before it comes back, in milliseconds. */
  retry?: number;
  /** What nobody sees. */
  comment?: string;
}

/**
 * Writes an event, or a text that is its data.
 *
 * @throws {TypeError} When the id or the name has a line break or NUL, or something that must be a text is none: that
 * would be another event, or none.
 * @throws {RangeError} When `retry` is not a whole number of milliseconds.
 * @example
 * encodeEvent({ id: "7", data: "one\ntwo" }); // "id: 7\ndata: one\ndata: two\n\n"
 */
export function encodeEvent(event: SseEvent | string): string {
  const { data, event: name, id, retry, comment } = typeof event === "string" ? { data: event } : event;
  let text = comment === undefined ? "" : lines("", comment);
  if (name !== undefined) text += line("event", name);
  if (id !== undefined) text += line("id", id);
  if (retry !== undefined) {
    if (!Number.isSafeInteger(retry) || retry < 0) {
      throw new RangeError(`Retry must be a whole number of milliseconds, got ${String(retry)}`);
    }
    text += `retry: ${String(retry)}\n`;
  }
  if (data !== undefined) text += lines("data", data);
  return `${text}\n`;
}

function line(field: string, value: string): string {
  assertText(field, value);
  if (/[\r\n\0]/.test(value)) throw new TypeError(`Event's ${field} must not have line breaks or NUL`);
  return `${field}: ${value}\n`;
}

function lines(field: string, value: string): string {
  assertText(field, value);
  return value
    .split(/\r\n|\r|\n/)
    .map((each) => `${field}: ${each}\n`)
    .join("");
}

function assertText(field: string, value: string): void {
  const is = typeof value;
  if (is !== "string") throw new TypeError(`Event's ${field === "" ? "comment" : field} must be a string, got ${is}`);
}
