/**
 * A client of the conformance kit, over whatever carries it.
 *
 * @module
 */

/** How the connection ended for the client: 1005 for a close frame without a code, 1006 for none. */
export interface Ended {
  readonly code: number;
  readonly reason: string;
}

/** A proper client: answers pings and closes, until it is silenced. */
export interface Client {
  /** The subprotocol in use; empty for none. */
  readonly protocol: string;
  /** The headers of the 101 response. */
  readonly headers: Headers;
  /** How it ended, once the connection below is over. */
  readonly closed: Promise<Ended>;
  send(payload: string | Uint8Array): void;
  /** Waits for the next message. Rejects when none comes any more. */
  next(): Promise<string | Uint8Array>;
  /** What has come and was not asked for. */
  readonly received: readonly (string | Uint8Array)[];
  ping(data: Uint8Array): void;
  /** Waits for the next pong. */
  pong(): Promise<Uint8Array>;
  close(code?: number, reason?: string): void;
  /** Cuts the connection without a close frame. */
  drop(): void;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  /** Reads from now on without answering anything. */
  silence(): void;
}
