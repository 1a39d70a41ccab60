/**
 * What a heartbeat does and when: one policy for all connections that it watches.
 *
 * @module
 */
import { encodeJson, type Connection, type MaybePromise, type Payload } from "@vel/core";

/** How a peer is asked whether it is there. */
export type HeartbeatMode = "auto" | "ping" | "idle" | "message";

/** Settings of a {@link Heartbeat}. All durations are milliseconds. */
export interface HeartbeatOptions {
  /** How often each connection is asked, whatever else it says. Default: 30,000. */
  pingInterval?: number;
  /**
   * How long an answer may take, an interval at most. Any frame that comes meanwhile is one. Default: 10,000, or the interval
   * where that is shorter.
   */
  pongTimeout?: number;
  /** How many questions in a row may stay without an answer: at the last of them the peer is dead. Default: 3. */
  maxFailures?: number;
  /**
   * `ping`: protocol pings, which every client answers by itself. `idle`: the runtime's own timeout, where it has one.
   * `message`: a message that the client's code has to answer, with whatever it likes. `auto`: `ping` where the transport
   * can, else `idle`; where neither is possible, `message`. A mode that the transport lacks throws where it would begin.
   * Default: `auto`.
   */
  mode?: HeartbeatMode;
  /** Makes what is sent in the mode `message`. Default: `{"type":"ping"}`, a frame of the protocol that features share. */
  message?: () => Payload;
}

/**
 * The policy of a heartbeat. Subclass it to learn of what happens; the hooks are not waited for, and what they throw is
 * reported.
 *
 * @example
 * import { createVel, type Connection } from "@vel/core";
 * import { Heartbeat, HeartbeatManager } from "@vel/heartbeat";
 *
 * class CustomHeartbeat extends Heartbeat {
 *   override onHeartbeatFailed(connection: Connection) {
 *     console.log(`Heartbeat failed for ${connection.id}`);
 *   }
 * }
 * new HeartbeatManager(new CustomHeartbeat({ pingInterval: 20_000, pongTimeout: 5_000 })).observe(createVel());
 */
export class Heartbeat {
  readonly pingInterval: number;
  readonly pongTimeout: number;
  readonly maxFailures: number;
  readonly mode: HeartbeatMode;
  readonly message: () => Payload;

  /**
   * @throws {RangeError} When a number is not positive, `maxFailures` not whole, or `pongTimeout` longer than `pingInterval`.
   * @throws {TypeError} When the mode is none, or `message` no function.
   */
  constructor(options: HeartbeatOptions = {}) {
    const { pingInterval = 30_000, maxFailures = 3, mode = "auto", message = ping } = options;
    this.pingInterval = positive("pingInterval", pingInterval);
    this.pongTimeout = positive("pongTimeout", options.pongTimeout ?? Math.min(10_000, pingInterval));
    if (this.pongTimeout > pingInterval) {
      throw new RangeError(
        `Option "pongTimeout" must be at most "pingInterval", ${pingInterval}, got ${this.pongTimeout}`,
      );
    }
    this.maxFailures = positive("maxFailures", maxFailures);
    if (!Number.isInteger(maxFailures)) throw new RangeError(`Option "maxFailures" must be whole, got ${maxFailures}`);
    if (!modes.includes(mode)) {
      throw new TypeError(`Option "mode" must be one of ${modes.join(", ")}, got ${JSON.stringify(mode)}`);
    }
    if (typeof message !== "function")
      throw new TypeError(`Option "message" must be a function, got ${typeof message}`);
    this.mode = mode;
    this.message = message;
  }

  /** How long after its last sign of life a peer is found dead at the latest, in milliseconds, to one part in a hundred. */
  get patience(): number {
    return this.pingInterval + this.maxFailures * this.pongTimeout;
  }

  /** Runs when a peer was asked. */
  onPingSent(connection: Connection): MaybePromise<void> {
    void connection;
  }

  /** Runs when the pong came that belongs to the last ping; `roundTrip` is in milliseconds. Only in the mode `ping`. */
  onPongReceived(connection: Connection, roundTrip: number): MaybePromise<void> {
    void [connection, roundTrip];
  }

  /**
   * Runs when a peer is dead, `failures` questions having stayed without an answer. Its connection is cut already, with 1006:
   * there is nothing left to close.
   */
  onHeartbeatFailed(connection: Connection, failures: number): MaybePromise<void> {
    void [connection, failures];
  }
}

const modes: readonly HeartbeatMode[] = ["auto", "ping", "idle", "message"];

const ping = (): Payload => encodeJson({ type: "ping" });

function positive(name: string, value: number): number {
  if (typeof value !== "number" || !(value > 0 && value < Infinity)) {
    throw new RangeError(`Option "${name}" must be a positive number, got ${String(value)}`);
  }
  return value;
}
