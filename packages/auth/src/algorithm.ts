/**
 * The algorithms that a token may be signed with, and which key fits which of them.
 *
 * @module
 */
import type { CryptoKey, JWK } from "jose";

/**
 * An algorithm that signs tokens: HMAC with a secret (`HS*`), RSA (`RS*`, `PS*`), ECDSA (`ES*`), or Ed25519 under its two
 * names. Never `none`.
 */
export type Algorithm =
  | ("HS256" | "HS384" | "HS512")
  | ("RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512")
  | ("ES256" | "ES384" | "ES512")
  | ("EdDSA" | "Ed25519");

/** What an algorithm needs of its key (RFC 7518, section 3.1; RFC 8037; RFC 9864), in the words of JWK and of Web Crypto. */
interface KeyNeeds {
  readonly kty: "oct" | "RSA" | "EC" | "OKP";
  /** The curve, where the type alone does not say it. */
  readonly crv?: string;
  /** `CryptoKey.algorithm.name`. */
  readonly name: string;
  /** `CryptoKey.algorithm.hash.name`: Web Crypto ties some keys to one. */
  readonly hash?: string;
  /** The least length of a secret in bytes: that of the hash (RFC 7518, section 3.2). */
  readonly secretSize?: number;
}

const needs: Readonly<Record<Algorithm, KeyNeeds>> = {
  HS256: { kty: "oct", name: "HMAC", secretSize: 32 },
  HS384: { kty: "oct", name: "HMAC", secretSize: 48 },
  HS512: { kty: "oct", name: "HMAC", secretSize: 64 },
  RS256: { kty: "RSA", name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  RS384: { kty: "RSA", name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" },
  RS512: { kty: "RSA", name: "RSASSA-PKCS1-v1_5", hash: "SHA-512" },
  PS256: { kty: "RSA", name: "RSA-PSS", hash: "SHA-256" },
  PS384: { kty: "RSA", name: "RSA-PSS", hash: "SHA-384" },
  PS512: { kty: "RSA", name: "RSA-PSS", hash: "SHA-512" },
  ES256: { kty: "EC", crv: "P-256", name: "ECDSA" },
  ES384: { kty: "EC", crv: "P-384", name: "ECDSA" },
  ES512: { kty: "EC", crv: "P-521", name: "ECDSA" },
  EdDSA: { kty: "OKP", crv: "Ed25519", name: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519", name: "Ed25519" },
};

/** How many bits an RSA key must have at least (RFC 7518, section 3.3). */
export const minRsaBits = 2_048;

/** Algorithms that are allowed; the first one signs. */
export type AlgorithmList = readonly [Algorithm, ...Algorithm[]];

/**
 * Checks the list of the algorithms that are allowed.
 *
 * @throws {TypeError} When it is empty, or has one that is unknown: `none` is, however it is written.
 */
export function checkAlgorithms(given: unknown): AlgorithmList {
  const names: readonly unknown[] = Array.isArray(given) ? given : [];
  if (names.length === 0 || !names.every(isAlgorithm)) {
    const known = Object.keys(needs).join(", ");
    throw new TypeError(`Option "algorithms" must be a list of some of ${known}, got ${JSON.stringify(given)}`);
  }
  return [...names] as unknown as AlgorithmList;
}

/** Tells whether a name is that of an algorithm. */
function isAlgorithm(name: unknown): name is Algorithm {
  return typeof name === "string" && Object.hasOwn(needs, name);
}

/** Tells whether an algorithm signs with a secret that both sides know. */
export function isSymmetric(algorithm: Algorithm): boolean {
  return needs[algorithm].kty === "oct";
}

/** How many bytes the secret of an algorithm must have at least; 0 for one that uses none. */
export function minSecretSize(algorithm: Algorithm): number {
  const { secretSize = 0 } = needs[algorithm];
  return secretSize;
}

/** Tells whether a JWK is what an algorithm needs. */
export function jwkFits(algorithm: Algorithm, jwk: JWK): boolean {
  const { kty, crv } = needs[algorithm];
  return jwk.kty === kty && (crv === undefined || jwk.crv === crv) && (jwk.alg === undefined || jwk.alg === algorithm);
}

/** Tells whether a key of Web Crypto is what an algorithm needs. */
export function cryptoKeyFits(algorithm: Algorithm, key: CryptoKey): boolean {
  const { name, crv, hash } = needs[algorithm];
  const given = key.algorithm as { name: string; namedCurve?: string; hash?: { name: string } };
  return given.name === name && given.hash?.name === hash && (given.namedCurve ?? crv) === crv;
}
