/**
 * Messages that are too large, and values that are no messages: RFC 6455, section 10.4.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Connection } from "@vel/core";
import { closePayload, frame, frameHeader, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import type { Target, Trial } from "../trial.ts";
import { attack, end, failure, heldBytes, strikeAndEnd } from "./attack.ts";

const { continuation, text, binary, close, ping, pong } = opcodes;

/** The routes, each with its limit. */
const limits: Readonly<Record<string, number>> = { "/server": 1_000, "/less": 100, "/pull": 100, "/more": 100_000 };
const paths = Object.keys(limits);
const limitOf = (path: string): number => limits[path] ?? 0;

const part = (opcode: number, size: number, fin: boolean): Buffer => frame(opcode, Buffer.alloc(size, "x"), fin);

/** Runs a server whose routes answer each message with its length, and say so if one is over their limit. */
async function serve(trial: Trial): Promise<{ target: Target; seen: number[] }> {
  const seen: number[] = [];
  const take = (connection: Connection, { length }: string | Uint8Array): void => {
    seen.push(length);
    connection.send(String(length));
    if (length > limitOf(connection.route)) connection.close(4000, "let in");
  };
  const target = await trial.serve(
    (vel) => {
      vel.websocket("/server", { message: take });
      vel.websocket("/less", { message: take, maxPayload: limitOf("/less") });
      vel.websocket("/more", { message: take, maxPayload: limitOf("/more") });
      vel.websocket("/pull", { maxPayload: limitOf("/pull") }, async (request) => {
        const connection = await request.accept();
        for await (const message of connection.texts()) take(connection, message);
      });
    },
    { maxPayload: limitOf("/server") },
  );
  return { target, seen };
}

/** Ways to send so many bytes. */
const ways: readonly (readonly [what: string, frames: (length: number) => Buffer[]])[] = [
  ["a message", (length) => [part(text, length, true)]],
  [
    "fragments",
    (length) => [
      part(text, length - 20, false),
      part(continuation, 0, false),
      frame(ping, "x".repeat(125)),
      part(continuation, 20, true),
    ],
  ],
];

/** Ways to announce one byte too much. */
const announcements: readonly (readonly [what: string, frames: (limit: number) => Buffer[]])[] = [
  ["a message", (limit) => [frameHeader({ opcode: text, length: limit + 1 })]],
  [
    "a fragment",
    (limit) => [
      part(text, limit, false),
      part(continuation, 0, false),
      frameHeader({ opcode: continuation, length: 1, fin: false }),
    ],
  ],
];

/** Lengths over every limit of the server. */
const huge: readonly (readonly [what: string, opcode: number, length: bigint])[] = [
  ["a text of 2 MiB", text, 2n ** 21n],
  ["bytes of 1 GiB", binary, 2n ** 30n],
  ["bytes of 4 GiB", binary, 2n ** 32n],
  ["bytes of 2^53 - 1", binary, 2n ** 53n - 1n],
];

type Misuse = readonly [what: string, misuse: (connection: Connection) => unknown];

const misuses: readonly Misuse[] = [
  ["a number as a message", (connection) => connection.send(64 as never)],
  ["a Float64Array as a message", (connection) => connection.send(new Float64Array(64) as never)],
  ["an ArrayBuffer as a message", (connection) => connection.send(new ArrayBuffer(64) as never)],
  ["an array as a message", (connection) => connection.send([1, 2, 3] as never)],
  ["an object with a length as a message", (connection) => connection.send({ length: 64 } as never)],
  ["a function as JSON", (connection) => connection.sendJson(() => 1)],
  ["a number as a close reason", (connection) => connection.close(1000, 64 as never)],
  ["a Uint8Array as a close reason", (connection) => connection.close(1000, new Uint8Array(64) as never)],
  ["a text as a close code", (connection) => connection.close("1000" as never)],
  ["an array as a close code", (connection) => connection.close([1000] as never)],
];

const pingMisuses: readonly Misuse[] = [
  ["a number as a ping's data", (connection) => connection.ping(64 as never)],
  ["a text as a ping's data", (connection) => connection.ping("data" as never)],
  ["a Uint16Array as a ping's data", (connection) => connection.ping(new Uint16Array(8) as never)],
];

/** Checks that each misuse throws, and that nothing is on the wire but the close that follows. */
function refuses(list: readonly Misuse[]): ConformanceCase["run"] {
  return async (trial) => {
    const { client, connection } = await (await trial.serve()).rawPair("/echo");
    for (const [what, misuse] of list) assert.throws(() => misuse(connection), /must|Cannot/, what);
    connection.close(4000);
    client.write(frame(close, closePayload(4000)));
    const { frames, code } = await client.ended;
    assert.equal(code, 4000);
    assert.equal(frames.length, 1);
  };
}

const canPing = [{ ping: true }, "ping: goes out and comes back, or is refused where it cannot"] as const;

/** Cases about sizes. */
export const payloadAttacks: readonly ConformanceCase[] = [
  ...ways.flatMap(([what, framesOf]) => [
    attack(`payload: 10.4: ${what} of as many bytes as its route allows: let in`, async (trial) => {
      const { target } = await serve(trial);
      for (const path of paths) {
        const { client } = await target.rawPair(path);
        client.write(...framesOf(limitOf(path)));
        assert.equal(await client.next(), String(limitOf(path)));
        client.write(end);
        assert.equal((await client.ended).code, 1005);
      }
    }),
    attack(`payload: 10.4: ${what} of one byte more: 1009, and reaches nobody`, async (trial) => {
      const { target, seen } = await serve(trial);
      for (const path of paths) {
        const opened = target.opened();
        const client = await target.openRaw(path);
        client.write(...framesOf(limitOf(path) + 1));
        const { texts, code } = await client.ended;
        assert.deepEqual([texts, code], [[], 1009], path);
        const { code: said, by } = await (await opened).info;
        assert.deepEqual([said, by], [1009, "local"], path);
      }
      assert.deepEqual(seen, []);
    }),
  ]),
  ...announcements.flatMap(([what, framesOf]) =>
    (
      [
        ["the server's largest limit", ["/more"]],
        ["its route's limit", ["/server", "/less", "/pull"]],
      ] as const
    ).map(([which, list]) =>
      attack(
        `payload: 10.4: the header of ${what} that passes ${which}: 1009, before the bytes come`,
        async (trial) => {
          const { target, seen } = await serve(trial);
          for (const path of list) {
            const { ending, info } = await strikeAndEnd(target, path, ...framesOf(limitOf(path)));
            assert.equal(ending.code, 1009, path);
            assert.deepEqual(info, failure(1009), path);
          }
          assert.deepEqual(seen, []);
        },
      ),
    ),
  ),
  attack(
    "payload: 10.4: a message over the limit: what came before it is taken, what follows it is not",
    async (trial) => {
      const { target, seen } = await serve(trial);
      const { client, info } = await target.rawPair("/less");
      client.write(part(text, 100, true), part(text, 101, true), part(text, 1, true));
      assert.equal((await info).code, 1009);
      assert.deepEqual((await client.ended).texts, ["100"]);
      assert.deepEqual(seen, [100]);
    },
  ),
  attack("payload: 10.4: megabytes that are refused are read and thrown away, so that 1009 arrives", async (trial) => {
    const client = await (await serve(trial)).target.openRaw("/less");
    client.write(part(binary, 2 ** 22, true));
    assert.equal((await client.ended).code, 1009);
  }),
  ...huge.map(([what, opcode, length]) =>
    attack(`payload: CVE row 2: the header of ${what}: takes no memory`, async (trial) => {
      const { target } = await serve(trial);
      const clients = [];
      for (let i = 0; i < 20; i++) clients.push(await target.openRaw("/more", { allowHalfOpen: true }));
      const before = heldBytes();
      let most = 0;
      const off = target.vel.on("close", () => (most = Math.max(most, heldBytes())));
      for (const client of clients) {
        client.silence();
        client.write(frameHeader({ opcode, length }));
        client.socket.end();
      }
      for (const client of clients) assert.notEqual((await client.ended).code, 1000);
      off();
      assert(most - before < 2 ** 21, `${String(most - before)} bytes`);
    }),
  ),
  attack("payload: CVE row 2: any of these headers: 1009, before the bytes come", async (trial) => {
    const { target } = await serve(trial);
    for (const [what, opcode, length] of huge) {
      const { ending, info } = await strikeAndEnd(target, "/more", frameHeader({ opcode, length }));
      assert.equal(ending.code, 1009, what);
      assert.deepEqual(info, failure(1009), what);
    }
  }),
  attack("payload: CVE row 2: a message that is announced and does not come: takes no memory yet", async (trial) => {
    const target = await trial.serve((vel) => {
      vel.websocket("/idle", { maxPayload: 2 ** 20 });
    });
    const clients = [];
    for (let i = 0; i < 50; i++) clients.push(await target.openRaw("/idle"));
    const before = heldBytes();
    for (const client of clients) {
      const start = frameHeader({ opcode: continuation, length: 2 ** 20 });
      client.write(frame(binary, "", false), frame(ping, "read"), start, "begin");
    }
    // The answered ping tells that what stands before it was read.
    for (const client of clients) await client.pong();
    const after = heldBytes();
    assert(after - before < 50 * 2 ** 18, `${String(after - before)} bytes`);
    for (const client of clients) client.drop();
  }),
  attack("payload: CVE row 1: what is no message, code or reason: an error, and nothing leaves", refuses(misuses)),
  attack("payload: CVE row 1: what is no ping's data: an error, and nothing leaves", refuses(pingMisuses), ...canPing),
  attack("payload: CVE row 1: a view of a larger buffer leaves as the bytes that it shows", async (trial) => {
    const { client, connection } = await (await trial.serve()).rawPair("/echo");
    const large = Buffer.from("secret|shown|secret");
    connection.send(new Uint8Array(large.buffer, large.byteOffset + 7, 5));
    connection.send(large.subarray(7, 12));
    client.write(end);
    const { frames } = await client.ended;
    assert.deepEqual(
      frames.slice(0, 2).map(({ opcode, payload }) => [opcode, payload.toString()]),
      [
        [binary, "shown"],
        [binary, "shown"],
      ],
    );
  }),
  attack(
    "payload: CVE row 1: a ping's data leaves as the bytes that it shows, and a pong's is nobody else's memory",
    async (trial) => {
      const { client, connection } = await (await trial.serve()).rawPair("/echo");
      const large = Buffer.from("secret|shown|secret");
      const ponged = new Promise<Uint8Array>((resolve) => connection.onPong(resolve));
      connection.ping(new Uint8Array(large.buffer, large.byteOffset + 7, 5));
      assert.equal(String(await client.pinged()), "shown");
      client.write(frame(pong, "back"));
      assert.equal((await ponged).buffer.byteLength, 4);
    },
    ...canPing,
  ),
];
