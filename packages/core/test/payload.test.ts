import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encode, encodeJson, payloadSize, type Json } from "../src/payload.ts";

/** Strings of every kind of UTF-16 unit, lone surrogates included. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
const surrogates = fc.string({ unit: fc.constantFrom("\ud83d", "\ude00", "\udfff", "\ud800", "a", "é", "€") });

describe("payloadSize()", () => {
  it("counts what TextEncoder writes, lone surrogates included", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, surrogates, fc.string({ unit: "grapheme" })), (text) => {
        expect(payloadSize(text)).toBe(new TextEncoder().encode(text).byteLength);
      }),
      { numRuns: 500 },
    );
  });

  it("counts the bytes of a view, not of its buffer", () => {
    expect(payloadSize(new Uint8Array(new ArrayBuffer(100), 10, 5))).toBe(5);
    expect(payloadSize(new Uint8Array())).toBe(0);
    expect(payloadSize("")).toBe(0);
  });
});

describe("encode()", () => {
  it("leaves text and bytes as they are, the same objects", () => {
    const bytes = new Uint8Array([1, 2]);
    expect(encode(bytes)).toBe(bytes);
    expect(encode("hello")).toBe("hello");
  });

  it("writes every other value as JSON", () => {
    expect(encode({ a: [1, null] })).toBe('{"a":[1,null]}');
    expect(encode(5)).toBe("5");
    expect(encode(null)).toBe("null");
    expect(encode([1, 2])).toBe("[1,2]");
  });
});

describe("encodeJson()", () => {
  it("quotes a string, which encode() does not", () => {
    expect(encodeJson("hello")).toBe('"hello"');
  });

  it("throws a TypeError for what has no JSON form", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    for (const value of [undefined, () => 1, Symbol("x"), 1n, { n: 1n }, cycle, { toJSON: () => undefined }]) {
      expect(() => encodeJson(value as Json)).toThrow(TypeError);
    }
  });
});
