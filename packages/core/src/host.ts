/**
 * What an adapter gets: a server's decisions on requests, and its connections' ways in.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { hookRunner, type Entry } from "./handler.ts";
import type { HeaderList } from "./headers.ts";
import { VelError } from "./errors.ts";
import { LiveConnection } from "./live-connection.ts";
import { LiveRequest, splitTarget, type Preparation } from "./live-request.ts";
import type { Compression } from "./limits.ts";
import { isPromise, notify } from "./maybe-promise.ts";
import type { Wire } from "./outbox.ts";
import type { AnyParams } from "./path.ts";
import type { Received } from "./payload.ts";
import { Refusal, reject } from "./refusal.ts";
import type { Route, VelServer } from "./server.ts";
import { Turn } from "./turn.ts";
import type { AdoptOptions } from "./vel.ts";
import type { Accepted, Handshake, Host, Refused, Transport } from "./transport.ts";

/** How long a client should wait that came while the server was going down, in milliseconds. */
const retryAfter = 1_000;

/** Makes the host of a transport. */
export function bindHost<Socket, Frame>(server: VelServer, transport: Transport<Socket, Frame>): Host<Socket> {
  const turn = transport.frame && transport.afterTurn ? new Turn(transport.afterTurn.bind(transport)) : undefined;
  const wire: Wire = { transport, turn };
  return {
    get maxPayload() {
      return Math.max(...server.routes.map(({ limits }) => limits.maxPayload), server.limitsFor({}).maxPayload);
    },
    get compression() {
      return transport.capabilities.compression && server.routes.some(({ compression }) => compression !== false);
    },
    get idleTimeout() {
      return server.idleTimeout;
    },
    handshakeTimeout: server.handshakeTimeout,
    matches: (path) => server.routes.some((route) => route.pattern.matches(path)),
    upgrade: (handshake) => decide(server, transport, handshake),
    abandon(accepted) {
      if (accepted instanceof Admitted) accepted.abandon();
    },
    open(socket, accepted) {
      if (!(accepted instanceof Admitted)) throw new TypeError("Host.open() takes what Host.upgrade() gave");
      return accepted.open(server, wire, socket);
    },
    adopt<Data, In>(
      socket: Socket,
      { url, remote, headers }: Pick<Handshake, "url" | "remote" | "headers">,
      options: AdoptOptions<Data, In> = {},
    ) {
      const connection = new LiveConnection({
        owner: server,
        wire,
        socket,
        route: splitTarget(url).path,
        params: {},
        data: options.data ?? {},
        protocol: "",
        remote: server.remoteOf(remote, headers),
        limits: server.limitsFor(options),
      });
      // What the hooks get is what the caller's types say; here they are only called.
      const start = hookRunner(options as AdoptOptions<unknown, never>, options.serial ?? server.isSerial);
      server.opened(connection, (done) => {
        server.started(connection);
        start(connection, done);
      });
      return connection as Connection as Connection<Data>;
    },
    message(connection: Connection, payload: Received, size?: number) {
      (connection as LiveConnection).receive(payload, size);
    },
    ping(connection) {
      (connection as LiveConnection).receivePing();
    },
    pong(connection, data) {
      (connection as LiveConnection).receivePong(data);
    },
    flush(connection) {
      (connection as LiveConnection).flush();
    },
    drain(connection) {
      (connection as LiveConnection).hasDrained();
    },
    close(connection, code, reason, wasClean) {
      (connection as LiveConnection).end(code, reason, wasClean);
    },
    error(connection, error) {
      server.report(error, { stage: "transport", connection });
    },
  };
}

/** A request that was let in, between the decision and the open socket. */
class Admitted implements Accepted {
  readonly accept = true;
  readonly protocol: string | undefined;
  readonly headers: HeaderList;
  readonly maxPayload: number;
  readonly compression: Compression;
  readonly #route: Route;
  readonly #request: LiveRequest;
  readonly #outcome: Entry | Refusal;
  readonly #decided: (isOpen: boolean) => void;
  #isAbandoned = false;
  #connection: LiveConnection | undefined;

  /** @param decided Is called once, when it is open or abandoned. */
  constructor(
    route: Route,
    request: LiveRequest,
    outcome: Entry | Refusal,
    canCompress: boolean,
    decided: (isOpen: boolean) => void,
  ) {
    this.headers = outcome instanceof Refusal ? outcome.headers : request.responseHeaders;
    this.protocol = chooseProtocol(request, route.protocols);
    this.maxPayload = route.limits.maxPayload;
    this.compression = canCompress && route.compression;
    this.#route = route;
    this.#request = request;
    this.#outcome = outcome;
    this.#decided = decided;
  }

  open(server: VelServer, wire: Wire, socket: unknown): Connection {
    if (this.#connection) return this.#connection;
    const { route, params, data, remote } = this.#request;
    const connection = new LiveConnection({
      owner: server,
      wire,
      socket,
      route,
      params,
      data,
      protocol: this.protocol ?? "",
      remote,
      limits: this.#route.limits,
    });
    this.#connection = connection;
    this.#request.deferBy((run) => {
      connection.onClose(() => {
        release(server, run);
      });
    });
    server.opened(connection, (done) => {
      this.#run(server, connection, done);
    });
    if (!this.#isAbandoned) this.#decided(true);
    return connection;
  }

  /** The client left before its socket was open, or nobody has heard of it for too long. */
  abandon(): void {
    if (this.#connection || this.#isAbandoned) return;
    this.#isAbandoned = true;
    if (!(this.#outcome instanceof Refusal)) this.#outcome.abandon();
    this.#decided(false);
  }

  #run(server: VelServer, connection: LiveConnection, done: () => void): void {
    const outcome = this.#outcome;
    if (outcome instanceof Refusal) {
      connection.close(outcome.closeCode, outcome.closeReason);
      done();
    } else if (this.#isAbandoned) {
      connection.close(1013, "handshake took too long");
      done();
    } else {
      prepare(connection, this.#request.preparations, (isReady) => {
        if (isReady) {
          server.started(connection);
          outcome.start(connection, done);
        } else {
          connection.onClose((info) => {
            outcome.abandon(info);
            done();
          });
        }
      });
    }
  }
}

/**
 * Runs what comes before the handler, one after the other; what answers at once costs no turn. Not ready is who failed or
 * was closed by this side. A peer that has left meanwhile may have said something before.
 */
function prepare(
  connection: LiveConnection,
  [next, ...rest]: readonly Preparation[],
  done: (isReady: boolean) => void,
): void {
  if (!next || connection.isClosedHere) {
    done(!connection.isClosedHere);
    return;
  }
  const fail = (error: unknown): void => {
    connection.fail(error, "prepare");
    done(false);
  };
  const goOn = (data: unknown): void => {
    try {
      take(connection, data, next.settled);
    } catch (error) {
      fail(error);
      return;
    }
    prepare(connection, rest, done);
  };
  let data: unknown;
  try {
    data = next.run(connection);
  } catch (error) {
    fail(error);
    return;
  }
  if (isPromise(data)) Promise.resolve(data).then(goOn, fail);
  else goOn(data);
}

/** Takes in what a preparation gave. */
function take(connection: LiveConnection, data: unknown, settled: ReadonlySet<string>): void {
  // Who returns one wants to keep somebody out, and must not let him in.
  if (data instanceof Refusal) throw new TypeError("Cannot refuse in prepare(): close the connection");
  if (typeof data !== "object" || data === null) return;
  const given = { ...data };
  for (const name of settled) Reflect.deleteProperty(given, name);
  connection.lay(given);
}

async function decide(
  server: VelServer,
  { capabilities, maxConnections }: Pick<Transport<never, unknown>, "capabilities" | "maxConnections">,
  handshake: Handshake,
): Promise<Accepted | Refused> {
  const { path } = splitTarget(handshake.url);
  const route = server.routes.find(({ pattern }) => pattern.matches(path));
  if (!route) return refusedWith(reject(404));
  let params: AnyParams;
  try {
    params = route.pattern.params(path);
  } catch {
    return refusedWith(reject(400)); // a malformed percent-escape
  }
  const request = new LiveRequest(handshake, {
    route: route.path,
    params,
    remote: server.remoteOf(handshake.remote, handshake.headers),
    isOriginChecked: server.checksOrigin,
  });
  const { signal } = handshake;
  const isFull = server.load >= (server.maxConnections ?? maxConnections ?? 10_000);
  let admitted: Admitted | undefined;
  const over = (): void => {
    request.deferBy((run) => {
      release(server, run);
    });
  };
  const onAbort = (): void => {
    if (admitted) admitted.abandon();
    else over();
  };
  const decided = (): void => {
    signal.removeEventListener("abort", onAbort);
    server.decided();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  server.deciding();

  let outcome = isFull ? reject(503, { retryAfter }) : await withinTime(server, request, ask(server, route, request));
  request.answered(!(outcome instanceof Refusal));
  // Who has left gets no socket, nor who comes while the server goes down: not even one that is closed at once.
  if ((signal.aborted || !server.accepting) && !isHttpAnswer(outcome)) {
    if (!(outcome instanceof Refusal)) outcome.abandon();
    outcome = reject(503, { retryAfter });
  }
  if (outcome instanceof Refusal && !signal.aborted) server.refused(request, outcome);
  if (isHttpAnswer(outcome)) {
    over();
    decided();
    return refusedWith(outcome);
  }
  if (!(outcome instanceof Refusal)) server.accepted(request);
  // Deno tells nothing of a client that leaves before the 101: its place is given back when the time is up.
  const timer = server.clock.setTimeout(() => admitted?.abandon(), server.handshakeTimeout);
  return (admitted = new Admitted(route, request, outcome, capabilities.compression, (isOpen) => {
    server.clock.clearTimeout(timer);
    if (!isOpen) over();
    decided();
  }));
}

function isHttpAnswer(outcome: Entry | Refusal): outcome is Refusal {
  return outcome instanceof Refusal && outcome.closeCode === undefined;
}

/** Gives up on guards and handlers that do not answer; what they answer later is let go of. */
function withinTime(
  server: VelServer,
  request: LiveRequest,
  answer: Promise<Entry | Refusal>,
): Promise<Entry | Refusal> {
  return new Promise((resolve) => {
    const giveUp = (): void => {
      settle();
      request.isGivenUp = true;
      resolve(request.reject(503, { retryAfter }));
    };
    const timer = server.clock.setTimeout(() => {
      const limit = String(server.handshakeTimeout);
      const error = new VelError("ERR_VEL_TIMEOUT", `Handshake on "${request.route}" took longer than ${limit} ms`);
      server.report(error, { stage: "handshake" });
      giveUp();
    }, server.handshakeTimeout);
    const settle = (): void => {
      server.clock.clearTimeout(timer);
      server.undecided.delete(giveUp);
    };
    server.undecided.add(giveUp);
    void answer.then((outcome) => {
      settle();
      if (request.isGivenUp && !(outcome instanceof Refusal)) outcome.abandon();
      resolve(outcome);
    });
  });
}

/** Asks, in this order: the life cycle, the origin, the guards, the handler. The first answer wins. */
async function ask(server: VelServer, route: Route, request: LiveRequest): Promise<Entry | Refusal> {
  let stage = "guard";
  try {
    if (!server.accepting) return reject(503, { retryAfter });
    if (!server.allowsOrigin(request.headers)) return reject(403);
    for (const guard of route.guards) {
      const answer = await guard(request);
      const refusal = request.refusal ?? answer;
      if (refusal instanceof Refusal) return refusal;
      if (answer) request.admit(answer);
    }
    stage = "upgrade";
    const outcome = await route.handler(request);
    const refusal = request.refusal ?? outcome;
    if (refusal instanceof Refusal) return refusal;
    const entry = outcome as Entry;
    try {
      request.admit(entry.admission);
    } catch (error) {
      entry.abandon();
      throw error;
    }
    return entry;
  } catch (error) {
    if (error instanceof Refusal) return request.refusal ?? error;
    // An accept() that comes after the time was up throws at a handler that did nothing else wrong: that is told already.
    const isLateAccept = request.isGivenUp && error instanceof VelError && error.code === "ERR_VEL_STATE";
    if (!request.signal.aborted && !isLateAccept) server.report(error, { stage });
    return request.refusal ?? reject(500);
  }
}

/** The application's choice, else the route's best, if the client offered it (RFC 6455, section 4.2.2). */
function chooseProtocol(request: LiveRequest, spoken: readonly string[]): string | undefined {
  const wanted = request.protocol === undefined ? spoken : [request.protocol];
  return wanted.find((protocol) => request.protocols.includes(protocol));
}

function refusedWith({ status, headers, body }: Refusal): Refused {
  return { accept: false, status, headers, body };
}

function release(server: VelServer, run: () => unknown): void {
  notify(run, (error) => {
    server.report(error, { stage: "release" });
  });
}
