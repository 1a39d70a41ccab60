/**
 * So many connections, and no more.
 *
 * @module
 */
import {
  EventEmitter,
  networkOf,
  VelError,
  report,
  type Admission,
  type Connection,
  type Emitter,
  type MaybePromise,
  type Measurable,
  type Measurement,
  type ProvidingGuard,
  type Refusal,
  type Unsubscribe,
  type UpgradeRequest,
} from "@vel/core";
import type { AttemptRate } from "./limit-store.ts";
import { limitSettings, type ConnectionLimitOptions, type LimitScope, type LimitSettings } from "./limit-options.ts";
import { Places } from "./places.ts";
import { StoreAccess } from "./store-access.ts";
import { whenKnown } from "./when-known.ts";

/** What a {@link ConnectionLimit} tells its listeners. */
export interface ConnectionLimitEvents {
  /** A limit was reached. With the mode `report` it is not enforced, and one request may have reached several. */
  refuse: [request: UpgradeRequest, scope: LimitScope, isEnforced: boolean];
}

/** A guard that limits connections; data of requests and connections are left as they are. Made by {@link connectionLimit}. */
export type ConnectionLimit = ProvidingGuard<unknown, unknown> & Measurable & Emitter<ConnectionLimitEvents>;

/** Whose limits are asked for room: those of nobody known are not. */
type Owners = Readonly<Partial<Record<LimitScope, string | undefined>>>;

/** Which limit had no room, and in how many milliseconds it is worth to try again. */
type Verdict = readonly [scope: LimitScope, retryAfter: number];

/** Characters of a user's id that are kept as they are. To cut longer ones could make two users one. */
const longestId = 256;

/**
 * Makes a guard that limits connections: in all, by address, by user, and how often an address may try.
 *
 * A place is taken before anything that comes after, and given back as soon as the request was refused, has failed or
 * was given up by its client, or the connection has ended. So let it be the first guard, before those that take their
 * time. Only one with `perUser` comes after the guard that knows the user; where the first message tells that, it is
 * asked once the connection is open, and closes with 4429.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When there are no options, nothing is limited, the mode is unknown, `store` is none, or `user` is no
 * function or has no `perUser`.
 * @example
 * vel
 *   .use(connectionLimit({ perIp: 10, total: 1_000, attempts: { limit: 60, per: 60_000 } }))
 *   .use((request) => ({ data: { userId: request.query.get("user") ?? "guest" } }))
 *   .use(connectionLimit({ perUser: 5 }));
 */
export function connectionLimit(options: ConnectionLimitOptions): ConnectionLimit {
  const limiter = new Limiter(limitSettings(options));
  return Object.assign((request: UpgradeRequest) => limiter.admit(request), {
    on: limiter.on.bind(limiter),
    measure: limiter.measure.bind(limiter),
  });
}

class Limiter implements Measurable, Emitter<ConnectionLimitEvents> {
  readonly #settings: LimitSettings;
  readonly #store: StoreAccess;
  readonly #events: EventEmitter<ConnectionLimitEvents>;
  readonly #rejections: Record<LimitScope, number> = { attempts: 0, ip: 0, user: 0, total: 0 };
  /** How many have come and not gone. */
  #present = 0;

  constructor(settings: LimitSettings) {
    const reportAt = (stage: string) => (error: unknown) => {
      report(settings.onError, error, { stage });
    };
    this.#settings = settings;
    this.#store = new StoreAccess(settings.store, reportAt("store"));
    this.#events = new EventEmitter(reportAt("listener"));
  }

  on<K extends keyof ConnectionLimitEvents>(
    event: K,
    listener: (...args: ConnectionLimitEvents[K]) => void,
  ): Unsubscribe {
    return this.#events.on(event, listener);
  }

  *measure(): Generator<Measurement, void, undefined> {
    const { limits, mode, ownStore } = this.#settings;
    for (const [scope, value] of limits) {
      yield { name: "vel_connection_limit", kind: "gauge", value, labels: { scope } };
    }
    for (const scope of limits.keys()) {
      const value = this.#rejections[scope];
      yield { name: "vel_limit_rejections_total", kind: "counter", value, labels: { scope, mode } };
    }
    // Of several limits, as of addresses and of users, only one counts everybody: or they would be counted twice.
    const scope = [...limits.keys()].at(-1) ?? "total";
    yield { name: "vel_limit_connections", kind: "gauge", value: this.#present, labels: { scope } };
    yield { name: "vel_limit_store_failures_total", kind: "counter", value: this.#store.failures };
    if (ownStore) yield* ownStore.measure();
  }

  admit(request: UpgradeRequest): MaybePromise<Admission | Refusal> {
    const { limits, user } = this.#settings;
    const places = new Places((key) => {
      this.#store.release(key);
    });
    this.#present++;
    request.defer(() => {
      this.#present--;
      places.release();
    });
    const name = limits.has("user") ? user(request.data) : undefined;
    const address = request.remote && networkOf(request.remote.address);
    const owners: Owners = { attempts: address, ip: address, user: name, total: "all" };
    return whenKnown(this.#ask(request, places, owners), (verdict) => {
      if (verdict) {
        places.release();
        const [scope, retryAfter] = verdict;
        return request.reject(scope === "total" ? 503 : 429, { retryAfter });
      }
      if (!limits.has("user") || name !== undefined) return {};
      return { prepare: (connection) => this.#admitUser(connection, request, places) };
    });
  }

  /** Asks for the place of a user who is known only now, when the connection is open. */
  #admitUser(connection: Connection, request: UpgradeRequest, places: Places): MaybePromise<void> {
    const name = this.#settings.user(connection.data);
    if (name === undefined) {
      this.#giveUp(
        new VelError(
          "ERR_VEL_STATE",
          'Cannot limit by option "perUser": nobody knows the user. Let the guard that does come first, or set option "user"',
        ),
      );
      return;
    }
    return whenKnown(this.#ask(request, places, { user: name }), (verdict) => {
      if (verdict) connection.close(4429, "too many connections");
    });
  }

  /** Asks one limit after the other, until one refuses. */
  #ask(
    request: UpgradeRequest,
    places: Places,
    owners: Owners,
    [next, ...rest]: readonly (readonly [LimitScope, number])[] = [...this.#settings.limits],
  ): MaybePromise<Verdict | undefined> {
    if (!next) return undefined;
    const [scope, limit] = next;
    const owner = owners[scope];
    const answer = owner === undefined ? 0 : this.#wait(places, scope, owner, limit);
    return whenKnown(answer, (wait) => {
      if (wait > 0 && this.#isRefused(request, scope)) return [scope, wait];
      return this.#ask(request, places, owners, rest);
    });
  }

  /** Takes what there is, and tells in how many milliseconds there may be some if there is not: 0 when there is. */
  #wait(places: Places, scope: LimitScope, owner: string, limit: number): MaybePromise<number> {
    const { attempts, mode, retryAfter } = this.#settings;
    if (scope === "user" && owner.length > longestId) {
      const text = `the user's id has ${String(owner.length)} characters, ${String(longestId)} is the most`;
      this.#giveUp(new VelError("ERR_VEL_LIMIT", `Cannot limit by option "perUser": ${text}`));
      return 0;
    }
    const key = `${scope}:${owner}`;
    if (scope === "attempts") return this.#store.attempt(key, attempts as AttemptRate);
    // Who is let in holds a place, also one that there should not be.
    const most = mode === "report" ? Infinity : limit;
    return whenKnown(this.#store.take(key, most), (used) => {
      if (used === undefined) return 0;
      if (used < most) places.add(key);
      return used < limit ? 0 : retryAfter;
    });
  }

  /** Keeps out whom no limit can be found for; with the mode `report` it only says so. */
  #giveUp(error: VelError): void {
    const { mode, onError } = this.#settings;
    if (mode === "enforce") throw error;
    report(onError, error, { stage: "limit" });
  }

  /** Counts and tells whom a limit refuses; false where it only says so. */
  #isRefused(request: UpgradeRequest, scope: LimitScope): boolean {
    const isEnforced = this.#settings.mode === "enforce";
    this.#rejections[scope]++;
    this.#events.emit("refuse", request, scope, isEnforced);
    return isEnforced;
  }
}
