/**
 * The public keys of an issuer (RFC 7517, section 5).
 *
 * @module
 */
import { createLocalJWKSet, errors, type CryptoKey, type JWK, type LocalJWKSet } from "jose";
import { jwkFits, type Algorithm } from "./algorithm.ts";
import type { KeyHint, KeySource } from "./key-source.ts";

/** The most keys of a set. A token without a `kid` may be tried on each. */
const maxKeys = 100;

/** A key set in memory. */
export class KeySet implements KeySource {
  /** How many keys may verify a token. */
  readonly size: number;
  readonly #choose: LocalJWKSet;

  /**
   * Takes the keys that fit an algorithm. Others are ignored: secrets and private keys, which have no business in a set,
   * keys for encryption, and what is no key at all.
   *
   * @throws {TypeError} When it is no key set, or one with too many keys.
   */
  constructor(set: unknown, algorithms: readonly Algorithm[]) {
    const keys = (set as { keys?: unknown } | null | undefined)?.keys;
    if (!Array.isArray(keys) || keys.length > maxKeys) {
      throw new TypeError(`Key set must have a list "keys" of at most ${maxKeys}`);
    }
    const usable = keys.filter((key) => isPublicKey(key) && algorithms.some((name) => jwkFits(name, key)));
    this.size = usable.length;
    this.#choose = createLocalJWKSet({ keys: usable as JWK[] });
  }

  /** Finds the key with the `kid` of a token; for a token without one, all that fit its algorithm. */
  async find({ alg, kid }: KeyHint): Promise<readonly CryptoKey[]> {
    try {
      return [await this.#choose(kid === undefined ? { alg } : { alg, kid })];
    } catch (error) {
      const keys: CryptoKey[] = [];
      if (error instanceof errors.JWKSMultipleMatchingKeys) for await (const key of error) keys.push(key);
      return keys;
    }
  }
}

function isPublicKey(key: unknown): key is JWK {
  if (typeof key !== "object" || key === null) return false;
  const { d, use = "sig" } = key as JWK;
  return d === undefined && use === "sig";
}
