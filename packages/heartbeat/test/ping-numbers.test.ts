import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PingNumbers } from "../src/ping-numbers.ts";

describe("PingNumbers", () => {
  it("reads what it made, wherever in a buffer that stands", () => {
    const numbers = new PingNumbers();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.nat(20), (number, offset) => {
        const data = numbers.encode(number);
        const larger = new Uint8Array(offset + data.length + 3);
        larger.set(data, offset);
        expect(numbers.decode(data)).toBe(number);
        expect(numbers.decode(larger.subarray(offset, offset + data.length))).toBe(number);
      }),
      { numRuns: 1_000 },
    );
  });

  it("reads nothing of other pings: those of others, empty ones, ones that are cut or longer", () => {
    const [mine, other] = [new PingNumbers(), new PingNumbers()];
    const data = mine.encode(7);
    for (const foreign of [other.encode(7), new Uint8Array(0), data.subarray(1), new Uint8Array([...data, 0])]) {
      expect(mine.decode(foreign)).toBeUndefined();
    }
  });

  it("begins again at 0 after 2^32 pings", () => {
    const numbers = new PingNumbers();
    expect(numbers.after(0)).toBe(1);
    expect(numbers.after(2 ** 31 - 1)).toBe(2 ** 31);
    expect(numbers.after(2 ** 32 - 1)).toBe(0);
    expect(numbers.decode(numbers.encode(2 ** 32 - 1))).toBe(2 ** 32 - 1);
  });
});
