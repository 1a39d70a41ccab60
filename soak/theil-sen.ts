/**
 * How steeply a series of noisy readings rises.
 *
 * @module
 */
import { Chance } from "../test/load/frames.ts";

/** A reading: `y` at `x`. */
export type Point = readonly [x: number, y: number];

/** A slope, and the interval that holds the true one in 95 of 100 cases. */
export interface Slope {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
}

/** How often the readings are drawn again. */
const draws = 1_000;

/**
 * Estimates a slope: the median of those between any two points (Theil 1950, Sen 1968), which a few points that are far
 * off do not move. The interval is of the bootstrap (Efron 1979), with the same draws each time.
 *
 * @throws {RangeError} When no two points differ in `x`.
 */
export function slopeOf(points: readonly Point[]): Slope {
  const slope = medianSlope(points);
  if (Number.isNaN(slope)) throw new RangeError("A slope needs two points with different x");
  const chance = new Chance(1);
  const slopes = Array.from({ length: draws }, () => {
    return medianSlope(points.map(() => points[chance.below(points.length)] as Point));
  }).filter((each) => !Number.isNaN(each));
  slopes.sort((a, b) => a - b);
  return { slope, low: quantile(slopes, 0.025), high: quantile(slopes, 0.975) };
}

/** NaN where all points have the same `x`. */
function medianSlope(points: readonly Point[]): number {
  const slopes: number[] = [];
  for (const [index, [x, y]] of points.entries()) {
    for (let other = index + 1; other < points.length; other++) {
      const [otherX, otherY] = points[other] as Point;
      if (otherX !== x) slopes.push((otherY - y) / (otherX - x));
    }
  }
  slopes.sort((a, b) => a - b);
  return quantile(slopes, 0.5);
}

/** Reads a sorted series at a part of its length; NaN of an empty one. */
function quantile(sorted: readonly number[], part: number): number {
  const place = part * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return below + (above - below) * (place - Math.floor(place));
}
