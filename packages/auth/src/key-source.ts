/**
 * Where the keys of tokens come from.
 *
 * @module
 */
import type { CryptoKey, JWK } from "jose";
import type { Algorithm } from "./algorithm.ts";

/** What a token says of its key. */
export interface KeyHint {
  readonly alg: Algorithm;
  readonly kid: string | undefined;
}

/** Finds the keys that tokens are checked with, and knows the one that signs. */
export interface KeySource {
  /**
   * Finds the keys that a token may be signed with; none when there is no such key.
   *
   * @throws {VelError} `ERR_VEL_KEYS` when there are no keys to look among.
   */
  find(hint: KeyHint): Promise<readonly (CryptoKey | Uint8Array)[]>;
  /** What signs; undefined where keys only verify. */
  readonly signingKey?: CryptoKey | JWK | Uint8Array | undefined;
  /** The `kid` of what signs. */
  readonly keyId?: string | undefined;
  /** Ends what is being fetched, and fetches no more. */
  close?(): void;
}
