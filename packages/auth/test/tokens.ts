/**
 * Keys and tokens for the tests. Signed by `node:crypto`, so that what is tested is not what made them.
 */
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { JWK } from "jose";
import type { Algorithm } from "../src/algorithm.ts";

/** Long enough for each `HS*`. */
export const secret = "0123456789abcdef".repeat(4);

/** A key pair as `node:crypto` has it and as JWK. */
export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

function keyPair({ publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject }): KeyPair {
  const [publicJwk, privateJwk] = [publicKey, privateKey].map((key) => key.export({ format: "jwk" }) as JWK);
  return { publicKey, privateKey, publicJwk: publicJwk!, privateJwk: privateJwk! };
}

/** Makes a key pair for an algorithm. */
export function makeKeyPair(algorithm: Algorithm): KeyPair {
  if (/^(RS|PS)/.test(algorithm)) return keyPair(generateKeyPairSync("rsa", { modulusLength: 2_048 }));
  if (algorithm.startsWith("Ed")) return keyPair(generateKeyPairSync("ed25519"));
  const namedCurve = { ES256: "P-256", ES384: "P-384", ES512: "P-521" }[algorithm as "ES256"];
  return keyPair(generateKeyPairSync("ec", { namedCurve }));
}

const pairs = new Map<string, KeyPair>();

/** The key pair that the tests use for an algorithm: one for all of RSA, one for Ed25519. */
export function keyPairOf(algorithm: Algorithm): KeyPair {
  const kind = algorithm.replace(/^(RS|PS).*/, "RSA").replace(/^Ed.*/, "Ed");
  const pair = pairs.get(kind) ?? makeKeyPair(algorithm);
  pairs.set(kind, pair);
  return pair;
}

/** Each algorithm once. */
export const algorithms: readonly Algorithm[] = [
  ...(["HS256", "HS384", "HS512"] as const),
  ...(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const),
  ...(["ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const),
];

/** What signs the text of a token. */
export type Signer = (text: string) => Buffer;

/** Signs with a secret, or what somebody wants to pass for one. */
export function hmac(algorithm: "HS256" | "HS384" | "HS512", key: string | Uint8Array = secret): Signer {
  return (text) =>
    createHmac(`sha${algorithm.slice(2)}`, key)
      .update(text)
      .digest();
}

/** Signs with a private key. */
export function signer(algorithm: Algorithm, key: KeyObject = keyPairOf(algorithm).privateKey): Signer {
  const size = Number(algorithm.slice(2));
  const hash = algorithm.startsWith("Ed") ? null : `sha${size}`;
  const options = algorithm.startsWith("PS")
    ? { padding: 6, saltLength: size / 8 }
    : { dsaEncoding: "ieee-p1363" as const };
  return (text) => sign(hash, Buffer.from(text), { key, ...options });
}

/** Signs with the key that the tests use for an algorithm. */
export function signerOf(algorithm: Algorithm): Signer {
  return algorithm.startsWith("HS") ? hmac(algorithm as "HS256") : signer(algorithm);
}

/** Encodes base64url: bytes and texts as they are, other values as JSON. */
export function encode(value: unknown): string {
  const isRaw = typeof value === "string" || value instanceof Uint8Array;
  return Buffer.from(isRaw ? value : JSON.stringify(value)).toString("base64url");
}

/** Makes a token of whatever is given; see {@link encode} for what a text means. */
export function makeToken(header: unknown, claims: unknown, sign: Signer): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${sign(text).toString("base64url")}`;
}

/** When a `ManualClock` begins, in seconds. */
export const now = Date.parse("2026-01-01T00:00:00Z") / 1_000;

/** The claims of a good token for {@link now}. */
export const goodClaims = { sub: "ada", iat: now, exp: now + 60 } as const;

/** Makes a token that is good at {@link now}, but for what is changed. */
export function goodToken(algorithm: Algorithm, claims: object = {}, header: object = {}): string {
  return makeToken({ alg: algorithm, ...header }, { ...goodClaims, ...claims }, signerOf(algorithm));
}
