/**
 * How a stream goes on after a position: what was kept and what came meanwhile, merged and checked.
 *
 * @module
 */
import type { Position } from "@vel/core";

/** Whatever has a place in a stream. */
export interface Placed {
  readonly position?: Position | undefined;
}

/** What was found in a history, see core's `HistoryResult`. */
export interface Found<T extends Placed> {
  readonly publications: readonly T[];
  readonly top: Position;
}

/** Tells whether one position comes right after another. */
export function isNext(position: Position, { epoch, offset }: Position): boolean {
  return epoch === position.epoch && offset === position.offset + 1;
}

/** Tells whether a position is this one or lies before it. */
export function isPast(position: Position, { epoch, offset }: Position): boolean {
  return epoch === position.epoch && offset <= position.offset;
}

/**
 * Finds everything that comes after `since`: what was kept, then what was held while that was read; each once, in
 * order. Whether that is all is checked here, whatever the broker says: what was held may fill what it lacks.
 *
 * @returns Undefined when anything is missing. There is no part of it.
 */
export function continueFrom<T extends Placed>(
  since: Position,
  { publications, top }: Found<T>,
  held: readonly T[],
): T[] | undefined {
  // A position beyond the end never was one.
  if (!isPast(top, since)) return undefined;
  const next: T[] = [];
  let last = since;
  for (const each of inOrder([...publications, ...held])) {
    const { position } = each;
    if (position && isPast(last, position)) continue;
    if (position && !isNext(last, position)) return undefined;
    last = position ?? last;
    next.push(each);
  }
  return isPast(last, top) ? next : undefined;
}

/**
 * Finds where a stream can be taken up again when nothing connects it with what was before: as early as what was held
 * allows, so that everything after that position is there.
 *
 * @param top Where the stream stood when it was asked; undefined when nobody could tell.
 */
export function restart<T extends Placed>(
  top: Position | undefined,
  held: readonly T[],
): { position: Position | undefined; next: T[] } {
  const epoch = top?.epoch ?? held.findLast(({ position }) => position)?.position?.epoch;
  const next: T[] = [];
  let first: Position | undefined;
  for (const each of inOrder(held.filter(({ position }) => position?.epoch === epoch)).reverse()) {
    const { position } = each;
    if (!position || first?.offset === position.offset) continue;
    if (first && !isNext(position, first)) break;
    first = position;
    next.unshift(each);
  }
  const last = next.at(-1)?.position;
  if (!first || !last) return { position: top, next: [] };
  // What was kept goes further than what came: the end of it is missing.
  if (top && !isPast(last, top)) return { position: top, next: [] };
  return { position: { epoch: first.epoch, offset: first.offset - 1 }, next };
}

function inOrder<T extends Placed>(held: readonly T[]): T[] {
  return held.toSorted((a, b) => (a.position && b.position ? a.position.offset - b.position.offset : 0));
}
