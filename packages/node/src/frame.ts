/**
 * WebSocket frames as servers send them (RFC 6455, section 5.2): not masked, never fragmented, compressed where that
 * was negotiated (RFC 7692).
 *
 * @module
 */
import { constants, deflateRawSync } from "node:zlib";
import type { Outgoing, Payload } from "@vel/core";

/** How the sockets of one group compress. Contexts are not kept from message to message, so a frame fits all of them. */
export interface Deflate {
  /** Messages of fewer bytes are sent as they are. */
  readonly threshold: number;
  /** The window as a power of two, 9 to 15. */
  readonly windowBits: number;
}

const fin = 0x80;
const compressed = 0x40; // RSV1
const text = 0x1;
const binary = 0x2;
const ping = 0x9;

/** Larger messages are not compressed: deflating blocks the event loop, for some 10 ms a MiB. */
const largestDeflated = 2 ** 19;

interface Body {
  readonly opcode: number;
  readonly payload: Payload;
  readonly size: number;
}

/** The last ping that was built: a heartbeat asks many the same. */
let lastPing = Buffer.of(fin | ping, 0);

/** Builds the frame of a ping, in memory that is not written to again. */
export function buildPing(data: Uint8Array): Buffer {
  if (lastPing.byteLength === 2 + data.byteLength && lastPing.subarray(2).equals(data)) return lastPing;
  lastPing = Buffer.concat([Buffer.of(fin | ping, data.byteLength), data]);
  return lastPing;
}

/**
 * Builds the frames of several messages into one buffer: they leave in one write, and every socket that got
 * the same gets the same buffer.
 */
export function buildFrames(list: readonly Outgoing[], deflate: Deflate | undefined): Buffer {
  const bodies = list.map((outgoing) => bodyOf(outgoing, deflate));
  let total = 0;
  for (const { size } of bodies) total += headerSize(size) + size;
  const buffer = Buffer.allocUnsafe(total); // every byte is written below
  let offset = 0;
  for (const { opcode, payload, size } of bodies) {
    offset = writeHeader(buffer, offset, opcode, size);
    if (typeof payload === "string") buffer.write(payload, offset, size, "utf8");
    else buffer.set(payload, offset);
    offset += size;
  }
  return buffer;
}

function bodyOf({ payload, size, compress }: Outgoing, deflate: Deflate | undefined): Body {
  const opcode = fin | (typeof payload === "string" ? text : binary);
  if (!deflate || !compress || size < deflate.threshold || size > largestDeflated) return { opcode, payload, size };
  const { windowBits } = deflate;
  const whole = deflateRawSync(payload, {
    windowBits,
    level: constants.Z_BEST_SPEED,
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  const body = whole.subarray(0, -4); // the empty block at the end goes without saying, RFC 7692, section 7.2.1
  return { opcode: opcode | compressed, payload: body, size: body.byteLength };
}

function headerSize(size: number): number {
  return size < 126 ? 2 : size < 0x1_0000 ? 4 : 10;
}

function writeHeader(buffer: Buffer, offset: number, opcode: number, size: number): number {
  buffer[offset] = opcode;
  if (size < 126) {
    buffer[offset + 1] = size;
    return offset + 2;
  }
  if (size < 0x1_0000) {
    buffer[offset + 1] = 126;
    return buffer.writeUInt16BE(size, offset + 2);
  }
  buffer[offset + 1] = 127;
  return buffer.writeBigUInt64BE(BigInt(size), offset + 2);
}
