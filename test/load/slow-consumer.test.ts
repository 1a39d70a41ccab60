/** Who never reads: what waits for them is bounded, they are let go of, and the others do not notice. */
import type { Socket } from "node:net";
import type { CloseInfo } from "@vel/core";
import { expect, test } from "vitest";
import { handshake, presentRuntimes, Target } from "./target.ts";

const size = 16_384;
const header = [0x82, 126, size >> 8, size & 255];
const frameSize = header.length + size;
const messages = 4_096; // 64 MiB
const readers = 15;
/** The default of `sendBuffer`. */
const limit = 2 ** 20;
/**
 * By how much the server may grow meanwhile: 8 to 30 MiB were measured, by runtime, and a server without a limit grows by
 * the 128 MiB that the two do not read.
 */
const growthLimit = 2 ** 26;

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

/** What the server says in the end. */
interface Report {
  readonly growth: number;
  readonly slow: readonly {
    readonly ended: CloseInfo;
    readonly messagesDropped: number;
    readonly mostBuffered: number;
    readonly leftAt: number;
  }[];
  readonly statuses: Readonly<Record<string, number>>;
  readonly [name: string]: unknown;
}

function open(target: Target, path: string): Socket {
  const socket = target.connect();
  socket.write(handshake(path));
  return socket;
}

test.each(presentRuntimes)("64 MiB to a member that never reads and to one outside, on $name", async (runtime) => {
  await using target = await Target.start(runtime, "slow-consumer.ts", {
    MESSAGES: String(messages),
    READERS: String(readers),
  });
  const answer = target.answer<Report>();
  const slow = ["/member", "/alone"].map((path) => open(target, path)); // without a listener for `data` they never read
  const fast = Array.from({ length: readers }, () => new Reader(open(target, "/fast")));
  await Promise.all(fast.map(({ done }) => done));
  expect(fast.map(({ fault }) => fault)).toEqual(fast.map(() => undefined));
  expect(fast.map(({ count }) => count)).toEqual(fast.map(() => messages));

  const { growth, slow: ends, statuses, ...rest } = await answer;
  for (const { ended, messagesDropped, leftAt, mostBuffered } of ends) {
    expect({ ended, messagesDropped }).toMatchObject({
      ended: { code: 1013, reason: "send buffer full", by: "local" },
      messagesDropped: 1,
    });
    expect(leftAt).toBeLessThan(messages);
    expect(mostBuffered).toBeGreaterThan(limit);
    expect(mostBuffered).toBeLessThanOrEqual(limit + frameSize);
  }
  expect(statuses).toEqual({
    sent: expect.any(Number) as number,
    queued: expect.any(Number) as number,
    dropped: 1,
    closed: expect.any(Number) as number,
  });
  expect(rest).toEqual({
    drops: { member: [size], alone: [size] },
    membersThen: readers,
    fastDropped: 0,
    connections: readers,
    errors: [],
    uncaught: [],
  });
  expect(growth).toBeLessThan(growthLimit);

  // Who reads now finds what the kernel held, and the end. Deno cannot cut a connection: it waits for the client's end.
  await Promise.all(
    slow.map(async (socket) => {
      const end = new Promise((resolve) => socket.on("close", resolve).resume());
      if (runtime.adapter === "deno") socket.end();
      await end;
    }),
  );
});
