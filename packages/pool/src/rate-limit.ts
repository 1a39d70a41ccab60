/**
 * So many messages, and so many bytes, and no more.
 *
 * @module
 */
import {
  EventEmitter,
  report,
  type Connection,
  type Emitter,
  type Inspector,
  type Measurable,
  type Measurement,
  type Received,
  type Unsubscribe,
} from "@vel/core";
import { Allowance } from "./allowance.ts";
import { rateSettings, type RateLimitAction, type RateLimitOptions, type RateSettings } from "./rate-limit-options.ts";

/** What a {@link RateLimit} knows of a message that came too soon. */
export interface Excess {
  /** In how many whole milliseconds the same message would pass; Infinity for one that is larger than `burstBytes`. */
  readonly retryAfter: number;
  /** Whether the message is swallowed. False with the mode `report`. */
  readonly isDropped: boolean;
}

/** What a {@link RateLimit} tells its listeners. */
export interface RateLimitEvents {
  /** A message came too soon. The connection is still open: before it is closed, if it is, the client can be told. */
  exceed: [connection: Connection, excess: Excess];
}

/** An inspector that limits messages. Made by {@link rateLimit}. */
export type RateLimit = Inspector & Measurable & Emitter<RateLimitEvents>;

/** How many messages of a connection are dropped before it is closed, unless for `per` milliseconds none was. */
const mostDropped = 1_000;

/**
 * Makes an inspector that limits how many messages and bytes each connection may send. They are counted as they come,
 * before they are decoded. A message that is stopped does not count.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When there are no options, nothing is limited, a burst is of nothing, or `onExceed` or `mode` is unknown.
 * @example
 * vel.use(rateLimit({ messages: 100, per: 10_000, burst: 200 }));
 */
export function rateLimit(options: RateLimitOptions): RateLimit {
  return new RateLimiter(rateSettings(options));
}

class RateLimiter implements RateLimit {
  readonly #settings: RateSettings;
  readonly #events: EventEmitter<RateLimitEvents>;
  readonly #allowances = new WeakMap<Connection, Allowance>();
  readonly #exceeded: Record<RateLimitAction, number> = { close: 0, drop: 0, report: 0 };

  constructor(settings: RateSettings) {
    this.#settings = settings;
    this.#events = new EventEmitter((error) => {
      report(settings.onError, error, { stage: "listener" });
    });
  }

  on<K extends keyof RateLimitEvents>(event: K, listener: (...args: RateLimitEvents[K]) => void): Unsubscribe {
    return this.#events.on(event, listener);
  }

  *measure(): Generator<Measurement, void, undefined> {
    for (const [action, value] of Object.entries(this.#exceeded)) {
      yield { name: "vel_rate_limit_exceeded_total", kind: "counter", value, labels: { action } };
    }
  }

  inspect(connection: Connection, _payload: Received, size: number): boolean {
    const now = this.#settings.clock.now();
    let allowance = this.#allowances.get(connection);
    if (!allowance) {
      allowance = new Allowance(this.#settings, now);
      this.#allowances.set(connection, allowance);
    }
    const wait = allowance.take(size, now);
    if (wait === 0) return true;
    const { action, per } = this.#settings;
    const isLast = action === "drop" && allowance.drop(now, per) > mostDropped;
    this.#exceed(connection, isLast ? "close" : action, Math.ceil(wait));
    return action === "report";
  }

  /** Counts and tells of a message that came too soon, and closes if that is to be done. */
  #exceed(connection: Connection, action: RateLimitAction, retryAfter: number): void {
    this.#exceeded[action]++;
    this.#events.emit("exceed", connection, { retryAfter, isDropped: action !== "report" });
    if (action === "close") close(connection, retryAfter);
  }
}

/** Who comes back after 4429 can do better; who sent what never passes would do the same again. */
function close(connection: Connection, retryAfter: number): void {
  if (retryAfter === Infinity) connection.close(1009, "message too big");
  else connection.close(4429, `retry after ${String(retryAfter)} ms`);
}
