/**
 * The subscribers that are all alike.
 *
 * @module
 */
import { Audience, type Connection, type Payload } from "@vel/core";

/** Connections that get everything, and are closed when they are too slow for it: one broadcast serves them all. */
export class Crowd {
  readonly #audience = new Audience();
  /** How many messages each had been refused before this one. */
  readonly #refused = new Map<Connection, number>();

  add(connection: Connection): void {
    if (this.#audience.add(connection)) this.#refused.set(connection, 0);
  }

  delete(connection: Connection): boolean {
    this.#refused.delete(connection);
    return this.#audience.delete(connection);
  }

  broadcast(payload: Payload, except?: Connection): void {
    if (this.#audience.size === 0) return;
    for (const connection of this.#audience) this.#refused.set(connection, connection.messagesDropped);
    this.#audience.broadcast(payload, { except });
    // Where the route's own policy is to drop, nobody would hear of it.
    for (const connection of this.#audience) {
      if (connection.messagesDropped !== this.#refused.get(connection))
        connection.close(1013, "too slow for a channel");
    }
  }
}
