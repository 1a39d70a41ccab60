/**
 * A store that may fail.
 *
 * @module
 */
import { isPromise, type MaybePromise } from "@vel/core";
import type { AttemptRate, LimitStore } from "./limit-store.ts";

/** Asks a store, and lets in for one that fails. Nothing throws or rejects. */
export class StoreAccess {
  readonly #store: LimitStore;
  readonly #onError: (error: unknown) => void;
  #failures = 0;
  /** Whether the last answer was none. */
  #isFailing = false;

  /** @param onError Is told why the store fails: once, until it works again. */
  constructor(store: LimitStore, onError: (error: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  /** How many calls have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Takes a place; undefined when the store fails. */
  take(key: string, limit: number): MaybePromise<number | undefined> {
    return this.#call<number | undefined>(() => this.#store.take(key, limit), undefined);
  }

  /** Gives a place back, some time. */
  release(key: string): void {
    void this.#call(() => this.#store.release(key), undefined);
  }

  /** Counts an attempt; 0 when the store fails. */
  attempt(key: string, rate: AttemptRate): MaybePromise<number> {
    return this.#call(() => this.#store.attempt(key, rate), 0);
  }

  #call<T>(call: () => MaybePromise<T>, otherwise: T): MaybePromise<T> {
    const work = (value: T): T => {
      this.#isFailing = false;
      return value;
    };
    const fail = (error: unknown): T => {
      this.#failures++;
      if (!this.#isFailing) this.#onError(error);
      this.#isFailing = true;
      return otherwise;
    };
    try {
      const value = call();
      return isPromise(value) ? Promise.resolve(value).then(work, fail) : work(value);
    } catch (error) {
      return fail(error);
    }
  }
}
