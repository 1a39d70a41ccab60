/**
 * What is written in a token, before anybody has checked the signature.
 *
 * @module
 */
import { jsonCodec } from "@vel/core";
import { base64url } from "jose";

/** The longest token in bytes. Many proxies take no longer line of a header either. */
export const maxTokenSize = 8_192;

/** The longest `kid`: a hash, a URL and the name of a cloud's key fit. */
const maxKeyIdSize = 256;

/** What a header says that is used. What brings a key along (`jwk`, `jku`, `x5c`, `x5u`) goes no further than here. */
interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
  readonly typ: string | undefined;
}

/** A token in its two readable parts. Nothing of it is true yet. */
export interface CompactToken {
  readonly header: TokenHeader;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Reads a token (RFC 7515, section 7.1); undefined when it is none.
 *
 * Every token has one spelling here: base64url without padding, with nothing around it and no unused bit set. So two
 * texts are never the same token, and whoever remembers one, to revoke it say, need not think of its twins.
 */
export function parseToken(token: unknown): CompactToken | undefined {
  if (typeof token !== "string" || token.length > maxTokenSize) return undefined;
  const [first, second, third, ...rest] = token.split(".").map(decode);
  if (!first || !second || !third || third.length === 0 || rest.length > 0) return undefined;
  const header = parseHeader(parseObject(first));
  const claims = header && parseObject(second);
  return claims && { header, claims };
}

function parseHeader(header: Readonly<Record<string, unknown>> | undefined): TokenHeader | undefined {
  if (!header) return undefined;
  // Extensions that must be understood: none is here (RFC 7515, section 4.1.11). `b64` changes what is signed, `enc` and
  // `zip` are of encrypted tokens, whose keys and sizes are for the sender to choose.
  if (["crit", "b64", "enc", "zip"].some((name) => Object.hasOwn(header, name))) return undefined;
  const { alg, kid, typ } = header;
  if (typeof alg !== "string") return undefined;
  if (kid !== undefined && !(typeof kid === "string" && kid.length <= maxKeyIdSize)) return undefined;
  if (typ !== undefined && typeof typ !== "string") return undefined;
  return { alg, kid, typ };
}

/** Decodes base64url; undefined unless it is spelled as {@link parseToken} says. */
function decode(part: string): Uint8Array | undefined {
  try {
    const bytes = base64url.decode(part);
    return base64url.encode(bytes) === part ? bytes : undefined;
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const json = jsonCodec({ size: maxTokenSize });

/** Reads a JSON object within core's bounds, so without a key that would reach a prototype; undefined if it is none. */
function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = utf8.decode(bytes);
    const value = json.decode(text);
    return isObject(value) && !hasTwins(text, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Tells whether an object in a JSON text has two members of one name. JSON.parse keeps the last; who signed it, or a
 * proxy before us, may have looked at the first.
 */
function hasTwins(text: string, value: unknown): boolean {
  const written = text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
  return written !== countMembers(value);
}

function countMembers(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const children: unknown[] = Object.values(value);
  return children.reduce<number>((sum, child) => sum + countMembers(child), Array.isArray(value) ? 0 : children.length);
}

/** Tells whether a value of JSON is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
