/**
 * Headers that an application adds to a handshake's answer, checked before they can reach the wire.
 *
 * @module
 */

/**
 * Headers in any of the usual spellings. Several values of one name (`set-cookie`) come as pairs of name and value; as
 * lists of strings to the compiler, since that is what a literal of pairs becomes.
 */
export type HeadersLike = Headers | Readonly<Record<string, string>> | readonly (readonly string[])[];

/** Headers as they are written: in order, repeated names kept. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** What the handshake itself writes (RFC 6455, section 4.2.2) and nobody else may. */
const reserved = new Set(["connection", "content-length", "transfer-encoding", "upgrade"]);

/**
 * Lists headers, checked against RFC 9110, section 5.
 *
 * @throws {TypeError} When a name is no token, when a value holds a control character (CR and LF above all), or
 * when the handshake owns the name.
 */
export function listHeaders(headers: HeadersLike | undefined): HeaderList {
  if (!headers) return [];
  const given: Iterable<readonly string[]> = Symbol.iterator in headers ? headers : Object.entries(headers);
  const list: [string, string][] = [];
  for (const [name = "", value, ...more] of given) {
    if (more.length > 0) throw new TypeError(`Header "${name}" must be a pair of name and value`);
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw new TypeError(`Invalid header name ${JSON.stringify(name)}`);
    if (typeof value !== "string" || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new TypeError(`Invalid value of header "${name}"`);
    }
    const lower = name.toLowerCase();
    if (reserved.has(lower) || lower.startsWith("sec-websocket-")) {
      throw new TypeError(`Header "${name}" belongs to the handshake`);
    }
    list.push([name, value]);
  }
  return list;
}
