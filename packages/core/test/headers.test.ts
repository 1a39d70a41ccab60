import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listHeaders, type HeadersLike } from "../src/headers.ts";

describe("listHeaders()", () => {
  it("keeps order and repeated names, of every spelling", () => {
    expect(listHeaders(undefined)).toEqual([]);
    expect(listHeaders({ "X-A": "1", "x-b": "2" })).toEqual([
      ["X-A", "1"],
      ["x-b", "2"],
    ]);
    expect(
      listHeaders([
        ["set-cookie", "a=1"],
        ["Set-Cookie", "b=2"],
      ]),
    ).toEqual([
      ["set-cookie", "a=1"],
      ["Set-Cookie", "b=2"],
    ]);
    const headers = new Headers({ "X-A": "1" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    expect(listHeaders(headers)).toEqual([
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["x-a", "1"],
    ]);
  });

  it("lets no CR, LF, NUL or other control character pass, in names or values, in any spelling", () => {
    const evil = fc.constantFrom("\r", "\n", "\r\n", "\0", "\x7f", "\x1b", "\x0b", "\u2028", "Ā");
    const around = fc.string({ unit: fc.constantFrom(..."ab :=\t") });
    fc.assert(
      fc.property(around, evil, around, fc.boolean(), fc.boolean(), (before, bad, after, inName, asPairs) => {
        const pair: [string, string] = inName ? [`x${before}${bad}${after}`, "v"] : ["x-a", `${before}${bad}${after}`];
        const headers: HeadersLike = asPairs ? [["x-fine", "1"], pair] : Object.fromEntries([pair]);
        expect(() => listHeaders(headers)).toThrow(TypeError);
      }),
      { numRuns: 100 },
    );
    const anything = fc.string({ unit: fc.constantFrom(..."abcXYZ-_ :;=\t\r\n\0\x7f\x80ÿĀ"), maxLength: 5 });
    let passed = 0;
    fc.assert(
      fc.property(anything, anything, (name, value) => {
        let list: ReturnType<typeof listHeaders> = [];
        try {
          list = listHeaders([[name, value]]);
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
        }
        passed += list.length;
        return list.every(
          ([name, value]) => /^[!-~]+$/.test(name) && !/[:\s]/.test(name) && !/[\0\r\n\x7f]/.test(value),
        );
      }),
      { numRuns: 2_000 },
    );
    expect(passed).toBeGreaterThan(0);
  });

  it("refuses what belongs to the handshake, whatever its case", () => {
    const reserved = [
      "Connection",
      "UPGRADE",
      "content-length",
      "Transfer-Encoding",
      "Sec-WebSocket-Accept",
      "sec-websocket-protocol",
      "SEC-WEBSOCKET-EXTENSIONS",
    ];
    for (const name of reserved) expect(() => listHeaders({ [name]: "x" }), name).toThrow(TypeError);
  });

  it("refuses values that are no strings", () => {
    for (const value of [undefined, null, 5, ["a"], {}]) {
      expect(() => listHeaders({ "x-a": value } as unknown as HeadersLike)).toThrow(TypeError);
    }
  });
});
