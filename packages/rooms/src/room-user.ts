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
  readonly connections: Set<Connection> = new Set<Connection>();
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

  send(message: Message): number {
    const payload = this.#encode(message);
    let addressed = 0;
    // A connection whose buffer is full may be closed, and so removed, meanwhile: a Set's iterator survives that.
    for (const connection of this.connections) {
      connection.send(payload);
      addressed++;
    }
    return addressed;
  }
}
