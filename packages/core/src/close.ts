/**
 * Closing: codes, reasons, and what a client should do after each code.
 *
 * @module
 */

/** How a connection ended. */
export interface CloseInfo {
  /**
   * The code that the closing side gave: 1005 when the peer gave none, 1006 when the connection was cut
   * without a close frame (RFC 6455, section 7.4.1).
   */
  readonly code: number;
  /** The reason that the closing side gave; empty when there was none. */
  readonly reason: string;
  /** Whether both sides exchanged close frames. */
  readonly wasClean: boolean;
  /** Which side ended it: `local` is this server. */
  readonly by: "local" | "remote";
}

/** What one close code means, and whether a client should come back after it. */
export interface CloseCode {
  /** A short name for logs and metrics. */
  readonly name: string;
  /** `fresh-token`: come back once, with a new token. */
  readonly reconnect: boolean | "fresh-token";
}

/**
 * The close codes that Vel knows. A code that is not listed follows its range, see {@link shouldReconnect}.
 *
 * 1000 to 1015 are RFC 6455, section 7.4.1, and its IANA registry; 4xxx mirror the HTTP status of the same last
 * three digits; 4500 and up are final.
 *
 * @example
 * closeCodes[1013]?.name; // "try again later"
 */
export const closeCodes: Readonly<Record<number, CloseCode>> = {
  1000: { name: "normal", reconnect: false },
  1001: { name: "going away", reconnect: true },
  1002: { name: "protocol error", reconnect: false },
  1003: { name: "unsupported data", reconnect: false },
  1005: { name: "no code", reconnect: true },
  1006: { name: "dropped", reconnect: true },
  1007: { name: "invalid message", reconnect: false },
  1008: { name: "policy violation", reconnect: false },
  1009: { name: "message too big", reconnect: false },
  1010: { name: "missing extension", reconnect: false },
  1011: { name: "internal error", reconnect: true },
  1012: { name: "service restart", reconnect: true },
  1013: { name: "try again later", reconnect: true },
  1014: { name: "bad gateway", reconnect: true },
  1015: { name: "TLS failure", reconnect: true },
  4001: { name: "not authenticated", reconnect: false },
  4002: { name: "refused", reconnect: false },
  4003: { name: "not allowed", reconnect: false },
  4400: { name: "bad request", reconnect: false },
  4401: { name: "token expired", reconnect: "fresh-token" },
  4403: { name: "forbidden", reconnect: false },
  4404: { name: "not found", reconnect: false },
  4408: { name: "timeout", reconnect: true },
  4425: { name: "too early", reconnect: true },
  4429: { name: "too many", reconnect: true },
  4500: { name: "kicked", reconnect: false },
  4501: { name: "banned", reconnect: false },
};

/**
 * Tells whether a client should reconnect after a close code.
 *
 * Listed codes follow {@link closeCodes}. Of the others 3000 to 3499 and 4000 to 4499 say yes, 3500 to 3999 and
 * 4500 to 4999 no (the split that Centrifuge uses), and anything else yes.
 *
 * @example
 * shouldReconnect(1012); // true
 * shouldReconnect(4403); // false
 * shouldReconnect(4401); // "fresh-token"
 */
export function shouldReconnect(code: number): boolean | "fresh-token" {
  const known = closeCodes[code];
  if (known) return known.reconnect;
  if (code < 3000 || code > 4999) return true;
  return code % 1000 < 500;
}

/**
 * Checks a code that an application wants to close with.
 *
 * Runtimes differ (Bun and Deno put any number on the wire), so core asks here, once.
 *
 * @throws {RangeError} When RFC 6455, section 7.4, does not let an endpoint send it: allowed are 1000 to 1003,
 * 1007 to 1014 and 3000 to 4999.
 * @example
 * assertCloseCode(4001);
 */
export function assertCloseCode(code: number): void {
  const allowed =
    Number.isInteger(code) &&
    ((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999));
  if (!allowed) {
    throw new RangeError(`Close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, got ${String(code)}`);
  }
}

/** The bytes that a close frame leaves for the reason: 125 of a control frame less 2 of the code. */
const reasonLimit = 123;

/**
 * Cuts a close reason to the 123 UTF-8 bytes that a close frame holds, at a character's boundary.
 *
 * @throws {TypeError} When the reason is not a string.
 * @example
 * truncateReason("bye"); // "bye"
 */
export function truncateReason(reason: string): string {
  if (typeof reason !== "string") throw new TypeError(`Close reason must be a string, got ${typeof reason}`);
  if (reason.length * 3 <= reasonLimit) return reason;
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(reasonLimit));
  return reason.slice(0, read);
}
