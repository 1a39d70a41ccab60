/** A room in which one member never reads: the others do not notice, and what waits for it is bounded. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const size = 16_384;
const header = [0x82, 126, size >> 8, size & 255];
const frameSize = header.length + size;
const limit = 2 ** 20;
const members = 100;

const messages = 4_096; // 64 MiB

function open(port: number, path: string): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  return socket;
}

/** A reader that looks at the first eight bytes of every frame: its header, and the message's number. */
class Reader {
  /** How many whole messages came, all of them in order. */
  count = 0;
  /** The first thing that was not as it should be. */
  fault: string | undefined;
  /** Resolves when all messages have come, or something else than a message. */
  readonly done: Promise<void>;
  #settle: () => void = () => undefined;
  #isOpen = false;
  #head = "";
  /** How many bytes of the current frame have come. */
  #position = 0;

  constructor(socket: Socket) {
    this.done = new Promise((resolve) => (this.#settle = resolve));
    socket.on("data", (chunk) => {
      this.#take(chunk);
    });
    socket.on("close", () => {
      this.#settle();
    });
  }

  #take(chunk: Buffer): void {
    let offset = 0;
    if (!this.#isOpen) {
      this.#head += chunk.toString("latin1");
      const end = this.#head.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.#isOpen = true;
      offset = chunk.length - (this.#head.length - end - 4);
    }
    while (offset < chunk.length && this.fault === undefined && this.count < messages) {
      if (this.#position < 8) {
        const expected = header[this.#position] ?? (this.count >>> ((7 - this.#position) * 8)) & 255;
        if (chunk[offset] !== expected) {
          this.fault = `message ${String(this.count)}, byte ${String(this.#position)}: ${String(chunk[offset])}`;
          this.#settle();
        }
        this.#position++;
        offset++;
      } else {
        const step = Math.min(chunk.length - offset, frameSize - this.#position);
        offset += step;
        this.#position += step;
        if (this.#position < frameSize) continue;
        this.#position = 0;
        if (++this.count === messages) this.#settle();
      }
    }
  }
}

test("Room.broadcast() of 64 MiB to 100 members, one of which never reads, is bounded and late for nobody", async () => {
  const child = fork(join(import.meta.dirname, "fixtures/slow-consumer.ts"), [String(messages), String(members)], {
    execArgv: ["--expose-gc", "--conditions=@vel/source"],
  });
  onTestFinished(() => void child.kill());
  const exited = once(child, "exit");
  const [{ port }] = (await once(child, "message")) as [{ port: number }];

  const slow = open(port, "/slow"); // without a listener for `data` it never reads
  const sockets = Array.from({ length: members - 1 }, () => open(port, "/fast"));
  const readers = sockets.map((socket) => new Reader(socket));
  const report = once(child, "message").then(([message]) => message as Record<string, unknown>);
  await Promise.all(readers.map(({ done }) => done));
  expect(readers.map(({ fault }) => fault)).toEqual(readers.map(() => undefined));
  expect(readers.map(({ count }) => count)).toEqual(readers.map(() => messages));

  const { growth, mostBuffered, leftAt, ...rest } = await report;
  expect(leftAt).toBeLessThan(messages);
  expect(rest).toEqual({
    connectionsThen: members - 1,
    closes: [{ code: 1013, reason: "send buffer full", wasClean: false, by: "local" }],
    dropped: 1,
    othersDropped: 0,
    othersOpen: members - 1,
    connections: members - 1,
    errors: [],
  });
  expect(mostBuffered).toBeGreaterThan(limit);
  expect(mostBuffered).toBeLessThanOrEqual(limit + frameSize);
  expect(growth).toBeLessThan(limit + 2 ** 25);

  // The server has destroyed its end: who reads now finds what the kernel held, and the end.
  const ended = once(slow, "close");
  slow.resume();
  await ended;
  for (const socket of sockets) socket.destroy();
  expect(await exited).toEqual([0, null]);
});
