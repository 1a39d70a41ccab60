/**
 * Events for outsiders who watch: synchronous, never awaited, and a listener's error is the reporter's, not ours.
 *
 * @module
 */
import { Listeners } from "./listeners.ts";
import { notify } from "./maybe-promise.ts";

/** Takes back what was registered; calling it again does nothing. */
export type Unsubscribe = () => void;

/** Something that tells its listeners of events. `E` maps each event's name to its arguments. */
export interface Emitter<E extends { [K in keyof E]: readonly unknown[] }> {
  /** Calls `listener` on each event of that name until the result is called. */
  on<K extends keyof E>(event: K, listener: (...args: E[K]) => void): Unsubscribe;
}

/**
 * The emitter behind core's and the features' events.
 *
 * @example
 * const events = new EventEmitter<{ join: [name: string] }>(console.error);
 * const off = events.on("join", (name) => console.log(name));
 * events.emit("join", "ada");
 * off();
 */
export class EventEmitter<E extends { [K in keyof E]: readonly unknown[] }> implements Emitter<E> {
  readonly #listeners = new Listeners<E>();
  readonly #onError: (error: unknown) => void;

  /** @param onError Is told of what a listener throws or rejects with; the others are called all the same. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  on<K extends keyof E>(event: K, listener: (...args: E[K]) => void): Unsubscribe {
    return this.#listeners.on(event, listener);
  }

  /** Calls the listeners of an event, in the order of registration. */
  emit<K extends keyof E>(event: K, ...args: E[K]): void {
    if (this.#listeners.isEmpty) return;
    for (const listener of this.#listeners.of(event)) notify(() => listener(...args), this.#onError);
  }
}
