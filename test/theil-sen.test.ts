import { expect, test } from "vitest";
import { slopeOf, type Point } from "../soak/theil-sen.ts";
import { Chance } from "./load/frames.ts";

test("slopeOf() gives the slope of a line, and an interval of nothing around it", () => {
  const points = Array.from({ length: 20 }, (_, x): Point => [x, 7 - 3 * x]);
  expect(slopeOf(points)).toEqual({ slope: -3, low: -3, high: -3 });
});

test("slopeOf() is not moved by a few readings that are far off", () => {
  const points = Array.from({ length: 40 }, (_, x): Point => [x, x % 8 === 3 ? 1e6 : 16 * x]);
  expect(slopeOf(points).slope).toBeCloseTo(16, 5);
});

test("slopeOf() has the true slope in its interval about 95 times of 100, whatever the noise", () => {
  const chance = new Chance(7);
  let hits = 0;
  for (let times = 0; times < 100; times++) {
    const points = Array.from({ length: 20 }, (_, x): Point => [x, 5 * x + chance.below(200)]);
    const { low, slope, high } = slopeOf(points);
    expect(low).toBeLessThanOrEqual(slope);
    expect(high).toBeGreaterThanOrEqual(slope);
    if (low <= 5 && high >= 5) hits++;
  }
  expect(hits).toBeGreaterThan(85);
});

test("slopeOf() throws where no two points differ in x", () => {
  expect(() => slopeOf([])).toThrow(RangeError);
  expect(() => slopeOf([[1, 2]])).toThrow(RangeError);
  expect(() =>
    slopeOf([
      [1, 2],
      [1, 3],
    ]),
  ).toThrow(RangeError);
});
