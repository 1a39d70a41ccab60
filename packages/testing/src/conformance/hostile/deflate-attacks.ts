/**
 * Compressed messages that no proper client sends: RFC 7692, and RFC 6455, section 9.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { Audience, type Connection, type Received, type Vel } from "@vel/core";
import { closePayload, frame, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import type { ServerFrame } from "../raw-client.ts";
import type { Target, Trial } from "../trial.ts";
import { attack, end } from "./attack.ts";

const garbageAnywhere =
  "deflate: CVE row 14: garbage in compressed frames ends that connection alone, and reaches nobody";

/** Makes a case that takes compression. */
function deflateAttack(name: string, run: ConformanceCase["run"]): ConformanceCase {
  return attack(name, run, { compression: true }, garbageAnywhere);
}

const limit = 100_000;
const offer = { headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } };

/** What a client may offer, with and without contexts that last from message to message. */
const offers = [
  "permessage-deflate",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  "permessage-deflate; server_no_context_takeover",
  "permessage-deflate; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=9",
];

/** Compresses a message's payload (RFC 7692, section 7.2.1). */
function deflate(payload: string | Uint8Array): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

/** Makes a text message of a compressed payload. */
const text = (payload: Uint8Array): Buffer => frame({ opcode: opcodes.text, rsv: 4 }, payload);

const garbage = Buffer.alloc(500, 0xff);
/** Made when it is needed: it takes its time. */
let madeBomb: Buffer | undefined;
/** 128 MiB in 128 KiB. */
const bomb = (): Buffer => (madeBomb ??= deflate(Buffer.alloc(2 ** 27)));

/** Messages that inflate to nothing, or to too much, and the code that each gets. */
const malformed: Readonly<Record<string, readonly (readonly [what: string, code: number, ...frames: Buffer[]])[]>> = {
  "CVE row 13: what is no deflate stream is 1007": [
    ["garbage", 1007, text(garbage)],
    ["a stream that breaks", 1007, text(Buffer.concat([deflate("x".repeat(1_000)), garbage]))],
    ["a block type that is none", 1007, text(Buffer.from([0x07]))],
    ["a stored block with a wrong length", 1007, text(Buffer.from([0x01, 5, 0, 0, 0, 1, 2]))],
    ["a distance beyond the window", 1007, text(Buffer.from([0x4b, 0x04, 0xc1, 0x00, 0xff, 0xff, 0x00]))],
    [
      "garbage in a later fragment",
      1007,
      frame({ opcode: opcodes.text, rsv: 4, fin: false }, deflate("a")),
      frame(opcodes.continuation, garbage.subarray(0, 125)),
    ],
  ],
  "8.1: a compressed text that is no UTF-8 is 1007": [["0xff", 1007, text(deflate(Buffer.from([0xff])))]],
  "CVE row 16: what inflates to one byte over the limit is 1009": [
    ["a message", 1009, text(deflate("x".repeat(limit + 1)))],
    [
      "fragments together",
      1009,
      frame({ opcode: opcodes.text, rsv: 4, fin: false }, deflate("x".repeat(limit + 1)).subarray(0, 20)),
      frame(opcodes.continuation, deflate("x".repeat(limit + 1)).subarray(20, 60), false),
      frame(opcodes.continuation, deflate("x".repeat(limit + 1)).subarray(60)),
    ],
  ],
  "RFC 7692, 6.1: a compressed control frame is 1002": [
    ["a ping", 1002, frame({ opcode: opcodes.ping, rsv: 4 })],
    ["a close", 1002, frame({ opcode: opcodes.close, rsv: 4 })],
  ],
  "RFC 7692, 6.1: RSV1 on a later fragment is 1002": [
    ["after a plain one", 1002, frame(opcodes.text, "a", false), frame({ opcode: opcodes.continuation, rsv: 4 })],
  ],
  "RFC 7692, 6.1: RSV2 beside RSV1 is 1002": [["RSV2", 1002, frame({ opcode: opcodes.text, rsv: 6 }, deflate("a"))]],
};

/** Messages that are let in, with what they inflate to. */
const good: Readonly<Record<string, readonly [size: number, message: Buffer]>> = {
  "a message that inflates to the limit": [limit, text(deflate("x".repeat(limit)))],
  "a message that does not get smaller": [
    1_000,
    frame({ opcode: opcodes.binary, rsv: 4 }, deflate(randomBytes(1_000))),
  ],
  "an empty compressed message": [0, text(deflate(""))],
  "an empty message of one empty block": [0, text(Buffer.from([0x00]))],
  "a message that is not compressed": [5, frame(opcodes.text, "plain")],
  "a message of several deflate blocks": [
    10,
    text(Buffer.concat([deflate("hello"), Buffer.from([0, 0, 255, 255]), deflate("world")])),
  ],
};

/** Runs a server whose routes compress where that can be. */
function serve(trial: Trial, routes: (vel: Vel) => void = () => undefined): Promise<Target> {
  const message = (connection: Connection, { length }: Received): unknown => connection.send(String(length));
  return trial.serve(
    (vel) => {
      vel.websocket("/length", { message });
      vel.websocket("/large", { message, maxPayload: 2 ** 20 });
      routes(vel);
    },
    { compression: "auto", maxPayload: limit },
  );
}

/** Watches the memory of the process until a promise settles, and gives how much more of it there was. */
async function growth(work: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  let isDone = false as boolean;
  const done = work.then(() => (isDone = true));
  while (!isDone) {
    most = Math.max(most, process.memoryUsage.rss());
    await setImmediate();
  }
  await done;
  return most - before;
}

/** Gives the payload of a frame of the server, inflated with no larger a window than was agreed on. */
function read({ rsv, payload }: ServerFrame, windowBits: number): string {
  return rsv === 4
    ? inflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).toString()
    : payload.toString();
}

/** Cases about compression. */
export const deflateAttacks: readonly ConformanceCase[] = [
  attack(garbageAnywhere, async (trial) => {
    const received: Received[] = [];
    const target = await trial.serve((vel) => {
      const message = (_: Connection, data: Received): void => void received.push(data);
      vel.websocket("/deflate", { compression: "auto", message });
    });
    const payloads = [
      garbage,
      Buffer.alloc(500, 0x55),
      Buffer.from([0x07]),
      Buffer.concat([deflate("x".repeat(1_000)), garbage]),
      Buffer.from([0x4b, 0x04, 0xc1, 0x00, 0xff, 0xff, 0x00]),
    ];
    for (const value of offers) {
      const headers = { "Sec-WebSocket-Extensions": value };
      for (const payload of payloads) {
        // Twice, since a window that lasts would hold something the second time.
        const { client, info } = await target.rawPair("/deflate", { headers });
        client.write(text(payload), text(garbage), frame(opcodes.close, closePayload(1000)));
        await client.ended;
        assert.notEqual((await info).code, 1000, `${value}, ${payload.toString("hex", 0, 8)}`);
      }
    }
    assert.deepEqual(received, []);
  }),
  attack("deflate: CVE row 14: a compressed frame is 1002, where compression is off", async (trial) => {
    const target = await trial.serve();
    const deflated = deflate("hello");
    for (const value of [undefined, ...offers]) {
      const { client, info } = await target.rawPair("/echo", { headers: { "Sec-WebSocket-Extensions": value } });
      client.write(text(deflated), frame(opcodes.close, closePayload(1000)));
      const ending = await client.ended;
      assert.deepEqual(ending.texts, []);
      assert.equal(ending.code, 1002);
      assert.deepEqual(await info, { code: 1002, reason: "", wasClean: false, by: "local" });
    }
  }),
  ...Object.entries(malformed).map(([what, attacks]) =>
    deflateAttack(`deflate: ${what}`, async (trial) => {
      const target = await serve(trial);
      for (const [each, code, ...frames] of attacks) {
        const { client, info } = await target.rawPair("/length", offer);
        client.write(...frames, end);
        assert.equal((await client.ended).code, code, each);
        const { code: said, by } = await info;
        assert.deepEqual({ said, by }, { said: code, by: "local" }, each);
        assert.deepEqual(client.received, [], each);
      }
    }),
  ),
  deflateAttack("deflate: CVE row 13: a bomb is 1009 with flat memory", async (trial) => {
    const target = await serve(trial);
    const message = text(bomb());
    const { client, connection, info } = await target.rawPair("/large", offer);
    client.write(message);
    const grown = await growth(Promise.all([info, client.ended]));
    assert(grown < 2 ** 26, `${String(grown)} bytes more`);
    assert.equal((await client.ended).code, 1009);
    assert.deepEqual(await info, { code: 1009, reason: "", wasClean: false, by: "local" });
    assert.equal(connection.messagesReceived, 0);
  }),
  deflateAttack("deflate: CVE row 13: a bomb in fragments is 1009 with flat memory", async (trial) => {
    const target = await serve(trial);
    const { client, info } = await target.rawPair("/large", offer);
    const whole = bomb();
    for (let at = 0; at < whole.byteLength; at += 1_000) {
      const header = { opcode: at === 0 ? opcodes.text : opcodes.continuation, rsv: at === 0 ? 4 : 0 };
      client.write(frame({ ...header, fin: at + 1_000 >= whole.byteLength }, whole.subarray(at, at + 1_000)));
    }
    const grown = await growth(Promise.all([info, client.ended]));
    assert(grown < 2 ** 26, `${String(grown)} bytes more`);
    assert.equal((await client.ended).code, 1009);
    assert.equal((await info).code, 1009);
  }),
  deflateAttack("deflate: CVE row 13: twenty bombs at once are 1009 with flat memory", async (trial) => {
    const target = await serve(trial);
    const message = text(bomb().subarray(0, 20_000));
    const pairs = [];
    for (let i = 0; i < 20; i++) pairs.push(await target.rawPair("/large", offer));
    for (const { client } of pairs) client.write(message);
    const grown = await growth(Promise.all(pairs.flatMap(({ client, info }) => [client.ended, info])));
    assert(grown < 2 ** 27, `${String(grown)} bytes more`);
    for (const { client } of pairs) assert.equal((await client.ended).code, 1009);
  }),
  deflateAttack("deflate: CVE row 13: a bomb that turns malformed after the limit is 1009", async (trial) => {
    const target = await serve(trial);
    const { client, info } = await target.rawPair("/length", offer);
    client.write(text(Buffer.concat([bomb().subarray(0, 9_000), garbage])), end);
    assert.equal((await client.ended).code, 1009);
    assert.equal((await info).code, 1009);
  }),
  deflateAttack("deflate: CVE row 16: what inflates to no more than the limit is let in", async (trial) => {
    const target = await serve(trial);
    for (const [what, [size, message]] of Object.entries(good)) {
      const client = await target.openRaw("/length", offer);
      client.write(message);
      assert.equal(await client.next(), String(size), what);
      client.close(1000);
      assert.equal((await client.closed).code, 1000);
    }
  }),
  deflateAttack("deflate: RFC 7692, 7.1.2.1: a window of any proper size is kept to", async (trial) => {
    const target = await serve(trial);
    const messages = [5_000, 70_000].map((size) =>
      Array.from({ length: size / 5 }, (_, i) => (i * 7_919) % 997).join(),
    );
    for (const bits of [8, 9, 10, 11, 12, 13, 14, 15]) {
      const value = `permessage-deflate; server_max_window_bits=${String(bits)}; client_max_window_bits=${String(bits)}`;
      const { client, connection } = await target.rawPair("/length", {
        headers: { "Sec-WebSocket-Extensions": value },
      });
      for (const message of messages) connection.send(message);
      connection.close(4000);
      client.write(frame(opcodes.close, closePayload(4000)));
      const { frames } = await client.ended;
      assert.deepEqual(
        frames.slice(0, 2).map((each) => read(each, bits)),
        messages,
        value,
      );
    }
  }),
  deflateAttack(
    "deflate: RFC 7692, 7.1: a broadcast is what every client reads, whatever it negotiated",
    async (trial) => {
      const audience = new Audience();
      const target = await serve(trial, (vel) => {
        vel.websocket("/listen", { open: (connection) => void audience.add(connection) });
      });
      const clients = [];
      for (const value of [undefined, ...offers, "permessage-deflate; server_max_window_bits=15"]) {
        clients.push(await target.openRaw("/listen", { headers: { "Sec-WebSocket-Extensions": value } }));
      }
      while (audience.size < clients.length) await setImmediate();
      const sizes = [0, 1, 125, 126, 1_023, 1_024, 1_025, 65_535, 65_536, 300_000, 600_000];
      const messages = sizes.flatMap((size) => ["x".repeat(size), new Uint8Array(Buffer.alloc(size, "é🙂"))]);
      for (const message of messages) audience.broadcast(message);
      for (const client of clients) {
        for (const message of messages) {
          const got = await client.next();
          assert.equal(got.length, message.length);
          assert(
            Buffer.from(got as string).equals(Buffer.from(message as string)),
            `another ${String(message.length)}`,
          );
        }
      }
    },
  ),
  deflateAttack("deflate: CVE row 8: a reset while a message inflates ends the connection once", async (trial) => {
    const target = await serve(trial);
    for (let i = 0; i < 20; i++) {
      const message = text(i % 2 === 0 ? bomb().subarray(0, 20_000) : deflate(randomBytes(100_000)));
      const { client, info } = await target.rawPair("/large", offer);
      client.socket.write(message.subarray(0, message.byteLength - (i % 3)), () => {
        client.reset();
      });
      const { code } = await info;
      // What has come whole before the reset is told first: random bytes are no text.
      assert([1006, 1007, 1009].includes(code), String(code));
    }
  }),
  deflateAttack("deflate: 5.5.1: a close frame behind compressed messages is answered after them", async (trial) => {
    const target = await serve(trial);
    const { client, connection, info } = await target.rawPair("/length", offer);
    const sizes = Array.from({ length: 50 }, (_, i) => i * 100);
    client.write(...sizes.map((size) => text(deflate("x".repeat(size)))), end);
    assert.equal((await client.ended).code, 1005);
    assert.deepEqual(client.received, sizes.map(String));
    await info;
    assert.equal(connection.messagesReceived, 50);
  }),
];
