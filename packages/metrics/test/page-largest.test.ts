import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { largest } from "../src/page-largest.ts";

describe("largest()", () => {
  it("gives what sorting all would give", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 })), fc.integer({ min: 1, max: 8 }), (sizes, most) => {
        const items = sizes.map((size, index) => ({ size, index }));
        const sorted = items.toSorted((one, other) => other.size - one.size).slice(0, most);
        expect(largest(items, most, ({ size }) => size)).toEqual(sorted);
      }),
      { numRuns: 1_000 },
    );
  });
});
