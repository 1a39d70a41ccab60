/**
 * The envelope: what frames of the opt-in protocol look like, and how they become payloads. `docs/protocol.md` is for
 * those who write a client.
 *
 * @module
 */
import { InvalidMessageError } from "./errors.ts";
import { jsonLimits, parseJson, type JsonLimits } from "./json.ts";
import { encodeJson, type Payload, type Received } from "./payload.ts";

/** What ties an answer to its question: up to 64 characters, or a safe integer. Each side numbers its own questions. */
export type FrameId = string | number;

/** A message of the opt-in protocol: an object with a `type`. An `id` asks for an answer. */
export interface Frame {
  readonly type: string;
  readonly id?: FrameId | undefined;
  readonly [field: string]: unknown;
}

/** How frames travel. JSON is the default; whatever makes bytes of objects will do. */
export interface Codec {
  /** Makes a payload of a frame. */
  encode(frame: Frame): Payload;
  /**
   * Makes a value of a payload. What it looks like is checked afterwards.
   *
   * @throws {InvalidMessageError} When it is none.
   */
  decode(payload: Received): unknown;
}

/**
 * Makes the codec for JSON in text frames.
 *
 * @param limits What a frame may cost, checked before it is parsed.
 * @example
 * const codec = jsonCodec({ size: 2 ** 20 });
 */
export function jsonCodec(limits: JsonLimits = {}): Codec {
  const all = { ...jsonLimits, ...limits };
  return {
    encode: (frame) => encodeJson(frame),
    decode(payload) {
      if (typeof payload !== "string") throw new InvalidMessageError("Expected a text message, got a binary one");
      return parseJson(payload, all);
    },
  };
}

/** The longest `type` and `id` in characters (UTF-16 units). */
const longest = 64;

/**
 * Checks that a value is a frame.
 *
 * @throws {InvalidMessageError} When it is no object, or its `type` or `id` are not what they must be.
 */
export function assertFrame(value: unknown): asserts value is Frame {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidMessageError("Frame is not an object");
  }
  const { type, id } = value as { type?: unknown; id?: unknown };
  if (!isShortText(type)) throw new InvalidMessageError(`Frame has no type of 1 to ${String(longest)} characters`);
  if (id !== undefined && !isFrameId(id)) throw new InvalidMessageError("Frame has an id that is none");
}

/** Tells whether a value can be the `id` of a frame. */
export function isFrameId(id: unknown): id is FrameId {
  return isShortText(id) || Number.isSafeInteger(id);
}

function isShortText(value: unknown): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= longest;
}
