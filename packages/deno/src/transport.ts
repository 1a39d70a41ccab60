/**
 * Core's transport over the sockets of `Deno.upgradeWebSocket`: the light one. No protocol ping, no cut without a close
 * frame, no pause, no compression, and a fixed limit of 64 MiB before receipt.
 *
 * @module
 */
import type { Transport } from "@vel/core";

/** A server-side socket of Deno, as far as it is used. */
export interface DenoSocket {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

/** What Deno's socket events have, each some of it. */
interface SocketEvent {
  readonly data?: string | ArrayBuffer;
  readonly message?: string;
  readonly code?: number;
  readonly reason?: string;
  readonly wasClean?: boolean;
}

const OPEN = 1;

/** Runs Vel's connections over Deno's own WebSockets. */
export const transport: Transport<DenoSocket> = {
  name: "deno",
  capabilities: Object.freeze({
    ping: false,
    terminate: false,
    compression: false,
    pause: false,
    idleTimeout: true,
    buffered: true,
    maxPayload: 2 ** 26, // a larger message ends the TCP connection, ext/websocket
  }),
  drains: false,
  send(socket, payload) {
    if (socket.readyState !== OPEN) return "closed";
    socket.send(payload);
    return "sent";
  },
  close(socket, code, reason) {
    // Deno ends the TCP connection without a close frame when it finds another message behind the close, and those
    // that have come already are handed out within this turn. Closing what is over already would keep it for long.
    setTimeout(() => {
      if (socket.readyState === OPEN) socket.close(code, reason);
    }, 0);
  },
  buffered: (socket) => socket.bufferedAmount,
};
