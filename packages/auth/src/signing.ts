/**
 * Makes tokens.
 *
 * @module
 */
import { randomId, VelError } from "@vel/core";
import { CompactSign } from "jose";
import { isObject, maxTokenSize, parseToken } from "./compact-token.ts";
import type { TokenRules } from "./jwt-options.ts";
import type { KeySource } from "./key-source.ts";
import { assertOptions, shown } from "./option-checks.ts";
import type { SignOptions } from "./sign-options.ts";
import { hasClaim, lastDate } from "./token-claims.ts";

/** The claims that only options set. */
const registered: readonly string[] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/**
 * Signs a token that passes the rules.
 *
 * @throws {TypeError} When the claims are no object, hold a registered one, lack a required one, or are no JSON.
 * @throws {RangeError} When a duration is out of its range, or the token would be too long.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when there is nothing to sign with.
 */
export async function signToken(
  claims: object,
  options: SignOptions,
  { signingKey, keyId }: KeySource,
  rules: TokenRules,
): Promise<string> {
  if (!signingKey)
    throw new VelError("ERR_VEL_UNSUPPORTED", "Cannot sign: there is neither a secret nor a private key");
  const payload = { ...checkClaims(claims), ...registeredClaims(options, rules) };
  const missing = rules.requiredClaims.find((name) => !hasClaim(payload, name));
  if (missing !== undefined) throw new TypeError(`Claim "${missing}" is required, and the token would have none`);
  const header = { alg: rules.algorithms[0], typ: rules.type ?? "JWT", ...(keyId !== undefined && { kid: keyId }) };
  const bytes = new TextEncoder().encode(JSON.stringify(payload));
  const token = await new CompactSign(bytes).setProtectedHeader(header).sign(signingKey);
  if (token.length > maxTokenSize) {
    throw new RangeError(`Token must have at most ${maxTokenSize} bytes, its claims make it ${token.length}`);
  }
  if (!parseToken(token)) throw new TypeError("Claims must be JSON that core takes: not too deep, no __proto__");
  return token;
}

/** Takes the claims as JSON writes them, so that what was checked is what is signed. */
function checkClaims(claims: object): Record<string, unknown> {
  const { written } = JSON.parse(JSON.stringify({ written: claims })) as { written: unknown };
  if (!isObject(written)) throw new TypeError("Claims must be an object");
  const taken = registered.find((name) => Object.hasOwn(written, name));
  if (taken !== undefined) throw new TypeError(`Claim "${taken}" is set by options only`);
  return written;
}

/** Tokens count in whole seconds: the end is rounded up, so that none ends before it was said to. */
function registeredClaims(options: SignOptions, { issuers, audiences, clock }: TokenRules): Record<string, unknown> {
  assertOptions("sign()", options);
  const { expiresIn, subject, tokenId = randomId(), notBefore } = options;
  const now = clock.wall();
  if (!(typeof expiresIn === "number" && expiresIn > 0 && now + expiresIn <= lastDate * 1_000)) {
    throw new RangeError(`Option "expiresIn" must be a positive number of milliseconds, got ${shown(expiresIn)}`);
  }
  const isBegun = typeof notBefore === "number" && notBefore >= 0 && notBefore < expiresIn;
  if (notBefore !== undefined && !isBegun) {
    throw new RangeError(`Option "notBefore" must be 0 or more and less than expiresIn, got ${shown(notBefore)}`);
  }
  for (const [name, value] of Object.entries({ subject, tokenId })) {
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      throw new TypeError(`Option "${name}" must be a text that is not empty, got ${JSON.stringify(value)}`);
    }
  }
  return {
    iss: issuers[0],
    sub: subject,
    aud: audiences[0],
    exp: Math.ceil((now + expiresIn) / 1_000),
    nbf: notBefore === undefined ? undefined : Math.floor((now + notBefore) / 1_000),
    iat: Math.floor(now / 1_000),
    jti: tokenId,
  };
}
