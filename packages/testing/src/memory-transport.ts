/**
 * The transport of {@link connect}: core's seam, without a runtime below it.
 *
 * @module
 */
import type { Capabilities, Outgoing, Transport } from "@vel/core";
import type { MemorySocket } from "./memory-socket.ts";
import { afterTurn } from "./settle.ts";

/** What a {@link memoryTransport} can do. */
export interface MemoryTransportOptions {
  /** What to deny, to see how code behaves on a runtime that lacks it. Default: only compression is. */
  capabilities?: Partial<Capabilities>;
  /** Whether what one turn of the event loop produced leaves together at its end. Default: false, each at once. */
  batches?: boolean;
}

/**
 * Makes a transport in memory. {@link connect} does so by itself; make one to deny capabilities.
 *
 * @example
 * const transport = memoryTransport({ capabilities: { ping: false } });
 * const client = await connect(vel, "/ws", { transport });
 */
export function memoryTransport(options: MemoryTransportOptions = {}): Transport<MemorySocket, readonly Outgoing[]> {
  const capabilities: Capabilities = Object.freeze({
    ping: true,
    terminate: true,
    compression: false,
    pause: true,
    idleTimeout: false,
    buffered: true,
    maxPayload: undefined,
    ...options.capabilities,
  });
  return {
    name: "memory",
    capabilities,
    send(socket, payload) {
      socket.sendFromServer("message", payload);
      return "sent";
    },
    close(socket, code, reason) {
      socket.closeFromServer(code, reason);
    },
    ...(capabilities.terminate && {
      terminate(socket: MemorySocket) {
        socket.cut("server");
      },
    }),
    ...(capabilities.buffered && { buffered: (socket: MemorySocket) => socket.buffered }),
    ...(capabilities.ping && {
      ping(socket: MemorySocket, data: Uint8Array = new Uint8Array()) {
        socket.sendFromServer("ping", data);
      },
    }),
    ...(capabilities.pause && {
      pause(socket: MemorySocket, isPaused: boolean) {
        socket.pauseServer(isPaused);
      },
    }),
    ...(options.batches && {
      afterTurn,
      frame: (outgoing: readonly Outgoing[]) => outgoing,
      sendFrame(socket: MemorySocket, frame: readonly Outgoing[]) {
        for (const { payload } of frame) socket.sendFromServer("message", payload);
        return "sent";
      },
    }),
  };
}
