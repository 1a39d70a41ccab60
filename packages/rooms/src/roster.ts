/**
 * Who is in one room: users, their connections, and who came first and went last. Runs no hooks.
 *
 * @module
 */
import { VelError, type Connection, type Message, type Payload } from "@vel/core";
import type { RoomErrorCode } from "./errors.ts";
import type { JoinRequest } from "./join-options.ts";
import type { LeaveReason } from "./room-events.ts";
import { Member, type RoomUser } from "./room-user.ts";
import { tableFull, tableLimit } from "./timed-table.ts";
import { roleRank, type UserRole } from "./user-role.ts";

/** One connection's place in a room. */
export interface Seat {
  readonly user: Member;
  readonly connection: Connection;
  /** Whether no other stay of this user had begun. */
  readonly first: boolean;
  readonly role: UserRole | undefined;
  readonly meta: unknown;
  readonly since: JoinRequest["since"];
  /** {@link Member.expulsions} when it was taken. */
  readonly expulsions: number;
  /** Whether the join is complete, so that a leave has to be told. */
  joined: boolean;
  /** Why the seat is empty again. */
  left: LeaveReason | undefined;
  /** Whether `canJoin` is being asked about it again. */
  isInQuestion: boolean;
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
  /** Roles that were given here: they win over what joins say. */
  readonly #given = new Map<string, UserRole>();
  /** What those are who left as more than members, so that nobody below them acts on them behind their backs. */
  readonly #former = new Map<string, UserRole>();
  readonly #encode: (message: Message) => Payload;

  /** @param encode Makes payloads of direct messages. */
  constructor(encode: (message: Message) => Payload) {
    this.#encode = encode;
  }

  /** How many connections have a seat. */
  get size(): number {
    return this.#seats.size;
  }

  /** Whether nobody is in, and nobody's leave is still to be told. */
  get isVacant(): boolean {
    return this.#staying.size === 0;
  }

  /** The seat of a connection. */
  get(connection: Connection): Seat | undefined {
    return this.#seats.get(connection);
  }

  /** Keeps the seat of a connection whose peer has gone for the messages that it sent before. */
  part(seat: Seat): void {
    this.#parted.set(seat.connection, seat);
  }

  /** The user of a connection whose peer has gone, for what it said before. */
  parted(connection: Connection): Member | undefined {
    const seat = this.#parted.get(connection);
    return seat?.expulsions === seat?.user.expulsions ? seat?.user : undefined;
  }

  /** Takes nothing any more of what a connection said whose peer has gone. */
  unpart(connection: Connection): void {
    this.#parted.delete(connection);
  }

  /** The same for all such connections of a user who is in. */
  unpartAll(userId: string): void {
    const user = this.#staying.get(userId);
    if (user) user.expulsions++;
  }

  /** All seats, as they are now. */
  seats(): readonly Seat[] {
    return [...this.#seats.values()];
  }

  /**
   * Checks that a connection has no seat.
   *
   * @throws {VelError} `ERR_VEL_ROOM_MEMBER`
   */
  assertNotIn(room: string, connection: Connection): void {
    if (!this.#seats.has(connection)) return;
    throw new VelError<RoomErrorCode>(
      "ERR_VEL_ROOM_MEMBER",
      `Cannot join room ${JSON.stringify(room)}: connection "${connection.id}" is in it already`,
    );
  }

  /**
   * Gives a connection a seat.
   *
   * @throws {VelError} `ERR_VEL_ROOM_MEMBER` when it has one.
   */
  enter(room: string, connection: Connection, { userId, role, meta, since }: JoinRequest): Seat {
    this.assertNotIn(room, connection);
    const user = this.#staying.get(userId) ?? new Member(userId, this.#encode);
    const seat: Seat = {
      user,
      connection,
      first: user.stays === 0,
      role,
      meta,
      since,
      expulsions: user.expulsions,
      joined: false,
      left: undefined,
      isInQuestion: false,
    };
    user.stays++;
    this.#staying.set(userId, user);
    this.users.set(userId, user);
    this.#seats.set(connection, seat);
    user.add(connection);
    this.#describe(user);
    return seat;
  }

  /** Takes a seat back; false when it is empty already. */
  exit(seat: Seat): boolean {
    const { user, connection } = seat;
    if (this.#seats.get(connection) !== seat) return false;
    this.#seats.delete(connection);
    user.delete(connection);
    if (user.size > 0) this.#describe(user);
    else {
      this.users.delete(user.id);
      this.remember(seat);
    }
    return true;
  }

  /** Ends a stay; true when it was the last of its user. Once for each {@link Roster.enter}. */
  conclude({ user }: Seat): boolean {
    user.stays--;
    if (user.stays > 0) return false;
    this.#staying.delete(user.id);
    return true;
  }

  /** The role of a user: of one who is in, or what is known of one who is not. */
  roleOf(userId: string): UserRole {
    return this.users.get(userId)?.role ?? this.#given.get(userId) ?? this.#former.get(userId) ?? "member";
  }

  /**
   * Gives a user a role, in the room or not.
   *
   * @throws {VelError} `ERR_VEL_ROOM_LIMIT` when too many have been given.
   */
  give(room: string, userId: string, role: UserRole): void {
    if (!this.#given.has(userId) && this.#given.size >= tableLimit) {
      throw tableFull(`the given roles of room ${JSON.stringify(room)}`);
    }
    this.#given.set(userId, role);
    const user = this.#staying.get(userId);
    if (user) user.role = role;
  }

  /** The role with which a user's message is judged; he may have left since he sent it. */
  roleOfSpeaker({ id, role }: Member): UserRole {
    return this.#given.get(id) ?? role;
  }

  /** The role with which a user acts: a join that `onJoin` may still refuse lends him none. */
  roleOfActor({ id, role, connections }: RoomUser): UserRole {
    const joined = [...connections].map((connection) => this.#seats.get(connection)).filter((seat) => seat?.joined);
    if (connections.size === 0) return role;
    return this.#given.get(id) ?? joined.reduce<UserRole>((all, seat) => seat?.role ?? all, "member");
  }

  /** Keeps in mind what somebody was who has left. The oldest give way. */
  remember({ user, joined }: Seat): void {
    if (joined) user.hasJoined = true;
    const { id, role } = user;
    if (!user.hasJoined || this.users.has(id)) return;
    this.#former.delete(id);
    if (roleRank(role) <= roleRank("member")) return;
    this.#former.set(id, role);
    const [oldest] = this.#former.keys();
    if (this.#former.size > tableLimit && oldest !== undefined) this.#former.delete(oldest);
  }

  /** The newest connection that says something decides. Without connections the last description stays. */
  #describe(user: Member): void {
    user.role = "member";
    user.meta = undefined;
    for (const connection of user) {
      const seat = this.#seats.get(connection);
      user.role = seat?.role ?? user.role;
      if (seat?.meta !== undefined) user.meta = seat.meta;
    }
    user.role = this.#given.get(user.id) ?? user.role;
  }
}
