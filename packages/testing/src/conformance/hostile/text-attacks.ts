/**
 * Texts that are no UTF-8 (RFC 3629): RFC 6455, sections 5.6 and 8.1.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { frame, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import { attack, refusals, strike, type Violation } from "./attack.ts";

const { continuation, text, binary, ping } = opcodes;

/** Bytes by their hexadecimal digits. */
const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");
const texts = (...all: string[]): Buffer[] => all.map((digits) => frame(text, hex(digits)));
const halves = (first: string, second: string): Buffer =>
  Buffer.concat([frame(text, hex(first), false), frame(continuation, hex(second))]);

const violations: readonly Violation[] = [
  ["8.1: bytes that begin nothing", ...texts("80", "61 bf", "ff", "fe")],
  ["8.1: Latin-1", ...texts("67 72 fc df 65")],
  ["8.1: a sequence that ends early", ...texts("c3", "e2 82", "f0 9f 99")],
  ["8.1: a sequence that ASCII breaks", ...texts("e2 82 61")],
  ["8.1: an overlong slash", ...texts("c0 af", "e0 80 af", "f0 80 80 af")],
  ["8.1: an overlong NUL, as Java writes it", ...texts("c0 80")],
  ["8.1: the largest overlong sequences", ...texts("c1 bf", "e0 9f bf", "f0 8f bf bf")],
  ["8.1: a high surrogate, a low one", ...texts("ed a0 80", "ed bf bf")],
  ["8.1: a pair of surrogates (CESU-8)", ...texts("ed a0 bd ed b9 82")],
  [
    "8.1: what is past the last code point",
    ...texts("f4 90 80 80", "f5 80 80 80", "f8 88 80 80 80", "fc 84 80 80 80 80"),
  ],
  ["8.1: good text with one bad byte at its end", ...texts(`${"ce ba ".repeat(30)}ff`)],
  ["8.1: a later fragment that is not UTF-8", halves("61", "ff")],
  ["8.1: surrogates in a fragment each", halves("ed a0 bd", "ed b9 82")],
];

/** Good bytes, and too few of them. */
const unfinished: readonly Violation[] = [
  ["8.1: a last fragment that leaves a code point open", halves("e2", "82"), halves("61", "e2"), halves("61 e2", "")],
];

/** What looks bad, and is text. */
const proper: Readonly<Record<string, string>> = {
  "the borders of each length": "\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}",
  "the neighbours of the surrogates": "\ud7ff\ue000",
  "non-characters": "\ufffe\uffff\ufdd0\u{1fffe}",
  "a byte order mark": "\ufefftext",
  "a NUL": "a\0b",
  "the replacement character itself": "\ufffd",
};

/** Cases about texts. */
export const textAttacks: readonly ConformanceCase[] = [
  ...refusals("text", "bytes", 1007, violations),
  ...refusals("text", "unfinished texts", 1007, unfinished),
  ...Object.entries(proper).map(([what, message]) =>
    attack(`text: 8.1: ${what}: is text`, async (trial) => {
      const seen: unknown[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/seen", { message: (_, message) => void seen.push(message) });
      });
      assert.equal((await strike(target, "/seen", frame(text, message))).ending.code, 1000);
      assert.deepEqual(seen, [message]);
      const { ending } = await strike(target, "/echo", frame(text, message));
      assert.deepEqual(ending.frames[0]?.payload, Buffer.from(message));
    }),
  ),
  attack("text: 5.6: a fragment may end within a code point", async (trial) => {
    const target = await trial.serve();
    for (const message of ["é", "€", "🙂"]) {
      const bytes = Buffer.from(message);
      for (let at = 1; at < bytes.byteLength; at++) {
        const first = frame(text, bytes.subarray(0, at), false);
        const second = frame(continuation, bytes.subarray(at));
        const { ending } = await strike(target, "/echo", first, frame(ping, "between"), second);
        assert.deepEqual([ending.texts, ending.pongs, ending.code], [[message], ["between"], 1000]);
      }
    }
  }),
  attack("text: 5.6: bytes are not asked to be UTF-8", async (trial) => {
    const bytes = hex("ff fe c0 80");
    const { ending } = await strike(await trial.serve(), "/echo", frame(binary, bytes));
    assert.deepEqual([ending.frames[0]?.opcode, ending.frames[0]?.payload], [binary, bytes]);
  }),
];
