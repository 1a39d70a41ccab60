/**
 * One watched connection.
 *
 * @module
 */
import type { Connection, Unsubscribe } from "@vel/core";

/** How a connection is asked: what `auto` came to. */
export type Way = "ping" | "idle" | "message";

/** What is known of the life of one connection. */
export class Beat {
  readonly connection: Connection;
  readonly way: Way;
  isSuspended = false;
  /** Where it is on the wheel; undefined while it is not to be asked. */
  slot: Set<Beat> | undefined;
  /** When the answer to the last question is due, by the pulse. */
  due = 0;
  /** How many frames had come when it was asked. */
  frames = 0;
  /** The number of the last ping, and when it left by the clock. */
  ping = 0;
  sentAt = 0;
  /** How many questions in a row have stayed without an answer. */
  failures = 0;
  /** How long the last pong took, in milliseconds. */
  roundTrip: number | undefined;
  /** Takes back what listens to the connection's end; undefined where the server tells of it. */
  offClosing: Unsubscribe | undefined;
  /** Takes back what listens to its pongs; undefined while none is waited for. */
  offPong: Unsubscribe | undefined;

  constructor(connection: Connection, way: Way) {
    this.connection = connection;
    this.way = way;
  }

  /** Whether anything has come since it was asked. */
  get isHeard(): boolean {
    return this.connection.framesReceived !== this.frames;
  }
}
