/**
 * Whether memory is short.
 *
 * @module
 */
import type { MemorySettings } from "./pool-options.ts";

/**
 * Tells whether memory is short, with two bounds: a process gives memory back late and in part, so that one bound would
 * be crossed back and forth all the time.
 */
export class MemoryWatch {
  readonly #settings: MemorySettings;
  readonly #onError: (error: unknown) => void;
  #isShort = false;
  /** Whether the last sample was none. */
  #isBlind = false;

  /** @param onError Is told why there is no sample: once, until there is one again. */
  constructor(settings: MemorySettings, onError: (error: unknown) => void) {
    this.#settings = settings;
    this.#onError = onError;
  }

  /** Whether memory was short at the last look. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Takes a sample and judges by it; without one, memory is not short. */
  look(): boolean {
    const { high, low } = this.#settings;
    const bytes = this.#read();
    this.#isShort = bytes > high || (this.#isShort && bytes >= low);
    return this.#isShort;
  }

  /** Forgets that memory was short. */
  reset(): void {
    this.#isShort = false;
  }

  /** The bytes in use; NaN when that is not known. */
  #read(): number {
    try {
      const bytes = this.#settings.sample();
      if (!(Number.isFinite(bytes) && bytes >= 0)) {
        throw new TypeError(`Option "memory.sample" must return a number of bytes, got ${String(bytes)}`);
      }
      this.#isBlind = false;
      return bytes;
    } catch (error) {
      if (!this.#isBlind) this.#onError(error);
      this.#isBlind = true;
      return NaN;
    }
  }
}
