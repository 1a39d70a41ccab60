/**
 * The server behind the {@link Vel} interface.
 *
 * @module
 */
import { remoteReader, type RemoteOf } from "./address.ts";
import { systemClock, type Clock } from "./clock.ts";
import { assertCloseCode, type CloseInfo } from "./close.ts";
import type { Connection } from "./connection.ts";
import { EventEmitter, type Unsubscribe } from "./emitter.ts";
import { VelError } from "./errors.ts";
import { hookHandler, pullHandler, type Handler } from "./handler.ts";
import { bindHost } from "./host.ts";
import type { ConnectionOwner, LiveConnection } from "./live-connection.ts";
import { compressionOf, limitsOf, positive, type Compression, type Limits } from "./limits.ts";
import { originCheck, type OriginCheck } from "./origin.ts";
import { compilePath, type PathPattern } from "./path.ts";
import { logError, report, type ErrorContext } from "./report.ts";
import type { Refusal } from "./refusal.ts";
import type { Admission, UpgradeRequest } from "./request.ts";
import type { Measurement } from "./measurement.ts";
import { Meter } from "./meter.ts";
import type { MaybePromise } from "./maybe-promise.ts";
import type { Capabilities, Host, Transport } from "./transport.ts";
import type {
  CloseOptions,
  Hooks,
  Inspector,
  LimitOptions,
  PullHandler,
  RouteOptions,
  Routes,
  Vel,
  VelEvents,
  VelOptions,
} from "./vel.ts";

/** A guard of either kind, its types forgotten. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- as the public types have it
export type Guard = (request: UpgradeRequest) => MaybePromise<Admission | Refusal | void>;

/** A registered route. */
export interface Route {
  readonly path: string;
  readonly pattern: PathPattern;
  readonly guards: readonly Guard[];
  readonly handler: Handler;
  readonly protocols: readonly string[];
  readonly limits: Limits;
  readonly compression: Compression;
}

/**
 * Makes a server. It listens nowhere by itself: an adapter's `serve`, `attach` or `handler` runs it.
 *
 * @throws {TypeError} When a listed origin is malformed.
 * @throws {RangeError} When a limit or time is not a positive number.
 * @example
 * import { createVel } from "@vel/core";
 * import { serve } from "@vel/node";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
 * await serve(vel, { port: 3000 });
 */
export function createVel(options: VelOptions = {}): Vel {
  return new VelServer(options);
}

/** Registers routes behind its own guards and those of the scope around it. */
class Scope implements Routes {
  readonly #around: Scope | undefined;
  readonly #own: readonly Guard[];

  constructor(around: Scope | undefined, own: readonly Guard[]) {
    this.#around = around;
    this.#own = own;
  }

  websocket(
    path: string,
    first: PullHandler<never, never> | Hooks<never, never, never, never> | RouteOptions,
    second?: PullHandler<never, never>,
  ): this {
    this.server.register(
      path,
      this.guards,
      first as PullHandler | Hooks | RouteOptions,
      second as PullHandler | undefined,
    );
    return this;
  }

  with(guard: Guard): Scope {
    return new Scope(this, [guard]);
  }

  get guards(): readonly Guard[] {
    return [...(this.#around?.guards ?? []), ...this.#own];
  }

  get server(): VelServer {
    if (!this.#around) throw new VelError("ERR_VEL_STATE", "A scope outside of any server");
    return this.#around.server;
  }
}

/** See {@link Vel} for what users see; the members below the line are core's own. */
export class VelServer extends Scope implements Vel, ConnectionOwner {
  readonly clock: Clock;
  readonly closeTimeout: number;
  readonly handshakeTimeout: number;
  readonly maxConnections: number | undefined;
  readonly allowsOrigin: OriginCheck;
  readonly connections: Set<Connection> = new Set<Connection>();
  readonly routes: Route[] = [];
  /** Ways to stop waiting for those who decide on requests. */
  readonly undecided: Set<() => void> = new Set<() => void>();
  readonly #onError: (error: unknown, context: ErrorContext) => unknown;
  readonly #limits: Limits;
  readonly checksOrigin: boolean;
  readonly remoteOf: RemoteOf;
  readonly inspectors: Inspector[] = [];
  readonly #compression: RouteOptions["compression"];
  readonly isSerial: boolean;
  readonly #guards: Guard[];
  readonly #events: EventEmitter<VelEvents>;
  readonly #requirements = new Map<keyof Capabilities, string>();
  readonly #idleTimeouts = new Set<{ readonly timeout: number }>();
  readonly #meter = new Meter((path) => this.routes.some((route) => route.path === path));
  readonly #transports: Transport<never, unknown>[] = [];
  /** Everything that has a socket, connections that are accepted only to be closed included. */
  readonly #live = new Set<LiveConnection>();
  /** How many requests are being decided. */
  #handshakes = 0;
  /** How many handlers, and preparations for them, have started and not settled. */
  #running = 0;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  /** What each handler is given to say once that it has settled. */
  readonly #onDone = (): void => {
    this.#running--;
    this.#settle();
  };

  constructor(options: VelOptions) {
    const guards: Guard[] = [];
    super(undefined, guards);
    this.#guards = guards;
    this.clock = options.clock ?? systemClock;
    this.closeTimeout = positive("closeTimeout", options.closeTimeout ?? 10_000);
    this.handshakeTimeout = positive("handshakeTimeout", options.handshakeTimeout ?? 5_000);
    this.maxConnections =
      options.maxConnections === undefined ? undefined : positive("maxConnections", options.maxConnections);
    this.allowsOrigin = originCheck(options.origins ?? "same");
    this.checksOrigin = options.origins !== "any";
    this.remoteOf = remoteReader(options.trustProxy ?? false);
    this.#onError = options.onError ?? logError;
    this.#limits = limitsOf(options);
    this.#compression = options.compression;
    this.isSerial = options.serial ?? true;
    this.#events = new EventEmitter((error) => {
      this.report(error, { stage: "listener" });
    });
  }

  override get server(): this {
    return this;
  }

  get accepting(): boolean {
    return !this.#closing;
  }

  on<K extends keyof VelEvents>(event: K, listener: (...args: VelEvents[K]) => void): Unsubscribe {
    return this.#events.on(event, listener);
  }

  use(guard: Guard | Inspector): this & Vel<never> {
    if (this.routes.length > 0) {
      throw new VelError(
        "ERR_VEL_STATE",
        "Cannot use a guard or inspector for all routes: a route is registered already and would miss it",
      );
    }
    if (typeof guard === "function") this.#guards.push(guard);
    else if (typeof (guard as Partial<Inspector> | undefined)?.inspect === "function") this.inspectors.push(guard);
    else throw new TypeError("Vel.use() takes a guard, or an inspector with a method inspect()");
    return this as this & Vel<never>;
  }

  require(capability: keyof Capabilities, hint: string): void {
    for (const transport of this.#transports) assertCapability(transport, capability, hint);
    this.#requirements.set(capability, hint);
  }

  setIdleTimeout(timeout: number): Unsubscribe {
    const asked = { timeout: positive("timeout", timeout) };
    this.#idleTimeouts.add(asked);
    return () => {
      this.#idleTimeouts.delete(asked);
    };
  }

  bind<Socket, Frame = never>(transport: Transport<Socket, Frame>): Host<Socket> {
    for (const [capability, hint] of this.#requirements) assertCapability(transport, capability, hint);
    this.#transports.push(transport);
    return bindHost(this, transport);
  }

  measure(): Iterable<Measurement> {
    return this.#meter.measure(this.connections, this.clock.now());
  }

  close({ code = 1001, reason = "" }: CloseOptions = {}): Promise<void> {
    assertCloseCode(code);
    this.#closing ??= new Promise((resolve) => {
      const timer = this.clock.setTimeout(() => {
        for (const connection of this.#live) connection.terminate();
        for (const giveUp of this.undecided) giveUp();
        resolve();
      }, this.closeTimeout);
      this.#onIdle = () => {
        this.clock.clearTimeout(timer);
        resolve();
      };
    });
    for (const connection of this.#live) connection.close(code, reason);
    this.#settle();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---------------------------------------------------------------------------------------------------- core's own

  /** See {@link Host.idleTimeout}. */
  get idleTimeout(): number | undefined {
    return this.#idleTimeouts.size === 0
      ? undefined
      : Math.min(...[...this.#idleTimeouts].map(({ timeout }) => timeout));
  }

  /** How many sockets there are: connections and handshakes. */
  get load(): number {
    return this.#live.size + this.#handshakes;
  }

  /** Adds a route, see {@link Routes.websocket}. */
  register(
    path: string,
    guards: readonly Guard[],
    first: PullHandler | Hooks | RouteOptions,
    second?: PullHandler,
  ): void {
    const pattern = compilePath(path);
    if (this.routes.some((route) => route.path === path)) throw new TypeError(`Route "${path}" is registered already`);
    const pull = typeof first === "function" ? first : second;
    const own: RouteOptions = typeof first === "function" ? {} : first;
    const report = this.report.bind(this);
    const wanted = own.compression ?? this.#compression;
    if (wanted === true || typeof wanted === "object") {
      this.require("compression", `set compression of "${path}" to "auto" to compress where it is possible`);
    }
    this.routes.push({
      path,
      pattern,
      guards,
      handler: pull ? pullHandler(pull, report) : hookHandler(own, own.serial ?? this.isSerial),
      protocols: own.protocols ?? [],
      limits: this.limitsFor(own),
      compression: compressionOf(wanted),
    });
  }

  /** The server's limits with a route's own laid over them. */
  limitsFor(options: LimitOptions): Limits {
    return limitsOf(options, this.#limits);
  }

  /** A request is being decided; {@link VelServer.decided} follows once it has become a connection or nothing. */
  deciding(): void {
    this.#handshakes++;
  }

  decided(): void {
    this.#handshakes--;
    this.#settle();
  }

  /** A request to a route was let in. */
  accepted(request: UpgradeRequest): void {
    this.#meter.answered(request.route, "accepted");
  }

  /** Takes in a connection and runs what it is for; from now on both are waited for. */
  opened(connection: LiveConnection, run: (done: () => void) => void): void {
    this.#live.add(connection);
    this.#running++;
    run(this.#onDone);
    if (!this.accepting) connection.close(1001);
  }

  /** Tells of a connection whose handler starts. */
  started(connection: LiveConnection): void {
    // Not of one whose peer left while it was prepared: its handler only gets what came before that.
    if (connection.closeInfo) return;
    this.connections.add(connection);
    this.#meter.opened(connection);
    this.#events.emit("open", connection);
  }

  ended(connection: LiveConnection, info: CloseInfo): void {
    this.#live.delete(connection);
    if (this.connections.delete(connection)) {
      this.#meter.closed(connection, info, this.clock.now() - connection.openedAt);
      this.#events.emit("close", connection, info);
    }
    this.#settle();
  }

  dropped(connection: LiveConnection, size: number): void {
    this.#events.emit("drop", connection, size);
  }

  refused(request: UpgradeRequest, refusal: Refusal): void {
    const code = refusal.closeCode ?? refusal.status;
    this.#meter.answered(request.route, code);
    this.#events.emit("refuse", request, code);
  }

  report(error: unknown, context: ErrorContext): void {
    report(this.#onError, error, context);
  }

  #settle(): void {
    if (this.#handshakes === 0 && this.#running === 0 && this.#live.size === 0) this.#onIdle?.();
  }
}

function assertCapability(transport: Transport<never, unknown>, capability: keyof Capabilities, hint: string): void {
  if (transport.capabilities[capability] === false) {
    throw new VelError("ERR_VEL_UNSUPPORTED", `Transport "${transport.name}" lacks "${capability}": ${hint}`);
  }
}
