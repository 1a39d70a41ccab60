/**
 * The request behind the {@link PendingRequest} interface, and the bookkeeping of its one answer.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { VelError } from "./errors.ts";
import { listHeaders, type HeaderList } from "./headers.ts";
import type { AnyParams } from "./path.ts";
import { refuseByClose, reject, type Refusal, type RejectOptions } from "./refusal.ts";
import type { Admission, PendingRequest } from "./request.ts";
import type { Handshake, Remote } from "./transport.ts";

/** One {@link Admission.prepare}. */
export interface Preparation {
  run(connection: Connection): unknown;
  /** The names of what guards after it gave: that holds, whatever it finds out. */
  readonly settled: Set<string>;
}

/** See {@link PendingRequest} for what users see; the members below the line are core's own. */
export class LiveRequest implements PendingRequest {
  readonly route: string;
  readonly path: string;
  readonly params: AnyParams;
  readonly headers: Headers;
  readonly remote: Remote | undefined;
  readonly isOriginChecked: boolean;
  readonly signal: AbortSignal;
  readonly raw: unknown;
  readonly protocols: readonly string[];
  /** Whether it was answered without waiting any longer for whoever is deciding. */
  isGivenUp = false;
  /** What is to run before the handler, see {@link Admission.prepare}. */
  readonly preparations: Preparation[] = [];
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #cookies: ReadonlyMap<string, string> | undefined;
  #data: object = {};
  #refusal: Refusal | undefined;
  #protocol: string | undefined;
  readonly #responseHeaders: (readonly [string, string])[] = [];
  readonly #deferred: (() => void)[] = [];
  #onDefer: ((release: () => void) => void) | undefined;
  #isAccepted = false;
  #onAccept: ((admission: Admission) => Promise<Connection>) | undefined;

  constructor(
    handshake: Handshake,
    { route, params, remote, isOriginChecked }: Pick<PendingRequest, "route" | "params" | "remote" | "isOriginChecked">,
  ) {
    const { path, search } = splitTarget(handshake.url);
    this.route = route;
    this.path = path;
    this.params = params;
    this.headers = handshake.headers;
    this.remote = remote;
    this.isOriginChecked = isOriginChecked;
    this.signal = handshake.signal;
    this.raw = handshake.raw;
    this.protocols = (handshake.headers.get("sec-websocket-protocol") ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
    this.#search = search;
  }

  get query(): URLSearchParams {
    return (this.#query ??= new URLSearchParams(this.#search));
  }

  get cookies(): ReadonlyMap<string, string> {
    return (this.#cookies ??= parseCookies(this.headers.get("cookie") ?? ""));
  }

  get data(): object {
    return this.#data;
  }

  reject(status: number, options?: RejectOptions): Refusal {
    return this.#refuse(reject(status, options));
  }

  close(code: number, reason?: string, { protocol }: { protocol?: string } = {}): Refusal {
    const refusal = this.#refuse(refuseByClose(code, reason));
    // Also for a refusal that was made before: the answer stands, and only what it is said in is named.
    if (protocol !== undefined) this.#protocol = protocol;
    return refusal;
  }

  defer(release: () => void): void {
    if (this.#onDefer) this.#onDefer(release);
    else this.#deferred.push(release);
  }

  // The one type that every caller's Data fits: what it really is stands in the guards' and routes' types.
  accept(admission: Admission = {}): Promise<Connection<never, never>> {
    const onAccept = this.#onAccept;
    if (this.#refusal || !onAccept) {
      const why = this.#refusal ? "it is refused already" : "it is accepted already, or not yours to accept";
      return Promise.reject(new VelError("ERR_VEL_STATE", `Cannot accept the request: ${why}`));
    }
    this.#onAccept = undefined;
    this.#isAccepted = true;
    const opened = onAccept(admission) as Promise<Connection<never, never>>;
    opened.catch(() => undefined); // a handler that does not await it misses nothing that matters to the process
    return opened;
  }

  // ---------------------------------------------------------------------------------------------------- core's own

  /** The first refusal that was made, whether or not somebody returned it: the first answer wins. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** The subprotocol that the application asked for. */
  get protocol(): string | undefined {
    return this.#protocol;
  }

  /** The headers to add to the 101 response. */
  get responseHeaders(): HeaderList {
    return this.#responseHeaders;
  }

  /** Lets {@link LiveRequest.accept} be called, once. */
  acceptBy(onAccept: (admission: Admission) => Promise<Connection>): void {
    this.#onAccept = onAccept;
  }

  /** It is answered: nobody can accept it any more, nor refuse it when it was let in. */
  answered(isAccepted: boolean): void {
    this.#onAccept = undefined;
    this.#isAccepted ||= isAccepted;
  }

  /** Takes in what a guard, `upgrade` or `accept()` gave. */
  admit(admission: Admission): void {
    const { data, protocol, headers } = admission;
    for (const { settled } of this.preparations) for (const name of Object.keys(data ?? {})) settled.add(name);
    if (admission.prepare) {
      this.preparations.push({ run: (connection) => admission.prepare?.(connection), settled: new Set() });
    }
    this.#responseHeaders.push(...listHeaders(headers));
    if (protocol !== undefined) this.#protocol = protocol;
    // Spread, not assigned: an own property called `__proto__` (out of somebody's JSON) stays a property.
    if (data !== undefined) this.#data = { ...this.#data, ...(data as object) };
  }

  /** Says what becomes of everything that was deferred, now and from now on. */
  deferBy(onDefer: (release: () => void) => void): void {
    this.#onDefer = onDefer;
    for (const release of this.#deferred.splice(0)) onDefer(release);
  }

  #refuse(refusal: Refusal): Refusal {
    if (this.#isAccepted) {
      throw new VelError("ERR_VEL_STATE", "Cannot refuse the request: it is accepted already, close its connection");
    }
    return (this.#refusal ??= refusal);
  }
}

/** Splits a request's target into its path and its query, without the question mark. */
export function splitTarget(url: string): { path: string; search: string } {
  const mark = url.indexOf("?");
  return mark < 0 ? { path: url, search: "" } : { path: url.slice(0, mark), search: url.slice(mark + 1) };
}

/** Reads a Cookie header (RFC 6265, section 4.2); the first of a name wins, what is malformed is left as it is. */
function parseCookies(header: string): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals < 0) continue;
    const name = pair.slice(0, equals).trim();
    if (!cookies.has(name))
      cookies.set(
        name,
        decode(
          pair
            .slice(equals + 1)
            .trim()
            .replace(/^"(.*)"$/, "$1"),
        ),
      );
  }
  return cookies;
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
