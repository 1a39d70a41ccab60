/**
 * An HTTP response written by hand, for upgrade requests that do not become a WebSocket.
 *
 * @module
 */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { HeaderList } from "@vel/core";

/** What is answered. Core's `Refused` and `Refusal` are such answers. */
export interface Answer {
  readonly status: number;
  readonly headers: HeaderList;
  /** Plain text; may be empty. */
  readonly body: string;
}

/** Takes an error event; what follows it is the socket's `close`. */
export const ignore = (): void => undefined;

/** Answers on a socket that Node has let go of, and ends it. Does nothing when the socket has ended meanwhile. */
export function writeAnswer(socket: Duplex, { status, headers, body }: Answer): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const lines = [`HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? "Refused"}`, "Connection: close"];
  const isTyped = headers.some(([name]) => name.toLowerCase() === "content-type");
  if (body !== "" && !isTyped) lines.push("Content-Type: text/plain; charset=utf-8");
  lines.push(`Content-Length: ${String(Buffer.byteLength(body))}`);
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);

  socket.on("error", ignore);
  socket.once("finish", () => socket.destroy());
  // What the client has sent meanwhile is read: unread bytes would make the system reset the connection, and the
  // answer could be lost with it.
  socket.resume();
  socket.end(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), Buffer.from(body)]));
}
