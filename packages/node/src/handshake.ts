/**
 * Reading an upgrade request: what core wants to know of it.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Remote } from "@vel/core";

/** Tells whether a request asks for a WebSocket, not for another protocol (`h2c`). */
export function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === "websocket";
}

/** Reads the request's target: path and query, without scheme and authority where a proxy sent these. */
export function targetOf(request: IncomingMessage): string {
  const url = request.url ?? "/";
  if (url.startsWith("/")) return url;
  const target = url.replace(/^https?:\/\/[^/?]*/i, ""); // RFC 6455, section 4.2.1
  return target.startsWith("/") ? target : `/${target}`;
}

/** Reads the path of the request's target. */
export function pathOf(request: IncomingMessage): string {
  const target = targetOf(request);
  const mark = target.indexOf("?");
  return mark < 0 ? target : target.slice(0, mark);
}

/** Collects the headers, repeated names joined with a comma; undefined when one is not fit to be a header. */
export function headersOf(request: IncomingMessage): Headers | undefined {
  const raw = request.rawHeaders;
  const headers = new Headers();
  try {
    for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? "", raw[i + 1] ?? "");
    return headers;
  } catch {
    return undefined;
  }
}

/** Reads where a socket comes from. An IPv4 address that the system reports as IPv6 (`::ffff:…`) reads as IPv4. */
export function remoteOf(
  socket: Duplex & { remoteAddress?: string | undefined; remotePort?: number | undefined },
): Remote | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) return undefined;
  const address = remoteAddress.replace(/^::ffff:(?=[\d.]+$)/i, "");
  return remotePort === undefined ? { address } : { address, port: remotePort };
}
