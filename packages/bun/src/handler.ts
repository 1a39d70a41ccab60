/**
 * What `Bun.serve` needs to serve a Vel.
 *
 * @module
 */
import { findHandshakeFault, reject, type HeaderList, type Host, type Remote, type Vel } from "@vel/core";
import { transport, type BunSocket, type SocketData } from "./transport.ts";

/** Bun's server, as far as it is used. */
export interface BunServer {
  upgrade(request: Request, options: { headers: Headers; data: SocketData }): boolean;
  requestIP(request: Request): { readonly address: string; readonly port: number } | null;
}

/** Settings of {@link handler}. */
export interface HandlerOptions<Server> {
  /** Answers what is no WebSocket request, as in `Bun.serve`. Default: 404. */
  fetch?: (request: Request, server: Server) => Response | Promise<Response>;
}

/** The two properties that {@link handler} gives to `Bun.serve`. */
export interface BunHandler<Server> {
  fetch(request: Request, server: Server): Promise<Response | undefined>;
  readonly websocket: {
    readonly maxPayloadLength: number;
    readonly backpressureLimit: number;
    readonly closeOnBackpressureLimit: boolean;
    readonly perMessageDeflate: boolean;
    open(socket: never): void;
    message(socket: never, message: string | Uint8Array): void;
    drain(socket: never): void;
    ping(socket: never, data: Uint8Array): void;
    pong(socket: never, data: Uint8Array): void;
    close(socket: never, code: number, reason: string): void;
  };
}

/**
 * Makes `fetch` and `websocket` for `Bun.serve`. Register the routes first: Bun fixes the largest message and whether it
 * compresses for the whole server, and takes the largest of all routes.
 *
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Bun lacks.
 * @example
 * const { fetch, websocket } = handler(vel, { fetch: (request) => new Response(request.url) });
 * // Bun.serve({ port: 3000, fetch, websocket });
 */
export function handler<Server extends BunServer = BunServer>(
  vel: Vel,
  { fetch }: HandlerOptions<Server> = {},
): BunHandler<Server> {
  const host = vel.bind(transport);
  return {
    async fetch(request, server) {
      // A Host that is none makes a URL that is none, which nobody downstream expects.
      if (!URL.canParse(request.url)) return answer(reject(400));
      const { pathname, search } = new URL(request.url);
      const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
      if (isUpgrade && host.matches(pathname)) return upgrade(host, request, server, pathname + search);
      return (await fetch?.(request, server)) ?? answer(reject(404));
    },
    websocket: {
      maxPayloadLength: host.maxPayload,
      backpressureLimit: 0, // none: core's policy is the same on every runtime
      closeOnBackpressureLimit: false,
      perMessageDeflate: host.compression,
      open(socket: BunSocket) {
        socket.binaryType = "uint8array";
        const connection = (socket.data.connection = host.open(socket, socket.data.accepted));
        if (socket.data.end) host.close(connection, ...socket.data.end);
      },
      message({ data: { connection } }: BunSocket, message) {
        if (!connection) return;
        host.message(connection, typeof message === "string" ? message : new Uint8Array(message));
      },
      drain({ data: { connection } }: BunSocket) {
        if (connection) host.drain(connection);
      },
      ping({ data: { connection } }: BunSocket) {
        if (connection) host.ping(connection);
      },
      pong({ data: { connection } }: BunSocket, data) {
        if (connection) host.pong(connection, new Uint8Array(data));
      },
      close({ data }: BunSocket, code, reason) {
        // Bun calls this within `close()`, and so within `host.open()` when the open hook closes.
        data.end = [code, reason, code !== 1006];
        if (!data.connection) return;
        // The peer's fault: Bun has told it already, core wants to know too. A drop has no reason.
        if (code === 1006 && reason !== "") data.connection.close(violationOf(reason));
        host.close(data.connection, ...data.end);
      },
    },
  };
}

/** The code that Bun has closed with, of which it tells the handler only the reason. */
function violationOf(reason: string): number {
  if (reason.includes("too big message")) return 1009;
  return /UTF-8|compressed data/.test(reason) ? 1007 : 1002;
}

async function upgrade(
  host: Host<BunSocket>,
  request: Request,
  server: BunServer,
  url: string,
): Promise<Response | undefined> {
  const { method, headers, signal } = request;
  const fault = findHandshakeFault(method, headers);
  if (fault) return answer(fault);
  const address = server.requestIP(request);
  const remote: Remote | undefined = address
    ? { address: address.address.replace(/^::ffff:(?=[\d.]+$)/i, ""), port: address.port }
    : undefined;
  const accepted = await host.upgrade({ url, headers, remote, signal, raw: request });
  if (!accepted.accept) return answer(accepted);
  const { protocol } = accepted;
  if (protocol === undefined && headers.has("sec-websocket-protocol")) {
    // Bun would name the first offer by itself: a protocol that nobody here speaks.
    host.abandon(accepted);
    return answer(reject(400, { body: "None of the offered subprotocols is spoken here" }));
  }
  const more = new Headers();
  for (const [name, value] of accepted.headers) more.append(name, value);
  if (protocol !== undefined) more.set("sec-websocket-protocol", protocol);
  if (server.upgrade(request, { headers: more, data: { accepted } })) return undefined;
  host.abandon(accepted);
  return answer(reject(400, { body: "Not a WebSocket handshake" }));
}

function answer({ status, headers, body }: { status: number; headers: HeaderList; body: string }): Response {
  const list = new Headers({ connection: "close" }); // nothing else is wanted of who was refused
  for (const [name, value] of headers) list.append(name, value);
  return new Response(body, { status, headers: list });
}
