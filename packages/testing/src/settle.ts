/**
 * Waiting without waiting for time.
 *
 * @module
 */

/** The runtime's own timer, also when a test has replaced the global one. */
const { setTimeout: laterTurn } = globalThis;

/**
 * Lets everything happen that is ready to: resolves in a later turn of the event loop, when all promise callbacks that
 * were pending, and those that they caused, have run. In memory that is every message on its way.
 *
 * @example
 * client.send("hello");
 * await settle();
 * // the handler has seen it
 */
export async function settle(): Promise<void> {
  // Two turns: what the first one flushed (frames that wait for a turn's end) is delivered in the second.
  for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => laterTurn(resolve, 0));
}

/** Calls back in a later turn of the event loop. */
export function afterTurn(callback: () => void): void {
  laterTurn(callback, 0);
}
