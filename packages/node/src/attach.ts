/**
 * Living on somebody's HTTP server, beside whatever else listens to its upgrade requests.
 *
 * @module
 */
import { ServerResponse, type IncomingMessage, type Server as HttpServer } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { reject, type Vel } from "@vel/core";
import { ignore, writeAnswer } from "./answer.ts";
import { isWebSocket } from "./handshake.ts";
import { ownTransport } from "./transport.ts";
import { Upgrader } from "./upgrade.ts";

/** A server that WebSockets can be attached to; of HTTP/2 servers only the HTTP/1.1 side is served. */
export type UpgradeServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer;

/** Settings of {@link attach}. */
export interface AttachOptions {
  /**
   * What happens to a WebSocket request whose path no route matches: `auto` answers 404 when nobody else listens to
   * upgrade requests and leaves it to the others when somebody does; `reject` answers 404 always, and the others
   * never see it; `ignore` leaves it, and somebody must answer. Default: `auto`.
   */
  unmatched?: "auto" | "reject" | "ignore";
}

/** The bond between a Vel and a server. */
export interface Attachment {
  /** Takes it back. Connections that are open, and requests that are being decided on, stay. A second call does nothing. */
  detach(): void;
}

/**
 * Serves WebSockets on a server that exists already: plain `node:http`, or one that Express, Koa, Fastify, Hono, Nest,
 * Next or Vite runs on.
 *
 * Requests whose path a route matches are claimed before other `upgrade` listeners see them, everything else passes
 * by untouched. So it works beside socket.io or another `ws` server, whichever came first.
 *
 * @throws {TypeError} When it is no server: Express's `app` is a function, its server is what `app.listen()` returns.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Node lacks.
 * @example
 * import { createServer } from "node:http";
 * import { createVel } from "@vel/core";
 * import { attach } from "@vel/node";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
 * const server = createServer((request, response) => response.end("hello"));
 * attach(vel, server);
 * server.listen(3000);
 */
export function attach(vel: Vel, server: UpgradeServer, options: AttachOptions = {}): Attachment {
  if (typeof server !== "object" || typeof server.listenerCount !== "function") {
    throw new TypeError(`Argument "server" must be an HTTP server, got ${typeof server}`);
  }
  return attachUpgrader(new Upgrader(vel.bind(ownTransport)), server, options);
}

/** What {@link attach} does, for an upgrader that exists already. */
export function attachUpgrader(
  upgrader: Upgrader,
  server: UpgradeServer,
  { unmatched = "auto" }: AttachOptions,
): Attachment {
  let claims = claimsOf.get(server);
  if (!claims) claimsOf.set(server, (claims = new Claims(server as HttpServer)));
  const claim = { upgrader, unmatched };
  claims.add(claim);
  return {
    detach: () => {
      claims.delete(claim);
    },
  };
}

interface Claim {
  readonly upgrader: Upgrader;
  readonly unmatched: "auto" | "reject" | "ignore";
}

type Emit = HttpServer["emit"];

const claimsOf = new WeakMap<UpgradeServer, Claims>();

/** All claims on one server, and the one place that its `emit` is replaced. */
class Claims {
  readonly #server: HttpServer;
  readonly #claims = new Set<Claim>();
  /** The replacements of `emit` that may still be called, the outermost last. */
  readonly #patches: { readonly emit: Emit; readonly undo: () => void }[] = [];

  constructor(server: HttpServer) {
    this.#server = server;
  }

  add(claim: Claim): void {
    // Without any listener Node makes ordinary requests of upgrade requests, and never emits the event.
    if (this.#claims.size === 0) this.#server.on("upgrade", this.#onUnclaimed);
    this.#claims.add(claim);
    // Somebody may have replaced `emit` since, or put the original back: be the first again.
    if (this.#server.emit !== this.#patches.at(-1)?.emit) this.#patch();
  }

  delete(claim: Claim): void {
    if (!this.#claims.delete(claim) || this.#claims.size > 0) return;
    this.#server.off("upgrade", this.#onUnclaimed);
    // A replacement that somebody has covered with their own stays: without claims it lets everything pass.
    for (let top = this.#patches.at(-1); top && this.#server.emit === top.emit; top = this.#patches.at(-1)) {
      top.undo();
      this.#patches.pop();
    }
  }

  #patch(): void {
    const server = this.#server;
    const previous = server.emit as (...args: unknown[]) => boolean;
    const isOwn = Object.hasOwn(server, "emit");
    const take = this.#take.bind(this);
    const emit = function (this: HttpServer, event: string | symbol, ...args: unknown[]): boolean {
      if (event === "upgrade" && take(...(args as [IncomingMessage, Duplex, Buffer]))) return true;
      return previous.call(this, event, ...args);
    } as Emit;
    server.emit = emit;
    this.#patches.push({
      emit,
      undo: () => {
        if (isOwn) server.emit = previous as Emit;
        else delete (server as { emit?: Emit }).emit;
      },
    });
  }

  /** Takes a request that is somebody's here; false when the other listeners may have it. */
  #take(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (this.#claims.size === 0 || !isWebSocket(request)) return false;
    let isRejected = false;
    for (const { upgrader, unmatched } of this.#claims) {
      if (upgrader.matches(request)) {
        upgrader.handle(request, socket, head);
        return true;
      }
      if (unmatched === "reject") isRejected = true;
    }
    if (isRejected) writeAnswer(socket, reject(404));
    return isRejected;
  }

  /** The listener that stands for all claims: gets what {@link Claims.#take} did not take. */
  readonly #onUnclaimed = (request: IncomingMessage, socket: Duplex): void => {
    if (this.#server.listenerCount("upgrade") > 1) return;
    // Nobody but this listener made an upgrade of it, so this listener answers for it.
    if (!isWebSocket(request)) serveAsRequest(this.#server, request, socket);
    else if ([...this.#claims].some(({ unmatched }) => unmatched === "auto")) writeAnswer(socket, reject(404));
    else socket.on("error", ignore);
  };
}

/**
 * Makes an ordinary request of one that also offers another protocol, as Node does where nobody listens to upgrades:
 * curl's `--http2` and Java's HttpClient offer `h2c` with every request.
 */
function serveAsRequest(server: HttpServer, request: IncomingMessage, socket: Duplex): void {
  if (request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) !== 0) {
    // Node has stopped parsing, so the body cannot be read.
    writeAnswer(socket, reject(501, { body: "An upgrade of a request with a body is not supported" }));
    return;
  }
  socket.on("error", ignore);
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as IncomingMessage["socket"]);
  response.once("finish", () => socket.end(() => socket.destroy()));
  if (!server.emit("request", request, response)) response.writeHead(404).end();
}
