/**
 * The largest few of many, without sorting them all.
 *
 * @module
 */

/** Finds the `most` largest, the largest first; of equals whoever came first. */
export function largest<T>(items: Iterable<T>, most: number, sizeOf: (item: T) => number): readonly T[] {
  let kept: { readonly item: T; readonly size: number }[] = [];
  let smallest = -Infinity;
  for (const item of items) {
    const size = sizeOf(item);
    if (!(size > smallest)) continue;
    kept.push({ item, size });
    if (kept.length >= 2 * most) cut();
  }
  cut();
  return kept.map(({ item }) => item);

  function cut(): void {
    kept = kept.sort((one, other) => other.size - one.size).slice(0, most);
    smallest = kept.at(-1)?.size ?? smallest;
  }
}
