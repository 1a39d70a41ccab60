import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram } from "../src/index.ts";

describe("new Histogram()", () => {
  it.each([[[1, 1]], [[2, 1]], [[NaN]], [[1, NaN]], [[NaN, 1]], [[-Infinity]]])(
    "refuses bounds that do not grow: %o",
    (bounds) => {
      expect(() => new Histogram(bounds)).toThrow(RangeError);
      expect(() => new Histogram(bounds)).toThrow(`Bounds must grow, got ${bounds.join(", ")}`);
    },
  );

  it("keeps its bounds, whatever becomes of the list", () => {
    const bounds = [1, 2];
    const histogram = new Histogram(bounds);
    bounds.push(0);
    histogram.add(1.5);
    expect(histogram.distribution).toEqual({ bounds: [1, 2], counts: [0, 1, 0], sum: 1.5 });
  });

  it("counts and sums without any bounds", () => {
    const histogram = new Histogram([]);
    histogram.add(3);
    histogram.add(-1);
    expect(histogram.distribution).toEqual({ bounds: [], counts: [2], sum: 2 });
  });
});

describe("Histogram.add()", () => {
  it("counts a value in the first bucket whose bound it does not exceed", () => {
    const histogram = new Histogram([64, 256, 1_024]);
    for (const value of [0, -5, 64, 64.001, 256, 1_024, 1_025, Infinity]) histogram.add(value);
    expect(histogram.distribution.counts).toEqual([3, 2, 1, 2]);
  });

  it("does not count what is no number", () => {
    const histogram = new Histogram([1]);
    histogram.add(NaN);
    expect(histogram.distribution).toEqual({ bounds: [1], counts: [0, 0], sum: 0 });
  });

  it("loses and invents nothing", () => {
    const value = fc.integer({ min: -1_000, max: 1_000 });
    const growing = fc.uniqueArray(value, { maxLength: 12 }).map((bounds) => bounds.sort((one, other) => one - other));
    fc.assert(
      fc.property(growing, fc.array(value), (bounds, values) => {
        const histogram = new Histogram(bounds);
        for (const each of values) histogram.add(each);
        const { counts, sum } = histogram.distribution;
        expect(counts).toHaveLength(bounds.length + 1);
        expect(sum).toBe(values.reduce((total, each) => total + each, 0));
        // As Prometheus wants it: so many are at most so large.
        let below = 0;
        for (const [index, bound] of [...bounds, Infinity].entries()) {
          below += counts[index]!;
          expect(below).toBe(values.filter((each) => each <= bound).length);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("Histogram.distribution", () => {
  it("is a reading, which later values do not change", () => {
    const histogram = new Histogram([1]);
    const before = histogram.distribution;
    histogram.add(1);
    expect(before.counts).toEqual([0, 0]);
    expect(histogram.distribution.counts).toEqual([1, 0]);
  });
});
