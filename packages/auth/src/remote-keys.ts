/**
 * A key set that is fetched and kept.
 *
 * @module
 */
import { report } from "@vel/core";
import type { CryptoKey } from "jose";
import { keysError } from "./errors.ts";
import type { RemoteKeysOptions, TokenRules } from "./jwt-options.ts";
import { KeyServer } from "./key-server.ts";
import { KeySet } from "./key-set.ts";
import type { KeyHint, KeySource } from "./key-source.ts";
import { positive, shown } from "./option-checks.ts";

/** The wait after the first failure, in milliseconds, while there are no keys at all. Doubles, up to the cooldown. */
const firstWait = 1_000;

/**
 * The keys of an issuer, fetched from its server.
 *
 * There is one fetch at a time, whoever waits for it. Keys that are there go on while new ones are fetched, and while
 * none can be: an outage of the issuer locks nobody out whose key is known.
 */
export class RemoteKeys implements KeySource {
  readonly #server: KeyServer;
  readonly #rules: TokenRules;
  readonly #cacheFor: number;
  readonly #cooldown: number;
  readonly #staleFor: number;
  #keys: KeySet;
  #loadedAt = -Infinity;
  /** No fetch begins before. */
  #restUntil = -Infinity;
  #failures = 0;
  #loading: Promise<void> | undefined;
  #isClosed = false;

  /**
   * @throws {TypeError} When the URL is none that may be fetched, or the headers are none.
   * @throws {RangeError} When a number is out of its range.
   */
  constructor(options: RemoteKeysOptions, rules: TokenRules) {
    const { cacheFor = 600_000, cooldown = 30_000, staleFor = 86_400_000 } = options;
    if (!(typeof staleFor === "number" && staleFor >= Math.max(cacheFor, cooldown))) {
      const text = "must be at least as long as cacheFor and cooldown";
      throw new RangeError(`Option "jwks.staleFor" ${text}, got ${shown(staleFor)}`);
    }
    this.#server = new KeyServer(options, rules);
    this.#rules = rules;
    this.#cacheFor = positive("jwks.cacheFor", cacheFor);
    this.#cooldown = positive("jwks.cooldown", cooldown);
    this.#staleFor = staleFor;
    this.#keys = new KeySet({ keys: [] }, rules.algorithms);
  }

  async find(hint: KeyHint): Promise<readonly CryptoKey[]> {
    if (this.#hasKeys) {
      const keys = await this.#keys.find(hint);
      if (keys.length > 0) {
        if (this.#age >= this.#cacheFor) void this.#refresh();
        return keys;
      }
    }
    await this.#refresh();
    if (!this.#hasKeys) throw keysError(this.#isClosed ? undefined : Math.ceil(this.#rest));
    return this.#keys.find(hint);
  }

  close(): void {
    this.#isClosed = true;
    this.#server.close();
  }

  /** Milliseconds since the last successful fetch. */
  get #age(): number {
    return this.#rules.clock.now() - this.#loadedAt;
  }

  get #hasKeys(): boolean {
    return this.#age < this.#staleFor;
  }

  /** Milliseconds until a fetch may begin. */
  get #rest(): number {
    return this.#restUntil - this.#rules.clock.now();
  }

  /** Joins the fetch that is running, or begins one if it is time. Never rejects. */
  #refresh(): Promise<void> | undefined {
    if (!this.#loading && this.#rest <= 0 && !this.#isClosed) {
      this.#loading = this.#load().finally(() => {
        this.#loading = undefined;
      });
    }
    return this.#loading;
  }

  async #load(): Promise<void> {
    const { clock, onError } = this.#rules;
    try {
      this.#keys = await this.#server.fetch();
      this.#loadedAt = clock.now();
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      if (!this.#isClosed) report(onError, error, { stage: "keys" });
    }
    const wait = this.#hasKeys ? this.#cooldown : Math.min(this.#cooldown, firstWait * 2 ** (this.#failures - 1));
    this.#restUntil = clock.now() + wait;
  }
}
