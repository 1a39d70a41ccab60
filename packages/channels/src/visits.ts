/**
 * Who was in which channel before.
 *
 * @module
 */
import type { Connection } from "@vel/core";

/** How many names are remembered of a connection, and how many characters of them. */
const maxNames = 1_000;
const maxCharacters = 2 ** 16;

/**
 * Remembers which channels a connection has subscribed to. Of one that has been in too many to remember, all are said to
 * be known: better to be told of a gap that is none than not to be told.
 */
export class Visits {
  readonly #names = new WeakMap<Connection, { readonly names: Set<string>; characters: number } | "all">();

  /** Writes a visit down, and tells whether it is one of several. */
  enter(connection: Connection, name: string): boolean {
    const visited = this.#names.get(connection) ?? { names: new Set<string>(), characters: 0 };
    if (visited === "all" || visited.names.has(name)) return true;
    visited.characters += name.length;
    const isFull = visited.names.size >= maxNames || visited.characters > maxCharacters;
    if (!isFull) visited.names.add(name);
    this.#names.set(connection, isFull ? "all" : visited);
    return false;
  }
}
