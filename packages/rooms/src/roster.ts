/**
 * Who is in one room: users, their connections, and who came first and went last. Runs no hooks.
 *
 * @module
 */
import { VelError, type Connection, type Unsubscribe } from "@vel/core";
import type { RoomErrorCode } from "./errors.ts";
import type { LeaveReason } from "./room-events.ts";
import { Member } from "./room-user.ts";
import type { UserRole } from "./user-role.ts";

/** One connection's place in a room. */
export interface Seat {
  readonly user: Member;
  readonly connection: Connection;
  /** Whether no other stay of this user had begun. */
  readonly first: boolean;
  readonly role: UserRole | undefined;
  readonly meta: unknown;
  /** Whether the join is complete, so that a leave has to be told. */
  joined: boolean;
  /** Why the seat is empty again. */
  left: LeaveReason | undefined;
  /** Stops listening to the connection. */
  release: Unsubscribe | undefined;
}

/** How a seat is taken. */
export interface SeatOptions {
  readonly userId: string;
  readonly role?: UserRole | undefined;
  readonly meta?: unknown;
}

/**
 * The seats of one room.
 *
 * A stay begins with {@link Roster.enter} and ends with {@link Roster.conclude}, when its leave is told; the seat is
 * empty from {@link Roster.exit} on. The two moments differ while a hook runs. `first` and `last` go by stays, so that
 * for each user they alternate, whatever the hooks take: somebody who is back before the room was told that he left is
 * neither first nor last.
 */
export class Roster {
  /** The users with at least one seat, by id. */
  readonly users: Map<string, Member> = new Map<string, Member>();
  /** The users with at least one stay, by id. */
  readonly #staying = new Map<string, Member>();
  readonly #seats = new Map<Connection, Seat>();
  /** The last seats of connections whose peer has gone: what they sent before may still be on its way. */
  readonly #parted = new WeakMap<Connection, Seat>();

  /** How many connections have a seat. */
  get size(): number {
    return this.#seats.size;
  }

  /** The seat of a connection. */
  get(connection: Connection): Seat | undefined {
    return this.#seats.get(connection);
  }

  /** Keeps the seat of a connection whose peer has gone for the messages that it sent before. */
  part(seat: Seat): void {
    this.#parted.set(seat.connection, seat);
  }

  /** Who a connection speaks for: its user, also when its peer has gone and this is what it said before. */
  speaker(connection: Connection): Member | undefined {
    return (this.#seats.get(connection) ?? this.#parted.get(connection))?.user;
  }

  /** All seats, as they are now. */
  seats(): readonly Seat[] {
    return [...this.#seats.values()];
  }

  /**
   * Gives a connection a seat.
   *
   * @throws {VelError} `ERR_VEL_ROOM_MEMBER` when it has one.
   */
  enter(room: string, connection: Connection, { userId, role, meta }: SeatOptions): Seat {
    if (this.#seats.has(connection)) {
      throw new VelError<RoomErrorCode>(
        "ERR_VEL_ROOM_MEMBER",
        `Cannot join room ${JSON.stringify(room)}: connection "${connection.id}" is in it already`,
      );
    }
    const user = this.#staying.get(userId) ?? new Member(userId);
    const seat: Seat = {
      user,
      connection,
      first: user.stays === 0,
      role,
      meta,
      joined: false,
      left: undefined,
      release: undefined,
    };
    user.stays++;
    this.#staying.set(userId, user);
    this.users.set(userId, user);
    this.#seats.set(connection, seat);
    user.connections.add(connection);
    this.#describe(user);
    return seat;
  }

  /** Takes a seat back; false when it is empty already. */
  exit(seat: Seat): boolean {
    const { user, connection } = seat;
    if (this.#seats.get(connection) !== seat) return false;
    this.#seats.delete(connection);
    user.connections.delete(connection);
    if (user.connections.size === 0) this.users.delete(user.id);
    else this.#describe(user);
    return true;
  }

  /** Ends a stay; true when it was the last of its user. Once for each {@link Roster.enter}. */
  conclude({ user }: Seat): boolean {
    user.stays--;
    if (user.stays > 0) return false;
    this.#staying.delete(user.id);
    return true;
  }

  /** The newest connection that says something decides. Without connections the last description stays. */
  #describe(user: Member): void {
    user.role = "member";
    user.meta = undefined;
    for (const connection of user.connections) {
      const seat = this.#seats.get(connection);
      user.role = seat?.role ?? user.role;
      if (seat?.meta !== undefined) user.meta = seat.meta;
    }
  }
}
