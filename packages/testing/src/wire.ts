/**
 * One direction of a connection in memory.
 *
 * @module
 */
import { payloadSize, type Received } from "@vel/core";

/** What one end closed with. */
export interface CloseFrame {
  readonly kind: "close";
  readonly code: number;
  readonly reason: string;
  /** Whether it answers the other end's close. */
  readonly isAnswer: boolean;
}

/** What travels. */
export type Frame = { readonly kind: "message" | "ping" | "pong"; readonly payload: Received } | CloseFrame;

/** Keeps order, and delivers each frame in a microtask of its own: never within the call that sent it. */
export class Wire {
  readonly #frames: Frame[] = [];
  readonly #deliver: (frame: Frame) => void;
  readonly #onRead: () => void;
  #isPaused = false;
  #bytes = 0;
  #isRunning = false;

  /**
   * @param deliver Gets each frame.
   * @param onRead Is told after each message that it does not wait any more.
   */
  constructor(deliver: (frame: Frame) => void, onRead: () => void = () => undefined) {
    this.#deliver = deliver;
    this.#onRead = onRead;
  }

  /** Bytes of messages that the other end has not read. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sends a frame. */
  push(frame: Frame): void {
    this.#frames.push(frame);
    if (frame.kind === "message") this.#bytes += payloadSize(frame.payload);
    this.#run();
  }

  /** Stops delivering, or goes on. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#run();
  }

  /** Loses everything that is on its way. */
  clear(): void {
    this.#frames.length = 0;
    this.#bytes = 0;
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    queueMicrotask(() => {
      this.#isRunning = false;
      const frame = this.#isPaused ? undefined : this.#frames.shift();
      if (!frame) return;
      if (frame.kind === "message") this.#bytes -= payloadSize(frame.payload);
      this.#deliver(frame);
      if (frame.kind === "message") this.#onRead();
      if (this.#frames.length > 0) this.#run();
    });
  }
}
