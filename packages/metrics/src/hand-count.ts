/**
 * What an application counts by hand.
 *
 * @module
 */
import type { Clock, Measurable, Measurement } from "@vel/core";

/** Counts of connections and messages that nobody observes, under the names of those that are. */
export class HandCount implements Measurable {
  readonly #clock: Clock;
  #opened = 0;
  #active = 0;
  /** An open takes its time off, a close adds its own: with the open ones until now that is all durations. */
  #durations = 0;
  #received = 0;
  #sent = 0;
  #bytesReceived = 0;
  #bytesSent = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long all connections lasted, the open ones until now, in milliseconds: which of them ended is not known. */
  get duration(): number {
    return this.#durations + this.#active * this.#clock.now();
  }

  open(): void {
    this.#opened++;
    this.#active++;
    this.#durations -= this.#clock.now();
  }

  /** Does nothing where none is open: one call too many makes no negative count. */
  close(): void {
    if (this.#active === 0) return;
    this.#active--;
    this.#durations += this.#clock.now();
  }

  receive(bytes: number): void {
    this.#received++;
    this.#bytesReceived += sizeOf(bytes);
  }

  send(bytes: number): void {
    this.#sent++;
    this.#bytesSent += sizeOf(bytes);
  }

  *measure(): Generator<Measurement, void, undefined> {
    if (this.#opened + this.#received + this.#sent === 0) return;
    const labels = { route: "counted" };
    yield { name: "vel_connections", kind: "gauge", value: this.#active, labels };
    yield { name: "vel_connections_opened_total", kind: "counter", value: this.#opened, labels };
    yield { name: "vel_messages_received_total", kind: "counter", value: this.#received, labels };
    yield { name: "vel_messages_sent_total", kind: "counter", value: this.#sent, labels };
    yield { name: "vel_received_bytes_total", kind: "counter", value: this.#bytesReceived, labels };
    yield { name: "vel_sent_bytes_total", kind: "counter", value: this.#bytesSent, labels };
  }
}

/** Takes what is no size as 0: a counter that went down, or was no number any more, would spoil all that comes after. */
function sizeOf(bytes: number): number {
  return bytes > 0 && bytes < Infinity ? bytes : 0;
}
