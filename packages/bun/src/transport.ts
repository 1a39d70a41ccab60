/**
 * Core's transport over the sockets of `Bun.serve`.
 *
 * @module
 */
import type { Accepted, Connection, Transport } from "@vel/core";

/** A server-side socket of Bun, as far as it is used. Its own outbound limit is off: core's holds on every runtime. */
export interface BunSocket {
  readonly readyState: number;
  data: SocketData;
  binaryType?: string;
  send(data: string | Uint8Array, compress?: boolean): number;
  ping(data?: Uint8Array): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
  getBufferedAmount(): number;
  pause(): unknown;
  resume(): unknown;
}

/** What travels with a socket from the handshake on. */
export interface SocketData {
  readonly accepted: Accepted;
  connection?: Connection;
  /** How it ended. */
  end?: readonly [code: number, reason: string, wasClean: boolean];
}

const OPEN = 1;

/** Runs Vel's connections over Bun's own WebSockets. Bun gathers what a handler sends by itself. */
export const transport: Transport<BunSocket> = {
  name: "bun",
  capabilities: Object.freeze({
    ping: true,
    terminate: true,
    compression: true,
    pause: true,
    idleTimeout: false,
    buffered: true,
    maxPayload: undefined,
  }),
  send(socket, payload, compress) {
    const { compression } = socket.data.accepted;
    const isLarge = compression !== false && payload.length >= compression.threshold;
    const status = socket.send(payload, compress && isLarge);
    if (status === -1) return "queued";
    // 0 means dropped, which cannot be for want of room; an empty message is 0 bytes long where it was sent.
    return status > 0 || socket.readyState === OPEN ? "sent" : "closed";
  },
  close(socket, code, reason) {
    socket.close(code, reason);
  },
  terminate(socket) {
    socket.terminate();
  },
  buffered: (socket) => socket.getBufferedAmount(),
  ping(socket, data) {
    socket.ping(data);
  },
  pause(socket, isPaused) {
    if (isPaused) socket.pause();
    else socket.resume();
  },
};
