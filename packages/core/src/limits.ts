/**
 * The bounds of a connection, checked once when its route is registered.
 *
 * @module
 */
import { jsonLimits, type JsonLimits } from "./json.ts";
import type { LimitOptions } from "./vel.ts";

/** What one connection may cost, every value decided. All sizes are bytes. */
export interface Limits {
  readonly maxPayload: number;
  readonly json: Required<JsonLimits>;
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  readonly onFull: "close" | "drop";
}

const defaults: Limits = {
  maxPayload: 2 ** 20,
  json: jsonLimits,
  receiveBuffer: 2 ** 20,
  sendBuffer: 2 ** 20,
  onFull: "close",
};

/**
 * Lays options over the limits that hold without them.
 *
 * @throws {RangeError} When a limit is not a positive number.
 * @throws {TypeError} When `sendBuffer.onFull` is neither `close` nor `drop`.
 */
export function limitsOf(options: LimitOptions, around: Limits = defaults): Limits {
  const onFull = options.sendBuffer?.onFull ?? around.onFull;
  if (!["close", "drop"].includes(onFull)) {
    throw new TypeError(`Option "sendBuffer.onFull" must be "close" or "drop", got ${JSON.stringify(onFull)}`);
  }
  return {
    maxPayload: positive("maxPayload", options.maxPayload ?? around.maxPayload),
    json: {
      size: positive("json.size", options.json?.size ?? around.json.size),
      depth: positive("json.depth", options.json?.depth ?? around.json.depth),
      keys: positive("json.keys", options.json?.keys ?? around.json.keys),
    },
    receiveBuffer: positive("receiveBuffer.limit", options.receiveBuffer?.limit ?? around.receiveBuffer),
    sendBuffer: positive("sendBuffer.limit", options.sendBuffer?.limit ?? around.sendBuffer),
    onFull,
  };
}

/** Checks an option that counts something. @throws {RangeError} When it is not a positive number. */
export function positive(name: string, value: number): number {
  if (typeof value !== "number" || !(value > 0)) {
    throw new RangeError(`Option "${name}" must be a positive number, got ${String(value)}`);
  }
  return value;
}
