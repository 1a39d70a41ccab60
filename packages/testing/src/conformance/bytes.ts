/**
 * What a client writes, proper or not: requests and frames (RFC 6455, sections 4.1 and 5.2).
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** The names of frames that cases speak of. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Headers of a request, in order: several values make several lines, and undefined takes a line of a proper one out. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What every handshake has. */
const properHeaders = {
  Host: "127.0.0.1",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
};

/** The text of a handshake. `headers` replace those of a proper one, `start` its request line. */
export function handshake(path: string, headers: RequestHeaders = {}, start: string = `GET ${path} HTTP/1.1`): string {
  const given = Object.entries(headers);
  const names = new Set(given.map(([name]) => name.toLowerCase()));
  const all = [...Object.entries(properHeaders).filter(([name]) => !names.has(name.toLowerCase())), ...given];
  const lines = all.flatMap(([name, value = []]) => [value].flat().map((each) => `${name}: ${each}`));
  return `${[start, ...lines].join("\r\n")}\r\n\r\n`;
}

/** What a frame's header may say. */
export interface FrameHeader {
  /** Default: true. */
  readonly fin?: boolean;
  /** The three reserved bits, RSV1 being 4. Default: 0. */
  readonly rsv?: number;
  readonly opcode: number;
  /** Default: true, with a key of four zeros, so that what is written is what is meant. */
  readonly masked?: boolean;
  readonly length: number | bigint;
  /** How wide the length is written, in bits. Default: as few as it takes. */
  readonly bits?: 7 | 16 | 64;
}

/** Builds a frame's header, the masking key included. */
export function frameHeader({ fin = true, rsv = 0, opcode, masked = true, length, bits }: FrameHeader): Buffer {
  const width = bits ?? (length < 126 ? 7 : length < 2 ** 16 ? 16 : 64);
  const header = Buffer.alloc(width === 7 ? 2 : width === 16 ? 4 : 10);
  const mask = masked ? 0x80 : 0;
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  header[1] = mask | (width === 7 ? Number(length) : width === 16 ? 126 : 127);
  if (width === 16) header.writeUInt16BE(Number(length), 2);
  if (width === 64) header.writeBigUInt64BE(BigInt(length), 2);
  return masked ? Buffer.concat([header, Buffer.alloc(4)]) : header;
}

/** Builds a whole frame. */
export function frame(
  fields: number | Omit<FrameHeader, "length">,
  payload: string | Uint8Array = "",
  fin: boolean = true,
): Buffer {
  const data = Buffer.from(payload as string);
  const header = typeof fields === "number" ? { opcode: fields, fin } : fields;
  return Buffer.concat([frameHeader({ ...header, length: data.byteLength }), data]);
}

/** Builds the payload of a close frame; without a code an empty one. */
export function closePayload(code?: number, reason = ""): Buffer {
  if (code === undefined) return Buffer.alloc(0);
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
}
