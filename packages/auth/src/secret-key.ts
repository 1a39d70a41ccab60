/**
 * A secret that whoever signs and whoever verifies both know.
 *
 * @module
 */
import { isSymmetric, minSecretSize, type Algorithm } from "./algorithm.ts";
import type { KeySource } from "./key-source.ts";

/** A secret for `HS*`. Copied: who owns the bytes may wipe them. */
export class SecretKey implements KeySource {
  readonly signingKey: Uint8Array;

  /**
   * @throws {TypeError} When it is no text or bytes, or a public key in disguise, or an algorithm is not `HS*`.
   * @throws {RangeError} When it is shorter than the hash of an algorithm.
   */
  constructor(secret: string | Uint8Array, algorithms: readonly Algorithm[]) {
    if (typeof secret !== "string" && !(secret instanceof Uint8Array)) {
      throw new TypeError(`Option "secret" must be a text or a Uint8Array, got ${typeof secret}`);
    }
    const other = algorithms.find((name) => !isSymmetric(name));
    if (other) throw new TypeError(`Option "secret" must go with HS256, HS384 or HS512, got the algorithm ${other}`);
    this.signingKey = typeof secret === "string" ? new TextEncoder().encode(secret) : new Uint8Array(secret);
    // Everybody knows a public key: who signs with it by HMAC would be let in.
    if (new TextDecoder().decode(this.signingKey).includes("-----BEGIN")) {
      throw new TypeError('Option "secret" must be random bytes, got a key in PEM: see the option "key"');
    }
    const least = Math.max(...algorithms.map(minSecretSize));
    if (this.signingKey.length < least) {
      const size = this.signingKey.length;
      throw new RangeError(
        `Option "secret" must have ${least} bytes or more for ${algorithms.join(", ")}, got ${size}`,
      );
    }
  }

  find(): Promise<readonly Uint8Array[]> {
    return Promise.resolve([this.signingKey]);
  }
}
