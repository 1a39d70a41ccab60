/**
 * Whose turn is when.
 *
 * @module
 */
import type { Beat } from "./beat.ts";

/**
 * Spreads connections over the slots of one interval, evenly, so that no slot has many. Each keeps its slot: it comes up once
 * in each turn of the wheel.
 */
export class Wheel {
  readonly #slots: (Set<Beat> | undefined)[];
  #passed = 0;
  #size = 0;

  /** @param slots Into how many slots a turn is divided. */
  constructor(slots: number) {
    this.#slots = Array.from({ length: slots }, () => undefined);
  }

  /** How many connections are on it. */
  get size(): number {
    return this.#size;
  }

  /** The slot that was passed last, counted on from turn to turn. */
  get passed(): number {
    return this.#passed;
  }

  /** Puts a connection into the last slot to come of those that hold no more than their share. */
  add(beat: Beat): void {
    const { length } = this.#slots;
    const share = this.#size / length;
    let index = this.#passed + length - 1; // the one after that may come up a little later than in one turn
    while ((this.#slots[index % length]?.size ?? 0) > share) index--;
    beat.slot = this.#slots[index % length] ??= new Set();
    beat.slot.add(beat);
    this.#size++;
  }

  /** Takes a connection off, if it is on. */
  remove(beat: Beat): void {
    if (!beat.slot) return;
    beat.slot.delete(beat);
    beat.slot = undefined;
    this.#size--;
  }

  /** Turns on to a slot, and gives the connections of all that it passes. */
  turnTo(slot: number): Beat[] {
    const passed: Beat[] = [];
    while (this.#passed < slot) passed.push(...(this.#slots[++this.#passed % this.#slots.length] ?? []));
    return passed;
  }
}
