/**
 * Rooms over the shared protocol: many rooms on one connection.
 *
 * @module
 */
import {
  encodeJson,
  InvalidMessageError,
  VelError,
  type Connection,
  type Frame,
  type FrameHandlers,
  type MaybePromise,
  type Payload,
  type Protocol,
  type Reply,
} from "@vel/core";
import type { RoomErrorCode } from "./errors.ts";
import { durationOf, metaOf, optionalTextOf, roleOf, sinceOf, textOf } from "./frames-fields.ts";
import { FrameSeats, type FrameSeat } from "./frames-seats.ts";
import type { JoinOptions } from "./join-options.ts";
import type { MessageFrame } from "./message-place.ts";
import type { RoomManager } from "./room-manager.ts";
import type { RoomUser } from "./room-user.ts";
import type { Room } from "./room.ts";

/** Settings of {@link roomFrames}. */
export interface RoomFrameOptions {
  /**
   * Says as whom a connection joins a room, or undefined when it may not. Every client can ask for every name, so look
   * at both. It is not asked again when the connection is renewed, {@link Room.canJoin} is. Default: nobody joins.
   */
  where?: ((connection: Connection, room: string) => MaybePromise<JoinOptions | undefined>) | undefined;
  /** Bytes of JSON that the `meta` of a client may have; taken where `where` gives none. Default: 4,096. */
  metaLimit?: number | undefined;
  /** Makes payloads of frames: that of the protocol, if its codec is another one. Default: JSON. */
  encode?: ((frame: Frame) => Payload) | undefined;
}

/** How many joins of one connection may be under way; `where` may be slow. */
const joiningLimit = 64;

/**
 * Makes the handlers of `join`, `leave`, `say`, `rooms`, `who`, `kick`, `ban`, `unban`, `mute`, `unmute` and `setRole`,
 * which docs/protocol.md describes. A connection that is put out of a room gets a frame `left`, and stays open.
 *
 * @throws {RangeError} When `metaLimit` is not 0 or more.
 * @example
 * import assert from "node:assert/strict";
 * import { createVel, Protocol } from "@vel/core";
 * import { frameOf, Room, roomFrames, RoomManager, type RoomUser } from "@vel/rooms";
 * import { connect } from "@vel/testing";
 *
 * class Chat extends Room {
 *   override onMessage(user: RoomUser, text: unknown) {
 *     this.broadcast({ from: user.id, text });
 *   }
 * }
 * const protocol = new Protocol();
 * const rooms = new RoomManager({ room: Chat, frame: frameOf(protocol) });
 * protocol.add(roomFrames(rooms, { where: (_, room) => (room === "lobby" ? { userId: "ada" } : undefined) }));
 * const vel = createVel();
 * vel.websocket("/ws", protocol.hooks());
 *
 * const client = await connect(vel, "/ws");
 * client.sendJson({ type: "join", id: 1, room: "lobby" });
 * assert.deepEqual(await client.receiveJson(), { type: "ok", id: 1, room: "lobby", user: "ada", role: "member" });
 * client.sendJson({ type: "say", room: "lobby", data: "hello" });
 * assert.deepEqual(await client.receiveJson(), { type: "room", room: "lobby", data: { from: "ada", text: "hello" } });
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any data, any messages: as the manager takes them
export function roomFrames<R extends Room<any, any>>(
  rooms: RoomManager<R>,
  options: RoomFrameOptions = {},
): FrameHandlers {
  const { metaLimit = 4_096 } = options;
  if (!(metaLimit >= 0)) throw new RangeError(`Option "metaLimit" must be 0 or more, got ${String(metaLimit)}`);
  const handlers = new RoomFrames(rooms, { ...options, metaLimit });
  return {
    join: (connection, frame) => handlers.join(connection, frame),
    leave: (connection, frame) => {
      handlers.leave(connection, textOf(frame, "room"));
    },
    say: (connection, frame) => handlers.say(connection, frame),
    rooms: (connection) => ({ rooms: rooms.roomsOf(connection).map(({ name }) => name) }),
    who: (connection, frame) => {
      const { room } = handlers.member(connection, frame);
      return { room: room.name, users: room.info.users };
    },
    kick: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      room.kick(textOf(frame, "user"), { by, reason: optionalTextOf(frame, "reason") });
    },
    ban: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      const reason = optionalTextOf(frame, "reason");
      room.ban(textOf(frame, "user"), { by, reason, for: durationOf(frame) });
    },
    unban: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      room.unban(textOf(frame, "user"), { by });
    },
    mute: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      room.mute(textOf(frame, "user"), { by, for: durationOf(frame) });
    },
    unmute: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      room.unmute(textOf(frame, "user"), { by });
    },
    setRole: (connection, frame) => {
      const { room, by } = handlers.member(connection, frame);
      room.setRole(textOf(frame, "user"), roleOf(frame), { by });
    },
  };
}

/**
 * Makes what {@link RoomManagerOptions.frame} takes: each message of a room becomes
 * `{ type: "room", room, data, seq?, epoch? }`, so that a client knows which of its rooms has spoken.
 *
 * @throws {TypeError} Later, when a room sends bytes and the protocol's codec makes text.
 * @example
 * const protocol = new Protocol();
 * const rooms = new RoomManager({ frame: frameOf(protocol) });
 */
export function frameOf(protocol: Pick<Protocol, "encode">): MessageFrame {
  return (data, { room, seq, epoch }) => {
    const isKept = seq !== undefined && epoch !== undefined;
    const payload = protocol.encode({ type: "room", room, data, ...(isKept && { seq, epoch }) });
    if (data instanceof Uint8Array && typeof payload === "string") {
      throw new TypeError(`Cannot send bytes in room ${JSON.stringify(room)}: the protocol's codec makes text`);
    }
    return payload;
  };
}

/** What the handlers share: who is where, and who has to be told. */
class RoomFrames {
  readonly #rooms: RoomManager;
  readonly #where: RoomFrameOptions["where"];
  readonly #metaLimit: number;
  readonly #encode: (frame: Frame) => Payload;
  readonly #seats = new FrameSeats();
  /** The rooms that are listened to, for as long as they are there. */
  readonly #watched = new WeakSet<Room>();

  constructor(rooms: RoomManager, { where, metaLimit, encode }: RoomFrameOptions & { metaLimit: number }) {
    this.#rooms = rooms;
    this.#where = where;
    this.#metaLimit = metaLimit;
    this.#encode = encode ?? encodeJson;
  }

  async join(connection: Connection, frame: Frame): Promise<Reply> {
    const name = textOf(frame, "room");
    const since = sinceOf(frame);
    const meta = metaOf(frame, this.#metaLimit);
    const seats = this.#seats.of(connection);
    if (seats.has(name)) throw refused("ERR_VEL_ROOM_MEMBER", "joined already");
    let joining = 0;
    for (const { isIn } of seats.values()) if (!isIn) joining++;
    if (joining >= joiningLimit) throw refused("ERR_VEL_ROOM_LIMIT", "too many joins are under way");

    const seat: FrameSeat = { userId: undefined, missed: undefined, isIn: false, isCancelled: false };
    const hasLeft = (): boolean => seat.isCancelled;
    seats.set(name, seat);
    try {
      const allowed = await this.#where?.(connection, name);
      if (!allowed) throw refused("ERR_VEL_ROOM_FORBIDDEN", "not let in");
      if (hasLeft()) throw notMember();
      const { userId = connection.id } = allowed;
      seat.userId = userId;
      const options = { ...allowed, userId, meta: allowed.meta ?? meta, since: allowed.since ?? since };
      const room = await this.#enter(name, connection, options);
      if (hasLeft()) this.#rooms.leave(name, connection);
      const user = userOf(room, userId, connection);
      if (!user) throw notMember(); // put out while it came in
      seat.isIn = true;
      const { history } = room;
      return {
        room: name,
        user: userId,
        role: user.role,
        ...(history && history.position),
        ...(options.since && { complete: seat.missed?.complete ?? false }),
      };
    } finally {
      if (!seat.isIn) seats.delete(name);
    }
  }

  leave(connection: Connection, name: string): void {
    const seat = this.#seats.get(connection, name);
    // Nothing is said of a leave that was asked for.
    if (seat?.isIn) this.#seats.of(connection).delete(name);
    else if (seat) seat.isCancelled = true;
    if (!this.#rooms.leave(name, connection) && !seat) throw notMember();
  }

  say(connection: Connection, frame: Frame): MaybePromise<void> {
    const name = textOf(frame, "room");
    const { data } = frame;
    if (data === undefined) throw new InvalidMessageError('Frame has no "data"');
    const room = this.#rooms.get(name);
    if (!room) throw notMember();
    return room.receive(connection, data);
  }

  /**
   * Finds the room of a frame, and whose the connection is in it.
   *
   * @throws {VelError} `ERR_VEL_ROOM_NOT_MEMBER`, whether or not there is such a room.
   */
  member(connection: Connection, frame: Frame): { room: Room; by: RoomUser } {
    const name = textOf(frame, "room");
    const room = this.#rooms.get(name);
    if (!room) throw notMember();
    const userId = this.#seats.get(connection, name)?.userId;
    const by = userId === undefined ? this.#foundIn(room, connection) : userOf(room, userId, connection);
    if (!by) throw notMember();
    return { room, by };
  }

  /** A connection that the application let in, not a frame. Strangers cost no search. */
  #foundIn(room: Room, connection: Connection): RoomUser | undefined {
    if (!this.#rooms.roomsOf(connection).includes(room)) return undefined;
    for (const user of room.users.values()) if (user.connections.has(connection)) return user;
    return undefined;
  }

  /** Joins, listening from the first moment on: a room that is not there yet has nothing to tell before. */
  #enter(name: string, connection: Connection, options: JoinOptions): Promise<Room> {
    this.#watch(name);
    const joining = this.#rooms.join(name, connection, options);
    this.#watch(name);
    return joining;
  }

  #watch(name: string): void {
    const room = this.#rooms.get(name);
    if (!room || this.#watched.has(room)) return;
    this.#watched.add(room);
    room.on("join", (_, { connection, missed }) => {
      const seat = this.#seats.get(connection, name);
      if (seat) seat.missed = missed;
    });
    room.on("leave", ({ id }, { connection, reason }) => {
      const seat = this.#seats.get(connection, name);
      if (!seat?.isIn || seat.userId !== id || userOf(room, id, connection)) return; // back in already
      this.#seats.of(connection).delete(name);
      if (connection.isOpen) connection.send(this.#encode({ type: "left", room: name, reason }));
    });
  }
}

function userOf(room: Room, userId: string, connection: Connection): RoomUser | undefined {
  const user = room.users.get(userId);
  return user?.connections.has(connection) ? user : undefined;
}

function notMember(): VelError<RoomErrorCode> {
  return refused("ERR_VEL_ROOM_NOT_MEMBER", "not in that room");
}

/** The text stays here: a client sees the code alone. */
function refused(code: RoomErrorCode, why: string): VelError<RoomErrorCode> {
  return new VelError(code, `Refused a frame: ${why}`);
}
