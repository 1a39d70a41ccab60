/**
 * Reading Node's requests as handshakes.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { HeaderList, Remote } from "@vel/core";

/** What is wrong with a request as RFC 6455, sections 4.1 and 4.2.1, has it; before any guard runs. */
export function violationOf({
  method,
  headers,
}: IncomingMessage): { status: number; headers: HeaderList; body: string } | undefined {
  if (method !== "GET") return { status: 405, headers: [["Allow", "GET"]], body: "Use GET" };
  if (headers.upgrade?.toLowerCase() !== "websocket") {
    return { status: 426, headers: [["Upgrade", "websocket"]], body: "Upgrade to websocket" };
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return { status: 400, headers: [], body: "Invalid Sec-WebSocket-Key" };
  }
  if (headers["sec-websocket-version"] !== "13") {
    return { status: 426, headers: [["Sec-WebSocket-Version", "13"]], body: "Use version 13" };
  }
  return undefined;
}

/** Reads headers as they came: a repeated name stays visible as a list. */
export function readHeaders({ rawHeaders }: IncomingMessage): Headers | undefined {
  const headers = new Headers();
  try {
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? "", rawHeaders[i + 1] ?? "");
    return headers;
  } catch {
    return undefined;
  }
}

/** Names the peer; an IPv4 address that came over an IPv6 socket is written as IPv4. */
export function remoteOf({ socket }: IncomingMessage): Remote | undefined {
  const address = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/i, "");
  if (address === undefined) return undefined;
  return socket.remotePort === undefined ? { address } : { address, port: socket.remotePort };
}
