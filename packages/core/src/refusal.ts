/**
 * The one answer that does not let a request in.
 *
 * @module
 */
import { assertCloseCode, truncateReason } from "./close.ts";
import { VelError } from "./errors.ts";
import { listHeaders, type HeaderList, type HeadersLike } from "./headers.ts";

/** What goes with the status of a refused handshake. */
export interface RejectOptions {
  /** Further headers of the response. */
  headers?: HeadersLike;
  /** The body, sent as plain text. Default: empty. */
  body?: string;
  /** When to come back, in milliseconds; becomes `Retry-After` in whole seconds, rounded up. */
  retryAfter?: number;
}

/**
 * Refuses a handshake: returned or thrown by guards, `upgrade` hooks and pull handlers.
 *
 * Made by {@link reject} and by `request.reject()` and `request.close()`, not by its constructor.
 *
 * @example
 * vel.use((request) => (request.headers.has("x-key") ? undefined : request.reject(401)));
 */
export class Refusal extends VelError<"ERR_VEL_REFUSED"> {
  override readonly name = "Refusal";
  /** The HTTP status, 400 to 599; 101 when the connection is accepted only to be closed. */
  readonly status: number;
  /** The headers of the response. */
  readonly headers: HeaderList;
  /** The body of the response. */
  readonly body: string;
  /** The code to close with after accepting; undefined for an HTTP answer. */
  readonly closeCode: number | undefined;
  /** The reason that goes with `closeCode`. */
  readonly closeReason: string;

  constructor(answer: {
    status: number;
    headers?: HeaderList;
    body?: string;
    closeCode?: number;
    closeReason?: string;
  }) {
    const { status, headers = [], body = "", closeCode, closeReason = "" } = answer;
    super(
      "ERR_VEL_REFUSED",
      closeCode === undefined ? `Refused with ${String(status)}` : `Refused with close code ${String(closeCode)}`,
    );
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.closeCode = closeCode;
    this.closeReason = closeReason;
  }
}

/**
 * Refuses with an HTTP status, before any WebSocket exists: cheap, and proxies see it. Browsers only see 1006.
 *
 * @param status 400 to 599.
 * @throws {RangeError} When the status is none of these, or `retryAfter` is negative.
 * @throws {TypeError} When a header is not fit to be written.
 * @example
 * throw reject(503, { retryAfter: 5_000 });
 */
export function reject(status: number, options: RejectOptions = {}): Refusal {
  if (!Number.isInteger(status) || status < 400 || status > 599) {
    throw new RangeError(`Status of a refusal must be 400 to 599, got ${String(status)}`);
  }
  const headers = [...listHeaders(options.headers)];
  if (options.retryAfter !== undefined) {
    if (!(options.retryAfter >= 0))
      throw new RangeError(`retryAfter must be 0 or more, got ${String(options.retryAfter)}`);
    headers.push(["Retry-After", String(Math.ceil(options.retryAfter / 1000))]);
  }
  return new Refusal({ status, headers, body: options.body ?? "" });
}

/**
 * Accepts and closes at once, with a code that a browser can see.
 *
 * @throws {RangeError} When the code may not be sent, see {@link assertCloseCode}.
 */
export function refuseByClose(code: number, reason = ""): Refusal {
  assertCloseCode(code);
  return new Refusal({ status: 101, closeCode: code, closeReason: truncateReason(reason) });
}
