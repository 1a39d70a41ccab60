/**
 * Which API keys are good.
 *
 * @module
 */
import type { MaybePromise } from "@vel/core";
import { isData } from "./option-checks.ts";
import { digestSecret, equalSecrets } from "./secret.ts";

/** What is known of a key by its id. */
export interface FoundKey<D extends object> {
  /** What {@link digestSecret} made of the secret: what {@link generateApiKey} gave. */
  readonly digest: string;
  /** Becomes part of the data of requests and connections: an object, empty where there is nothing to tell. */
  readonly data: D;
}

/** What judges a key by itself. */
export type Verify<D extends object> = (key: string) => MaybePromise<D | boolean | undefined | null>;

/** Judges a key; undefined when it is not good. Data is undefined where none belongs to the key. */
export type KeyJudge<D extends object> = (key: string) => Promise<{ readonly data: D | undefined } | undefined>;

/** Tells whether a text can be a key: 1 to 512 visible ASCII characters. So two of one header, joined, are none. */
export function isKey(text: unknown): text is string {
  return typeof text === "string" && /^[\x21-\x7e]{1,512}$/.test(text);
}

/**
 * Judges by keys that are known beforehand. A key is compared with all of them, each time: how long that takes tells
 * neither which it was nor how much of it was right.
 *
 * @param compare For the tests, which count.
 * @throws {TypeError} When there is none, one of them could not be sent, or its data is no object. It says which, and not
 * what it is.
 */
export function knownKeys<D extends object>(
  keys: readonly string[] | ReadonlyMap<string, D>,
  compare: typeof equalSecrets = equalSecrets,
): KeyJudge<D> {
  if (!Array.isArray(keys) && !(keys instanceof Map)) {
    throw new TypeError(`Option "keys" must be a list or a Map, got ${typeof keys}`);
  }
  const entries: (readonly [string, D | undefined])[] = Array.isArray(keys)
    ? (keys as readonly string[]).map((key) => [key, undefined])
    : [...keys];
  if (entries.length === 0) throw new TypeError('Option "keys" must have a key, got none');
  const wrong = entries.findIndex(([key]) => !isKey(key));
  if (wrong >= 0) {
    throw new TypeError(`Option "keys" must have texts of 1 to 512 visible ASCII characters, number ${wrong} is none`);
  }
  const bare = keys instanceof Map ? entries.findIndex(([, data]) => !isData(data)) : -1;
  if (bare >= 0) throw new TypeError(`Option "keys" must have objects as data, that of number ${bare} is none`);
  const known = Promise.all(entries.map(async ([key, data]) => ({ digest: await digestSecret(key), data })));
  return async (key) => {
    const digest = await digestSecret(key);
    let found: { readonly data: D | undefined } | undefined;
    for (const each of await known) if (compare(each.digest, digest)) found = each;
    return found;
  };
}

/** What no secret has as its digest, as far as anybody knows. */
const noDigest = "A".repeat(43);

/**
 * Judges keys of the form `id.secret` by what is known of the id. An id that is not known costs the same comparison.
 *
 * @param compare For the tests, which count.
 */
export function foundKeys<D extends object>(
  find: (id: string) => MaybePromise<FoundKey<D> | undefined>,
  compare: typeof equalSecrets = equalSecrets,
): KeyJudge<D> {
  return async (key) => {
    const [, id, secret] = /^([^.]+)\.(.+)$/.exec(key) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const found = await find(id);
    if (found && !/^[\w-]{43}$/.test(found.digest)) {
      throw new TypeError('Option "find" must give a digest that digestSecret() made');
    }
    if (found && !isData(found.data)) throw new TypeError('Option "find" must give data that is an object');
    const isRight = compare(found?.digest ?? noDigest, await digestSecret(secret));
    return isRight ? found : undefined;
  };
}

/** Judges by the application's word: data, or true where there are none. Everything else refuses. */
export function judgedKeys<D extends object>(verify: Verify<D>): KeyJudge<D> {
  return async (key) => {
    const answer = await verify(key);
    if (answer === true) return { data: undefined };
    return isData(answer) ? { data: answer } : undefined;
  };
}
