/**
 * One asymmetric key, given by the application.
 *
 * @module
 */
import { report } from "@vel/core";
import { base64url, exportJWK, importJWK, type CryptoKey, type JWK, type KeyObject } from "jose";
import { cryptoKeyFits, isSymmetric, jwkFits, minRsaBits, type Algorithm } from "./algorithm.ts";
import { keysError } from "./errors.ts";
import type { TokenRules } from "./jwt-options.ts";
import type { KeyHint, KeySource } from "./key-source.ts";

/** A public key, or a private one: that signs, and its public part verifies. */
export class SingleKey implements KeySource {
  readonly signingKey: CryptoKey | JWK | undefined;
  readonly keyId: string | undefined;
  readonly #key: CryptoKey | JWK;
  readonly #onError: TokenRules["onError"];
  readonly #verifying = new Map<Algorithm, Promise<readonly CryptoKey[]>>();

  /**
   * @throws {TypeError} When it is no asymmetric key, does not fit an algorithm, or may not be used for signatures.
   * @throws {RangeError} When it is an RSA key of less than 2,048 bits.
   */
  constructor(key: CryptoKey | KeyObject | JWK, { algorithms, onError }: TokenRules) {
    if (isCryptoKey(key)) {
      assertFits(algorithms, (algorithm) => cryptoKeyFits(algorithm, key));
      assertUsable(key);
      this.#key = key;
      this.signingKey = key.type === "private" ? key : undefined;
    } else {
      const jwk = jwkOf(key);
      assertFits(algorithms, (algorithm) => jwkFits(algorithm, jwk));
      if (jwk.kty === "RSA") assertLongEnough(base64url.decode(jwk.n ?? "").length * 8);
      this.#key = pick(jwk, publicMembers);
      this.signingKey = jwk.d === undefined ? undefined : pick(jwk, [...publicMembers, ...privateMembers]);
      this.keyId = typeof jwk.kid === "string" ? jwk.kid : undefined;
    }
    this.#onError = onError;
  }

  /** Makes the key ready for an algorithm, once. What cannot be made ready is told once, too. */
  find({ alg }: KeyHint): Promise<readonly CryptoKey[]> {
    let ready = this.#verifying.get(alg);
    if (!ready) this.#verifying.set(alg, (ready = this.#import(alg)));
    return ready;
  }

  async #import(algorithm: Algorithm): Promise<readonly CryptoKey[]> {
    try {
      const key = this.#key;
      if (isCryptoKey(key) && key.type === "public") return [key];
      const jwk = isCryptoKey(key) ? pick(await exportJWK(key), publicMembers) : key;
      return [(await importJWK(jwk, algorithm)) as CryptoKey];
    } catch (error) {
      report(this.#onError, error, { stage: "keys" });
      throw keysError();
    }
  }
}

/** What keys are made of (RFC 7518, section 6; RFC 8037, section 2). What else a JWK says is not for Web Crypto. */
const publicMembers = ["kty", "crv", "x", "y", "n", "e"] as const;
const privateMembers = ["d", "p", "q", "dp", "dq", "qi"] as const;

function pick(jwk: JWK, members: readonly (keyof JWK)[]): JWK {
  return Object.fromEntries(members.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]));
}

function isCryptoKey(key: CryptoKey | KeyObject | JWK): key is CryptoKey {
  return Object.prototype.toString.call(key) === "[object CryptoKey]";
}

/** Reads a JWK, or makes one of a key of `node:crypto`, told by its shape: not every runtime has that module. */
function jwkOf(key: KeyObject | JWK): JWK {
  if (Object.prototype.toString.call(key) === "[object KeyObject]") {
    return (key as unknown as { export(options: { format: "jwk" }): JWK }).export({ format: "jwk" });
  }
  if (typeof key !== "object" || (key as unknown) === null) {
    throw new TypeError(`Option "key" must be a CryptoKey, a KeyObject or a JWK, got a ${typeof key}`);
  }
  const { use, key_ops: operations } = key as JWK;
  const isForSignatures = operations === undefined || operations.includes("verify") || operations.includes("sign");
  if ((use !== undefined && use !== "sig") || !isForSignatures) {
    throw new TypeError('Option "key" must be for signatures, by its "use" and its "key_ops"');
  }
  return key as JWK;
}

function assertFits(algorithms: readonly Algorithm[], fits: (algorithm: Algorithm) => boolean): void {
  const other = algorithms.find((algorithm) => isSymmetric(algorithm) || !fits(algorithm));
  if (other) throw new TypeError(`Option "key" must fit each of the algorithms, it does not fit ${other}`);
}

function assertUsable({ algorithm, extractable, type, usages }: CryptoKey): void {
  if (!usages.includes(type === "private" ? "sign" : "verify")) {
    throw new TypeError(`Option "key" must be for signatures, its usages are ${usages.join(", ") || "none"}`);
  }
  if (type === "private" && !extractable) {
    throw new TypeError('Option "key" must be extractable where it is private: its public part verifies');
  }
  const { modulusLength } = algorithm as { modulusLength?: number };
  if (modulusLength !== undefined) assertLongEnough(modulusLength);
}

function assertLongEnough(bits: number): void {
  if (bits < minRsaBits) {
    throw new RangeError(`Option "key" must have ${minRsaBits} bits or more where it is an RSA key, got ${bits}`);
  }
}
