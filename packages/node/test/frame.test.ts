import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createVel, Audience, type Connection, type Vel } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client, deferred, handshake, openHandles, Wire } from "./kit.ts";

const errors: unknown[] = [];
let vel: Vel;
let server: NodeServer;
/** The server's end of each TCP connection, by the client's port. */
const sockets = new Map<number, Socket>();

beforeAll(async () => {
  vel = createVel({ onError: (error) => errors.push(error), sendBuffer: { limit: 2 ** 25 } });
  vel.websocket("/ws", {});
  server = await serve(vel, { hostname: "127.0.0.1" });
  server.server.on("connection", (socket) => sockets.set(socket.remotePort ?? 0, socket));
});

afterAll(async () => {
  await server.close();
  expect(errors).toEqual([]);
  expect(await openHandles()).toEqual([]);
});

interface Pair {
  readonly client: Client;
  readonly connection: Connection;
  /** What came as pings. */
  readonly pings: string[];
  /** What was written to the server's TCP socket, a write each, from now on. */
  readonly writes: readonly Buffer[];
}

/** Opens a client, and gives the server's side of it too. */
async function pair(): Promise<Pair> {
  const opened = deferred<Connection>();
  const off = vel.on("open", opened.resolve);
  const client = await Client.open(`ws://127.0.0.1:${String(server.port)}/ws`);
  const connection = await opened.promise;
  off();
  const pings: string[] = [];
  client.ws.on("ping", (data: Buffer) => pings.push(data.toString("latin1")));
  return { client, connection, pings, writes: watchWrites(connection) };
}

/** Watches a connection's TCP socket: each write to a socket on which nothing waits is one system call. */
function watchWrites(connection: Connection): Buffer[] {
  const socket = sockets.get(connection.remote?.port ?? 0) as Socket;
  const writes: Buffer[] = [];
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: unknown[]) => {
    writes.push(args[0] as Buffer);
    return write(...args);
  };
  return writes;
}

/** The size of a server's frame with so many bytes of payload. */
function frameSize(size: number): number {
  return size + (size < 126 ? 2 : size < 65_536 ? 4 : 10);
}

const sizes = [0, 1, 125, 126, 65_535, 65_536, 2 ** 20];

describe("A frame of Vel's own", () => {
  test.each(sizes)("carries %i bytes as text and as binary", async (size) => {
    const { client, connection, writes } = await pair();
    connection.send("t".repeat(size));
    expect(await client.next()).toBe("t".repeat(size));
    const bytes = new Uint8Array(size).map((_, index) => index % 251);
    connection.send(bytes);
    expect(await client.next()).toEqual(Buffer.from(bytes));
    expect(writes.map(({ length }) => length)).toEqual([frameSize(size), frameSize(size)]);
    await client.close();
  });

  test("counts a text in bytes of UTF-8, at the limits of each length too", async () => {
    const { client, connection } = await pair();
    for (const text of ["é".repeat(62) + "x", "é".repeat(63), "🙂".repeat(16_384) + "é", "\ufeffbom\0", "\u2028"]) {
      connection.send(text);
      expect(await client.next()).toBe(text);
    }
    expect(connection.bytesSent).toBe(125 + 126 + 65_538 + 7 + 3);
    await client.close();
  });

  test("replaces lone surrogates, and the frames behind stay where they belong", async () => {
    const { client, connection } = await pair();
    for (const text of ["\ud800", "\udc00a", "a\ud83d", "\ud83d\ud83d\ude42", "\ude42\ud83d", "fine"])
      connection.send(text);
    for (const text of ["\ufffd", "\ufffda", "a\ufffd", "\ufffd🙂", "\ufffd\ufffd", "fine"]) {
      expect(await client.next()).toBe(text);
    }
    await client.close();
  });

  test("is read by ws for whatever is sent in whatever order", async () => {
    const { client, connection, pings } = await pair();
    const text = fc.string({ unit: "grapheme", maxLength: 200 });
    const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
    const payload = fc.oneof(
      text,
      anyText,
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...sizes.slice(0, 6)).map((size) => "s".repeat(size)),
    );
    const step = fc.oneof(
      fc.record({ kind: fc.constant("message" as const), payload }),
      fc.record({ kind: fc.constant("ping" as const), payload: fc.uint8Array({ maxLength: 125 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
        pings.length = 0;
        for (const { kind, payload } of steps) {
          if (kind === "message") connection.send(payload);
          else connection.ping(payload);
        }
        connection.send("end");
        for (const { kind, payload } of steps) {
          if (kind === "ping") continue;
          const bytes = Buffer.from(payload as string); // U+FFFD for lone surrogates, as in a frame
          expect(await client.next()).toEqual(typeof payload === "string" ? bytes.toString() : bytes);
        }
        expect(await client.next()).toBe("end");
        const sent = steps.flatMap(({ kind, payload }) =>
          kind === "ping" ? [Buffer.from(payload as Uint8Array).toString("latin1")] : [],
        );
        expect(pings).toEqual(sent);
      }),
      { numRuns: 100 },
    );
    await client.close();
  });
});

describe("One turn of the event loop", () => {
  test("leaves in one write: messages of all lengths, text and binary, before the close", async () => {
    const { client, connection, writes } = await pair();
    const small = sizes.slice(0, 4);
    for (const size of small) {
      connection.send("t".repeat(size));
      connection.send(new Uint8Array(size).fill(7));
    }
    connection.close(4000, "bye");
    connection.send("late");
    for (const size of small) {
      expect(await client.next()).toBe("t".repeat(size));
      expect(await client.next()).toEqual(Buffer.alloc(size, 7));
    }
    expect(await client.closed).toEqual({ code: 4000, reason: "bye" });
    const all = small.reduce((sum, size) => sum + 2 * frameSize(size), 0);
    // The close frame is `ws`'s own, and leaves by itself: in one piece or as header and body.
    expect(writes[0]).toHaveLength(all);
    expect(Buffer.concat(writes.slice(1))).toHaveLength(frameSize(5));
  });

  test("is not waited for by pings, which leave behind the messages so far; those with the same data share a buffer", async () => {
    const pairs = [await pair(), await pair()];
    const data = Buffer.from("are you there?");
    for (const { connection } of pairs) {
      connection.send("before");
      connection.ping(data);
      connection.send("after");
    }
    data.fill(0);
    for (const { client } of pairs) {
      expect(await client.next()).toBe("before");
      expect(await client.next()).toBe("after");
    }
    expect(pairs.map(({ pings }) => pings)).toEqual([["are you there?"], ["are you there?"]]);
    const [one, other] = pairs.map(({ writes }) => writes);
    expect(one?.map(({ length }) => length)).toEqual(
      ["before", "are you there?", "after"].map(({ length }) => frameSize(length)),
    );
    expect(one?.[1]?.buffer).toBe(other?.[1]?.buffer);
    expect(one?.[1]?.byteOffset).toBe(other?.[1]?.byteOffset);
    for (const { client } of pairs) await client.close();
  });

  test("costs one write for 20 messages, and one for each turn after", async () => {
    const { client, connection, writes } = await pair();
    for (let turn = 1; turn <= 3; turn++) {
      for (let index = 0; index < 20; index++) connection.send(`message ${String(index)}`);
      for (let index = 0; index < 20; index++) expect(await client.next()).toBe(`message ${String(index)}`);
      expect(writes).toHaveLength(turn);
    }
    await client.close();
  });

  test("costs one write a member for 20 broadcasts, which give all of them the same buffer", async () => {
    const pairs = [await pair(), await pair(), await pair()];
    const audience = new Audience();
    for (const { connection } of pairs) audience.add(connection);
    for (let index = 0; index < 20; index++) audience.broadcast({ index });
    for (const { client } of pairs) {
      for (let index = 0; index < 20; index++) expect(await client.next()).toBe(JSON.stringify({ index }));
    }
    expect(pairs.map(({ writes }) => writes.length)).toEqual([1, 1, 1]);
    expect(new Set(pairs.flatMap(({ writes }) => writes)).size).toBe(1);
    await Promise.all(pairs.map(({ client }) => client.close()));
  });

  test("leaves early once more than 256 KiB wait", async () => {
    const { client, connection, writes } = await pair();
    const chunk = "x".repeat(2 ** 16);
    for (let index = 0; index < 12; index++) connection.send(chunk);
    expect(writes).toHaveLength(2);
    for (let index = 0; index < 12; index++) expect(await client.next()).toBe(chunk);
    expect(writes).toHaveLength(3);
    expect(Buffer.concat(writes)).toHaveLength(12 * frameSize(2 ** 16));
    await client.close();
  });

  test("keeps the order between frames of our own and the pongs that ws answers with", async () => {
    const { client, connection } = await pair();
    let pongs = 0;
    const all = deferred();
    client.ws.on("pong", () => {
      if (++pongs === 20) all.resolve();
    });
    for (let index = 0; index < 20; index++) {
      client.ws.ping(String(index));
      connection.send(`${String(index)} ${"x".repeat(10_000)}`);
      if (index % 5 === 0) await setImmediate();
    }
    for (let index = 0; index < 20; index++) {
      expect(await client.next()).toBe(`${String(index)} ${"x".repeat(10_000)}`);
    }
    await all.promise;
    await client.close();
  });

  test("drops what waits when the connection is terminated", async () => {
    const opened = deferred<Connection>();
    const off = vel.on("open", opened.resolve);
    const wire = await Wire.open(server.port);
    wire.write(handshake("/ws"));
    const connection = await opened.promise;
    off();
    await wire.until("\r\n\r\n");
    connection.send("never");
    connection.terminate();
    expect(await wire.ended).not.toContain("never");
  });
});
