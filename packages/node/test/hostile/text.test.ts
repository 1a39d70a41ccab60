/** Texts that are no UTF-8 (RFC 3629): RFC 6455, sections 5.6 and 8.1. */
import { expect, test } from "vitest";
import { frame } from "../kit.ts";
import { build, ending, openPair, serveTarget } from "./target.ts";

const target = serveTarget();

/** Bytes by their hexadecimal digits. */
const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");

test.each([
  ["a lone continuation byte", "80"],
  ["a continuation byte after ASCII", "61 bf"],
  ["the bytes ff", "ff"],
  ["the bytes fe", "fe"],
  ["Latin-1", "67 72 fc df 65"],
  ["a sequence of two that ends early", "c3"],
  ["a sequence of three that ends early", "e2 82"],
  ["a sequence of four that ends early", "f0 9f 99"],
  ["a sequence that ASCII breaks", "e2 82 61"],
  ["an overlong slash of two bytes", "c0 af"],
  ["an overlong slash of three bytes", "e0 80 af"],
  ["an overlong slash of four bytes", "f0 80 80 af"],
  ["an overlong NUL, as Java writes it", "c0 80"],
  ["the largest overlong sequence of two", "c1 bf"],
  ["the largest overlong sequence of three", "e0 9f bf"],
  ["the largest overlong sequence of four", "f0 8f bf bf"],
  ["a high surrogate", "ed a0 80"],
  ["a low surrogate", "ed bf bf"],
  ["a pair of surrogates (CESU-8)", "ed a0 bd ed b9 82"],
  ["one past the last code point, U+110000", "f4 90 80 80"],
  ["a start byte of no code point", "f5 80 80 80"],
  ["a sequence of five", "f8 88 80 80 80"],
  ["a sequence of six", "fc 84 80 80 80 80"],
  ["good text with one bad byte at its end", `${"ce ba ".repeat(30)}ff`],
])("8.1: %s is 1007", async (_, digits) => {
  const { wire, connection, ended } = await openPair(target);
  wire.write(build({ opcode: 1 }, hex(digits)));
  expect(await ending(wire)).toMatchObject({ texts: [], code: 1007 });
  expect(await ended).toEqual({ code: 1007, reason: "", wasClean: false, by: "local" });
  expect(connection.messagesReceived).toBe(0);
});

test.each([
  ["two bytes that are cut apart", "é", 1],
  ["three bytes after the first", "€", 1],
  ["three bytes after the second", "€", 2],
  ["four bytes after the first", "🙂", 1],
  ["four bytes after the second", "🙂", 2],
  ["four bytes after the third", "🙂", 3],
])("5.6: a fragment may end within a code point: %s", async (_, text, at) => {
  const { wire } = await openPair(target);
  const bytes = Buffer.from(text);
  wire.write(frame(1, bytes.subarray(0, at), false), frame(9, "between"), frame(0, bytes.subarray(at)), frame(8, ""));
  expect(await ending(wire)).toMatchObject({ texts: [text], code: 1005 });
});

test.each([
  ["whose last fragment leaves a code point open", [frame(1, hex("e2"), false), frame(0, hex("82"))]],
  ["whose later fragment is not UTF-8", [frame(1, "good", false), frame(0, hex("ff"))]],
  ["whose fragments are surrogates", [frame(1, hex("ed a0 bd"), false), frame(0, hex("ed b9 82"))]],
])("8.1: a text %s is 1007", async (_, frames) => {
  const { wire, connection, ended } = await openPair(target);
  wire.write(...frames);
  expect((await ending(wire)).code).toBe(1007);
  expect((await ended).code).toBe(1007);
  expect(connection.messagesReceived).toBe(0);
});

test.each([
  ["the borders of each length", "\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}"],
  ["the neighbours of the surrogates", "\ud7ff\ue000"],
  ["non-characters", "\ufffe\uffff\ufdd0\u{1fffe}"],
  ["a byte order mark", "\ufefftext"],
  ["a NUL", "a\0b"],
  ["the replacement character itself", "\ufffd"],
])("8.1: %s are text", async (_, text) => {
  const { wire } = await openPair(target);
  wire.write(frame(1, text), frame(8, ""));
  expect((await ending(wire)).texts).toEqual([text]);
});

test("5.6: bytes are not asked to be UTF-8", async () => {
  const { wire } = await openPair(target);
  wire.write(frame(2, hex("ff fe c0 80")), frame(8, ""));
  const { frames } = await ending(wire);
  expect(frames[0]).toMatchObject({ opcode: 2, payload: hex("ff fe c0 80") });
});
