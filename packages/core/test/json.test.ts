import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidMessageError } from "../src/errors.ts";
import { jsonLimits, parseJson } from "../src/json.ts";

/** What of a value counts against the limits. */
function measure(value: unknown): { depth: number; keys: number } {
  if (typeof value !== "object" || value === null) return { depth: 0, keys: 0 };
  const inner = Object.values(value).map(measure);
  return {
    depth: 1 + Math.max(0, ...inner.map(({ depth }) => depth)),
    keys: (Array.isArray(value) ? 0 : Object.keys(value).length) + inner.reduce((sum, { keys }) => sum + keys, 0),
  };
}

/** Keys and texts that look like structure, hold escapes, or end in them. */
const text = fc.string({ unit: fc.constantFrom(...'a"\\[]{}:,\n\u2028é€ ', "😀", "\\u0022", "\ud800") });
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(text, tie("value"), { maxKeys: 4 }),
  ),
})).value;

describe("parseJson()", () => {
  // Fails when a limit is off by one: `++level > depth + 1` in assertWithin().
  it("gives what JSON.parse gives for what is within the limits, and refuses the rest, exactly", () => {
    const limit = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(value, limit, limit, fc.boolean(), (input, depth, keys, isSpaced) => {
        const json = JSON.stringify(input, undefined, isSpaced ? 2 : undefined);
        const cost = measure(JSON.parse(json));
        const size = new TextEncoder().encode(json).byteLength;
        if (cost.depth > depth || cost.keys > keys) {
          expect(() => parseJson(json, { size, depth, keys })).toThrow(InvalidMessageError);
        } else {
          expect(parseJson(json, { size, depth, keys })).toEqual(JSON.parse(json));
          if (size > 1) expect(() => parseJson(json, { size: size - 1, depth, keys })).toThrow(InvalidMessageError);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  // Fails when the parser's error comes through: `throw cause` in parseJson().
  it("throws nothing but InvalidMessageError, whatever the text is, and keeps the parser's error as cause", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}":,\\u05f_proto ', "\0", "é") }), (input) => {
        let isJson = true;
        try {
          JSON.parse(input);
        } catch {
          isJson = false;
        }
        try {
          parseJson(input);
          expect(isJson).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidMessageError);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(() => parseJson("{")).toThrow(
      expect.objectContaining({ cause: expect.any(SyntaxError) as unknown }) as Error,
    );
    expect(() => parseJson("")).toThrow(InvalidMessageError);
  });

  it("has limits by default that it keeps to the byte, level and key", () => {
    const { size, depth, keys } = jsonLimits;
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    const members = (count: number): string => `{${Array.from({ length: count }, (_, i) => `"${i}":0`).join()}}`;
    for (const [fits, not] of [
      [JSON.stringify("x".repeat(size - 2)), JSON.stringify("x".repeat(size - 1))],
      [JSON.stringify("é".repeat(size / 2 - 1)), JSON.stringify("é".repeat(size / 2))],
      [nested(depth), nested(depth + 1)],
      [members(keys), members(keys + 1)],
    ] as const) {
      expect(parseJson(fits)).toEqual(JSON.parse(fits));
      expect(() => parseJson(not)).toThrow(InvalidMessageError);
    }
  });

  it("counts nothing within strings", () => {
    const limits = { size: 1_000, depth: 1, keys: 1 };
    expect(parseJson('{"[[{{::":"\\"[[{{::\\\\"}', limits)).toEqual({ "[[{{::": '"[[{{::\\' });
  });

  it("refuses keys that would reach a prototype, however they are spelled and wherever they are", () => {
    for (const poison of [
      '{"__proto__":{"admin":true}}',
      '{"\\u005f_proto__":1}',
      '{"\\u005F\\u005fproto\\u005f\\u005f":1}',
      '[{"a":{"__proto__":null}}]',
      '{"constructor":{"prototype":{"admin":true}}}',
      '{"c\\u006fnstructor":{"pr\\u006ftotype":1}}',
    ]) {
      expect(() => parseJson(poison), poison).toThrow(InvalidMessageError);
    }
    for (const harmless of [
      '"__proto__"',
      '{"a":"__proto__"}',
      '{"constructor":"Ford"}',
      '{"constructor":{"name":1}}',
      '{"prototype":1}',
    ]) {
      expect(parseJson(harmless)).toEqual(JSON.parse(harmless));
    }
  });

  it("looks at a text once, however it is made", () => {
    // Each took quadratic time in some parser: an end that never comes, escapes before every quote, one long run of them.
    const size = 2 ** 20;
    for (const hostile of [
      '"'.padEnd(size, "\\"),
      `"${'\\"'.repeat(size / 2)}`,
      `"${"\\\\".repeat(size / 2)}"`,
      '"":'.repeat(size / 3),
      '"'.repeat(size),
    ]) {
      expect(() => parseJson(hostile, { size: 2 * size, depth: 64, keys: size })).toSatisfy((parse: () => unknown) => {
        try {
          parse();
          return true;
        } catch (error) {
          return error instanceof InvalidMessageError;
        }
      });
    }
  });
});
