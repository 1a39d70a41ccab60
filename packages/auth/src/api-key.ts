/**
 * A guard for programs that have a key.
 *
 * @module
 */
import type { MaybePromise, ProvidingGuard } from "@vel/core";
import type { RefuseOption } from "./guard-options.ts";
import { foundKeys, isKey, judgedKeys, knownKeys, type FoundKey, type KeyJudge, type Verify } from "./key-judge.ts";
import { assertOptions, kindOf } from "./option-checks.ts";
import { refuser } from "./refusal.ts";

/** Where keys are known: exactly one of three. */
export type ApiKeySource<D extends object> =
  | {
      /** The keys themselves, copied; those of a Map with the data that becomes part of the connection's. */
      keys: readonly string[] | ReadonlyMap<string, D>;
      find?: never;
      verify?: never;
    }
  | {
      /** Finds what is kept of a key by its id, for keys of the form `id.secret`, see {@link generateApiKey}. */
      find: (id: string) => MaybePromise<FoundKey<D> | undefined>;
      keys?: never;
      verify?: never;
    }
  | {
      /**
       * Judges a key by itself, and gives the data of its owner, an object, or true where there is none to give. Everything
       * else refuses the key.
       */
      verify: Verify<D>;
      keys?: never;
      find?: never;
    };

/** Settings of {@link apiKey}. */
export type ApiKeyOptions<D extends object> = ApiKeySource<D> & {
  /** The header that has the key. Default: `x-api-key`. */
  header?: string;
  /** Default: `reject`. */
  refuse?: RefuseOption;
};

/**
 * Makes a guard that lets in who has a key, in a header: for programs, since browsers cannot set one. Keys have at most
 * 512 characters, visible ASCII all of them.
 *
 * Keys are compared by their SHA-256, without an early end. That is enough for random keys, such as
 * {@link generateApiKey} makes; words can be guessed.
 *
 * @throws {TypeError} When there is not exactly one of `keys`, `find` and `verify`, a key could not be sent, or another
 * option is of a wrong kind.
 * @example
 * import assert from "node:assert/strict";
 * import { apiKey, generateApiKey } from "@vel/auth";
 * import { createVel } from "@vel/core";
 * import { connect } from "@vel/testing";
 *
 * const { id, key, digest } = await generateApiKey();
 * const table = new Map([[id, { digest, data: { program: "billing" } }]]);
 *
 * const vel = createVel();
 * const programs = vel.with(apiKey({ find: (wanted) => table.get(wanted) }));
 * programs.websocket("/ws", { open: (connection) => connection.send(connection.data.program) });
 * const client = await connect(vel, "/ws", { headers: { "x-api-key": key } });
 * assert.equal(await client.receiveText(), "billing");
 */
export function apiKey<D extends object>(options: ApiKeyOptions<D>): ProvidingGuard<unknown, D> {
  assertOptions("apiKey()", options);
  const { header = "x-api-key" } = options;
  if (typeof header !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(header)) {
    throw new TypeError(`Option "header" must be the name of a header, got ${JSON.stringify(header)}`);
  }
  const refuse = refuser(options.refuse, "ApiKey");
  const judge = judgeOf(options);
  return async (request) => {
    const key = request.headers.get(header);
    if (key === null || key === "") return refuse(request, "missing");
    const found = isKey(key) ? await judge(key) : undefined;
    if (!found) return refuse(request, "invalid");
    return found.data === undefined ? {} : { data: found.data };
  };
}

function judgeOf<D extends object>(options: ApiKeyOptions<D>): KeyJudge<D> {
  const { keys, find, verify } = options;
  const given = [keys, find, verify].filter((option) => option !== undefined);
  if (given.length !== 1) throw new TypeError('Exactly one of the options "keys", "find" and "verify" must be given');
  if (keys !== undefined) return knownKeys(keys);
  for (const [name, option] of Object.entries({ find, verify })) {
    if (option !== undefined && typeof option !== "function") {
      throw new TypeError(`Option "${name}" must be a function, got ${kindOf(option)}`);
    }
  }
  return find === undefined ? judgedKeys(verify) : foundKeys(find);
}
