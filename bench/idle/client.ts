/**
 * Clients that say nothing but pongs, in a process of its own. Arguments: port, path, how many. Prints a line when all are
 * open; on SIGUSR2 another, with how many pings came so far and how many connections ended.
 *
 * @module
 */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import process from "node:process";

const [, , port, path = "/", count] = process.argv;
const request =
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
let pings = 0;
let ended = 0;

async function open(): Promise<void> {
  const socket = createConnection({ port: Number(port), host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined).on("close", () => ended++);
  await once(socket, "connect");
  socket.write(request);
  const [head] = (await once(socket, "data")) as [Buffer];
  const end = head.indexOf("\r\n\r\n");
  if (!head.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101")) || end < 0) throw new Error(head.toString());
  answer(socket, head.subarray(end + 4));
  socket.on("data", (chunk) => {
    answer(socket, chunk);
  });
}

/** Answers the pings in a chunk. Frames this small come whole, and other ones are passed over. */
function answer(socket: Socket, chunk: Buffer): void {
  let offset = 0;
  while (offset + 2 <= chunk.length) {
    const size = (chunk[offset + 1] ?? 0) & 127;
    if (size > 125) throw new Error("A message that nobody sends");
    const data = chunk.subarray(offset + 2, offset + 2 + size);
    if (chunk[offset] === 0x89) {
      pings++;
      socket.write(Buffer.concat([Buffer.from([0x8a, 0x80 | size, 0, 0, 0, 0]), data])); // a mask of zeros
    }
    offset += 2 + size;
  }
}

process.on("SIGUSR2", () => {
  console.log(JSON.stringify({ pings, ended }));
});
let left = Number(count);
await Promise.all(
  Array.from({ length: 100 }, async () => {
    while (left-- > 0) await open();
  }),
);
console.log(JSON.stringify({ pings, ended }));
