/**
 * What a token says once it was verified.
 *
 * @module
 */

/** The claims of a token (RFC 7519, section 4.1). Times are seconds since the epoch. */
export interface JwtClaims {
  readonly iss?: string;
  readonly sub?: string;
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly nbf?: number;
  readonly iat?: number;
  readonly jti?: string;
  readonly [claim: string]: unknown;
}

/** A token that was verified. `Claims` is what the application's schema made of its claims. */
export interface VerifiedToken<Claims = JwtClaims> {
  readonly claims: Claims;
  /** `iss`; undefined where it is not checked and not there. */
  readonly issuer: string | undefined;
  /** `sub`; undefined where the claim is not required and not there. */
  readonly subject: string | undefined;
  /** `jti`. */
  readonly tokenId: string | undefined;
  /** `iat` in milliseconds since the epoch. */
  readonly issuedAt: number | undefined;
  /** `exp` in milliseconds since the epoch; `Infinity` where the claim is not required and not there. */
  readonly expiresAt: number;
}
