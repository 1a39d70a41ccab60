/**
 * A room, to subclass.
 *
 * @module
 */
import {
  DisconnectError,
  VelError,
  type Connection,
  type Emitter,
  type MaybePromise,
  type Message,
  type Unsubscribe,
} from "@vel/core";
import { closeInfoOf } from "./close-info.ts";
import type { RoomErrorCode } from "./errors.ts";
import type { Membership } from "./membership.ts";
import { membership, type RoomContext } from "./room-context.ts";
import type { Join, Leave, RoomEvents } from "./room-events.ts";
import type { RoomUser } from "./room-user.ts";
import type { UserRole } from "./user-role.ts";

/** Who does not get a broadcast: one connection, or all connections of a user. */
export type RoomExcept<Data = unknown> = Connection<Data> | RoomUser<Data> | { readonly userId: string };

/** How one message is broadcast in a room. */
export interface RoomBroadcastOptions<Data = unknown> {
  /** Who does not get it. Somebody who is not in the room changes nothing. Default: everybody gets it. */
  except?: RoomExcept<Data> | undefined;
}

/** A room at one moment, fit to be sent as JSON. */
export interface RoomInfo {
  /** The name of the room. */
  readonly name: string;
  /** How many users are in. */
  readonly userCount: number;
  /** How many connections they have together. */
  readonly connectionCount: number;
  /** The users, in the order in which they came. Whoever gets this sees each `meta`. */
  readonly users: readonly { readonly id: string; readonly role: UserRole; readonly meta: unknown }[];
}

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
  readonly #membership: Membership;

  /** @throws {TypeError} When the context is not one that a {@link RoomManager} made. */
  constructor(context: RoomContext) {
    const members = (context as Partial<RoomContext> | undefined)?.[membership];
    if (!members) throw new TypeError("A room is made by a RoomManager: use getOrCreate() or join()");
    this.name = context.name;
    this.#membership = members;
    members.attach(this);
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
      name: this.name,
      userCount: this.userCount,
      connectionCount: this.connectionCount,
      users: [...this.users.values()].map(({ id, role, meta }) => ({ id, role, meta })),
    };
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
   * Hands a message of a member to {@link Room.onMessage}, at once; what that returns is returned.
   *
   * What somebody sent right before the connection ended is handed in too, although they have left by then: a message
   * that came is not lost because its sender hung up.
   *
   * @throws {VelError} `ERR_VEL_ROOM_NOT_MEMBER` when the connection is not in the room.
   * @throws {DisconnectError} When it is not because it is not open any more: a handler that lets this through has
   * simply ended.
   */
  receive(connection: Connection<Data>, message: unknown): MaybePromise<void> {
    const user = this.#membership.roster.speaker(connection);
    if (user) return this.onMessage(user as RoomUser as RoomUser<Data>, message, connection);
    if (!connection.isOpen) throw new DisconnectError(closeInfoOf(connection));
    throw new VelError<RoomErrorCode>(
      "ERR_VEL_ROOM_NOT_MEMBER",
      `Cannot take a message in room ${JSON.stringify(this.name)}: connection "${connection.id}" is not in it`,
    );
  }

  /**
   * Sends a message to everybody in the room, encoded once: text and bytes as they are, everything else as JSON.
   *
   * Done when it returns. Never throws because of a member, and none delays another: what a full send buffer drops is
   * counted by its connection. A member that is closed by that is out at once; its `onLeave` runs when the broadcast
   * is done, so everybody hears of both in the same order.
   *
   * @returns How many connections it was addressed to.
   * @throws {TypeError} When the message has no JSON form; nobody has got it then.
   */
  broadcast(message: Out, { except }: RoomBroadcastOptions<Data> = {}): number {
    return this.#membership.broadcast(message, except && this.#connectionsOf(except));
  }

  /** Watches who comes and goes, from outside. Synchronous; a listener's error goes to the manager's `onError`. */
  on<K extends keyof RoomEvents<Data>>(event: K, listener: (...args: RoomEvents<Data>[K]) => void): Unsubscribe {
    return this.#membership.events.on(event, listener as (...args: RoomEvents[K]) => void);
  }

  #connectionsOf(except: RoomExcept<Data>): Connection | ReadonlySet<Connection> | undefined {
    if ("userId" in except) return this.users.get(except.userId)?.connections;
    if ("connections" in except) return this.users.get(except.id)?.connections;
    return except;
  }
}
