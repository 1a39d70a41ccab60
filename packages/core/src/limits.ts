/**
 * The bounds of a connection, checked once when its route is registered.
 *
 * @module
 */
import { jsonLimits, type JsonLimits } from "./json.ts";
import type { CompressionOptions, LimitOptions, RouteOptions } from "./vel.ts";

/** How a connection compresses, every value decided; false for not at all. */
export type Compression = Required<CompressionOptions> | false;

/** The defaults of {@link CompressionOptions}. */
const compressionDefaults: Required<CompressionOptions> = { threshold: 1_024, windowBits: 13, memoryLimit: 2 ** 26 };

/**
 * Decides how a route compresses.
 *
 * @throws {RangeError} When a setting is out of its range.
 */
export function compressionOf(option: RouteOptions["compression"]): Compression {
  if (option === undefined || option === false) return false;
  const given = typeof option === "object" ? option : {};
  const { threshold, windowBits, memoryLimit } = { ...compressionDefaults, ...given };
  if (!(threshold >= 0))
    throw new RangeError(`Option "compression.threshold" must be 0 or more, got ${String(threshold)}`);
  if (!Number.isInteger(windowBits) || windowBits < 9 || windowBits > 15) {
    throw new RangeError(`Option "compression.windowBits" must be 9 to 15, got ${String(windowBits)}`);
  }
  return { threshold, windowBits, memoryLimit: positive("compression.memoryLimit", memoryLimit) };
}

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
