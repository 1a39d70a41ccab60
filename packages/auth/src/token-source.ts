/**
 * Where tokens stand in a request.
 *
 * @module
 */
import { VelError, type UpgradeRequest } from "@vel/core";
import type { TokenSource } from "./guard-options.ts";
import { wrongAnswer } from "./option-checks.ts";
import { bearerProtocol } from "./refusal.ts";

/** What a source is called in measurements. */
export type Strategy = "header" | "subprotocol" | "cookie" | "query" | "ticket" | "custom";

/** What a request has to show. */
export interface FoundToken {
  readonly strategy: Strategy;
  /** Undefined when the source has more than one: then none of them is believed. */
  readonly token: string | undefined;
}

/** One place to look at. */
interface Source {
  readonly strategy: Strategy;
  /** Everything that stands there; an empty text is nothing. */
  read(request: UpgradeRequest): readonly string[];
  /** The name in the query, where it has to go once it was read. */
  readonly parameter?: string;
}

/** The places to look at, in order. */
export class TokenSources {
  /** Whether the first message is waited for when nothing is found. */
  readonly endsWithMessage: boolean;
  readonly #sources: readonly Source[];

  /** @throws {TypeError} When there is none, one is unknown, or one stands behind `message`. */
  constructor(from: TokenSource | readonly TokenSource[] = ["header", "subprotocol"]) {
    const list: readonly TokenSource[] = Array.isArray(from) ? from : [from as TokenSource];
    if (list.length === 0) throw new TypeError('Option "from" must name a source, got none');
    this.endsWithMessage = list.at(-1) === "message";
    const others = this.endsWithMessage ? list.slice(0, -1) : list;
    if (others.includes("message")) {
      throw new TypeError('Option "from" must have "message" at its end: nothing behind it would be looked at');
    }
    this.#sources = others.map(sourceOf);
  }

  /**
   * Finds the token that decides: that of the first source that has one.
   *
   * @throws {VelError} `ERR_VEL_STATE` when there may be a cookie and nobody checks whose page sends it.
   * @throws {TypeError} When a function gives what is no text.
   */
  find(request: UpgradeRequest): FoundToken | undefined {
    try {
      if (!request.isOriginChecked && this.#sources.some(({ strategy }) => strategy === "cookie")) {
        throw new VelError(
          "ERR_VEL_STATE",
          'Option "from" has a cookie, which any page could use: set the option "origins" of createVel() to other than "any"',
        );
      }
      for (const { strategy, read } of this.#sources) {
        const [token = "", ...more] = read(request);
        if (more.length > 0) return { strategy, token: undefined };
        if (token !== "") return { strategy, token };
      }
      return undefined;
    } finally {
      // Nobody shall log them by accident, whichever it was that decided.
      for (const { parameter } of this.#sources) if (parameter !== undefined) request.query.delete(parameter);
    }
  }
}

function sourceOf(source: TokenSource): Source {
  if (typeof source === "function") return { strategy: "custom", read: (request) => [textOf(source(request))] };
  const { cookie, query } = Object(source) as { cookie?: unknown; query?: unknown };
  if (isName(cookie)) return fromCookie(cookie);
  if (isName(query)) return fromQuery("query", query);
  switch (source) {
    case "header":
      return { strategy: "header", read: fromHeader };
    case "subprotocol":
      return { strategy: "subprotocol", read: fromSubprotocol };
    case "cookie":
      return fromCookie("token");
    case "query":
      return fromQuery("query", "token");
    case "ticket":
      return fromQuery("ticket", "ticket");
    default:
      throw new TypeError(
        `Option "from" must be "header", "subprotocol", "cookie", "query", "ticket", "message", { cookie: name }, { query: name } or a function, got ${JSON.stringify(source)}`,
      );
  }
}

/** Takes what a function of the application found; a promise, say, must not pass for a token that is wrong. */
function textOf(found: unknown): string {
  if (found === undefined || found === null) return "";
  if (typeof found === "string") return found;
  throw wrongAnswer('Option "from" has a function that must give a text or undefined', found);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Reads RFC 6750, section 2.1. Repeated headers come joined by commas. */
function fromHeader({ headers }: UpgradeRequest): readonly string[] {
  const credentials = (headers.get("authorization") ?? "").split(",").map((each) => each.trim());
  const isBearer = (each: string): boolean => /^bearer( |$)/i.test(each);
  return credentials.some(isBearer) ? credentials.map((each) => each.slice("bearer".length).trim()) : [];
}

function fromSubprotocol({ protocols }: UpgradeRequest): readonly string[] {
  return protocols.flatMap((name, index) => (name === bearerProtocol ? [protocols[index + 1] ?? ""] : []));
}

function fromCookie(name: string): Source {
  return {
    strategy: "cookie",
    read({ headers, cookies }) {
      // A page of a neighbouring domain can add a cookie of the same name, and have it stand first.
      const pairs = (headers.get("cookie") ?? "").split(";").map((pair) => pair.split("=", 1)[0]?.trim());
      return pairs.filter((each) => each === name).map(() => cookies.get(name) ?? "");
    },
  };
}

function fromQuery(strategy: "query" | "ticket", parameter: string): Source {
  return { strategy, parameter, read: ({ query }) => query.getAll(parameter) };
}
