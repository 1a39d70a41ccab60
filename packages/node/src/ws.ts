/**
 * The part of the `ws` package that is used, by shape: its types are nobody's dependency.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

/** A socket of `ws`, as far as the transport uses it. */
export interface WsSocket {
  /** 1 while open; see `WebSocket.readyState`. */
  readonly readyState: number;
  /** Bytes that wait to leave, framing included. */
  readonly bufferedAmount: number;
  /** The names of the extensions in use, without their parameters; empty when there are none. */
  readonly extensions: string;
  send(
    data: string | Uint8Array,
    options: { readonly binary: boolean; readonly compress: boolean },
    flushed: (error?: Error | null) => void,
  ): void;
  ping(data?: Uint8Array): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  on(event: string, listener: (this: never, ...args: never[]) => void): unknown;
}

/** A `ws` server without an HTTP server: it writes the 101 response and makes the socket. */
export interface WsServer {
  /** Calls back before it returns, or not at all when it destroyed the socket instead. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, callback: (ws: WsSocket) => void): void;
}

/** What a {@link WsServer} asks for while it writes a 101 response. */
export interface WsServerOptions {
  /** The largest message to let in, in bytes. */
  readonly maxPayload: number;
  /** Whether to accept offers of permessage-deflate. */
  readonly compress: boolean;
  /** Chooses the subprotocol; asked only when the client offered some. */
  chooseProtocol(): string | undefined;
  /** Called before a close frame is written, for whatever reason: the peer's close is answered by `ws` itself. */
  closing(ws: WsSocket): void;
  /** Gives the further headers of the response, whose `Sec-WebSocket-Extensions` is `extensions`, or empty. */
  responseHeaders(extensions: string): readonly (readonly [name: string, value: string])[];
}

const extensionsHeader = "Sec-WebSocket-Extensions: ";

/** Makes a {@link WsServer}: no list of clients, pings answered by itself, `ws` inflates and never deflates. */
export function createWsServer(options: WsServerOptions): WsServer {
  // `ws` answers a close within the turn in which it came, before what the handler has sent in that turn has left.
  class Socket extends WebSocket {
    override close(code?: number, reason?: string | Buffer): void {
      options.closing(this);
      super.close(code, reason);
    }
  }
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Without context takeover a frame can be shared, and inflating keeps no memory of what came before.
    perMessageDeflate: options.compress && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    autoPong: true,
    maxPayload: options.maxPayload,
    handleProtocols: () => options.chooseProtocol() ?? false,
    WebSocket: Socket,
  });
  server.on("headers", (lines: string[]) => {
    const extensions = lines.find((line) => line.startsWith(extensionsHeader))?.slice(extensionsHeader.length) ?? "";
    for (const [name, value] of options.responseHeaders(extensions)) lines.push(`${name}: ${value}`);
  });
  return server;
}
