/**
 * The page's files, as whoever wires the chat to a runtime hands them in.
 *
 * @module
 */

/** The files of the page's folder, by name: `index.html`, `chat.css`, and so on. */
export type Page = Readonly<Record<string, string>>;

/** The media type of a page's file. */
export function mediaType(file: string): string {
  if (file.endsWith(".css")) return "text/css; charset=utf-8";
  if (file.endsWith(".js")) return "text/javascript; charset=utf-8";
  if (file.endsWith(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

/** Keeps the page to itself: nothing inline, nothing from elsewhere, in nobody's frame. */
export const securityHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};
