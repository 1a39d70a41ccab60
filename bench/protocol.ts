/**
 * What the benchmark's processes say to each other.
 *
 * @module
 */

/** A server under test: a file that listens, prints its port, and answers two paths. */
export interface Contender {
  /** The name in the table. */
  readonly name: string;
  /** The file, beside this one, that runs as a process of its own. */
  readonly file: string;
}

/**
 * `/echo` sends every message back.
 *
 * `/room` joins the room. A text `"<count> <size>"` from any member makes the server send so many messages of `size`
 * bytes to the whole room within one turn of its event loop; each begins with its number in the room, ten digits long.
 */
export const paths = { echo: "/echo", room: "/room" } as const;

/** Makes the room's message number `sequence`. */
export function roomMessage(sequence: number, size: number): string {
  return String(sequence).padStart(10, "0").padEnd(size, "x");
}
