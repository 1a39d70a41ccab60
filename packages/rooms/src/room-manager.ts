/**
 * The rooms of one application, by name.
 *
 * @module
 */
import {
  DisconnectError,
  logError,
  systemClock,
  VelError,
  type Clock,
  type Connection,
  type ErrorContext,
  type MaybePromise,
  type Measurable,
  type Measurement,
  type PathParams,
  type Refusal,
  type Routes,
  type UpgradeRequest,
} from "@vel/core";
import { closeInfoOf } from "./close-info.ts";
import type { RoomErrorCode } from "./errors.ts";
import { Expiry } from "./expiry.ts";
import { HookRunner } from "./hook-runner.ts";
import { assertJoinOptions, assertRoomName, type JoinOptions } from "./join-options.ts";
import { Membership, type MembershipOwner } from "./membership.ts";
import type { MessageFrame } from "./message-place.ts";
import type { RoomBroadcastOptions } from "./room-broadcast.ts";
import { membership, type RoomContext } from "./room-context.ts";
import type { LeaveReason } from "./room-events.ts";
import { summaryOf, type RoomInfo, type RoomSummary } from "./room-info.ts";
import { roomSettings, type RoomOptions, type RoomSettings } from "./room-options.ts";
import { expulsionCodes, roomHooks, type RoomPlace } from "./room-route.ts";
import { Room } from "./room.ts";
import { Visits } from "./visits.ts";

/** A class of rooms. */
export type RoomClass<R> = new (context: RoomContext) => R;

/** What the connections of a room have as `data`. */
export type DataOf<R> = R extends Room<infer Data, infer _> ? Data : never;

/** What a room may broadcast. */
export type OutOf<R> = R extends Room<infer _, infer Out> ? Out : never;

/** Settings of a manager. */
export interface RoomManagerOptions<R> {
  /** What a room is made of, unless {@link RoomManager.getOrCreate} says otherwise. Default: {@link Room}. */
  room?: RoomClass<R>;
  /** What holds in each room, unless {@link RoomManager.getOrCreate} says otherwise. Default: no limits. */
  defaults?: RoomOptions;
  /**
   * How long a room is kept that everybody has left, in milliseconds, so that its state survives a reconnect. 0 drops
   * it at once, Infinity never. A room that nobody has entered yet is kept for a minute at least. Default: 300,000.
   */
  emptyTtl?: number;
  /** How many rooms there may be. At the limit, the room that has been empty longest gives way. Default: 10,000. */
  maxRooms?: number;
  /** How many rooms one connection may be in. Default: 100. */
  maxRoomsPerConnection?: number;
  /**
   * Makes payloads of what rooms send: broadcasts, replays and messages to one user. Called once for each. Default:
   * core's `encode`, whatever the place.
   */
  frame?: MessageFrame;
  /** Default: core's `systemClock`. */
  clock?: Clock;
  /**
   * Is told of what nobody awaits: what `onLeave`, `onEmpty`, `canJoin` when it is asked again (stages of the same name)
   * and listeners (stage `listener`) throw. Default:
   * core's `logError`, a line on `console.error`.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
}

interface Entry<R> {
  readonly room: R;
  readonly members: Membership;
}

/** How long a room waits for its first member at least, in milliseconds: `getOrCreate()` and `join()` are two steps. */
const untouchedTtl = 60_000;

/**
 * Keeps rooms by name, and lets connections in and out.
 *
 * A room is made when somebody first joins it and dropped some time after the last has left. That takes no timer: each
 * call drops what expired before it does its own work.
 *
 * @example
 * const rooms = new RoomManager();
 * vel.websocket("/ws/chat/:room", async (request) => {
 *   const { room } = request.params;
 *   const connection = await request.accept();
 *   await rooms.join(room, connection);
 *   for await (const text of connection.texts()) rooms.broadcast(room, { from: connection.id, text });
 * });
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any data, any messages: unknown would forbid subclasses that say more
export class RoomManager<R extends Room<any, any> = Room> implements AsyncDisposable, Measurable {
  readonly #class: RoomClass<R>;
  readonly #defaults: RoomOptions;
  readonly #maxRooms: number;
  readonly #maxRoomsPerConnection: number;
  readonly #rooms = new Map<string, Entry<R>>();
  readonly #empty: Expiry<string>;
  readonly #untouched: Expiry<string>;
  readonly #runner: HookRunner;
  readonly #owner: MembershipOwner;
  /** The rooms in which a connection has a place. */
  readonly #visits = new WeakMap<Connection, Visits>();
  /** The connections that came by {@link RoomManager.serve}, and the room for which each did. */
  readonly #served = new WeakMap<Connection, string>();
  #joins = 0;
  readonly #leaves: Record<LeaveReason, number> = {
    left: 0,
    disconnected: 0,
    kicked: 0,
    banned: 0,
    forbidden: 0,
    closed: 0,
  };
  #isClosed = false;

  /**
   * @throws {RangeError} When `emptyTtl` is negative, a maximum is below 1, or a number of `defaults` is out of range.
   * @throws {TypeError} When `defaults` names an unknown capability or role.
   */
  constructor(options: RoomManagerOptions<R> = {}) {
    const { defaults = {}, emptyTtl = 300_000, maxRooms = 10_000, maxRoomsPerConnection = 100 } = options;
    const { frame, clock = systemClock, onError = logError } = options;
    roomSettings(defaults, {}); // a mistake shows here, not when the first room is made
    if (!(emptyTtl >= 0)) throw new RangeError(`Option "emptyTtl" must be 0 or more, got ${String(emptyTtl)}`);
    if (!(maxRooms >= 1)) throw new RangeError(`Option "maxRooms" must be 1 or more, got ${String(maxRooms)}`);
    if (!(maxRoomsPerConnection >= 1)) {
      throw new RangeError(`Option "maxRoomsPerConnection" must be 1 or more, got ${String(maxRoomsPerConnection)}`);
    }
    this.#class = options.room ?? (Room as unknown as RoomClass<R>);
    this.#defaults = { ...defaults };
    this.#maxRooms = maxRooms;
    this.#maxRoomsPerConnection = maxRoomsPerConnection;
    this.#empty = new Expiry(emptyTtl, clock);
    this.#untouched = new Expiry(Math.max(emptyTtl, untouchedTtl), clock);
    this.#runner = new HookRunner(onError);
    this.#owner = {
      runner: this.#runner,
      clock,
      frame,
      occupied: ({ name }) => {
        this.#empty.delete(name);
        this.#untouched.delete(name);
      },
      vacated: ({ name }) => {
        if (this.#isClosed) return;
        this.#empty.add(name);
        this.#sweep();
      },
      entered: (connection, members) => {
        const visits = this.#visits.get(connection) ?? new Visits(connection, this.#runner);
        this.#visits.set(connection, visits);
        visits.add(members);
      },
      exited: (connection, members) => {
        this.#visits.get(connection)?.remove(members);
      },
      expelled: (connection, { name }, why, reason = why) => {
        if (this.#served.get(connection) === name) connection.close(expulsionCodes[why], reason);
      },
    };
  }

  /**
   * Lets a connection into a room, which is made if there is none, and resolves when {@link Room.onJoin} has settled.
   *
   * The connection is a member as soon as this was called, unless {@link Room.canJoin} is asynchronous, and leaves by
   * itself as soon as it is not open.
   *
   * @throws {VelError} `ERR_VEL_ROOM_MEMBER` when it is in already, `ERR_VEL_ROOM_BANNED`, `ERR_VEL_ROOM_FULL`,
   * `ERR_VEL_ROOM_FORBIDDEN` when `canJoin` does not let it in, `ERR_VEL_ROOM_LIMIT` when there are too many rooms or
   * it is in too many, `ERR_VEL_ROOM_CLASS` when the room is not of this manager's class, `ERR_VEL_ROOM_CLOSED` after
   * {@link RoomManager.close}.
   * @throws {DisconnectError} When the connection is not open any more.
   * @throws {TypeError} When the name, `userId` or `role` is not valid.
   * @throws What `canJoin` and `onJoin` throw; the connection is out again then.
   * @example
   * const room = await rooms.join("lobby", connection, { userId: "ada" });
   */
  async join(name: string, connection: Connection<DataOf<R>>, options: JoinOptions = {}): Promise<R> {
    assertRoomName(name);
    assertJoinOptions(options);
    if (!connection.isOpen) throw new DisconnectError(closeInfoOf(connection));
    this.#assertFewRooms(name, connection);
    const isMade = !this.#rooms.has(name);
    const { room, members } = this.#open(name, this.#class);
    const { userId = connection.id, role, meta, since } = options;
    const joining = members.join(connection, { userId, role, meta, since });
    this.#runner.track(joining);
    try {
      await joining;
    } catch (error) {
      if (isMade) this.#dropUnentered(name, members);
      throw error;
    }
    return room;
  }

  /**
   * Lets a connection out of a room; it stays open. {@link Room.onLeave} is called before this returns, except from
   * within another hook or broadcast, where it is called after that.
   *
   * @returns False when it was not in.
   */
  leave(name: string, connection: Connection): boolean {
    return this.#find(name)?.members.leave(connection, "left") ?? false;
  }

  /**
   * Lets a connection out of all rooms; it stays open. Otherwise as {@link RoomManager.leave}, but out of all before
   * the first {@link Room.onLeave}.
   *
   * @returns How many rooms it was in.
   */
  leaveAll(connection: Connection): number {
    const all = this.#membershipsOf(connection);
    this.#runner.hold(() => {
      for (const members of all) members.leave(connection, "left");
    });
    return all.length;
  }

  /** Lists the rooms that a connection is in, in the order in which it asked to come in. */
  roomsOf(connection: Connection): R[] {
    return this.#membershipsOf(connection).flatMap(({ name }) => this.#rooms.get(name)?.room ?? []);
  }

  /** Finds a room, an empty one that is still kept included. */
  get(name: string): R | undefined {
    return this.#find(name)?.room;
  }

  /**
   * Finds a room or makes it.
   *
   * A name stands for one class: whoever asks for another one is told, instead of getting a room that lacks what is
   * wanted. A subclass of the wanted class will do.
   *
   * @param room What to make it of. Default: {@link RoomManagerOptions.room}.
   * @param options What holds in it, beside {@link RoomManagerOptions.defaults}. A room that is there keeps its own.
   * @throws {VelError} `ERR_VEL_ROOM_CLASS`, `ERR_VEL_ROOM_LIMIT`, `ERR_VEL_ROOM_CLOSED`
   * @throws {TypeError} When the name is not a string of 1 to 1,024 characters, or an option names what there is not.
   * @throws {RangeError} When an option is out of its range.
   * @example
   * const room = rooms.getOrCreate("lobby", ChatRoom);
   */
  getOrCreate(name: string): R;
  getOrCreate<C extends R>(name: string, room: RoomClass<C>, options?: RoomOptions): C;
  getOrCreate(name: string, room: RoomClass<R> = this.#class, options?: RoomOptions): R {
    assertRoomName(name);
    return this.#open(name, room, options && roomSettings(this.#defaults, options)).room;
  }

  /**
   * Sends a message to everybody in a room, see {@link Room.broadcast}.
   *
   * @returns How many connections it was addressed to; 0 when there is no such room.
   * @throws {TypeError} When the message has no JSON form.
   */
  broadcast(name: string, message: OutOf<R>, options?: RoomBroadcastOptions<DataOf<R>>): number {
    return this.get(name)?.broadcast(message, options) ?? 0;
  }

  /**
   * Sends a message to everybody in all rooms that there are at this moment, private ones included. Who is in several
   * gets it from each.
   *
   * @returns How many connections it was addressed to.
   * @throws {TypeError} When the message has no JSON form.
   */
  broadcastAll(message: OutOf<R>, options?: RoomBroadcastOptions<DataOf<R>>): number {
    this.#sweep();
    const all = [...this.#rooms.values()];
    return this.#runner.hold(() => all.reduce((sum, { room }) => sum + room.broadcast(message, options), 0));
  }

  /** Describes a room; undefined when there is no such room. */
  info(name: string): RoomInfo | undefined {
    return this.get(name)?.info;
  }

  /**
   * Describes all rooms, in the order in which they were made, empty ones that are still kept included.
   *
   * @param options.includePrivate Whether {@link RoomOptions.private} ones are listed. Default: false.
   * @param options.users Whether the users of each are: false spares the time and the memory for that. Default: true.
   */
  list(options: { includePrivate?: boolean; users: false }): RoomSummary[];
  list(options?: { includePrivate?: boolean; users?: true }): RoomInfo[];
  list({ includePrivate = false, users = true } = {}): RoomSummary[] {
    this.#sweep();
    const listed: RoomSummary[] = [];
    for (const { room } of this.#rooms.values()) {
      if (includePrivate || !room.options.private) listed.push(users ? room.info : summaryOf(room));
    }
    return listed;
  }

  /**
   * Makes a route of rooms: who connects joins, and each text message is parsed as JSON and handed to
   * {@link Room.receive}.
   *
   * What the room does not take (of a muted user, too fast, against its schema) is answered with core's `errorFrame` as
   * JSON text, and the connection stays open. What is not JSON closes with 1007, and what a hook throws with 1011. Who
   * cannot join is closed: 1013 when the room is full or there are too many, 4501 when banned, 4403 when `canJoin`
   * refuses. Who is kicked later is closed with 4500, who is banned with 4501, whom `canJoin` refuses after
   * `connection.renew()` with 4403.
   *
   * @param where Says which room a request is for, and who it is, before the connection is accepted: it may refuse
   * with `request.reject(404)`. It is not asked again when the connection is renewed, {@link Room.canJoin} is.
   * @example
   * rooms.serve(vel, "/ws/:room", ({ params }) => ({ room: params.room }));
   */
  serve<Data extends DataOf<R>, Path extends string>(
    routes: Routes<Data>,
    path: Path,
    where: (request: UpgradeRequest<PathParams<Path>, Data>) => MaybePromise<RoomPlace | Refusal>,
  ): void {
    routes.websocket(path, roomHooks<Data, PathParams<Path>>(this, where, this.#served));
  }

  /**
   * Reads how many rooms there are and how many users and connections are in, each counted once a room, and how many
   * connections have joined and, by {@link LeaveReason}, left.
   */
  *measure(): Generator<Measurement, void, undefined> {
    this.#sweep();
    const rosters = [...this.#rooms.values()].map(({ members }) => members.roster);
    const users = rosters.reduce((sum, roster) => sum + roster.users.size, 0);
    const connections = rosters.reduce((sum, roster) => sum + roster.size, 0);
    yield { name: "vel_rooms", kind: "gauge", value: rosters.length };
    yield { name: "vel_room_users", kind: "gauge", value: users };
    yield { name: "vel_room_connections", kind: "gauge", value: connections };
    yield { name: "vel_room_joins_total", kind: "counter", value: this.#joins };
    for (const [reason, value] of Object.entries(this.#leaves)) {
      yield { name: "vel_room_leaves_total", kind: "counter", value, labels: { reason } };
    }
  }

  /**
   * Lets everybody out of all rooms, with the reason `closed`, and drops the rooms. Connections stay open. Nobody can
   * join afterwards.
   *
   * All are out before the first `onLeave` runs: a room that is closed does not tell everybody about everybody. Called
   * before `vel.close()`, it spares a full room that.
   *
   * @returns When all hooks have settled.
   */
  close(): Promise<void> {
    this.#isClosed = true;
    const rooms = [...this.#rooms.values()];
    this.#rooms.clear();
    this.#empty.clear();
    this.#untouched.clear();
    this.#runner.hold(() => {
      for (const { members } of rooms) members.close();
    });
    return this.#runner.idle();
  }

  /** The same as {@link RoomManager.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #find(name: string): Entry<R> | undefined {
    this.#sweep();
    return this.#rooms.get(name);
  }

  #membershipsOf(connection: Connection): Membership[] {
    const rooms = [...(this.#visits.get(connection)?.rooms ?? [])];
    return rooms.filter(({ roster }) => roster.get(connection) !== undefined);
  }

  #assertFewRooms(name: string, connection: Connection): void {
    const rooms = this.#visits.get(connection)?.rooms;
    const members = this.#find(name)?.members;
    if (!rooms || rooms.size < this.#maxRoomsPerConnection || (members && rooms.has(members))) return;
    throw new VelError<RoomErrorCode>(
      "ERR_VEL_ROOM_LIMIT",
      `Cannot join room ${quote(name)}: connection "${connection.id}" is in ${String(rooms.size)} rooms already`,
    );
  }

  #open(name: string, room: RoomClass<R>, settings?: RoomSettings): Entry<R> {
    if (this.#isClosed) {
      throw new VelError<RoomErrorCode>("ERR_VEL_ROOM_CLOSED", `Cannot open room ${quote(name)}: manager is closed`);
    }
    const found = this.#find(name);
    if (!found) return this.#create(name, room, settings ?? roomSettings(this.#defaults, {}));
    if (found.room instanceof room) return found;
    const is = found.room.constructor.name;
    throw new VelError<RoomErrorCode>(
      "ERR_VEL_ROOM_CLASS",
      `Cannot open room ${quote(name)} as ${room.name}: it is of class ${is}`,
    );
  }

  #create(name: string, room: RoomClass<R>, settings: RoomSettings): Entry<R> {
    // An empty room gives way to one that somebody wants to enter.
    const oldest = this.#rooms.size >= this.#maxRooms ? this.#empty.shift() : undefined;
    if (oldest !== undefined) this.#rooms.delete(oldest);
    if (this.#rooms.size >= this.#maxRooms) {
      throw new VelError<RoomErrorCode>(
        "ERR_VEL_ROOM_LIMIT",
        `Cannot open room ${quote(name)}: there are ${String(this.#rooms.size)} rooms already`,
      );
    }
    const members = new Membership(name, settings, this.#owner);
    members.events.on("join", () => void this.#joins++);
    members.events.on("leave", (_user, { reason }) => void this.#leaves[reason]++);
    const entry: Entry<R> = { room: new room({ name, [membership]: members }), members };
    this.#rooms.set(name, entry);
    this.#untouched.add(name);
    return entry;
  }

  /** Drops a room that was made for somebody who was not let in. */
  #dropUnentered(name: string, members: Membership): void {
    if (members.isTouched || this.#rooms.get(name)?.members !== members) return;
    this.#rooms.delete(name);
    this.#empty.delete(name);
    this.#untouched.delete(name);
  }

  /** Drops the rooms that have been empty for long enough. */
  #sweep(): void {
    for (const name of this.#empty.take()) this.#rooms.delete(name);
    for (const name of this.#untouched.take()) this.#rooms.delete(name);
  }
}

function quote(name: string): string {
  return JSON.stringify(name);
}
