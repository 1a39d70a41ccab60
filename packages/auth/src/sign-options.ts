/**
 * What is written into a token besides the application's claims.
 *
 * @module
 */

/** The registered claims of a token that is being signed. Durations are milliseconds from now. */
export interface SignOptions {
  /** How long the token is good: `exp`. Tokens count in seconds: rounded up to a whole one. */
  expiresIn: number;
  /** Whom the token is about: `sub`. */
  subject?: string;
  /** What tells the token from others: `jti`. Default: random. */
  tokenId?: string;
  /** When the token begins to be good: `nbf`. Default: at once. */
  notBefore?: number;
}
