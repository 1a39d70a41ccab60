/**
 * A connection in the pool.
 *
 * @module
 */
import type { Connection, Unsubscribe } from "@vel/core";

/** A connection in the pool, what is known of its use, and its place in a {@link MemberQueue}. */
export class Member {
  readonly connection: Connection;
  /** Takes it out of the pool; harmless when it is out. */
  readonly leave: Unsubscribe;
  /** How many sweeps have come since its last known use, the one that found it used included. */
  quiet = 0;
  before: Member | undefined;
  after: Member | undefined;
  readonly #offClosing: Unsubscribe;
  #messages: number;

  /** @param leave Takes it out. Called when the connection is not open any more, too. */
  constructor(connection: Connection, leave: (member: Member) => void) {
    this.connection = connection;
    this.leave = () => {
      leave(this);
    };
    this.#offClosing = connection.onClosing(this.leave);
    this.#messages = messagesOf(connection);
  }

  /** Tells whether a message came or went since this was last asked. */
  wasUsed(): boolean {
    const messages = messagesOf(this.connection);
    const wasUsed = messages !== this.#messages;
    this.#messages = messages;
    return wasUsed;
  }

  /** Lets go of the connection. */
  release(): void {
    this.#offClosing();
  }
}

/** Counts what is use. Core counts it anyway, so that nothing is done here for each message. */
function messagesOf({ messagesReceived, messagesSent }: Connection): number {
  return messagesReceived + messagesSent;
}
