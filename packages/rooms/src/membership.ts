/**
 * How connections come into a room and go: the order of checks, removal, hooks and events.
 *
 * @module
 */
import {
  Audience,
  DisconnectError,
  encode,
  payloadSize,
  EventEmitter,
  VelError,
  Renewals,
  type Clock,
  type Connection,
  type MaybePromise,
  type Message,
  type Payload,
  type Unsubscribe,
} from "@vel/core";
import { closeInfoOf } from "./close-info.ts";
import type { RoomErrorCode } from "./errors.ts";
import { History, type HistoryFill } from "./history.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { JoinRequest } from "./join-options.ts";
import type { MessageFrame } from "./message-place.ts";
import { Moderation } from "./moderation.ts";
import type { Join, Leave, LeaveReason, RoomEvents } from "./room-events.ts";
import type { RoomSettings } from "./room-options.ts";
import type { Member, RoomUser } from "./room-user.ts";
import { Roster, type Seat } from "./roster.ts";
import { Tally } from "./tally.ts";

/** The hooks of the room that a membership belongs to. */
export interface MembershipHooks {
  canJoin(connection: Connection<never>, request: JoinRequest): MaybePromise<boolean>;
  onJoin(user: RoomUser<never>, join: Join<never>): MaybePromise<void>;
  onLeave(user: RoomUser<never>, leave: Leave<never>): MaybePromise<void>;
  onEmpty(): MaybePromise<void>;
}

/** Why somebody was put out. */
export type Expulsion = Extract<LeaveReason, "kicked" | "banned" | "forbidden">;

/** What a membership needs of its manager. */
export interface MembershipOwner {
  readonly runner: HookRunner;
  readonly clock: Clock;
  readonly frame: MessageFrame | undefined;
  /** Somebody is in, or about to be, where nobody was. */
  occupied(membership: Membership): void;
  /** Nobody is in any more, or about to be. */
  vacated(membership: Membership): void;
  /** A connection takes a place, in the room or before its door. */
  entered(connection: Connection, membership: Membership): void;
  /** A connection gives a place back, once for each `entered`. */
  exited(connection: Connection, membership: Membership): void;
  /** A connection was put out, and its leave was told if its join was complete. */
  expelled(connection: Connection, membership: Membership, why: Expulsion, reason: string | undefined): void;
}

/**
 * The members of one room. Made by the manager, which lets people in and out; the room, which is what users see, reads
 * from it and speaks through it.
 */
export class Membership {
  readonly name: string;
  readonly settings: RoomSettings;
  readonly clock: Clock;
  readonly roster: Roster;
  readonly moderation: Moderation;
  readonly history: History<Message> | undefined;
  readonly events: EventEmitter<RoomEvents>;
  readonly #audience = new Audience((connection) => {
    this.leave(connection, "disconnected");
  });
  readonly #owner: MembershipOwner;
  /** The users with a place: those inside, and those about whom `canJoin` still thinks. */
  readonly #places = new Tally<string>();
  #hooks: MembershipHooks | undefined;
  #openDoor: MembershipHooks["canJoin"] | undefined;
  /** Whether somebody has joined since the room was last empty. */
  #isLived = false;
  /** Whether somebody has joined since the room was made. */
  #wasEntered = false;
  #isClosed = false;

  constructor(name: string, settings: RoomSettings, owner: MembershipOwner) {
    this.name = name;
    this.settings = settings;
    this.clock = owner.clock;
    this.#owner = owner;
    this.roster = new Roster((message) => this.#encode(message));
    this.moderation = new Moderation(name, settings, this.roster, owner.clock);
    this.history = settings.history && new History(settings.history.limit);
    this.events = new EventEmitter((error) => {
      owner.runner.report(error, { stage: "listener" });
    });
  }

  /**
   * Takes the room whose hooks are to be run.
   *
   * @param openDoor The `canJoin` that lets everybody in.
   */
  attach(hooks: MembershipHooks, openDoor: MembershipHooks["canJoin"]): void {
    this.#hooks = hooks;
    this.#openDoor = openDoor;
  }

  /** Whether `canJoin` decides anything, so that members who are renewed have to be asked about again. */
  get isGuarded(): boolean {
    return this.#hooks?.canJoin !== this.#openDoor;
  }

  /**
   * Adds an open connection that `canJoin` lets in, and resolves when `onJoin` has settled. When that fails, the
   * connection is out again and nobody is told of a leave. Nothing waits for a hook that is synchronous.
   *
   * @throws {VelError} `ERR_VEL_ROOM_CLOSED`, `ERR_VEL_ROOM_MEMBER`, `ERR_VEL_ROOM_BANNED`, `ERR_VEL_ROOM_FULL`,
   * `ERR_VEL_ROOM_FORBIDDEN`
   * @throws {DisconnectError} When the connection ends meanwhile.
   * @throws What `canJoin` and `onJoin` throw.
   */
  async join(connection: Connection, request: JoinRequest): Promise<void> {
    const { userId, since } = request;
    this.#assertMayEnter(connection, userId);
    this.#takePlace(connection, userId);
    let isTaken = true;
    const giveBack = (): void => {
      if (isTaken) this.#givePlaceBack(connection, userId);
      isTaken = false;
    };
    let seat: Seat;
    let stopListening: Unsubscribe | undefined;
    let renewals: Renewals | undefined;
    try {
      const answer = this.#ask(connection, request);
      if (typeof answer !== "boolean") {
        // Whoever hangs up while the room thinks gives the place back to others.
        stopListening = connection.onClosing(giveBack);
        renewals = new Renewals(connection);
      }
      let isAllowed = typeof answer === "boolean" ? answer : await answer;
      while (isAllowed === true && renewals?.take()) isAllowed = await this.#ask(connection, request);
      // Meanwhile anything may have happened.
      this.#assertMayEnter(connection, userId);
      if (isAllowed !== true) throw this.#error("ERR_VEL_ROOM_FORBIDDEN", `${JSON.stringify(userId)} is not let in`);
      seat = this.roster.enter(this.name, connection, request);
      this.#takePlace(connection, userId);
    } finally {
      stopListening?.();
      renewals?.close();
      giveBack();
    }
    this.#audience.add(connection);
    let join: Join;
    try {
      join = { connection, first: seat.first, missed: this.#catchUp(connection, since) };
      // What is replayed may be more than its send buffer holds.
      if (!connection.isOpen) throw new DisconnectError(closeInfoOf(connection));
      const joining = this.#hooks?.onJoin(seat.user as RoomUser as RoomUser<never>, join as Join<never>);
      // A hook that is done is not waited for, so that nothing can happen between it and the rest.
      if (joining !== undefined) await joining;
    } catch (error) {
      this.#remove(seat);
      this.roster.unpart(connection); // who hung up meanwhile was not let in either
      this.roster.conclude(seat);
      this.#owner.runner.later(() => {
        this.#tellIfEmpty();
      });
      throw error;
    }
    this.#complete(seat, join);
  }

  /** Whether somebody is in or before the door, or has been in since the room was made, also whose `onJoin` still runs. */
  get isTouched(): boolean {
    return this.#wasEntered || this.#places.size > 0 || !this.roster.isVacant;
  }

  /** Lets a connection out; false when it is not in. */
  leave(connection: Connection, reason: LeaveReason): boolean {
    const seat = this.roster.get(connection);
    if (seat) return this.#depart(seat, reason);
    this.roster.unpart(connection); // what it said after this is not taken, though its peer has gone
    return false;
  }

  /** Puts a user out with all connections; false when he is not in. All are out before the first leave is told. */
  expel(userId: string, why: Expulsion, reason: string | undefined): boolean {
    const connections = [...(this.roster.users.get(userId) ?? [])];
    this.roster.unpartAll(userId);
    this.#putOut(connections, why, reason);
    return connections.length > 0;
  }

  /**
   * Asks again about a connection that was renewed, and puts it out unless it is let in still. One question at a time: a
   * renewal meanwhile leads to one more, and waits for its answer. A no counts at once.
   */
  async renew(connection: Connection): Promise<void> {
    const seat = this.roster.get(connection);
    if (!seat || seat.isInQuestion) return;
    const { user, role, meta, since } = seat;
    const request: JoinRequest = { userId: user.id, role, meta, since };
    const isIn = (): boolean => this.roster.get(connection) === seat;
    let renewals: Renewals | undefined;
    let isAllowed: boolean | undefined;
    seat.isInQuestion = true;
    try {
      const answer = this.#ask(connection, request);
      // What the hook itself renews before it answers is no reason to ask again: that would never end.
      if (typeof answer !== "boolean") renewals = new Renewals(connection);
      isAllowed = typeof answer === "boolean" ? answer : await answer;
      while (isAllowed === true && isIn() && renewals?.take()) isAllowed = await this.#ask(connection, request);
    } catch (error) {
      isAllowed = false;
      this.#owner.runner.report(error, { stage: "canJoin", connection });
    }
    seat.isInQuestion = false;
    if (isAllowed !== true && isIn()) this.#putOut([connection], "forbidden");
    renewals?.close();
  }

  /**
   * Lets everybody out, and nobody in any more. Within a {@link HookRunner.hold}, all are out before the first leave is
   * told.
   */
  close(): void {
    this.#isClosed = true;
    for (const seat of this.roster.seats()) this.#depart(seat, "closed");
  }

  /** Who a connection speaks for: its user, also when its peer has gone and this is what it said before. */
  speaker(connection: Connection): Member | undefined {
    const seat = this.roster.get(connection);
    if (seat) return seat.user;
    const user = this.roster.parted(connection);
    return user && this.moderation.bans.left(user.id) === 0 ? user : undefined;
  }

  /** Sends a message to all but the given connections and returns how many it was addressed to. */
  broadcast(message: Message, except: Connection | ReadonlySet<Connection> | undefined, isKept: boolean): number {
    return this.#owner.runner.hold(() => {
      const history = isKept ? this.history : undefined;
      const payload = this.#encode(message, history && history.seq + 1);
      // Bytes are the caller's to reuse.
      history?.append(message instanceof Uint8Array ? new Uint8Array(message) : message);
      return this.#audience.broadcast(payload, { except });
    });
  }

  /** Sends a message to the connections of one user and returns how many there are. */
  send(userId: string, message: Message): number {
    return this.#owner.runner.hold(() => this.roster.users.get(userId)?.send(message) ?? 0);
  }

  #ask(connection: Connection, request: JoinRequest): MaybePromise<boolean> | undefined {
    return this.#hooks?.canJoin(connection as Connection<never>, { ...request });
  }

  #encode(message: Message, seq?: number): Payload {
    const { frame } = this.#owner;
    const epoch = seq === undefined ? undefined : this.history?.epoch;
    return encode(frame ? frame(message, { room: this.name, seq, epoch }) : message);
  }

  /** Sends what a connection has missed, all of it or nothing, or the last messages to one that does not ask. */
  #catchUp(connection: Connection, since: JoinRequest["since"]): HistoryFill<Message> | undefined {
    const { history, settings } = this;
    const missed = since === undefined ? undefined : (history?.since(since) ?? incomplete);
    const entries = missed ? missed.entries : (history?.last(settings.history?.replay) ?? []);
    const newest: Payload[] = []; // the last comes first
    let size = 0;
    for (const { seq, entry } of entries.toReversed()) {
      const payload = this.#encode(entry, seq);
      size += payloadSize(payload);
      if (size <= replayLimit) newest.push(payload);
      else if (missed) return incomplete;
      else break;
    }
    const payloads = newest.reverse();
    // A send buffer that drops has made a gap: then this was not all.
    const hasGap = payloads.some((payload) => connection.send(payload) === "dropped");
    return missed && hasGap ? incomplete : missed;
  }

  /** @throws {VelError} When a connection cannot come in as things are. */
  #assertMayEnter(connection: Connection, userId: string): void {
    if (this.#isClosed) throw this.#error("ERR_VEL_ROOM_CLOSED", "manager is closed");
    if (!connection.isOpen) throw new DisconnectError(closeInfoOf(connection));
    this.roster.assertNotIn(this.name, connection);
    this.moderation.assertNotBanned(userId);
    const { capacity } = this.settings;
    if (this.#places.has(userId) || this.#places.size < capacity) return;
    throw this.#error("ERR_VEL_ROOM_FULL", `there are ${String(capacity)} users already`);
  }

  /** Takes a place for a user, who has one as long as one of his is not given back. */
  #takePlace(connection: Connection, userId: string): void {
    this.#places.add(userId);
    this.#owner.entered(connection, this);
    if (this.#places.size === 1) this.#owner.occupied(this);
  }

  #givePlaceBack(connection: Connection, userId: string): void {
    this.#places.remove(userId);
    this.#owner.exited(connection, this);
    if (this.#places.size === 0) this.#owner.vacated(this);
  }

  #complete(seat: Seat, join: Join): void {
    const { left } = seat;
    seat.joined = true;
    this.#isLived = true;
    this.#wasEntered = true;
    this.roster.remember(seat);
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

  #putOut(connections: readonly Connection[], why: Expulsion, reason?: string): void {
    const { runner } = this.#owner;
    runner.hold(() => {
      for (const connection of connections) this.leave(connection, why);
      runner.later(() => {
        for (const connection of connections) this.#owner.expelled(connection, this, why, reason);
      });
    });
  }

  #remove(seat: Seat): boolean {
    if (!this.roster.exit(seat)) return false;
    this.#audience.delete(seat.connection);
    this.#givePlaceBack(seat.connection, seat.user.id);
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
      this.#tellIfEmpty();
    });
  }

  #tellIfEmpty(): void {
    if (!this.#isLived || !this.roster.isVacant) return;
    this.#isLived = false;
    this.#owner.runner.run(() => this.#hooks?.onEmpty(), { stage: "onEmpty" });
  }

  #error(code: RoomErrorCode, why: string): VelError<RoomErrorCode> {
    return new VelError(code, `Cannot join room ${JSON.stringify(this.name)}: ${why}`);
  }
}

/** Bytes that a replay may have: half of a send buffer's default, or whoever comes in would be closed for it. */
const replayLimit = 2 ** 19;

/** What is said of a position when nothing can be told about it. */
const incomplete: HistoryFill<Message> = { entries: [], complete: false };
