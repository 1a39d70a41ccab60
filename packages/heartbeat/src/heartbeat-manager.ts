/**
 * Finds dead peers among the connections that it watches.
 *
 * @module
 */
import {
  EventEmitter,
  Histogram,
  logError,
  systemClock,
  VelError,
  notify,
  report,
  type Clock,
  type Connection,
  type Emitter,
  type ErrorContext,
  type Measurable,
  type Measurement,
  type Unsubscribe,
  type Vel,
} from "@vel/core";
import { Beat, type Way } from "./beat.ts";
import { Heartbeat, type HeartbeatMode, type HeartbeatOptions } from "./heartbeat.ts";
import { PingNumbers } from "./ping-numbers.ts";
import { Pulse } from "./pulse.ts";
import { Wheel } from "./wheel.ts";

/** What a {@link HeartbeatManager} tells its listeners. */
export interface HeartbeatEvents {
  /** A peer was asked. */
  ping: [connection: Connection];
  /** The pong of the last ping came, after so many milliseconds. */
  pong: [connection: Connection, roundTrip: number];
  /** A question stayed without an answer; so many in a row by now. */
  miss: [connection: Connection, failures: number];
  /** A peer that had missed answers was heard again. */
  recover: [connection: Connection];
  /** A peer is dead, and its connection was cut. */
  dead: [connection: Connection, failures: number];
}

/** What a {@link HeartbeatManager} needs besides the policy. */
export interface HeartbeatManagerOptions {
  /** Default: core's `systemClock`. */
  clock?: Clock;
  /**
   * Is told of what the hooks of {@link Heartbeat} (stages of the same name), `message` (stage `heartbeat`) and listeners (stage
   * `listener`) throw. Default: core's `logError`, a line on `console.error`.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** The bounds of the round-trip histogram, in seconds. */
const roundTripBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The limits of the shortest time between two beats, in milliseconds. */
const shortestBeat = 10;
const longestBeat = 1_000;

/**
 * Into how many groups connections are divided at most. Large groups cost less: of 10,000 connections, with a turn of the event
 * loop for each 100 of them half as much as with one for each 10.
 */
const mostGroups = 100;

/**
 * Watches connections by one {@link Heartbeat} policy, and cuts those whose peers do not answer (1006, reason "heartbeat
 * timeout").
 *
 * One timer for all, and none while nobody is asked. Each connection is asked once in an interval, a group of them at a time: one
 * in a hundred at most in one turn of the event loop, also when all peers have died and are asked again. Any frame from the peer is a
 * sign of life. Only time in which the process could hear an answer counts: a blocked event loop, a stopped process or a
 * clock that is set kill nobody.
 *
 * @example
 * import { createVel } from "@vel/core";
 * import { HeartbeatManager } from "@vel/heartbeat";
 *
 * const vel = createVel();
 * new HeartbeatManager({ pingInterval: 30_000, pongTimeout: 10_000, maxFailures: 3 }).observe(vel);
 */
export class HeartbeatManager implements Measurable, Emitter<HeartbeatEvents> {
  /** The policy. */
  readonly heartbeat: Heartbeat;
  readonly #beats = new Map<Connection, Beat>();
  readonly #observed = new Map<Vel, Unsubscribe>();
  /** Who is to be asked, and when. */
  readonly #wheel: Wheel;
  /** The width of a slot of the wheel, in milliseconds. Who shares one is asked at the same time. */
  readonly #slot: number;
  /** Who has been asked and not judged; in the order of the time when the answers are due, since each may take equally long. */
  readonly #asked = new Set<Beat>();
  readonly #clock: Clock;
  readonly #pulse: Pulse;
  readonly #events: EventEmitter<HeartbeatEvents>;
  readonly #onError: (error: unknown, context: ErrorContext) => unknown;
  readonly #numbers = new PingNumbers();
  /** The number that the pings of this beat carry, and as their data. */
  #number = 0;
  #data: Uint8Array | undefined;
  readonly #roundTrips = new Histogram(roundTripBounds);
  #pings = 0;
  #misses = 0;
  #deaths = 0;

  /**
   * @param heartbeat The policy, or its options.
   * @throws What {@link Heartbeat}'s constructor throws.
   */
  constructor(heartbeat: Heartbeat | HeartbeatOptions = {}, options: HeartbeatManagerOptions = {}) {
    this.heartbeat = heartbeat instanceof Heartbeat ? heartbeat : new Heartbeat(heartbeat);
    this.#clock = options.clock ?? systemClock;
    this.#onError = options.onError ?? logError;
    this.#events = new EventEmitter((error) => {
      this.#report(error, { stage: "listener" });
    });
    // A peer is found dead a beat late and three more for each question, and one for each other group that comes up at that
    // time. With so many beats it stays below one in a hundred of the interval, and each group finds one of its own, though
    // all peers are dead and so many groups are asked in the time of a slot.
    const { pingInterval, pongTimeout, maxFailures } = this.heartbeat;
    const beats = Math.min(4 * (maxFailures + 1) * 100, Math.floor(pingInterval / shortestBeat));
    const slots = Math.max(Math.min(mostGroups, Math.floor(beats / (maxFailures + 2))), 1);
    this.#slot = pingInterval / slots;
    this.#wheel = new Wheel(slots);
    const interval = Math.min(pingInterval / Math.max(beats, 1), longestBeat);
    this.#pulse = new Pulse(this.#clock, interval, pongTimeout / 100, {
      onBeat: () => this.#onBeat(),
      wait: () => this.#wait(),
    });
  }

  /** How many connections are watched, suspended ones included. */
  get size(): number {
    return this.#beats.size;
  }

  on<K extends keyof HeartbeatEvents>(event: K, listener: (...args: HeartbeatEvents[K]) => void): Unsubscribe {
    return this.#events.on(event, listener);
  }

  /**
   * Watches a connection until it ends; one that is watched already stays as it is. The first question comes within an interval,
   * as late in it as there is room.
   *
   * @returns What stops it.
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` when its transport lacks the mode that was asked for.
   */
  start(connection: Connection): Unsubscribe {
    const beat = this.#watch(connection);
    beat.offClosing ??= connection.onClosing(() => this.stop(connection));
    return () => {
      if (this.#beats.get(connection) === beat) this.stop(connection);
    };
  }

  /** Stops watching a connection; false when it was not watched. */
  stop(connection: Connection): boolean {
    const beat = this.#beats.get(connection);
    if (!beat) return false;
    this.#beats.delete(connection);
    this.#rest(beat);
    beat.offClosing?.();
    return true;
  }

  /** Asks a connection nothing until {@link HeartbeatManager.resume}; false when it is not watched. */
  suspend(connection: Connection): boolean {
    const beat = this.#beats.get(connection);
    if (!beat) return false;
    beat.isSuspended = true;
    this.#rest(beat);
    return true;
  }

  /** Goes on after {@link HeartbeatManager.suspend}, as with a new connection; false when it was not suspended. */
  resume(connection: Connection): boolean {
    const beat = this.#beats.get(connection);
    if (!beat?.isSuspended) return false;
    beat.isSuspended = false;
    beat.failures = 0;
    this.#begin(beat);
    return true;
  }

  /** How long a connection's last pong took, in milliseconds; undefined while none has come. */
  roundTrip(connection: Connection): number | undefined {
    return this.#beats.get(connection)?.roundTrip;
  }

  /**
   * Watches all connections of a server, those that there are and those that come. A server that is observed already stays
   * as it is.
   *
   * @returns What stops watching them, and begins no more.
   * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a transport lacks the mode that was asked for: here, or at `serve` or
   * `attach` where these come later.
   */
  observe(vel: Vel): Unsubscribe {
    const observed = this.#observed.get(vel);
    if (observed) return observed;
    const { mode, patience } = this.heartbeat;
    if (mode === "ping") vel.require("ping", 'set mode to "auto" to use the runtime\'s own timeout, or to "message"');
    if (mode === "idle") vel.require("idleTimeout", 'set mode to "auto" to send pings');
    const watch = (connection: Connection): void => {
      if (connection.isOpen) this.#watch(connection);
    };
    const offOpen = vel.on("open", watch);
    const offClose = vel.on("close", (connection) => this.stop(connection));
    const offIdle = mode === "auto" || mode === "idle" ? vel.setIdleTimeout(patience) : undefined;
    const unobserve = (): void => {
      if (this.#observed.get(vel) !== unobserve) return;
      this.#observed.delete(vel);
      offOpen();
      offClose();
      offIdle?.();
      for (const connection of vel.connections) this.stop(connection);
    };
    this.#observed.set(vel, unobserve);
    vel.connections.forEach(watch);
    return unobserve;
  }

  measure(): Iterable<Measurement> {
    return [
      { name: "vel_heartbeat_connections", kind: "gauge", value: this.#beats.size },
      { name: "vel_heartbeat_pings_total", kind: "counter", value: this.#pings },
      { name: "vel_heartbeat_misses_total", kind: "counter", value: this.#misses },
      { name: "vel_heartbeat_timeouts_total", kind: "counter", value: this.#deaths },
      { name: "vel_ping_rtt_seconds", kind: "histogram", value: this.#roundTrips.distribution },
    ];
  }

  /** Stops watching all connections and observing all servers. The connections stay open, and no timer is left. */
  close(): void {
    for (const unobserve of [...this.#observed.values()]) unobserve();
    for (const connection of [...this.#beats.keys()]) this.stop(connection);
  }

  #watch(connection: Connection): Beat {
    const watched = this.#beats.get(connection);
    if (watched) return watched;
    const beat = new Beat(connection, wayFor(connection, this.heartbeat.mode));
    this.#beats.set(connection, beat);
    this.#begin(beat);
    return beat;
  }

  /** Gives a connection its turns. What the runtime watches by itself needs none. */
  #begin(beat: Beat): void {
    if (beat.way === "idle") return;
    this.#wheel.add(beat);
    this.#pulse.start();
  }

  /** Asks a connection nothing more, and forgets what it was asked. */
  #rest(beat: Beat): void {
    this.#settle(beat);
    this.#wheel.remove(beat);
    if (this.#wheel.size === 0) this.#pulse.stop();
  }

  /** Waits for no answer any more. */
  #settle(beat: Beat): void {
    this.#asked.delete(beat);
    beat.offPong?.();
    beat.offPong = undefined;
  }

  /** Judges those whose answers were due at the same time, or else asks those whose turn it is: one group in a beat. */
  #onBeat(): void {
    this.#data = undefined;
    let due: number | undefined;
    for (const beat of this.#asked) {
      if (beat.due > this.#pulse.read || (due !== undefined && beat.due !== due)) break;
      if (!beat.isHeard) due = beat.due;
      this.#judge(beat);
    }
    if (due !== undefined) return;
    // To the beat that is nearest: they come as they like.
    const slot = Math.floor((this.#pulse.time + this.#pulse.interval / 2) / this.#slot);
    for (const beat of this.#wheel.turnTo(slot)) this.#visit(beat);
  }

  /** Tells how long nobody is to be judged or asked. */
  #wait(): number {
    const { time } = this.#pulse;
    const [first] = this.#asked;
    const due = first?.due ?? Infinity; // what is past is waited for still: it is to be read first, or another was before
    return Math.min(due, (this.#wheel.passed + 1) * this.#slot) - time;
  }

  /** Says what it means that an answer was due. */
  #judge(beat: Beat): void {
    const { connection } = beat;
    if (beat.isHeard) {
      this.#hear(beat);
      return;
    }
    this.#settle(beat);
    if (!connection.isOpen) return; // core cuts it, if its close is not answered
    this.#misses++;
    const failures = ++beat.failures;
    if (failures < this.heartbeat.maxFailures) {
      this.#events.emit("miss", connection, failures);
      this.#ask(beat);
      return;
    }
    this.#deaths++;
    this.stop(connection);
    // Before anybody is told, who might close it with a code that says that all is well.
    connection.terminate("heartbeat timeout");
    this.#events.emit("miss", connection, failures);
    this.#events.emit("dead", connection, failures);
    this.#run("onHeartbeatFailed", connection, () => this.heartbeat.onHeartbeatFailed(connection, failures));
  }

  /** Takes a connection's turn. Who was asked before and is not heard yet goes on being waited for. */
  #visit(beat: Beat): void {
    if (this.#asked.has(beat)) {
      if (!beat.isHeard) return;
      this.#hear(beat);
    }
    this.#ask(beat);
  }

  /** Asks a connection, unless somebody who was told of something has taken it back meanwhile. */
  #ask(beat: Beat): void {
    const { connection } = beat;
    // A peer that is not listened to cannot answer. It is not silent: what it said fills the receive buffer.
    if (!beat.slot || !connection.isOpen || connection.isPaused) return;
    beat.frames = connection.framesReceived;
    beat.due = this.#pulse.time + this.heartbeat.pongTimeout;
    this.#asked.add(beat);
    if (!this.#put(beat)) return;
    this.#pings++;
    this.#run("onPingSent", connection, () => this.heartbeat.onPingSent(connection));
    this.#events.emit("ping", connection);
  }

  /** Sends the question; false when there was none to send. */
  #put(beat: Beat): boolean {
    const { connection } = beat;
    if (beat.way === "ping") {
      beat.offPong = connection.onPong((data) => this.#onPong(beat, data));
      if (!this.#data) {
        this.#number = this.#numbers.after(this.#number);
        this.#data = this.#numbers.encode(this.#number);
      }
      beat.ping = this.#number;
      beat.sentAt = this.#clock.now();
      connection.ping(this.#data);
      return true;
    }
    try {
      connection.send(this.heartbeat.message());
      return true;
    } catch (error) {
      this.#settle(beat); // nobody can answer what was not asked
      this.#report(error, { stage: "heartbeat", connection });
      return false;
    }
  }

  #onPong(beat: Beat, data: Uint8Array): void {
    if (this.#numbers.decode(data) !== beat.ping) return; // somebody else's, or late
    const { connection } = beat;
    const roundTrip = this.#clock.now() - beat.sentAt;
    beat.roundTrip = roundTrip;
    this.#roundTrips.add(roundTrip / 1_000);
    this.#hear(beat);
    this.#run("onPongReceived", connection, () => this.heartbeat.onPongReceived(connection, roundTrip));
    this.#events.emit("pong", connection, roundTrip);
  }

  /** Takes note of a sign of life from a peer that was asked. */
  #hear(beat: Beat): void {
    this.#settle(beat);
    if (beat.failures === 0) return;
    beat.failures = 0;
    this.#events.emit("recover", beat.connection);
  }

  #run(stage: string, connection: Connection, hook: () => unknown): void {
    notify(hook, (error) => {
      this.#report(error, { stage, connection });
    });
  }

  /** Tells of an error; never throws. */
  #report(error: unknown, context: ErrorContext): void {
    report(this.#onError, error, context);
  }
}

/** What a mode comes to on a connection's transport. */
function wayFor({ capabilities: { ping, idleTimeout } }: Connection, mode: HeartbeatMode): Way {
  if (mode === "auto") return ping ? "ping" : idleTimeout ? "idle" : "message";
  if ((mode === "ping" && !ping) || (mode === "idle" && !idleTimeout)) {
    throw new VelError("ERR_VEL_UNSUPPORTED", `Heartbeat mode "${mode}" is not in the transport: set mode to "auto"`);
  }
  return mode;
}
