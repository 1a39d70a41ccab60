/**
 * What travels over a connection, and how a message becomes a payload.
 *
 * @module
 */

/** What is sent: a string leaves as a text frame, bytes as a binary frame. Never kept after the call returns. */
export type Payload = string | Uint8Array;

/** What was received: a text frame as string, a binary frame as bytes. The receiver's to keep. */
export type Received = string | Uint8Array<ArrayBuffer>;

/** A value that becomes one JSON text. Interfaces and literals fit; a promise does not. */
export type Json =
  | string
  | number
  | boolean
  | null
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the one type that interfaces without an index signature fit
  | { readonly then?: never; readonly [key: string]: any };

/** What a broadcast takes: text and bytes travel as they are, everything else as JSON. */
export type Message = Payload | Json;

/**
 * What became of a message that was handed to {@link Connection.send}.
 *
 * - `sent`: taken, and less than half of the send buffer's limit waits.
 * - `queued`: taken, but wait for `drained()` before sending more.
 * - `dropped`: never leaves, because the send buffer is over its limit.
 * - `closed`: never leaves, because the connection is not open.
 */
export type SendStatus = "sent" | "queued" | "dropped" | "closed";

/**
 * Encodes a message once, for one or many connections.
 *
 * @throws {TypeError} When the message has no JSON form (`undefined`, a function, a BigInt, a cycle).
 * @example
 * encode({ type: "hello" }); // '{"type":"hello"}'
 * encode("hello"); // "hello"
 */
export function encode(message: Message): Payload {
  return typeof message === "string" || message instanceof Uint8Array ? message : encodeJson(message);
}

/**
 * Encodes a value as JSON text, a string included.
 *
 * @throws {TypeError} When the value has no JSON form.
 * @example
 * encodeJson("hello"); // '"hello"'
 */
export function encodeJson(value: Json): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`Cannot encode ${typeof value} as JSON`);
  return text;
}

/**
 * Counts the bytes that a payload takes in UTF-8.
 *
 * @example
 * payloadSize("é"); // 2
 */
export function payloadSize(payload: Payload): number {
  if (typeof payload !== "string") return payload.byteLength;
  let size = payload.length;
  for (let i = 0; i < payload.length; i++) {
    const unit = payload.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) size += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(payload.charCodeAt(i + 1))) {
      size += 2; // two units, four bytes
      i++;
    } else size += 2; // a lone surrogate leaves as U+FFFD, three bytes too
  }
  return size;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
