import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertFrame, InvalidMessageError, isFrameId, jsonCodec } from "../src/index.ts";

describe("jsonCodec()", () => {
  // Fails when the text is touched before it is parsed: `payload.trim().replaceAll("\\n", "n")` in decode().
  it("makes JSON text of a frame, and a value of JSON text", () => {
    const codec = jsonCodec();
    expect(codec.encode({ type: "double", id: 1, value: 21 })).toBe('{"type":"double","id":1,"value":21}');
    expect(codec.encode({ type: "event", id: undefined })).toBe('{"type":"event"}');
    const unlimited = jsonCodec({ size: Infinity, keys: Infinity });
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = unlimited.encode({ type: "a", value }) as string;
        fc.pre(!/__proto__|constructor/.test(text));
        expect(unlimited.decode(text)).toEqual(JSON.parse(text));
        expect(text).toBe(JSON.stringify({ type: "a", value }));
      }),
      { numRuns: 1_000 },
    );
  });

  it("throws InvalidMessageError at bytes, at what is no JSON, and at keys that reach a prototype", () => {
    const codec = jsonCodec();
    for (const payload of [
      new TextEncoder().encode('{"type":"a"}'),
      "",
      "{",
      "undefined",
      '{"type":"a"',
      '{"type":"a","__proto__":{"polluted":true}}',
      '{"type":"a","\\u005f_proto__":{"polluted":true}}',
      '{"type":"a","constructor":{"prototype":{"polluted":true}}}',
    ]) {
      expect(() => codec.decode(payload)).toThrow(InvalidMessageError);
    }
    expect("polluted" in {}).toBe(false);
  });

  it("holds JSON to its limits, of which each can be set alone", () => {
    const long = JSON.stringify({ type: "a", text: "x".repeat(2 ** 16) });
    const deep = `${"[".repeat(65)}${"]".repeat(65)}`;
    const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`k${String(i)}`, i])));
    for (const text of [long, deep, wide]) {
      expect(() => jsonCodec().decode(text)).toThrow(InvalidMessageError);
      expect(() => jsonCodec({ size: 2 ** 20, depth: 65, keys: 1_001 }).decode(text)).not.toThrow();
    }
    expect(() => jsonCodec({ size: 2 ** 20 }).decode(deep)).toThrow("nested");
    expect(() => jsonCodec({ size: 2 ** 20 }).decode(wide)).toThrow("keys");
    expect(() => jsonCodec({ depth: 65 }).decode(long)).toThrow("bytes");
  });
});

describe("assertFrame()", () => {
  it.each([
    { type: "a" },
    { type: "x".repeat(64), id: "y".repeat(64) },
    { type: "toString", id: "constructor" },
    { type: "__proto__", id: "__proto__" },
    { type: "\0", id: "\0" },
    { type: "a", id: 0 },
    { type: "a", id: -1 },
    { type: "a", id: Number.MAX_SAFE_INTEGER },
    { type: "a", id: undefined },
    { type: "a", attachments: 2 ** 31 },
  ])("takes %o", (value) => {
    expect(() => assertFrame(value)).not.toThrow();
  });

  it.each([
    [undefined, "object"],
    [null, "object"],
    ["a", "object"],
    [1, "object"],
    [[], "object"],
    [[{ type: "a" }], "object"],
    [{}, "type"],
    [new Uint8Array(8), "type"],
    [{ type: "" }, "type"],
    [{ type: "x".repeat(65) }, "type"],
    [{ type: "x".repeat(2 ** 20) }, "type"],
    [{ type: 1 }, "type"],
    [{ type: null }, "type"],
    [{ type: ["a"] }, "type"],
    [{ type: { toString: "a" } }, "type"],
    [{ type: new String("a") }, "type"],
    [{ type: "a", id: "" }, "id"],
    [{ type: "a", id: "x".repeat(65) }, "id"],
    [{ type: "a", id: null }, "id"],
    [{ type: "a", id: true }, "id"],
    [{ type: "a", id: {} }, "id"],
    [{ type: "a", id: [1] }, "id"],
    [{ type: "a", id: 1.5 }, "id"],
    [{ type: "a", id: 2 ** 53 }, "id"],
    [{ type: "a", id: NaN }, "id"],
    [{ type: "a", id: Infinity }, "id"],
    [{ type: "a", id: 1n }, "id"],
  ])("throws InvalidMessageError at %o: its %s", (value, what) => {
    expect(() => assertFrame(value)).toThrow(InvalidMessageError);
    expect(() => assertFrame(value)).toThrow(what);
  });

  it("repeats nothing of what it was given in its message", () => {
    const secret = "secret".repeat(20);
    for (const value of [{ type: secret }, { type: "a", id: secret }, secret]) {
      expect(() => assertFrame(value)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining("secret") }),
      );
    }
  });
});

describe("isFrameId()", () => {
  // Fails when only some ids are looked at: `if (id && !isFrameId(id))` in assertFrame().
  it("agrees with assertFrame() on every value but undefined, which is no id", () => {
    const ids = fc.oneof(fc.anything(), fc.string({ maxLength: 70 }), fc.integer(), fc.double());
    fc.assert(
      fc.property(ids, (id) => {
        let isTaken = true;
        try {
          assertFrame({ type: "a", id });
        } catch {
          isTaken = false;
        }
        expect(isFrameId(id)).toBe(isTaken && id !== undefined);
      }),
      { numRuns: 1_000 },
    );
  });
});
