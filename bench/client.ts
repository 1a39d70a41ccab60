/**
 * A WebSocket client that costs as little as possible, so that the server is what is measured: raw TCP, masked frames
 * that are built once, and a parser that only finds where payloads begin.
 *
 * @module
 */
import { createConnection, type Socket } from "node:net";

/** Builds a masked text frame; the mask is zero, which a server has to undo all the same. */
export function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const header =
    length < 126
      ? [length]
      : length < 2 ** 16
        ? [126, length >> 8, length & 255]
        : [127, 0, 0, 0, 0, ...uint32(length)];
  header[0] = (header[0] ?? 0) | 0x80;
  return Buffer.concat([Buffer.from([0x81, ...header, 0, 0, 0, 0]), payload]);
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/**
 * Connects; `onMessage` gets each payload as a range of a chunk that it must not keep, `onChunk` is called when a chunk
 * has no more of them.
 */
export function openClient(
  port: number,
  path: string,
  onMessage: (chunk: Buffer, start: number, end: number) => void,
  onChunk?: () => void,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    let rest: Buffer | undefined;
    let isOpen = false;
    socket.on("error", reject);
    socket.on("close", () => {
      reject(new Error("Connection closed"));
    });
    socket.on("connect", () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      );
    });
    socket.on("data", (data: Buffer) => {
      let chunk = rest ? Buffer.concat([rest, data]) : data;
      rest = undefined;
      if (!isOpen) {
        const end = chunk.indexOf("\r\n\r\n");
        if (end < 0) {
          rest = chunk;
          return;
        }
        isOpen = true;
        resolve(socket);
        chunk = chunk.subarray(end + 4);
      }
      let offset = 0;
      while (chunk.length - offset >= 2) {
        const short = (chunk[offset + 1] ?? 0) & 127;
        const headerSize = short < 126 ? 2 : short === 126 ? 4 : 10;
        if (chunk.length - offset < headerSize) break;
        const length =
          short < 126 ? short : short === 126 ? chunk.readUInt16BE(offset + 2) : chunk.readUInt32BE(offset + 6);
        const end = offset + headerSize + length;
        if (chunk.length < end) break;
        onMessage(chunk, offset + headerSize, end);
        offset = end;
      }
      if (offset < chunk.length) rest = chunk.subarray(offset);
      if (offset > 0) onChunk?.();
    });
  });
}
