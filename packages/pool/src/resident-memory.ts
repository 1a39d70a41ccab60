/**
 * How much memory the process uses, where a runtime tells.
 *
 * @module
 */

/** What Node and Bun have as `process`, and Deno under its own name. */
interface MemoryTeller {
  memoryUsage?(): { readonly rss: number };
}

/** Finds what reads the resident memory of the process, in bytes; undefined where the runtime has no such thing. */
export function residentMemory(): (() => number) | undefined {
  // eslint-disable-next-line no-restricted-globals -- no name that all runtimes share; asked for what it can do, not what it is
  const { process, Deno } = globalThis as { process?: MemoryTeller; Deno?: MemoryTeller };
  const teller = [process, Deno].find((each) => typeof each?.memoryUsage === "function");
  return teller && (() => (teller as Required<MemoryTeller>).memoryUsage().rss);
}
