/**
 * What `Deno.serve` needs to serve a Vel.
 *
 * @module
 */
import {
  findHandshakeFault,
  reject,
  type Connection,
  type HeaderList,
  type Host,
  type Remote,
  type Vel,
} from "@vel/core";
import { transport, type DenoSocket } from "./transport.ts";

/** What Deno tells of a request, as far as it is used. */
export interface DenoInfo {
  readonly remoteAddr: object;
}

/** Settings of {@link handler}. */
export interface HandlerOptions<Info> {
  /** Answers what is no WebSocket request, as in `Deno.serve`. Default: 404. */
  fetch?: (request: Request, info: Info) => Response | Promise<Response>;
}

/** Deno's words for a peer's violations, and the close codes for them. All else that can go wrong is a lost connection. */
const violations: Readonly<Record<string, number>> = {
  "Control frame must not be fragmented": 1002,
  "Frame too large": 1009,
  "Invalid UTF-8": 1007,
  "Invalid close code": 1002,
  "Invalid close frame": 1002,
  "Invalid continuation frame": 1002,
  "Invalid fragment": 1002,
  "Invalid value": 1002, // of an opcode
  "Ping frame too large": 1002,
  "Reserved bits are not zero": 1002,
};

/** What Deno says when a peer did not answer the pings that it sends by itself. */
const silence = "No response from ping frame.";

/** What this file needs of the runtime. */
interface Runtime {
  upgradeWebSocket(request: Request, options: object): { response: Response; socket: DenoSocket };
}

/**
 * Makes a handler for `Deno.serve`.
 *
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Deno lacks; `@vel/node` on Deno has it.
 * @example
 * const answer = handler(vel, { fetch: (request) => new Response(request.url) });
 * // Deno.serve({ port: 3000 }, answer);
 */
export function handler<Info extends DenoInfo = DenoInfo>(
  vel: Vel,
  { fetch }: HandlerOptions<Info> = {},
): (request: Request, info: Info) => Promise<Response> {
  const host = vel.bind(transport);
  return async (request, info) => {
    // A Host that is none makes a URL that is none, which nobody downstream expects.
    if (!URL.canParse(request.url)) return answer(reject(400));
    const { pathname, search } = new URL(request.url);
    const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
    if (isUpgrade && host.matches(pathname)) return upgrade(host, request, info, pathname + search);
    return (await fetch?.(request, info)) ?? answer(reject(404));
  };
}

async function upgrade(host: Host<DenoSocket>, request: Request, info: DenoInfo, url: string): Promise<Response> {
  const { method, headers } = request;
  const fault = findHandshakeFault(method, headers);
  if (fault) return answer(fault);
  const remote = remoteOf(info); // only readable before the upgrade
  // Deno aborts a request's signal also when it was answered well: from then on it says nothing here.
  const gone = new AbortController();
  const onAbort = (): void => gone.abort();
  request.signal.addEventListener("abort", onAbort);
  const accepted = await host.upgrade({ url, headers, remote, signal: gone.signal, raw: request });
  request.signal.removeEventListener("abort", onAbort);
  if (!accepted.accept) return answer(accepted);
  const { Deno } = globalThis as unknown as { Deno: Runtime };
  let upgraded: ReturnType<Runtime["upgradeWebSocket"]>;
  try {
    const { idleTimeout } = host; // Deno counts in whole seconds
    upgraded = Deno.upgradeWebSocket(
      request,
      idleTimeout === undefined ? {} : { idleTimeout: Math.ceil(idleTimeout / 1000) },
    );
  } catch {
    host.abandon(accepted);
    return answer(reject(400, { body: "Not a WebSocket handshake" }));
  }
  const { response, socket } = upgraded;
  // By the header, since the option refuses a protocol that the client listed without a space after the comma.
  if (accepted.protocol !== undefined) response.headers.set("sec-websocket-protocol", accepted.protocol);
  for (const [name, value] of accepted.headers) response.headers.append(name, value);

  let connection: Connection | undefined;
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    connection = host.open(socket, accepted);
  });
  socket.addEventListener("message", ({ data }) => {
    if (!connection || data === undefined) return;
    if (typeof data === "string") host.message(connection, data);
    else host.message(connection, new Uint8Array(data), data.byteLength);
  });
  socket.addEventListener("error", ({ message = "" }) => {
    // The peer's violation, for which Deno ends the TCP connection: this only lets core know who ended it, and why.
    if (!connection) return;
    if (Object.hasOwn(violations, message)) connection.close(violations[message]);
    else if (message === silence) connection.terminate("idle timeout");
  });
  // `close` follows, with code 0 where no close frame came, and sometimes comes twice: core takes the first.
  socket.addEventListener("close", ({ code = 0, reason = "", wasClean = false }) => {
    if (connection) host.close(connection, code, reason, wasClean);
    else host.abandon(accepted);
  });
  return response;
}

function remoteOf({ remoteAddr }: DenoInfo): Remote | undefined {
  const { hostname, port } = remoteAddr as { hostname?: string; port?: number };
  if (hostname === undefined) return undefined;
  return port === undefined ? { address: hostname } : { address: hostname, port };
}

function answer({ status, headers, body }: { status: number; headers: HeaderList; body: string }): Response {
  const list = new Headers({ connection: "close" }); // nothing else is wanted of who was refused
  for (const [name, value] of headers) list.append(name, value);
  return new Response(body, { status, headers: list });
}
