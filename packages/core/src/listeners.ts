/**
 * Who listens to what, of one object.
 *
 * @module
 */
import type { Unsubscribe } from "./emitter.ts";

type Listener = (...args: readonly unknown[]) => unknown;

interface Registration<Name> {
  readonly event: Name;
  readonly listener: Listener;
}

/** Those who listen to somebody. Costs little while there are few of them. */
export class Listeners<E extends { [K in keyof E]: readonly unknown[] }> {
  /** In the order of registration. Never changed but replaced, so that whoever goes through it is not disturbed. */
  #registrations: readonly Registration<keyof E>[] = [];

  /** As {@link Emitter.on}. */
  on<K extends keyof E>(event: K, listener: (...args: E[K]) => unknown): Unsubscribe {
    // The same function may be registered twice; each registration is its own.
    const registration: Registration<keyof E> = { event, listener: listener as Listener };
    this.#registrations = this.#registrations.concat(registration); // no larger than it has to be
    return () => {
      this.#registrations = this.#registrations.filter((other) => other !== registration);
    };
  }

  /** Takes back all listeners of an event, or one, for whoever has one for many and keeps no result of `on`. */
  off<K extends keyof E>(event: K, listener?: (...args: E[K]) => unknown): void {
    const isOther = (other: Registration<keyof E>): boolean =>
      other.event !== event || (listener !== undefined && other.listener !== (listener as Listener));
    this.#registrations = this.#registrations.filter(isOther);
  }

  /** Gives the listeners of an event one by one, each unless one of those before it has taken it back. */
  *of<K extends keyof E>(event: K): IterableIterator<(...args: E[K]) => unknown> {
    const registrations = this.#registrations;
    for (const registration of registrations) {
      if (registration.event !== event) continue;
      if (this.#registrations === registrations || this.#registrations.includes(registration)) {
        yield registration.listener;
      }
    }
  }

  /** Whether nobody listens to anything. */
  get isEmpty(): boolean {
    return this.#registrations.length === 0;
  }
}
