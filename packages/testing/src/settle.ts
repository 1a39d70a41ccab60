/**
 * Waiting without waiting for time.
 *
 * @module
 */

/** The runtime's own timer, also when a test has replaced the global one. */
const { setTimeout: laterTurn } = globalThis;

/** What waits for the end of this turn. */
const flushes: (() => void)[] = [];

/**
 * Lets everything happen that is ready to: resolves after two turns of the event loop, each a `setTimeout` of 0 of the
 * runtime, when all promise callbacks that were pending, and those that they caused, have run. In memory that is every
 * message on its way. What waits for I/O, threads (hashing, verifying a token) or a timer is not ready.
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

/**
 * Lets all promise callbacks run, and what they leave for the end of their turn: all that time in memory needs to go
 * on. Takes microseconds, where timers take a millisecond and more each.
 */
export async function endTurn(): Promise<void> {
  do await message();
  while (flush());
}

/** Calls back in a later turn of the event loop. */
export function afterTurn(callback: () => void): void {
  if (flushes.push(callback) === 1) laterTurn(flush, 0);
}

/** Calls back whoever waits; tells whether anybody did. */
function flush(): boolean {
  const waiting = flushes.splice(0);
  for (const callback of waiting) callback();
  return waiting.length > 0;
}

/** Waits for a message to oneself: a turn of the event loop on every runtime, and no timer. */
function message(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener(
      "message",
      () => {
        port1.close(); // an open one would keep the process alive
        resolve();
      },
      { once: true },
    );
    port1.start();
    port2.postMessage(undefined);
  });
}
