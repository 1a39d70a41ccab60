/**
 * Reading an upgrade request: what RFC 6455 demands of it, and what core wants to know.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Remote } from "@vel/core";
import type { Answer } from "./answer.ts";

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

/** One or more names, each a token of RFC 9110, section 5.6.2. */
const protocolList = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;

/**
 * Checks a request as RFC 6455, section 4.2.1 asks, before anybody's guard sees it.
 *
 * Everything that `ws` would refuse is refused here: afterwards an accepted request becomes a socket.
 *
 * @returns The refusal; undefined when there is nothing to object to.
 */
export function findFault(request: IncomingMessage): Answer | undefined {
  const { headers } = request;
  if (request.method !== "GET") return fault(405, "Method must be GET", [["Allow", "GET"]]);
  if (!isWebSocket(request)) return upgradeRequired("Upgrade must be websocket");
  if (request.httpVersion === "1.0") return fault(400, "HTTP version must be 1.1");
  if (headers.host === undefined) return fault(400, "Host must be given"); // RFC 9112, section 3.2
  if (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0) {
    return fault(400, "A handshake has no body");
  }
  // 16 bytes in base64.
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return fault(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  }
  // Section 4.4. Of the drafts `ws` would speak 8 too, in which the page's origin comes under another name.
  if (headers["sec-websocket-version"] !== "13") {
    return upgradeRequired("Sec-WebSocket-Version must be 13", [["Sec-WebSocket-Version", "13"]]);
  }
  const protocols = headers["sec-websocket-protocol"];
  if (protocols !== undefined) {
    const names = protocols.split(",").map((name) => name.trim());
    if (!protocolList.test(protocols) || new Set(names).size < names.length) {
      return fault(400, "Sec-WebSocket-Protocol must list names, none twice");
    }
  }
  return undefined;
}

/** Asks for a WebSocket handshake instead (RFC 9110, section 15.5.22). */
function upgradeRequired(body: string, headers: Answer["headers"] = []): Answer {
  return fault(426, body, [["Upgrade", "websocket"], ["Connection", "Upgrade"], ...headers]);
}

function fault(status: number, body: string, headers: Answer["headers"] = []): Answer {
  return { status, headers, body };
}
