/**
 * JSON that came from outside: bounded before it is parsed, and free of keys that poison objects.
 *
 * @module
 */
import { InvalidMessageError } from "./errors.ts";
import { payloadSize } from "./payload.ts";

/**
 * What a JSON message may cost. Checked in one pass over the text before it is parsed: 1 MB of `[` would block the
 * event loop for a second, and deeply nested values make `JSON.stringify` and `structuredClone` throw.
 */
export interface JsonLimits {
  /** Bytes of text. Default: 64 KiB. */
  size?: number;
  /** Nested arrays and objects. Default: 64. */
  depth?: number;
  /** Members of all objects together. Default: 1,000. */
  keys?: number;
}

/** The defaults of {@link JsonLimits}. */
export const jsonLimits: Required<JsonLimits> = { size: 2 ** 16, depth: 64, keys: 1_000 };

/**
 * Parses a text message.
 *
 * @throws {InvalidMessageError} When it is not JSON, passes a limit, or holds a `__proto__` key or a
 * `constructor` key with a `prototype` in it, however they are spelled.
 */
export function parseJson(text: string, limits: Required<JsonLimits> = jsonLimits): unknown {
  assertWithin(text, limits);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InvalidMessageError("Message is not JSON", { cause });
  }
  // An escape can spell any key, so a text with escapes is looked at too. Most texts have neither.
  if (/__proto__|constructor|\\u00/i.test(text)) assertNotPoisoned(value);
  return value;
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** Counts depth and keys as JSON.parse would see them; of a text that is no JSON it only has to stay within bounds. */
function assertWithin(text: string, { size, depth, keys }: Required<JsonLimits>): void {
  if (text.length > size || (text.length * 3 > size && payloadSize(text) > size)) {
    throw new InvalidMessageError(`Message has more than ${String(size)} bytes of JSON`);
  }
  let level = 0;
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case quote:
        i = endOfString(text, i);
        break;
      case colon:
        if (++members > keys) throw new InvalidMessageError(`Message has more than ${String(keys)} keys`);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++level > depth) throw new InvalidMessageError(`Message is nested deeper than ${String(depth)}`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        level--;
        break;
    }
  }
}

/** Finds the quote that ends the string which begins at `start`; the text's end when there is none. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i++) {
    i = text.indexOf('"', i);
    if (i < 0) return text.length;
    let escapes = 0;
    while (text.charCodeAt(i - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return i;
  }
}

function assertNotPoisoned(value: unknown): void {
  const left = [value]; // a stack of its own: the depth is whatever the limit allows
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null) continue;
    if (!Array.isArray(next) && isPoisoned(next)) {
      throw new InvalidMessageError("Message has a key that would reach a prototype");
    }
    for (const child of Object.values(next)) left.push(child);
  }
}

function isPoisoned(value: object): boolean {
  if (Object.hasOwn(value, "__proto__")) return true;
  const inner = Object.hasOwn(value, "constructor") ? (value as { constructor: unknown }).constructor : undefined;
  return typeof inner === "object" && inner !== null && Object.hasOwn(inner, "prototype");
}
