/**
 * Whether what a token says holds: of what kind it is, who made it, for whom, and when.
 *
 * @module
 */
import type { TokenRules } from "./jwt-options.ts";
import type { JwtClaims } from "./verified-token.ts";

/** Tells whether a `typ` header names a type of token; any does where none is asked for. */
export function isOfType(typ: string | undefined, type: string | undefined): boolean {
  return type === undefined || (typ !== undefined && shortType(typ) === shortType(type));
}

/** Media types have no case, and `application/` may be left out (RFC 7515, section 4.1.9). */
function shortType(type: string): string {
  return type.toLowerCase().replace(/^application\/(?=[^/]*$)/, "");
}

/** Tells whether claims are of their types (RFC 7519, section 4.1) and as the rules want them. */
export function claimsHold(claims: Readonly<Record<string, unknown>>, rules: TokenRules): claims is JwtClaims {
  return (
    areTyped(claims) &&
    rules.requiredClaims.every((name) => hasClaim(claims, name)) &&
    isFrom(claims.iss, rules.issuers) &&
    isFor(claims.aud, rules.audiences) &&
    isTimely(claims, rules)
  );
}

/** Tells whether a claim says something. */
export function hasClaim(claims: Readonly<Record<string, unknown>>, name: string): boolean {
  return Object.hasOwn(claims, name) && claims[name] !== undefined && claims[name] !== null;
}

function areTyped(claims: Readonly<Record<string, unknown>>): claims is JwtClaims {
  const { iss, sub, jti, aud, exp, nbf, iat } = claims as Readonly<Record<keyof JwtClaims, unknown>>;
  return (
    [iss, sub, jti].every((value) => value === undefined || isText(value)) &&
    [exp, nbf, iat].every((value) => value === undefined || isDate(value)) &&
    (aud === undefined || isText(aud) || (Array.isArray(aud) && aud.every(isText)))
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0;
}

/** The last second that a `Date` can tell. JSON can write more than that, `1e999` is Infinity. */
export const lastDate = 8.64e12;

function isDate(value: unknown): boolean {
  return typeof value === "number" && Math.abs(value) <= lastDate;
}

function isFrom(iss: string | undefined, issuers: readonly string[]): boolean {
  return issuers.length === 0 || (iss !== undefined && issuers.includes(iss));
}

/** A token for somebody is refused by who has no name (RFC 7519, section 4.1.3). */
function isFor(aud: string | readonly string[] | undefined, audiences: readonly string[]): boolean {
  if (aud === undefined) return audiences.length === 0;
  return (typeof aud === "string" ? [aud] : aud).some((each) => audiences.includes(each));
}

function isTimely({ exp = Infinity, nbf = -Infinity, iat }: JwtClaims, rules: TokenRules): boolean {
  const now = rules.clock.wall();
  const { clockTolerance, maxTokenAge } = rules;
  if (now >= exp * 1_000 + clockTolerance || now < nbf * 1_000 - clockTolerance) return false;
  if (iat === undefined) return maxTokenAge === Infinity;
  const age = now - iat * 1_000;
  return age >= -clockTolerance && age <= maxTokenAge + clockTolerance;
}
