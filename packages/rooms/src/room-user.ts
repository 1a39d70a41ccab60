/**
 * A user in a room: one person, one or several connections.
 *
 * @module
 */
import type { Connection, Message, Payload } from "@vel/core";
import type { UserRole } from "./user-role.ts";

/**
 * Somebody who is in a room. Two tabs of one user are one `RoomUser` with two connections.
 *
 * The same object stands for the user until the last connection has left; {@link Room.onLeave} still gets it then,
 * without connections.
 *
 * @example
 * class Lobby extends Room {
 *   override onJoin(user: RoomUser, { first }: Join) {
 *     if (!first) user.send({ type: "notice", text: "You are here with another tab, too" });
 *   }
 * }
 */
export interface RoomUser<Data = unknown> {
  /** What {@link JoinOptions.userId} said, else the id of the connection. */
  readonly id: string;
  /** What {@link Room.setRole} gave, else that of the user's newest connection that joined with one, else `member`. */
  readonly role: UserRole;
  /** What the user's newest connection that joined with a `meta` gave; otherwise undefined. */
  readonly meta: unknown;
  /** The user's connections in this room, in the order in which they joined. */
  readonly connections: ReadonlySet<Connection<Data>>;
  /**
   * Sends a message to all of the user's connections, encoded once as a broadcast is. Never throws because of a
   * connection.
   *
   * @returns How many connections it was addressed to.
   * @throws {TypeError} When the message has no JSON form; nobody has got it then.
   */
  send(message: Message): number;
}

/** The user behind the {@link RoomUser} interface. The room's {@link Roster} alone changes it. */
export class Member implements RoomUser {
  readonly id: string;
  /** The only connection, until there is another or somebody looks: a Set would be half of what a member costs. */
  #only: Connection | undefined;
  #all: Set<Connection> | undefined;
  role: UserRole = "member";
  meta: unknown = undefined;
  /** Joins that have begun and whose leave has not been told yet. */
  stays = 0;
  /** Whether one of those joins was complete. */
  hasJoined = false;
  /** How often the user was put out. */
  expulsions = 0;

  readonly #encode: (message: Message) => Payload;

  constructor(id: string, encode: (message: Message) => Payload) {
    this.id = id;
    this.#encode = encode;
  }

  get connections(): Set<Connection> {
    this.#all ??= new Set(this);
    this.#only = undefined;
    return this.#all;
  }

  /** How many connections there are. */
  get size(): number {
    return this.#all?.size ?? (this.#only ? 1 : 0);
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return (this.#all ?? (this.#only ? [this.#only] : [])).values();
  }

  /** Takes in a connection that is not in. */
  add(connection: Connection): void {
    if (this.size > 0 || this.#all) this.connections.add(connection);
    else this.#only = connection;
  }

  /** Lets out a connection that is in. */
  delete(connection: Connection): void {
    if (this.#all) this.#all.delete(connection);
    else this.#only = undefined;
  }

  send(message: Message): number {
    const payload = this.#encode(message);
    let addressed = 0;
    // A connection whose buffer is full may be closed, and so removed, meanwhile: a Set's iterator survives that.
    for (const connection of this) {
      connection.send(payload);
      addressed++;
    }
    return addressed;
  }
}
