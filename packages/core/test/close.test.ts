import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertCloseCode, closeCodes, shouldReconnect, truncateReason } from "../src/close.ts";

const encoder = new TextEncoder();

describe("truncateReason()", () => {
  it("keeps at most 123 bytes, a prefix that ends at a character's boundary and is as long as it can be", () => {
    const unit = fc.constantFrom("a", "é", "€", "😀", "\ud83d", "\ude00", "\n", "\u0000");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 160 }), (reason) => {
        const cut = truncateReason(reason);
        expect(encoder.encode(cut).byteLength).toBeLessThanOrEqual(123);
        expect(reason.startsWith(cut)).toBe(true);
        const next = String.fromCodePoint(reason.codePointAt(cut.length) ?? 0);
        if (cut.length < reason.length) {
          expect(encoder.encode(cut + next).byteLength).toBeGreaterThan(123);
          expect(/[\ud800-\udbff]$/.test(cut) && /^[\udc00-\udfff]/.test(reason.slice(cut.length))).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("leaves a reason of exactly 123 bytes alone and cuts the 124th", () => {
    expect(truncateReason("x".repeat(123))).toBe("x".repeat(123));
    expect(truncateReason("x".repeat(124))).toBe("x".repeat(123));
    expect(truncateReason("€".repeat(41))).toBe("€".repeat(41));
    expect(truncateReason("€".repeat(42))).toBe("€".repeat(41));
    expect(truncateReason("x" + "😀".repeat(31))).toBe("x" + "😀".repeat(30));
  });

  it("throws for what is not a string", () => {
    expect(() => truncateReason(5 as never)).toThrow(TypeError);
  });
});

describe("assertCloseCode()", () => {
  it("lets pass what an endpoint may send, and nothing else", () => {
    const allowed = (code: number): boolean =>
      (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    for (let code = 0; code <= 5100; code++) {
      if (allowed(code))
        expect(() => {
          assertCloseCode(code);
        }).not.toThrow();
      else
        expect(() => {
          assertCloseCode(code);
        }, String(code)).toThrow(RangeError);
    }
    for (const code of [NaN, Infinity, -1000, 1000.5, 65_536, "1000"]) {
      expect(() => {
        assertCloseCode(code as number);
      }).toThrow(RangeError);
    }
  });
});

describe("shouldReconnect()", () => {
  it("follows the table for listed codes", () => {
    expect(shouldReconnect(4401)).toBe("fresh-token");
    for (const code of [4408, 4425, 4429, 1001, 1005, 1006, 1011, 1012, 1013]) expect(shouldReconnect(code)).toBe(true);
    for (const code of [4001, 4003, 4400, 4403, 4404, 1000, 1002, 1003, 1007, 1008, 1009]) {
      expect(shouldReconnect(code), String(code)).toBe(false);
    }
    for (const [code, row] of Object.entries(closeCodes)) expect(shouldReconnect(Number(code))).toBe(row.reconnect);
  });

  it("follows the ranges for codes that are not listed", () => {
    for (const code of [3000, 3499, 4100, 4499]) expect(shouldReconnect(code), String(code)).toBe(true);
    for (const code of [3500, 3999, 4500, 4501, 4999]) expect(shouldReconnect(code), String(code)).toBe(false);
    for (const code of [0, 1004, 1016, 2999, 5000]) expect(shouldReconnect(code), String(code)).toBe(true);
  });
});
