/**
 * A room, to subclass.
 *
 * @module
 */
import type { Connection, Emitter, MaybePromise, Message, Unsubscribe } from "@vel/core";
import {
  assertDuration,
  assertReason,
  type ActOptions,
  type BanOptions,
  type KickOptions,
  type MuteOptions,
} from "./act-options.ts";
import type { Capability } from "./capability.ts";
import type { History } from "./history.ts";
import { assertUserId, type JoinRequest } from "./join-options.ts";
import type { Membership } from "./membership.ts";
import { Reception } from "./reception.ts";
import type { RoomBroadcastOptions, RoomExcept } from "./room-broadcast.ts";
import { membership, type RoomContext } from "./room-context.ts";
import type { Join, Leave, RoomEvents } from "./room-events.ts";
import { summaryOf, type RoomInfo } from "./room-info.ts";
import type { RoomSettings } from "./room-options.ts";
import type { RoomUser } from "./room-user.ts";
import { TypedMessages, type HandlerTable, type MessageHandlers, type MessageSchemas } from "./typed-messages.ts";
import { assertRole, type UserRole } from "./user-role.ts";

/**
 * A room: who is in it, and what happens there. Made by a {@link RoomManager}; subclass it to give it behaviour.
 *
 * Hooks run for each connection; `first` and `last` tell whether it is the first and last of its user. `Data` is what
 * members' `connection.data` holds, `Out` what the room may broadcast.
 *
 * @example
 * class ChatRoom extends Room {
 *   override onJoin(user: RoomUser, { first }: Join) {
 *     if (first) this.broadcast({ type: "user_joined", userId: user.id, userCount: this.userCount }, { except: user });
 *   }
 *   override onMessage(user: RoomUser, message: unknown) {
 *     this.broadcast({ type: "chat_message", userId: user.id, message });
 *   }
 *   override onLeave(user: RoomUser, { last }: Leave) {
 *     if (last) this.broadcast({ type: "user_left", userId: user.id, userCount: this.userCount });
 *   }
 * }
 * const rooms = new RoomManager({ room: ChatRoom });
 */
export class Room<Data = unknown, Out extends Message = Message> implements Emitter<RoomEvents<Data>> {
  /** The name under which the manager knows it. */
  readonly name: string;
  /** What was broadcast lately, numbered; undefined unless {@link RoomOptions.history} is on. Entries are not copied. */
  readonly history: History<Message> | undefined;
  /** Anything about the room that others may see: it is part of {@link RoomInfo}. At first {@link RoomOptions.meta}. */
  meta: unknown;
  /**
   * Typed messages: a type that stands here is checked by its schema and goes to its handler, every other message to
   * {@link Room.onMessage}. Made by {@link Room.handlers}.
   */
  protected readonly messages?: HandlerTable;
  readonly #membership: Membership;
  readonly #reception: Reception;

  /** @throws {TypeError} When the context is not one that a {@link RoomManager} made. */
  constructor(context: RoomContext) {
    const members = (context as Partial<RoomContext> | undefined)?.[membership];
    if (!members) throw new TypeError("A room is made by a RoomManager: use getOrCreate() or join()");
    this.name = context.name;
    this.history = members.history;
    this.meta = members.settings.meta;
    this.#membership = members;
    this.#reception = new Reception(members, this);
    members.attach(this, Room.prototype.canJoin);
  }

  /** What holds here: the options that it was made with, and the defaults. */
  get options(): RoomSettings {
    return this.#membership.settings;
  }

  /** The users in the room, by id, in the order in which they came. */
  get users(): ReadonlyMap<string, RoomUser<Data>> {
    return this.#membership.roster.users as ReadonlyMap<string, RoomUser> as ReadonlyMap<string, RoomUser<Data>>;
  }

  /** How many users are in. */
  get userCount(): number {
    return this.#membership.roster.users.size;
  }

  /** How many connections they have together. */
  get connectionCount(): number {
    return this.#membership.roster.size;
  }

  /** The room at this moment, made anew on each read. */
  get info(): RoomInfo {
    return {
      ...summaryOf(this),
      users: [...this.users.values()].map(({ id, role, meta }) => ({ id, role, meta })),
    };
  }

  /**
   * Decides whether a connection may join: true lets it in, everything else refuses with `ERR_VEL_ROOM_FORBIDDEN`, and
   * what it throws rejects `join()`. While an asynchronous one thinks, the user has a place of the capacity; when it
   * has settled, everything is checked again. Nothing has been sent yet: history is safe from who is refused here.
   *
   * It is asked again, with the same request, when the connection is renewed (core's `connection.renew()`). Anything but
   * true puts a member out then, with the reason `forbidden`, also a throw, which goes to
   * {@link RoomManagerOptions.onError}. Until it has answered the member stays in and is heard. `renew()` waits for it, so
   * it must not wait for `renew()`.
   */
  canJoin(connection: Connection<Data>, request: JoinRequest): MaybePromise<boolean>;
  canJoin(): MaybePromise<boolean> {
    return true;
  }

  /**
   * Runs when a connection has joined: it is a member already, gets broadcasts and is counted. `join()` waits for it.
   *
   * A throw or rejection refuses: the connection is removed, `join()` rejects with the same error, and there is no
   * `onLeave`. So announce somebody last, after whatever may fail.
   */
  onJoin(user: RoomUser<Data>, join: Join<Data>): MaybePromise<void>;
  onJoin(): MaybePromise<void> {
    // Nothing, unless overridden.
  }

  /** Gets what {@link Room.receive} was given. An error is the caller's, who is the connection's handler. */
  onMessage(user: RoomUser<Data>, message: unknown, connection: Connection<Data>): MaybePromise<void>;
  onMessage(): MaybePromise<void> {
    // Nothing, unless overridden.
  }

  /**
   * Runs when a connection has left, exactly once for each join that was complete. It is removed already: counts are
   * right as they are. Nobody waits for it; an error goes to {@link RoomManagerOptions.onError}.
   */
  onLeave(user: RoomUser<Data>, leave: Leave<Data>): MaybePromise<void>;
  onLeave(): MaybePromise<void> {
    // Nothing, unless overridden.
  }

  /**
   * Runs when the room has become empty, after the last {@link Room.onLeave} was called. Nobody waits for it; an error
   * goes to {@link RoomManagerOptions.onError}.
   */
  onEmpty(): MaybePromise<void> {
    // Nothing, unless overridden.
  }

  /**
   * Hands a message of a member to its typed handler, see {@link Room.messages}, or else to {@link Room.onMessage}. At
   * once, unless the message's schema is asynchronous or one before it is still being checked; what the handler
   * returns is waited for.
   *
   * Checked are, in this order: that the connection is in, that its user may `speak`, is not muted, and is not too fast
   * for {@link RoomOptions.slowMode}.
   *
   * What somebody sent right before the connection ended is handed in too, although they have left by then: a message
   * that came is not lost because its sender hung up.
   *
   * @throws {VelError} `ERR_VEL_ROOM_NOT_MEMBER`, `ERR_VEL_ROOM_FORBIDDEN`, `ERR_VEL_ROOM_MUTED`, `ERR_VEL_ROOM_SLOW`;
   * `ERR_VEL_ROOM_LIMIT` when too many users are in slow mode; `ERR_VEL_TIMEOUT` when a schema takes too long.
   * @throws {InvalidMessageError} When the message does not fit its schema.
   * @throws {DisconnectError} When the connection is not in because it is not open any more: a handler that lets this
   * through has simply ended.
   */
  receive(connection: Connection<Data>, message: unknown): MaybePromise<void> {
    const types = this.messages instanceof TypedMessages ? this.messages : undefined;
    return this.#reception.receive(connection, message, types);
  }

  /**
   * Sends a message to everybody in the room, encoded once: text and bytes as they are, everything else as JSON, unless
   * {@link RoomManagerOptions.frame} says otherwise. Kept in {@link Room.history}, where that is on.
   *
   * Done when it returns. Never throws because of a member, and none delays another: what a full send buffer drops is
   * counted by its connection. A member that is closed by that is out at once; its `onLeave` runs when the broadcast
   * is done, so everybody hears of both in the same order.
   *
   * @returns How many connections it was addressed to.
   * @throws {TypeError} When the message has no JSON form; nobody has got it then, and it is not kept.
   */
  broadcast(message: Out, { except, record = true }: RoomBroadcastOptions<Data> = {}): number {
    return this.#membership.broadcast(message, except && this.#connectionsOf(except), record);
  }

  /**
   * Sends a message to all connections of one user, as {@link RoomUser.send} does. It is not kept.
   *
   * @returns How many connections it was addressed to; 0 when the user is not in.
   * @throws {TypeError} When the message has no JSON form.
   */
  send(userId: string, message: Out): number {
    return this.#membership.send(userId, message);
  }

  /** Tells whether a user's role has a capability; false for who is not in this room at this moment. */
  can(user: RoomUser<Data>, capability: Capability): boolean {
    return this.#membership.moderation.can(user, capability);
  }

  /**
   * Puts a user out, with all connections. Those that came by {@link RoomManager.serve} are closed with 4500, after
   * `onLeave`; the others stay open. Nothing keeps the user from joining again.
   *
   * @returns False when the user was not in.
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`: `by` has left, lacks the capability, or is not above that user.
   * @throws {TypeError} When the id or the reason is not a string.
   * @example
   * const room = rooms.getOrCreate("lobby");
   * room.kick("mallory", { by: "system", reason: "Calm down" });
   */
  kick(userId: string, { by, reason }: KickOptions<Data>): boolean {
    assertUserId(userId);
    assertReason(reason);
    this.#membership.moderation.authorize("kick", userId, by);
    return this.#membership.expel(userId, "kicked", reason);
  }

  /**
   * Puts a user out as {@link Room.kick} does, with 4501, and keeps him out while the ban holds: on every connection,
   * and whether or not he was in. Another ban replaces it. Bans live as long as the room.
   *
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`; `ERR_VEL_ROOM_LIMIT` when 10,000 are banned.
   * @throws {TypeError} When the id or the reason is not a string.
   * @throws {RangeError} When `for` is not a positive number.
   */
  ban(userId: string, { by, reason, for: duration = Infinity }: BanOptions<Data>): void {
    assertUserId(userId);
    assertReason(reason);
    assertDuration(duration);
    this.#membership.moderation.authorize("ban", userId, by);
    this.#membership.moderation.bans.set(userId, duration);
    this.#membership.expel(userId, "banned", reason);
  }

  /**
   * Takes back a ban.
   *
   * @returns False when the user was not banned.
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`
   */
  unban(userId: string, { by }: ActOptions<Data>): boolean {
    assertUserId(userId);
    this.#membership.moderation.authorize("ban", userId, by);
    return this.#membership.moderation.bans.delete(userId);
  }

  /**
   * Keeps a user's messages from being taken, whether or not he is in. Another mute replaces it. Mutes live as long as
   * the room.
   *
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`; `ERR_VEL_ROOM_LIMIT` when 10,000 are muted.
   * @throws {TypeError} When the id is not a string.
   * @throws {RangeError} When `for` is not a positive number.
   */
  mute(userId: string, { by, for: duration = Infinity }: MuteOptions<Data>): void {
    assertUserId(userId);
    assertDuration(duration);
    this.#membership.moderation.authorize("mute", userId, by);
    this.#membership.moderation.mutes.set(userId, duration);
  }

  /**
   * Takes back a mute.
   *
   * @returns False when the user was not muted.
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`
   */
  unmute(userId: string, { by }: ActOptions<Data>): boolean {
    assertUserId(userId);
    this.#membership.moderation.authorize("mute", userId, by);
    return this.#membership.moderation.mutes.delete(userId);
  }

  /**
   * Gives a user a role, whether or not he is in. It lives as long as the room and wins over {@link JoinOptions.role}.
   *
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`, also when the role is not below that of `by`; `ERR_VEL_ROOM_LIMIT`
   * when 10,000 users were given one.
   * @throws {TypeError} When the id is not a string or the role is none.
   */
  setRole(userId: string, role: UserRole, { by }: ActOptions<Data>): void {
    assertUserId(userId);
    assertRole("Role", role);
    this.#membership.moderation.authorize("setRole", userId, by, role);
    this.#membership.roster.give(this.name, userId, role);
  }

  /** Watches who comes and goes, from outside. Synchronous; a listener's error goes to the manager's `onError`. */
  on<K extends keyof RoomEvents<Data>>(event: K, listener: (...args: RoomEvents<Data>[K]) => void): Unsubscribe {
    return this.#membership.events.on(event, listener as (...args: RoomEvents[K]) => void);
  }

  /**
   * Makes the table for {@link Room.messages}: a handler for each type of message, which gets what its schema yields.
   *
   * @throws {TypeError} When a schema has no handler, or a handler no schema.
   * @example
   * import { Room, type HandlerTable } from "@vel/rooms";
   * import { z } from "zod";
   *
   * class ChatRoom extends Room {
   *   protected override readonly messages: HandlerTable = this.handlers(
   *     { say: z.object({ type: z.literal("say"), text: z.string().max(500) }) },
   *     { say: (user, { text }) => this.broadcast({ type: "said", userId: user.id, text }) },
   *   );
   * }
   */
  protected handlers<Schemas extends MessageSchemas>(
    schemas: Schemas,
    handlers: MessageHandlers<Schemas, Data>,
  ): HandlerTable {
    return new TypedMessages(schemas, handlers) as unknown as HandlerTable;
  }

  #connectionsOf(except: RoomExcept<Data>): Connection | ReadonlySet<Connection> | undefined {
    if ("userId" in except) return this.users.get(except.userId)?.connections;
    if ("connections" in except) return this.users.get(except.id)?.connections;
    return except;
  }
}
