/**
 * Which source of keys the options ask for.
 *
 * @module
 */
import { isSymmetric } from "./algorithm.ts";
import { isObject } from "./compact-token.ts";
import type { KeyOptions, TokenRules } from "./jwt-options.ts";
import { KeySet } from "./key-set.ts";
import type { KeySource } from "./key-source.ts";
import { kindOf } from "./option-checks.ts";
import { RemoteKeys } from "./remote-keys.ts";
import { SecretKey } from "./secret-key.ts";
import { SingleKey } from "./single-key.ts";

/**
 * Makes the source of keys.
 *
 * @throws {TypeError} When there is not exactly one in the options, or it does not fit the algorithms.
 * @throws {RangeError} When a secret or a key is too short, or a number is out of its range.
 */
export function keySource({ secret, key, jwks }: KeyOptions, rules: TokenRules): KeySource {
  if ([secret, key, jwks].filter((each) => each !== undefined).length !== 1) {
    throw new TypeError('Options "secret", "key" and "jwks": exactly one of them must be given');
  }
  if (secret !== undefined) return new SecretKey(secret, rules.algorithms);
  return key === undefined ? keySet(jwks, rules) : new SingleKey(key, rules);
}

function keySet(jwks: Exclude<KeyOptions["jwks"], undefined>, rules: TokenRules): KeySource {
  const symmetric = rules.algorithms.find(isSymmetric);
  if (symmetric) throw new TypeError(`Option "jwks" must not go with ${symmetric}: its keys are public`);
  if (typeof jwks === "string" || jwks instanceof URL) return new RemoteKeys({ url: jwks }, rules);
  const given: unknown = jwks;
  if (!isObject(given)) {
    throw new TypeError(`Option "jwks" must be a key set, a URL or { url }, got ${kindOf(given)}`);
  }
  if ("url" in jwks) return new RemoteKeys(jwks, rules);
  const keys = new KeySet(jwks, rules.algorithms);
  if (keys.size === 0) throw new TypeError(`Option "jwks" must have a public key for ${rules.algorithms.join(" or ")}`);
  return keys;
}
