/**
 * Who a room or channel speaks to: the fan-out.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import type { Unsubscribe } from "./emitter.ts";
import { LiveConnection } from "./live-connection.ts";
import { Outgoing } from "./outgoing.ts";
import { encode, type Message } from "./payload.ts";

/** How one message is broadcast. */
export interface BroadcastOptions {
  /** Who does not get it. */
  except?: Connection | ReadonlySet<Connection> | undefined;
  /** Compresses it where that was negotiated. Default: true. */
  compress?: boolean;
}

/**
 * A set of connections that get the same messages. A connection leaves by itself as soon as it is not open.
 *
 * @example
 * const audience = new Audience();
 * vel.websocket("/news", { open(connection) { audience.add(connection); } });
 * audience.broadcast({ type: "news", text: "hello" });
 */
export class Audience implements Iterable<Connection> {
  /** With each member what takes back that its end is listened to, where that is not {@link LiveConnection.release}. */
  readonly #members = new Map<Connection, Unsubscribe | undefined>();
  readonly #onLeave: ((connection: Connection) => void) | undefined;

  /** @param onLeave Is told of a connection that left by itself. */
  constructor(onLeave?: (connection: Connection) => void) {
    this.#onLeave = onLeave;
  }

  /** How many connections there are. */
  get size(): number {
    return this.#members.size;
  }

  /** Adds a connection; false when it is in already or not open. */
  add(connection: Connection): boolean {
    if (this.#members.has(connection) || !connection.isOpen) return false;
    let off: Unsubscribe | undefined;
    if (LiveConnection.is(connection)) connection.hold(this.#lose);
    else off = connection.onClosing(() => this.#lose(connection));
    this.#members.set(connection, off);
    return true;
  }

  /** Removes a connection; false when it was not in. */
  delete(connection: Connection): boolean {
    if (LiveConnection.is(connection)) connection.release(this.#lose);
    else this.#members.get(connection)?.();
    return this.#members.delete(connection);
  }

  /** Tells whether a connection is in. */
  has(connection: Connection): boolean {
    return this.#members.has(connection);
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#members.keys();
  }

  /**
   * Sends a message to everybody, encoded once. A slow or dead member delays nobody: what its send buffer's policy
   * drops shows in its `messagesDropped` and in the `drop` event.
   *
   * @returns How many connections it was addressed to.
   * @throws {TypeError} When the message has no JSON form; nobody has got it then.
   */
  broadcast(message: Message, { except, compress = true }: BroadcastOptions = {}): number {
    const payload = encode(message);
    let outgoing: Outgoing | undefined;
    let addressed = 0;
    // A member whose buffer is full may be closed, and so removed, meanwhile: a Map's iterator survives that.
    for (const connection of this.#members.keys()) {
      if (connection === except || (except instanceof Set && except.has(connection))) continue;
      if (LiveConnection.is(connection)) {
        outgoing ??= new Outgoing(payload, connection.sizeOf(payload), compress);
        connection.put(outgoing);
      } else connection.send(payload, { compress });
      addressed++;
    }
    return addressed;
  }

  /** One for all members: a closure for each would be most of what they cost. */
  readonly #lose = (connection: Connection): void => {
    this.#members.delete(connection);
    this.#onLeave?.(connection);
  };
}
