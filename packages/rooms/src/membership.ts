/**
 * How connections come into a room and go: the order of removal, hooks and events.
 *
 * @module
 */
import { Audience, EventEmitter, type Connection, type MaybePromise, type Message } from "@vel/core";
import type { HookRunner } from "./hook-runner.ts";
import type { Join, Leave, LeaveReason, RoomEvents } from "./room-events.ts";
import type { RoomUser } from "./room-user.ts";
import { Roster, type Seat, type SeatOptions } from "./roster.ts";

/** The hooks of the room that a membership belongs to. */
export interface MembershipHooks {
  onJoin(user: RoomUser<never>, join: Join<never>): MaybePromise<void>;
  onLeave(user: RoomUser<never>, leave: Leave<never>): MaybePromise<void>;
}

/** What a membership needs of its manager. */
export interface MembershipOwner {
  readonly runner: HookRunner;
  /** The room has its first member. */
  occupied(membership: Membership): void;
  /** The room has lost its last member. */
  vacated(membership: Membership): void;
}

/**
 * The members of one room. Made by the manager, which lets people in and out; the room, which is what users see, reads
 * from it and speaks through it.
 */
export class Membership {
  readonly name: string;
  readonly roster: Roster = new Roster();
  readonly events: EventEmitter<RoomEvents>;
  readonly #audience = new Audience();
  readonly #owner: MembershipOwner;
  #hooks: MembershipHooks | undefined;

  constructor(name: string, owner: MembershipOwner) {
    this.name = name;
    this.#owner = owner;
    this.events = new EventEmitter((error) => {
      owner.runner.report(error, { stage: "listener" });
    });
  }

  /** Takes the room whose hooks are to be run. */
  attach(hooks: MembershipHooks): void {
    this.#hooks = hooks;
  }

  /**
   * Adds an open connection at once, and resolves when `onJoin` has settled. When that fails, the connection is out
   * again and nobody is told of a leave.
   *
   * @throws {VelError} `ERR_VEL_ROOM_MEMBER`
   * @throws What `onJoin` throws.
   */
  async join(connection: Connection, options: SeatOptions): Promise<void> {
    const seat = this.roster.enter(this.name, connection, options);
    if (this.roster.size === 1) this.#owner.occupied(this);
    this.#audience.add(connection);
    seat.release = connection.onClosing(() => {
      this.#depart(seat, "disconnected");
    });
    const join: Join = { connection, first: seat.first };
    try {
      const joining = this.#hooks?.onJoin(seat.user as RoomUser as RoomUser<never>, join as Join<never>);
      // A hook that is done is not waited for, so that nothing can happen between it and the rest.
      if (joining !== undefined) await joining;
    } catch (error) {
      this.#remove(seat);
      this.roster.conclude(seat);
      throw error;
    }
    this.#complete(seat, join);
  }

  /** Lets a connection out; false when it is not in. */
  leave(connection: Connection, reason: LeaveReason): boolean {
    const seat = this.roster.get(connection);
    return seat !== undefined && this.#depart(seat, reason);
  }

  /** Lets everybody out; within a {@link HookRunner.hold}, all are out before the first leave is told. */
  clear(reason: LeaveReason): void {
    for (const seat of this.roster.seats()) this.#depart(seat, reason);
  }

  /** Sends a message to all but the given connections and returns how many it was addressed to. */
  broadcast(message: Message, except: Connection | ReadonlySet<Connection> | undefined): number {
    return this.#owner.runner.hold(() => this.#audience.broadcast(message, { except }));
  }

  #complete(seat: Seat, join: Join): void {
    const { left } = seat;
    seat.joined = true;
    this.#owner.runner.hold(() => {
      this.events.emit("join", seat.user, join);
      // Out again while `onJoin` ran. A listener that has just let it out has told of the leave already.
      if (left) this.#tell(seat, left);
    });
  }

  #depart(seat: Seat, reason: LeaveReason): boolean {
    if (!this.#remove(seat)) return false;
    seat.left = reason;
    // Of whom this side has closed nothing is wanted any more; what a peer sent before it left is.
    if (seat.connection.closeInfo?.by === "remote") this.roster.part(seat);
    if (seat.joined) this.#tell(seat, reason);
    return true;
  }

  #remove(seat: Seat): boolean {
    if (!this.roster.exit(seat)) return false;
    seat.release?.();
    this.#audience.delete(seat.connection);
    if (this.roster.size === 0) this.#owner.vacated(this);
    return true;
  }

  #tell(seat: Seat, reason: LeaveReason): void {
    const { runner } = this.#owner;
    const { user, connection } = seat;
    runner.later(() => {
      const leave: Leave = { connection, last: this.roster.conclude(seat), reason };
      runner.run(() => this.#hooks?.onLeave(user as RoomUser as RoomUser<never>, leave as Leave<never>), {
        stage: "onLeave",
        connection,
      });
      this.events.emit("leave", user, leave);
    });
  }
}
