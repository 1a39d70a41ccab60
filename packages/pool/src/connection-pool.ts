/**
 * The connections that a server holds, and who gives way when it holds too many.
 *
 * @module
 */
import {
  EventEmitter,
  logError,
  systemClock,
  VelError,
  report,
  type Connection,
  type Emitter,
  type Measurable,
  type Measurement,
  type Unsubscribe,
  type Vel,
} from "@vel/core";
import type { PoolErrorCode } from "./errors.ts";
import { MemberQueue } from "./member-queue.ts";
import { Member } from "./member.ts";
import { MemoryWatch } from "./memory-watch.ts";
import type { EvictionReason, PoolEvents, PoolRefusalReason } from "./pool-events.ts";
import { poolSettings, type PoolOptions, type PoolSettings } from "./pool-options.ts";
import { Ticker } from "./ticker.ts";

/** While memory is short, one in so many members gives way at each look: 5 %. */
const batchPart = 20;

/** What a connection is closed with. */
const closes: Readonly<Record<EvictionReason, readonly [code: number, reason: string]>> = {
  idle: [4408, "idle timeout"],
  full: [1013, "evicted"],
  memory: [1013, "evicted"],
};

/**
 * Keeps a bounded number of connections: closes those that are idle, and lets one go for each that comes when it is full,
 * or several when memory runs short.
 *
 * Nothing is done for a message: the pool compares the counters of a connection with those that it saw last. So what it
 * knows of the last use is as fine as {@link PoolOptions.cleanupInterval}: of those that were used since the last look,
 * the order is that in which they were found. Who was not used since then always gives way before who was.
 *
 * @example
 * const pool = new ConnectionPool({ maxConnections: 5_000, cleanupStrategy: "leastRecentlyUsed" });
 * pool.observe(vel);
 * pool.on("evict", (connection, reason) => console.log(connection.id, reason));
 */
export class ConnectionPool implements Measurable, Emitter<PoolEvents> {
  /** Those in the pool, in the order in which they came. Live: it changes as they come and go. */
  readonly connections: Iterable<Connection> = { [Symbol.iterator]: () => this.#members.keys() };
  readonly #members = new Map<Connection, Member>();
  readonly #queue = new MemberQueue();
  readonly #settings: PoolSettings;
  readonly #events: EventEmitter<PoolEvents>;
  readonly #sweeps: Ticker;
  readonly #memory: MemoryWatch | undefined;
  readonly #looks: Ticker;
  readonly #observations = new Set<Unsubscribe>();
  readonly #evictions: Record<EvictionReason, number> = { idle: 0, full: 0, memory: 0 };
  readonly #refusals: Record<PoolRefusalReason, number> = { full: 0, memory: 0 };

  /**
   * @throws {RangeError} When a number is out of its range.
   * @throws {TypeError} When the strategy is unknown, or `memory` is given without a `sample` where the runtime does not
   * tell how much it uses.
   */
  constructor(options: PoolOptions = {}) {
    const { clock = systemClock, onError = logError } = options;
    this.#settings = poolSettings(options);
    const { memory, sweepInterval } = this.#settings;
    const reportAt = (stage: string) => (error: unknown) => {
      report(onError, error, { stage });
    };
    this.#events = new EventEmitter(reportAt("listener"));
    this.#sweeps = new Ticker(clock, sweepInterval, () => {
      this.#sweep();
    });
    this.#memory = memory && new MemoryWatch(memory, reportAt("sample"));
    this.#looks = new Ticker(clock, memory?.interval ?? Infinity, () => {
      this.#relieve();
    });
  }

  /** How many connections are in. */
  get size(): number {
    return this.#members.size;
  }

  /** Tells whether a connection is in. */
  has(connection: Connection): boolean {
    return this.#members.has(connection);
  }

  /** Calls `listener` on each event of that name until the result is called. What it throws goes to `onError`. */
  on<K extends keyof PoolEvents>(event: K, listener: (...args: PoolEvents[K]) => void): Unsubscribe {
    return this.#events.on(event, listener);
  }

  /**
   * Lets a connection in, and another one go if there is no room. It leaves by itself as soon as it is not open; one that
   * is not open does not come in. One that is in already stays as it is.
   *
   * @returns Takes it out again, as {@link ConnectionPool.remove} does; nothing happens when it has left meanwhile.
   * @throws {VelError} `ERR_VEL_POOL_FULL` when the strategy is `reject` and the pool is full or memory is short;
   * `retryAfter` says when the pool looks for room again, if it does.
   * @example
   * const pool = new ConnectionPool();
   * vel.websocket("/ws", async (request) => {
   *   const connection = await request.accept();
   *   pool.add(connection);
   *   for await (const text of connection.texts()) connection.send(`Echo: ${text}`);
   * });
   */
  add(connection: Connection): Unsubscribe {
    const known = this.#members.get(connection);
    if (known) return known.leave;
    if (!connection.isOpen) return () => undefined;
    const refusal = this.#refusal();
    if (refusal) throw this.#refuse(connection, refusal);

    const victim = this.#members.size < this.#settings.maxConnections ? undefined : this.#victim();
    const member = new Member(connection, (leaving) => {
      this.#leave(leaving);
    });
    this.#members.set(connection, member);
    this.#queue.push(member);
    this.#sweeps.start();
    this.#looks.start();
    if (victim) {
      this.#leave(victim);
      this.#evict([victim], "full");
    }
    return member.leave;
  }

  /**
   * Lets a connection out; it stays open. Not needed for one that is closed: that has left by itself.
   *
   * @returns False when it was not in.
   */
  remove(connection: Connection): boolean {
    const member = this.#members.get(connection);
    if (member) this.#leave(member);
    return member !== undefined;
  }

  /**
   * Lets in all connections of a server, those that are there and those that come. Where {@link ConnectionPool.add} would
   * throw, the connection is closed with 1013.
   *
   * @returns Lets in no more; those that are in stay.
   * @example
   * const pool = new ConnectionPool({ maxConnections: 1_000, cleanupStrategy: "reject" });
   * pool.observe(vel);
   */
  observe(vel: Vel): Unsubscribe {
    const take = (connection: Connection): void => {
      try {
        this.add(connection);
      } catch {
        connection.close(1013, "pool full");
      }
    };
    const off = vel.on("open", take);
    const stop = (): void => {
      off();
      this.#observations.delete(stop);
    };
    this.#observations.add(stop);
    for (const connection of [...vel.connections]) take(connection);
    return stop;
  }

  /** Reads how many are in, and how many were evicted and refused, by reason. */
  *measure(): Generator<Measurement, void, undefined> {
    yield { name: "vel_pool_connections", kind: "gauge", value: this.#members.size };
    for (const [reason, value] of Object.entries(this.#evictions)) {
      yield { name: "vel_evictions_total", kind: "counter", value, labels: { reason } };
    }
    for (const [reason, value] of Object.entries(this.#refusals)) {
      yield { name: "vel_pool_refusals_total", kind: "counter", value, labels: { reason } };
    }
  }

  /** Lets everybody out and ends all observations; connections stay open. No timer is left until the next `add()`. */
  close(): void {
    for (const stop of this.#observations) stop();
    for (const member of this.#members.values()) this.#leave(member);
  }

  /** Why there is no room that could be made; undefined when there is or can be. */
  #refusal(): PoolRefusalReason | undefined {
    const { cleanupStrategy, maxConnections } = this.#settings;
    if (cleanupStrategy !== "reject") return undefined;
    // Nobody has looked while the pool was empty.
    if (this.#members.size === 0) this.#memory?.look();
    if (this.#members.size >= maxConnections) return "full";
    return this.#memory?.isShort ? "memory" : undefined;
  }

  #refuse(connection: Connection, reason: PoolRefusalReason): VelError<PoolErrorCode> {
    this.#refusals[reason]++;
    const retryAfter = reason === "full" ? this.#sweeps.left : this.#settings.memory?.interval;
    const why = reason === "full" ? `${String(this.#members.size)} connections are in` : "memory is short";
    this.#events.emit("refuse", connection, reason);
    return new VelError<PoolErrorCode>(
      "ERR_VEL_POOL_FULL",
      `Cannot add connection "${connection.id}" to the pool: ${why}`,
      retryAfter === undefined ? undefined : { retryAfter },
    );
  }

  /**
   * Finds who gives way, while somebody is in: the first in line that was not used since it took its place. Who was goes to
   * the end, so that each step is paid for by a message. When all were, it is who was first in line.
   */
  #victim(): Member {
    if (this.#settings.cleanupStrategy === "leastRecentlyUsed") {
      while (this.#queue.first.wasUsed()) this.#touch(this.#queue.first);
    }
    return this.#queue.first;
  }

  /** Takes note of a use. */
  #touch(member: Member): void {
    member.quiet = 0;
    if (this.#settings.cleanupStrategy !== "leastRecentlyUsed") return;
    this.#queue.remove(member);
    this.#queue.push(member);
  }

  /** Takes note of who was used, and closes who has been idle for too long. */
  #sweep(): void {
    const idle: Member[] = [];
    for (const member of this.#members.values()) {
      if (member.wasUsed()) this.#touch(member);
      // Silence is counted in sweeps: a machine that was asleep for hours has closed nobody when it wakes.
      if (++member.quiet > this.#settings.patience) idle.push(member);
    }
    for (const member of idle) this.#leave(member);
    this.#evict(idle, "idle");
  }

  /** Lets a batch go while memory is short. One at a time: closing frees memory later, or not at all. */
  #relieve(): void {
    if (!this.#memory?.look() || this.#settings.cleanupStrategy === "reject") return;
    const evicted: Member[] = [];
    const count = Math.ceil(this.#members.size / batchPart);
    while (evicted.length < count) {
      const victim = this.#victim();
      this.#leave(victim);
      evicted.push(victim);
    }
    this.#evict(evicted, "memory");
  }

  /** Closes those who have left, and tells. From here on, listeners may do with the pool what they like. */
  #evict(members: readonly Member[], reason: EvictionReason): void {
    this.#evictions[reason] += members.length;
    for (const { connection } of members) {
      connection.close(...closes[reason]);
      this.#events.emit("evict", connection, reason);
    }
  }

  #leave(member: Member): void {
    if (this.#members.get(member.connection) !== member) return;
    this.#members.delete(member.connection);
    this.#queue.remove(member);
    member.release();
    if (this.#members.size > 0) return;
    this.#sweeps.stop();
    this.#looks.stop();
    this.#memory?.reset();
  }
}
