/**
 * Frames that no proper client sends: RFC 6455, section 5.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { closePayload, frame, frameHeader, handshake, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import { assertRefused, attack, end, refusals, strike, strikeAndEnd, type Violation } from "./attack.ts";

const { continuation, text, binary, close, ping, pong } = opcodes;

const bare = (opcode: number, payload: string | Uint8Array = ""): Buffer => frame({ opcode, masked: false }, payload);
const rsv = (bits: number, opcode: number, payload = ""): Buffer => frame({ opcode, rsv: bits }, payload);
const reserved = (...list: number[]): Buffer[] => list.map((opcode) => frame(opcode, "a"));
const both = (...frames: Uint8Array[]): Buffer => Buffer.concat(frames);

const violations: readonly Violation[] = [
  ["5.2: RSV1 without an extension", rsv(4, text, "a"), rsv(4, binary)],
  ["5.2: RSV2", rsv(2, text, "a"), rsv(2, binary)],
  ["5.2: RSV3", rsv(1, text, "a"), rsv(1, binary)],
  ["5.2: all reserved bits on a control frame", rsv(7, ping), rsv(7, pong)],
  ["5.2: a reserved bit on a second fragment", both(frame(text, "a", false), rsv(4, continuation, "b"))],
  ["5.2: a reserved opcode for data (3 to 7)", ...reserved(3, 4, 5, 6, 7)],
  ["5.2: a reserved opcode for control frames (11 to 15)", ...reserved(11, 12, 13, 14, 15)],
  ["5.5: a fragmented ping", both(frame(ping, "a", false), frame(continuation, "b"))],
  ["5.5: a fragmented close", frame(close, closePayload(1000), false)],
  ["5.4: a continuation without a start", frame(continuation, "a")],
  ["5.4: a text within a fragmented text", both(frame(text, "a", false), frame(text, "b"))],
  ["5.4: bytes within a fragmented text", both(frame(text, "a", false), frame(binary, "b"))],
];

const unmasked: readonly Violation[] = [
  ["5.1: a text that is not masked", bare(text, "a")],
  ["5.1: bytes that are not masked", bare(binary, "a")],
  ["5.1: an empty text that is not masked", bare(text)],
  ["5.1: a ping that is not masked", bare(ping)],
  ["5.1: a close that is not masked", bare(close, closePayload(1000))],
  ["5.1: a second fragment that is not masked", both(frame(text, "a", false), bare(continuation, "b"))],
];

/** Control frames of more than 125 bytes. */
const long: readonly Violation[] = [
  ["5.5: a ping of 126 bytes", frame(ping, "x".repeat(126))],
  ["5.5: a pong of 65,536 bytes", frame(pong, "x".repeat(65_536))],
  ["5.5: a close of 126 bytes", frame(close, closePayload(1000, "x".repeat(124)))],
];

/** Lengths that nobody can send: the headers alone. */
const lengths: readonly Violation[] = [
  ["CVE row 15: a length of 2^53", frameHeader({ opcode: binary, length: 2n ** 53n })],
  ["CVE row 15: a length of 2^53 + 1", frameHeader({ opcode: binary, length: 2n ** 53n + 1n })],
  ["CVE row 15: a length of 2^63 (5.2: the highest bit must be 0)", frameHeader({ opcode: text, length: 2n ** 63n })],
  ["CVE row 15: a length of 2^64 - 1", frameHeader({ opcode: text, length: 2n ** 64n - 1n })],
  [
    "CVE row 15: a length of 2^63 in a fragment",
    both(frame(binary, "", false), frameHeader({ opcode: continuation, length: 2n ** 63n })),
  ],
];

/** Frames that are odd and proper, and the text that they make. */
const oddities: readonly (readonly [what: string, message: string, ...frames: Buffer[]])[] = [
  ["5.2: a length of 1 in 16 bits", "a", frameHeader({ opcode: text, length: 1, bits: 16 }), Buffer.from("a")],
  ["5.2: a length of 1 in 64 bits", "a", frameHeader({ opcode: text, length: 1, bits: 64 }), Buffer.from("a")],
  ["5.2: a length of 0 in 64 bits", "", frameHeader({ opcode: text, length: 0, bits: 64 })],
  [
    "5.4: an empty first and last fragment",
    "a",
    frame(text, "", false),
    frame(continuation, "a", false),
    frame(continuation),
  ],
  ["5.4: only empty fragments", "", frame(text, "", false), frame(continuation, "", false), frame(continuation)],
  ["5.4: a ping between fragments", "ab", frame(text, "a", false), frame(ping, "1"), frame(continuation, "b")],
  ["5.5.3: a pong that nobody asked for", "a", frame(pong, "x"), frame(text, "a")],
  ["5.5.2: a ping of 125 bytes", "a", frame(ping, "x".repeat(125)), frame(text, "a")],
];

/** Cases about frames. */
export const framingAttacks: readonly ConformanceCase[] = [
  ...refusals("framing", "frames", 1002, violations),
  ...refusals("framing", "unmasked frames", 1002, unmasked),
  ...refusals("framing", "long control frames", 1002, long),
  ...refusals("framing", "lengths", 1009, lengths),
  ...oddities.map(([what, message, ...frames]) =>
    attack(`framing: ${what} is taken`, async (trial) => {
      const { ending, info } = await strike(await trial.serve(), "/echo", ...frames);
      assert.deepEqual(ending.texts, [message]);
      assert.equal(ending.code, 1000);
      assert.deepEqual(info, { code: 1000, reason: "", wasClean: true, by: "remote" });
    }),
  ),
  attack("framing: 5.5.2: pings between fragments are answered in order, with their data", async (trial) => {
    const { ending } = await strike(
      await trial.serve(),
      "/echo",
      frame(text, "a", false),
      frame(ping, "1"),
      frame(continuation, "b", false),
      frame(ping),
      frame(continuation, "c"),
      frame(ping, "3"),
    );
    assert.deepEqual(ending.pongs, ["1", "", "3"]);
    assert.deepEqual(ending.texts, ["abc"]);
  }),
  attack("framing: 5.3: a masked payload is unmasked, whatever the key and however long", async (trial) => {
    const key = Buffer.from([0x01, 0xff, 0x80, 0x37]);
    const sizes = [1, 2, 3, 4, 5, 47, 48, 49, 125, 126, 65_535, 65_536];
    const messages = sizes.map((size) => Buffer.alloc(size, "vel"));
    const frames = messages.map((message) => {
      const start = frameHeader({ opcode: text, length: message.byteLength });
      key.copy(start, start.byteLength - key.byteLength);
      return both(
        start,
        message.map((byte, i) => byte ^ key.readUInt8(i % 4)),
      );
    });
    const { ending } = await strike(await trial.serve(), "/echo", ...frames);
    assert.deepEqual(ending.texts, messages.map(String));
  }),
  attack(
    "framing: 5: a conversation in chunks of one byte is the same conversation, handshake and all",
    async (trial) => {
      const client = await (await trial.serve()).dial();
      const all = [
        Buffer.from(handshake("/echo")),
        frame(text, "a", false),
        frame(ping, "ping"),
        frame(continuation, "é"),
        frame(text, "x".repeat(300)),
        frame(close, closePayload(1000)),
      ];
      for (const byte of Buffer.concat(all)) {
        await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
        await setImmediate(); // so that it is on its way alone
      }
      const { texts, pongs, code } = await client.ended;
      assert.deepEqual({ texts, pongs, code }, { texts: ["aé", "x".repeat(300)], pongs: ["ping"], code: 1000 });
    },
  ),
  ...(
    [
      ["5.2: a reserved opcode", frame(3)],
      ["5.4: a continuation after a whole message", frame(continuation, "b")],
    ] as const
  ).map(([what, violation]) =>
    attack(`framing: ${what}: what came before it reaches the handler, what follows it nobody`, async (trial) => {
      const after = [frame(text, "after"), frame(ping, "after")];
      const aftermath = await strike(await trial.serve(), "/echo", frame(text, "before"), violation, ...after);
      assertRefused(aftermath, 1);
    }),
  ),
  attack("framing: 5.1: an unmasked frame behind the handshake opens the connection and fails it", async (trial) => {
    const client = await (await trial.serve()).dial();
    client.write(handshake("/echo"), bare(text, "a"), end);
    assert.equal((await client.answer()).status, 101);
    assert.equal((await client.ended).code, 1002);
  }),
  ...["header", "masking key", "payload"].map((where) =>
    attack(`framing: 7.1.5: a connection that ends within a ${where} is 1006`, async (trial) => {
      const start = frameHeader({ opcode: text, length: 300 });
      const length = where === "header" ? 3 : where === "masking key" ? 6 : start.byteLength;
      const half = Buffer.from(where === "payload" ? "half" : "");
      const { info } = await strikeAndEnd(await trial.serve(), "/echo", start.subarray(0, length), half);
      assert.deepEqual(info, { code: 1006, reason: "", wasClean: false, by: "remote" });
    }),
  ),
];
