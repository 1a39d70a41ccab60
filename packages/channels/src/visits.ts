/**
 * Who was in which channel before.
 *
 * @module
 */
import type { Connection } from "@vel/core";

/** How many names are remembered of a connection. */
const maxNames = 1_000;

/**
 * Remembers which channels a connection has subscribed to. Of one that has been in too many to remember, all are said to
 * be known: better to be told of a gap that is none than not to be told.
 */
export class Visits {
  readonly #names = new WeakMap<Connection, Set<string> | "all">();

  /** Writes a visit down, and tells whether it is one of several. */
  enter(connection: Connection, name: string): boolean {
    const names = this.#names.get(connection) ?? new Set<string>();
    if (names === "all" || names.has(name)) return true;
    this.#names.set(connection, names.size < maxNames ? names.add(name) : "all");
    return false;
  }
}
