/**
 * Whose pages may connect: the answer to cross-site WebSocket hijacking (RFC 6455, section 10.2).
 *
 * @module
 */

/** What {@link VelOptions.origins} allows. */
export type Origins = "same" | "any" | readonly string[];

/** Tells whether a handshake comes from a page that may connect. */
export type OriginCheck = (headers: Headers) => boolean;

/**
 * Prepares the check.
 *
 * @throws {TypeError} When a listed origin is not one: scheme, host and port if it is not the scheme's own, nothing more.
 */
export function originCheck(origins: Origins): OriginCheck {
  if (origins === "any") return () => true;
  const listed = origins === "same" ? [origins] : origins;
  const allowed = new Set(listed.filter((entry) => entry !== "same").map(exact));
  const allowSame = listed.includes("same");
  return (headers) => {
    const origin = headers.get("origin");
    // Only browsers add cookies by themselves, and they name their page too (drafts of RFC 6455 did by a header of their
    // own). Without any of these it is not somebody's browser.
    if (origin === null) return !headers.has("cookie") && !headers.has("sec-websocket-origin");
    const url = parse(origin);
    if (!url) return false;
    return allowed.has(url.origin) || (allowSame && url.host === hostOf(url.protocol, headers.get("host")));
  };
}

function exact(entry: string): string {
  const url = parse(entry);
  if (!url)
    throw new TypeError(
      `Option "origins" must list origins like "https://app.example.com", got ${JSON.stringify(entry)}`,
    );
  return url.origin;
}

/** An http(s) origin and nothing else: two joined headers, credentials, paths, `null` and other schemes are none. */
function parse(origin: string): URL | undefined {
  if (!/^https?:\/\/[^\s/?#@\\,]+$/i.test(origin) || !URL.canParse(origin)) return undefined;
  return new URL(origin);
}

/** The host that was asked for, normalized as the origin's is. */
function hostOf(protocol: string, host: string | null): string | undefined {
  return host === null ? undefined : parse(`${protocol}//${host}`)?.host;
}
