/**
 * WebSocket frames (RFC 6455, section 5.2) as servers send them: not masked, never fragmented.
 *
 * @module
 */
import type { Outgoing } from "@vel/core";

const fin = 0x80;
const text = 0x1;
const binary = 0x2;
const ping = 0x9;

/**
 * Builds the frames of several messages and pings into one buffer, so that they leave in one write and can be shared
 * by every socket that got the same.
 */
export function buildFrames(list: readonly Outgoing[]): Buffer {
  let total = 0;
  for (const { size } of list) total += headerSize(size) + size;
  const buffer = Buffer.allocUnsafe(total); // every byte is written below
  let offset = 0;
  for (const { kind, payload, size } of list) {
    const isText = typeof payload === "string";
    offset = writeHeader(buffer, offset, kind === "ping" ? ping : isText ? text : binary, size);
    if (isText) buffer.write(payload, offset, size, "utf8");
    else buffer.set(payload, offset);
    offset += size;
  }
  return buffer;
}

function headerSize(size: number): number {
  return size < 126 ? 2 : size < 0x1_0000 ? 4 : 10;
}

function writeHeader(buffer: Buffer, offset: number, opcode: number, size: number): number {
  buffer[offset] = fin | opcode;
  if (size < 126) {
    buffer[offset + 1] = size;
    return offset + 2;
  }
  if (size < 0x1_0000) {
    buffer[offset + 1] = 126;
    return buffer.writeUInt16BE(size, offset + 2);
  }
  buffer[offset + 1] = 127;
  buffer.writeUInt32BE(Math.floor(size / 2 ** 32), offset + 2);
  return buffer.writeUInt32BE(size % 2 ** 32, offset + 6);
}
