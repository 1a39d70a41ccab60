/**
 * A transport that batches, written out: turns end when the test says so, and every frame is kept as it was built.
 *
 * @module
 */
import type { Outgoing, Transport } from "../src/index.ts";
import { ScriptedSocket, scriptedTransport } from "./scripted-transport.ts";

/** What left, as text: bytes as `<1,2>`. */
export type Frame = readonly string[];

/** A socket that also records which frames it was given. */
export class BatchingSocket extends ScriptedSocket {
  readonly frames: Frame[] = [];
  /** Everything that left, in order, pings (`ping <1>` with data), closes and cuts included. */
  readonly wire: string[] = [];
  /** Which sockets understand the same frames as this one. */
  group: unknown;
  /** Whether the runtime has let go of it already, which core is about to hear. */
  isGone = false;
  /** Runs within `sendFrame`. */
  onFrame: (() => void) | undefined;
}

export interface BatchingTransport extends Transport<BatchingSocket, Frame> {
  /** Every frame that was built, with the group that it was built for. */
  readonly built: { readonly frame: Frame; readonly group: unknown }[];
  /** How many times the end of a turn was asked for and has not come. */
  readonly turns: number;
  /** Runs within `frame`. */
  onBuild: (() => void) | undefined;
  /** Ends the turn. */
  endTurn(): void;
}

export function batchingTransport(): BatchingTransport {
  const { close, terminate, ...rest } = scriptedTransport() as Required<Transport<ScriptedSocket>>;
  const built: { frame: Frame; group: unknown }[] = [];
  let flushes: (() => void)[] = [];
  const transport: BatchingTransport = {
    ...rest,
    built,
    get turns() {
      return flushes.length;
    },
    onBuild: undefined,
    endTurn() {
      const due = flushes;
      flushes = [];
      for (const flush of due) flush();
    },
    send() {
      throw new Error("A transport with frames sends nothing by itself");
    },
    ping(socket, data = new Uint8Array(0)) {
      if (!socket.isGone) socket.wire.push(`ping <${data.join()}>`);
    },
    close(socket, code, reason) {
      socket.wire.push(`close ${String(code)}`);
      close(socket, code, reason);
    },
    terminate(socket) {
      socket.wire.push("terminate");
      terminate(socket);
    },
    afterTurn(flush) {
      flushes.push(flush);
    },
    frame(outgoing, group) {
      transport.onBuild?.();
      const frame = outgoing.map(describe);
      built.push({ frame, group });
      return frame;
    },
    sendFrame(socket, frame) {
      socket.onFrame?.();
      if (socket.isGone) return "closed";
      socket.frames.push(frame);
      socket.wire.push(...frame);
      return "sent";
    },
    group: (socket) => socket.group,
  };
  return transport;
}

function describe({ payload }: Outgoing): string {
  return typeof payload === "string" ? payload : `<${payload.join()}>`;
}
