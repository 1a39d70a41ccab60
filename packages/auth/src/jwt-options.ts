/**
 * What the application says about the tokens that it accepts and signs, checked once at the door.
 *
 * @module
 */
import { logError, systemClock, type Clock, type ErrorContext, type StandardSchemaV1 } from "@vel/core";
import type { CryptoKey, JSONWebKeySet, JWK, KeyObject } from "jose";
import { checkAlgorithms, type Algorithm, type AlgorithmList } from "./algorithm.ts";
import { assertOptions, positive, shown } from "./option-checks.ts";
import type { JwtClaims } from "./verified-token.ts";

/** Which tokens are accepted, whatever key they are signed with. Durations are milliseconds. */
export interface JwtOptionsBase<Claims = JwtClaims> {
  /**
   * The algorithms that a token may be signed with: required, because a token must not choose how it is checked
   * (RFC 8725, section 3.1). {@link JwtHandler.sign} uses the first.
   */
  algorithms: readonly Algorithm[];
  /** Who makes the tokens: `iss` must be one of these. Default: not checked. `sign` writes the first. */
  issuer?: string | readonly string[];
  /**
   * Who the tokens are for: `aud` must hold one of these. `sign` writes the first. Default: none, and a token that is
   * for somebody is refused then (RFC 7519, section 4.1.3).
   */
  audience?: string | readonly string[];
  /** How far the issuer's clock may be off, for `exp`, `nbf` and `iat`. Default: 5,000. */
  clockTolerance?: number;
  /** The claims that a token must have, instead of the default `["sub", "exp"]`. */
  requiredClaims?: readonly string[];
  /**
   * The kind of token, its `typ` header, such as `at+jwt`: what keeps a refresh token from passing as an access token.
   * Compared as RFC 7515, section 4.1.9 says: without case and without `application/`. Default: not checked; `sign`
   * writes `JWT`.
   */
  type?: string;
  /** How old a token may be, by `iat`, which is required then. Default: no limit but `exp`. */
  maxTokenAge?: number;
  /** What checks the claims of the application, and makes of them what {@link JwtHandler.verify} resolves to. */
  claims?: StandardSchemaV1<unknown, Claims>;
  /** Default: the clock of the runtime. */
  clock?: Clock;
  /**
   * Is told when keys cannot be fetched (stage `keys`) and when the schema throws (stage `claims`); never of a token
   * that is not valid. Default: one line on `console.error`.
   */
  onError?: (error: unknown, context: ErrorContext) => unknown;
}

/** Keys that are fetched. Durations are milliseconds. */
export interface RemoteKeysOptions {
  /** Where the key set is. `https:`, or `http:` on a loopback host; without a user name and a password. */
  url: URL | string;
  /**
   * For how long keys are good without asking again. Then a verification starts a fetch in the background; nobody waits
   * for it. Default: 600,000, ten minutes.
   */
  cacheFor?: number;
  /**
   * The least time between two fetches for keys that are not in the set. So a token that is signed with a new key is
   * accepted 30 s after its key was published at the latest, and tokens with invented key ids cost one fetch in that
   * time. Default: 30,000.
   */
  cooldown?: number;
  /** How long a fetch may take, to the last byte: no verification waits longer. Default: 5,000. */
  timeout?: number;
  /** How many bytes a key set may have; the rest is not read. Default: 262,144. */
  maxSize?: number;
  /**
   * For how long after the last successful fetch keys stay good while none succeeds. Then tokens are refused with
   * `ERR_VEL_KEYS`. Default: 86,400,000, a day.
   */
  staleFor?: number;
  /** Headers to send, such as `authorization`. */
  headers?: Readonly<Record<string, string>>;
}

/** Where keys come from: exactly one of three. */
export type KeyOptions =
  | {
      /**
       * What both sides know, for `HS*`: at least 32, 48 or 64 bytes for HS256, HS384 and HS512. Random bytes, not a
       * pass phrase. A text stands for its UTF-8 bytes.
       */
      secret: string | Uint8Array;
      key?: never;
      jwks?: never;
    }
  | {
      /**
       * One key pair's public or private key. A private one can sign, too; one of Web Crypto must be extractable,
       * because its public part is what verifies.
       */
      key: CryptoKey | KeyObject | JWK;
      secret?: never;
      jwks?: never;
    }
  | {
      /** A key set, or where to fetch one: of an identity provider, say. The key of a token is found by its `kid`. */
      jwks: URL | string | JSONWebKeySet | RemoteKeysOptions;
      secret?: never;
      key?: never;
    };

/** Which tokens are accepted, and the keys that they are signed with. */
export type JwtOptions<Claims = JwtClaims> = JwtOptionsBase<Claims> & KeyOptions;

/** What holds for tokens: the options with the defaults filled in. */
export interface TokenRules {
  readonly algorithms: AlgorithmList;
  /** Empty where it is not checked. */
  readonly issuers: readonly string[];
  /** Empty where no token for somebody is accepted. */
  readonly audiences: readonly string[];
  readonly clockTolerance: number;
  readonly requiredClaims: readonly string[];
  readonly type: string | undefined;
  readonly maxTokenAge: number;
  readonly clock: Clock;
  readonly onError: (error: unknown, context: ErrorContext) => unknown;
}

/** The options that check something. One that came out undefined, of an unset variable say, would check nothing. */
const checks = ["issuer", "audience", "requiredClaims", "type", "maxTokenAge", "claims"] as const;

/**
 * Checks the options that are not about keys.
 *
 * @throws {TypeError} When one is of a wrong kind.
 * @throws {RangeError} When a number is out of its range.
 */
export function tokenRules(options: JwtOptionsBase<unknown>): TokenRules {
  assertOptions("JwtHandler", options);
  const unset = checks.find((name) => name in options && options[name] === undefined);
  if (unset) throw new TypeError(`Option "${unset}" must be left out where it shall check nothing, got undefined`);
  const { clockTolerance = 5_000, maxTokenAge = Infinity, clock = systemClock, onError = logError } = options;
  if (!(typeof clockTolerance === "number" && clockTolerance >= 0 && clockTolerance < Infinity)) {
    throw new RangeError(`Option "clockTolerance" must be 0 or more milliseconds, got ${shown(clockTolerance)}`);
  }
  const { issuer, audience, type, requiredClaims = ["sub", "exp"], claims } = options;
  if (claims !== undefined && !isSchema(claims)) {
    throw new TypeError('Option "claims" must be a Standard Schema: it has no "~standard".validate()');
  }
  return {
    algorithms: checkAlgorithms(options.algorithms),
    issuers: issuer === undefined ? [] : names("issuer", issuer),
    audiences: audience === undefined ? [] : names("audience", audience),
    clockTolerance,
    requiredClaims: names("requiredClaims", requiredClaims, 0),
    type: type === undefined ? undefined : names("type", type)[0],
    maxTokenAge: positive("maxTokenAge", maxTokenAge),
    clock,
    onError,
  };
}

/** Tells whether a value is a Standard Schema, which some libraries make functions. */
function isSchema(value: unknown): boolean {
  const { "~standard": standard } = Object(value) as { "~standard"?: { validate?: unknown } };
  return typeof standard?.validate === "function";
}

/** Makes a list of one name or several. An empty one, that something which is not set became, would check nothing. */
function names(option: string, value: string | readonly string[], least = 1): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length < least || !list.every((name) => typeof name === "string" && name !== "")) {
    throw new TypeError(
      `Option "${option}" must be a text or a list of texts, none empty, got ${JSON.stringify(value)}`,
    );
  }
  return [...list] as readonly string[];
}
