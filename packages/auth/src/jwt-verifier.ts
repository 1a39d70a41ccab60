/**
 * Verifies tokens and signs them: everything that is not about the live connection.
 *
 * @module
 */
import { InvalidMessageError, validate, report, type StandardSchemaV1 } from "@vel/core";
import { compactVerify, type CryptoKey } from "jose";
import type { Algorithm } from "./algorithm.ts";
import { parseToken } from "./compact-token.ts";
import { tokenError } from "./errors.ts";
import { tokenRules, type JwtOptions, type TokenRules } from "./jwt-options.ts";
import { keySource } from "./key-choice.ts";
import type { KeySource } from "./key-source.ts";
import type { SignOptions } from "./sign-options.ts";
import { signToken } from "./signing.ts";
import { claimsHold, isOfType } from "./token-claims.ts";
import type { JwtClaims, VerifiedToken } from "./verified-token.ts";

/** The tokens of one issuer. */
export class JwtVerifier<Claims = JwtClaims> {
  readonly #rules: TokenRules;
  readonly #keys: KeySource;
  readonly #schema: StandardSchemaV1<unknown, Claims> | undefined;

  /**
   * @throws {TypeError} When an option is of a wrong kind, an algorithm is unknown or does not fit its key, or there is
   * not exactly one of `secret`, `key` and `jwks`.
   * @throws {RangeError} When a secret or a key is too short, or a number is out of its range.
   */
  constructor(options: JwtOptions<Claims>) {
    this.#rules = tokenRules(options);
    this.#keys = keySource(options, this.#rules);
    this.#schema = options.claims;
  }

  /**
   * Verifies a token.
   *
   * @throws {VelError} `ERR_VEL_TOKEN`, with one text and without a cause whatever is wrong with it; `ERR_VEL_KEYS` when
   * there is no key to check it with, because none could be had.
   */
  async verify(token: string): Promise<VerifiedToken<Claims>> {
    const verified = await this.#check(token);
    if (!verified) throw tokenError();
    return verified;
  }

  /**
   * Signs a token that {@link JwtVerifier.verify} takes.
   *
   * @throws {TypeError} When the claims are no object, hold one that is for an option, or lack a required one.
   * @throws {RangeError} When a duration is out of its range, or the token would be too long.
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` when there is neither a secret nor a private key.
   */
  async sign(claims: object, options: SignOptions): Promise<string> {
    return signToken(claims, options, this.#keys, this.#rules);
  }

  /** Ends a fetch of keys that is running, and begins no more. */
  close(): void {
    this.#keys.close?.();
  }

  /** Undefined when something is wrong with it. From cheap to dear, and nothing is believed before the signature. */
  async #check(token: string): Promise<VerifiedToken<Claims> | undefined> {
    const parsed = parseToken(token);
    const alg = this.#rules.algorithms.find((name) => name === parsed?.header.alg);
    if (!parsed || !alg || !isOfType(parsed.header.typ, this.#rules.type)) return undefined;
    const { header, claims } = parsed;
    const keys = await this.#keys.find({ alg, kid: header.kid });
    if (!(await isSigned(token, alg, keys)) || !claimsHold(claims, this.#rules)) return undefined;
    const { iss, sub, jti, iat, exp = Infinity } = claims; // before a schema may change them
    const shaped = await this.#shape(claims);
    return (
      shaped && {
        claims: shaped.claims,
        issuer: iss,
        subject: sub,
        tokenId: jti,
        issuedAt: iat === undefined ? undefined : iat * 1_000,
        expiresAt: exp * 1_000,
      }
    );
  }

  /** Makes of the claims what the application's schema says; undefined when it refuses them. */
  async #shape(claims: JwtClaims): Promise<{ readonly claims: Claims } | undefined> {
    try {
      return { claims: this.#schema ? await validate(this.#schema, claims) : (claims as Claims) };
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) report(this.#rules.onError, error, { stage: "claims" });
      return undefined;
    }
  }
}

/** Tells whether one of the keys signed a token. A key that cannot be used has not. */
async function isSigned(token: string, alg: Algorithm, keys: readonly (CryptoKey | Uint8Array)[]): Promise<boolean> {
  for (const key of keys) {
    try {
      await compactVerify(token, key, { algorithms: [alg] });
      return true;
    } catch {
      // The next key, if there is one.
    }
  }
  return false;
}
