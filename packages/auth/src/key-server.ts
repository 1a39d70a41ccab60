/**
 * The server that an issuer's key set is fetched from.
 *
 * @module
 */
import { jsonCodec, VelError, type Codec } from "@vel/core";
import type { AuthErrorCode } from "./errors.ts";
import type { RemoteKeysOptions, TokenRules } from "./jwt-options.ts";
import { KeySet } from "./key-set.ts";
import { positive } from "./option-checks.ts";

/** Members of all keys together: a hundred keys have fewer. */
const maxMembers = 5_000;

/** Fetches over `https:`, in bounded time and space. Trusts the server with its keys, not with our memory. */
export class KeyServer {
  readonly #url: URL;
  readonly #headers: Headers;
  readonly #timeout: number;
  readonly #maxSize: number;
  readonly #json: Codec;
  readonly #rules: TokenRules;
  #abort = new AbortController();

  /**
   * @throws {TypeError} When the URL is none that may be fetched, or the headers are none.
   * @throws {RangeError} When a number is out of its range.
   */
  constructor({ url, headers, timeout = 5_000, maxSize = 262_144 }: RemoteKeysOptions, rules: TokenRules) {
    this.#url = checkUrl(url);
    this.#headers = checkHeaders(headers);
    this.#timeout = positive("jwks.timeout", timeout);
    this.#maxSize = positive("jwks.maxSize", maxSize);
    this.#json = jsonCodec({ size: maxSize, keys: maxMembers });
    this.#rules = rules;
  }

  /**
   * Fetches the key set.
   *
   * @throws {VelError} `ERR_VEL_KEYS`, whatever went wrong; says what.
   */
  async fetch(): Promise<KeySet> {
    const { algorithms, clock } = this.#rules;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => {
      abort.abort(new Error(`No answer within ${this.#timeout} ms`));
    }, this.#timeout);
    this.#abort = abort;
    try {
      const response = await fetch(this.#url, { headers: this.#headers, redirect: "error", signal: abort.signal });
      if (response.status !== 200 || !response.body) throw new Error(`Got status ${response.status}`);
      const text = utf8.decode(await read(response.body, this.#maxSize));
      return new KeySet(this.#json.decode(text), algorithms);
    } catch (error) {
      const { origin, pathname } = this.#url;
      const text = `Cannot fetch keys of ${origin}${pathname}: ${this.#describe(error)}`;
      throw new VelError<AuthErrorCode>("ERR_VEL_KEYS", text);
    } finally {
      clock.clearTimeout(timer);
      abort.abort(); // whatever was not read is not wanted
    }
  }

  /**
   * Says what went wrong and what was behind it, as fetch itself only says that it failed. Without the query of the URL,
   * which runtimes show and which may hold a credential; so there is no `cause` either.
   */
  #describe(error: unknown): string {
    const { message, cause } = error as Error;
    const text = cause instanceof Error ? `${message}: ${cause.message}` : message;
    return text.replaceAll(this.#url.search, "");
  }

  /** Ends the fetch that is running. */
  close(): void {
    this.#abort.abort(new Error("Closed"));
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Reads a body to its end. @throws When it is too large: the rest is not read then. */
async function read(body: ReadableStream<Uint8Array>, maxSize: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > maxSize) throw new Error(`Got more than ${maxSize} bytes`);
    chunks.push(next.value);
  }
  const bytes = new Uint8Array(size);
  for (const chunk of chunks.toReversed()) bytes.set(chunk, (size -= chunk.length));
  return bytes;
}

/** Hosts whose traffic does not leave the machine. */
const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

function checkUrl(url: URL | string): URL {
  const checked = URL.canParse(String(url)) ? new URL(String(url)) : undefined;
  const isSafe = checked?.protocol === "https:" || (checked?.protocol === "http:" && loopback.test(checked.hostname));
  // An origin has no user name and no password. Not shown: it may have one.
  if (!checked || !isSafe || !checked.href.startsWith(`${checked.origin}/`)) {
    throw new TypeError(
      'Option "jwks.url" must be an https: URL, or an http: one on a loopback host, without a password',
    );
  }
  return checked;
}

function checkHeaders(given: RemoteKeysOptions["headers"]): Headers {
  try {
    const headers = new Headers(given);
    if (!headers.has("accept")) headers.set("accept", "application/jwk-set+json, application/json");
    return headers;
  } catch {
    // The runtime's own error shows the value.
    throw new TypeError('Option "jwks.headers" must be names and values of headers');
  }
}
