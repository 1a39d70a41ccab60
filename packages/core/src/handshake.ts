/**
 * What RFC 6455 demands of a request, wherever it came in.
 *
 * @module
 */
import type { HeaderList } from "./headers.ts";
import type { Refused } from "./transport.ts";

/** One or more names, each a token of RFC 9110, section 5.6.2. */
const protocolList = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;

/**
 * Checks a request as RFC 6455, section 4.2.1, asks, before anybody's guard sees it: for adapters, whose runtimes are more
 * or less strict.
 *
 * @returns The refusal to answer with; undefined when there is nothing to object to.
 * @example
 * findHandshakeFault("GET", new Headers({ upgrade: "websocket" }))?.status; // 426: it names no connection to upgrade
 */
export function findHandshakeFault(method: string, headers: Headers): Refused | undefined {
  if (method !== "GET") return fault(405, "Method must be GET", [["Allow", "GET"]]);
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return upgradeRequired("Upgrade must be websocket");
  if (!/(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.get("connection") ?? "")) {
    return upgradeRequired("Connection must be Upgrade");
  }
  if (!headers.has("host")) return fault(400, "Host must be given"); // RFC 9112, section 3.2
  if (headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) !== 0) {
    return fault(400, "A handshake has no body");
  }
  // 16 bytes in base64.
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")) {
    return fault(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  }
  // Section 4.4. In a draft before 13 the page's origin comes under another name.
  if (headers.get("sec-websocket-version") !== "13") {
    return upgradeRequired("Sec-WebSocket-Version must be 13", [["Sec-WebSocket-Version", "13"]]);
  }
  const protocols = headers.get("sec-websocket-protocol");
  if (protocols !== null) {
    const names = protocols.split(",").map((name) => name.trim());
    if (!protocolList.test(protocols) || new Set(names).size < names.length) {
      return fault(400, "Sec-WebSocket-Protocol must list names, none twice");
    }
  }
  return undefined;
}

/** Asks for a WebSocket handshake instead (RFC 9110, section 15.5.22). */
function upgradeRequired(body: string, headers: HeaderList = []): Refused {
  return fault(426, body, [["Upgrade", "websocket"], ["Connection", "Upgrade"], ...headers]);
}

// Not by `reject()`, which leaves the handshake's own headers to the library: this is the library.
function fault(status: number, body: string, headers: HeaderList = []): Refused {
  return { accept: false, status, headers, body };
}
