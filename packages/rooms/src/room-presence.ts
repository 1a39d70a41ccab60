/**
 * Who is here, told to everybody who is here.
 *
 * @module
 */
import {
  Audience,
  encodeJson,
  systemClock,
  type Clock,
  type Connection,
  type Frame,
  type Payload,
  type Unsubscribe,
} from "@vel/core";
import { CountSum, UsersSum, type PresenceChange, type PresenceSum } from "./presence-change.ts";
import { PresenceGhosts } from "./presence-ghosts.ts";
import { noMeta, presenceMeta, type PresenceMeta } from "./presence-meta.ts";
import type { Leave } from "./room-events.ts";
import type { RoomUser } from "./room-user.ts";
import type { Room } from "./room.ts";

/** Settings of a {@link RoomPresence}. */
export interface RoomPresenceOptions<Data = unknown> {
  /**
   * What is told: `users` tells who is here with all metas, `count` how many, which is little in a large room too: with
   * `users`, n people who enter are told of n people each. Default: `users`.
   */
  mode?: "users" | "count" | undefined;
  /** Changes within so many milliseconds go out together. Default: 0, those of one turn. */
  interval?: number | undefined;
  /**
   * A user whose last connection dropped (leave reason `disconnected`) counts as here for so many milliseconds; when he
   * is back by then, nobody hears of it. Default: 0.
   */
  grace?: number | undefined;
  /** Bytes of JSON that a meta may have. Default: 4,096. */
  metaLimit?: number | undefined;
  /** What others see of a connection, asked when it has joined. Default: {@link RoomUser.meta} at that moment. */
  metaOf?: ((user: RoomUser<Data>, connection: Connection<Data>) => unknown) | undefined;
  /** Makes payloads of frames: that of the protocol, if its codec is another one. Default: JSON. */
  encode?: ((frame: Frame) => Payload) | undefined;
  /** Default: core's `systemClock`. */
  clock?: Clock | undefined;
}

/** A connection that is here. */
interface Place {
  meta: PresenceMeta;
  /** Joins whose leave has not been told. More than one when it came back while `onJoin` ran for the one before. */
  stays: number;
}

/** Changes that are kept for one batch; after more than that, all are told the state instead. */
const batchLimit = 10_000;

/**
 * Tells the members of a room who is here, and who comes and goes.
 *
 * Who has entered gets `{ type: "presence_state", room, users: { ada: [meta, ...] } }` with a meta for each connection;
 * from then on `{ type: "presence_diff", room, joins: { ada: [meta] }, leaves: {} }` says what changed since. With the
 * mode `count` both are `{ type: "presence_count", room, users, connections }`. The diffs of one batch are those that
 * did not cancel out: each removes or adds entries of a user's list, and a user whose list is empty is gone.
 *
 * Goes to connections whose join is complete; not part of the room's broadcasts and history.
 *
 * @example
 * class Lobby extends Room {
 *   readonly presence = new RoomPresence(this, { grace: 15_000 });
 *   override onJoin(user: RoomUser) {
 *     this.presence.assertMeta(user.meta); // who brings too large a one stays outside
 *   }
 * }
 * const rooms = new RoomManager({ room: Lobby });
 */
export class RoomPresence<Data = unknown> {
  readonly #room: Room<Data, never>;
  readonly #mode: "users" | "count";
  readonly #interval: number;
  readonly #grace: number;
  readonly #metaLimit: number;
  readonly #metaOf: (user: RoomUser<Data>, connection: Connection<Data>) => unknown;
  readonly #encode: (frame: Frame) => Payload;
  readonly #clock: Clock;
  readonly #offs: readonly Unsubscribe[];

  /** Who is here, by user. */
  readonly #present = new Map<string, Map<Connection, Place>>();
  #connections = 0;
  readonly #ghosts: PresenceGhosts;

  /** Who is told, and as whom they joined. */
  readonly #told = new Map<Connection, string>();
  /** Those of them who know everything up to the last batch. */
  readonly #audience = new Audience();
  /** The others: how many changes of this batch their state contained. In the order in which they came. */
  readonly #newcomers = new Map<Connection, number>();
  /** How many messages each of those who are told had lost before it was last told the state or nothing was amiss. */
  readonly #losses = new Map<Connection, number>();
  #changes: PresenceChange[] = [];
  #hasOverflown = false;
  #timer: unknown;

  /**
   * @throws {RangeError} When a number is not 0 or more; `interval` has to be finite, too.
   * @throws {TypeError} When somebody is in the room already.
   */
  constructor(room: Room<Data, never>, options: RoomPresenceOptions<Data> = {}) {
    const { mode = "users", interval = 0, grace = 0, metaLimit = 4_096, clock = systemClock } = options;
    if (!["users", "count"].includes(mode)) throw new TypeError('Option "mode" must be "users" or "count"');
    assertAtLeastZero("interval", interval, interval < Infinity);
    assertAtLeastZero("grace", grace);
    assertAtLeastZero("metaLimit", metaLimit);
    if (room.connectionCount > 0) throw new TypeError("A presence is made before anybody is in the room");
    this.#room = room;
    this.#mode = mode;
    this.#interval = interval;
    this.#grace = grace;
    this.#metaLimit = metaLimit;
    this.#metaOf = options.metaOf ?? (({ meta }) => meta);
    this.#encode = options.encode ?? encodeJson;
    this.#clock = clock;
    this.#ghosts = new PresenceGhosts(grace, clock, (userId, meta) => {
      this.#record({ by: -1, userId, meta, users: -1 });
    });
    this.#offs = [
      room.on("join", (user, { connection }) => {
        this.#enter(user, connection);
      }),
      room.on("leave", (user, leave) => {
        this.#exit(user, leave);
      }),
    ];
  }

  /** Who is here, those in {@link RoomPresenceOptions.grace} included: metas by user id. Made anew on each read. */
  get users(): ReadonlyMap<string, readonly unknown[]> {
    const users = new Map<string, unknown[]>();
    for (const [userId, places] of this.#present) {
      users.set(
        userId,
        Array.from(places.values(), ({ meta }) => meta.value),
      );
    }
    for (const [userId, meta] of this.#ghosts) users.set(userId, [meta.value]);
    return users;
  }

  /** How many users are here. */
  get userCount(): number {
    return this.#present.size + this.#ghosts.size;
  }

  /** How many connections they have; one for a user in {@link RoomPresenceOptions.grace}. */
  get connectionCount(): number {
    return this.#connections + this.#ghosts.size;
  }

  /**
   * Refuses a meta: for `onJoin`, so that the join fails. Otherwise one that is refused is told as null, and the error
   * goes to the manager's `onError`.
   *
   * @throws {VelError} `ERR_VEL_LIMIT` when it has more than {@link RoomPresenceOptions.metaLimit} bytes of JSON.
   * @throws {TypeError} When it has no JSON form.
   */
  assertMeta(meta: unknown): void {
    presenceMeta(meta, this.#metaLimit);
  }

  /** Stops telling, what is left of a batch included, and forgets everybody. */
  close(): void {
    for (const off of this.#offs) off();
    for (const connection of this.#told.keys()) this.#audience.delete(connection);
    this.#told.clear();
    this.#losses.clear();
    this.#newcomers.clear();
    this.#present.clear();
    this.#connections = 0;
    this.#rest();
  }

  #enter(user: RoomUser<Data>, connection: Connection<Data>): void {
    try {
      this.#place(user.id, connection, presenceMeta(this.#metaOf(user, connection), this.#metaLimit));
    } catch (error) {
      this.#place(user.id, connection, noMeta);
      throw error;
    } finally {
      // Not when it went while `onJoin` ran: then its leave comes right after.
      if (user.connections.has(connection)) this.#welcome(user.id, connection);
    }
  }

  #place(userId: string, connection: Connection, meta: PresenceMeta): void {
    const places = this.#present.get(userId) ?? new Map<Connection, Place>();
    this.#present.set(userId, places);
    const place = places.get(connection);
    const before = place?.meta ?? this.#ghosts.take(userId);
    if (before) this.#record({ by: -1, userId, meta: before, users: 0 });
    const isNew = places.size === 0 && !before;
    if (place) {
      place.meta = meta;
      place.stays++;
    } else {
      places.set(connection, { meta, stays: 1 });
      this.#connections++;
    }
    this.#record({ by: 1, userId, meta, users: isNew ? 1 : 0 });
  }

  #welcome(userId: string, connection: Connection): void {
    this.#told.set(connection, userId);
    this.#audience.delete(connection);
    this.#newcomers.delete(connection); // to stand last
    this.#newcomers.set(connection, this.#changes.length);
    this.#losses.set(connection, connection.messagesDropped);
    connection.send(this.#encode(this.#state()));
  }

  #exit({ id }: RoomUser<Data>, { connection, reason }: Leave<Data>): void {
    const places = this.#present.get(id);
    const place = places?.get(connection);
    if (!places || !place || --place.stays > 0) return;
    places.delete(connection);
    this.#connections--;
    if (this.#told.get(connection) === id) {
      this.#told.delete(connection);
      this.#audience.delete(connection);
      this.#newcomers.delete(connection);
      this.#losses.delete(connection);
    }
    const isLast = places.size === 0;
    if (isLast) this.#present.delete(id);
    if (this.#connections === 0) this.#rest();
    else if (isLast && reason === "disconnected" && this.#grace > 0) this.#ghosts.add(id, place.meta);
    else this.#record({ by: -1, userId: id, meta: place.meta, users: isLast ? -1 : 0 });
  }

  #record(change: PresenceChange): void {
    this.#changes.push(change);
    if (this.#changes.length > batchLimit) {
      this.#changes = [];
      this.#hasOverflown = true;
    }
    this.#timer ??= this.#clock.setTimeout(this.#flush, this.#interval);
  }

  /** Nobody is left to be told. */
  #rest(): void {
    this.#ghosts.clear();
    this.#changes = [];
    this.#hasOverflown = false;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Tells everybody what changed since they were last told. Sending may close somebody, whose leave is told at once: so
   * everything is worked out first, and that leave is of the next batch.
   */
  readonly #flush = (): void => {
    this.#timer = undefined;
    const changes = this.#changes;
    const newcomers = new Map(this.#newcomers);
    const state = this.#hasOverflown ? this.#encode(this.#state()) : undefined;
    this.#changes = [];
    this.#hasOverflown = false;
    this.#newcomers.clear();

    const sum = this.#sum();
    const payloads = new Map<Connection, Payload>();
    let next = changes.length;
    let payload = state;
    let anew: Payload | undefined;
    const sumUpFrom = (position: number): void => {
      if (state !== undefined || position === next) return;
      while (next > position) sum.add(changes[--next] as PresenceChange);
      const frame = sum.frame();
      payload = frame && this.#encode(frame);
    };
    for (const [connection, position] of [...newcomers].reverse()) {
      sumUpFrom(position);
      if (payload !== undefined) payloads.set(connection, payload);
      this.#audience.add(connection);
    }
    sumUpFrom(0);
    // Whose send buffer has dropped something may lack a part: the state replaces what it knows.
    for (const [connection, lost] of this.#losses) {
      if (connection.messagesDropped === lost) continue;
      this.#losses.set(connection, connection.messagesDropped);
      payloads.set(connection, state ?? (anew ??= this.#encode(this.#state())));
    }
    const except = new Set([...newcomers.keys(), ...payloads.keys()]);
    if (payload !== undefined) this.#audience.broadcast(payload, { except });
    for (const [connection, own] of payloads) if (this.#audience.has(connection)) connection.send(own);
  };

  #sum(): PresenceSum {
    return this.#mode === "count" ? new CountSum(() => this.#state()) : new UsersSum(this.#room.name);
  }

  #state(): Frame {
    const room = this.#room.name;
    if (this.#mode === "users") return { type: "presence_state", room, users: Object.fromEntries(this.users) };
    return { type: "presence_count", room, users: this.userCount, connections: this.connectionCount };
  }
}

function assertAtLeastZero(name: string, value: number, holds = true): void {
  if (!(value >= 0) || !holds) throw new RangeError(`Option "${name}" must be 0 or more, got ${String(value)}`);
}
