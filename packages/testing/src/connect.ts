/**
 * The handshake of an in-memory client.
 *
 * @module
 */
import type {
  Accepted,
  Handshake,
  HeadersLike,
  Host,
  Outgoing,
  Payload,
  Refused,
  Remote,
  Transport,
  Vel,
} from "@vel/core";
import { assertPayload, TestClient } from "./client.ts";
import { HandshakeError } from "./handshake-error.ts";
import type { MemorySocket } from "./memory-socket.ts";
import { memoryTransport } from "./memory-transport.ts";

/** How a client connects. */
export interface ConnectOptions {
  /** Headers of the handshake. Default: `host: localhost`. The options below win over headers of the same meaning. */
  headers?: HeadersLike;
  /** The page's origin, as a browser sends it: `https://app.example.com`. Default: none, as no browser. */
  origin?: string;
  /** Cookies by name; values are percent-encoded. Mind that with cookies the server wants an origin. Default: none. */
  cookies?: Readonly<Record<string, string>>;
  /** The subprotocols to offer. Default: none. */
  protocols?: readonly string[];
  /** Where the client seems to come from. Default: 127.0.0.1. */
  remote?: Remote;
  /** Leaves when it aborts before the handshake was answered. */
  signal?: AbortSignal;
  /** Messages that are on their way before the server has answered the handshake. Default: none. */
  early?: readonly Payload[];
  /** The transport to come through. Default: one in memory that can do everything but compress. */
  transport?: Transport<MemorySocket, readonly Outgoing[]>;
}

const hosts = new WeakMap<object, WeakMap<Vel, Host<MemorySocket>>>();
const defaultTransport = memoryTransport();

/**
 * Connects to a route of a server in this process: the same guards, handlers and life cycle as on a network, without
 * sockets and without time. A refusal by close code is, as on a network, a connection that closes at once.
 *
 * @param path The request's target, query included: `/ws/chat/lobby?user_id=ada`.
 * @throws {HandshakeError} `ERR_VEL_HANDSHAKE` when the handshake was refused with an HTTP status.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what the transport lacks.
 * @throws {TypeError} When an early message is neither a string nor bytes.
 * @throws What the signal aborted with.
 * @example
 * import assert from "node:assert/strict";
 * import { createVel } from "@vel/core";
 * import { connect } from "@vel/testing";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
 * const client = await connect(vel, "/ws");
 * client.send("hello");
 * assert.equal(await client.receiveText(), "hello");
 */
export async function connect(vel: Vel, path: string, options: ConnectOptions = {}): Promise<TestClient> {
  const { early = [], remote = { address: "127.0.0.1" }, transport = defaultTransport } = options;
  early.forEach(assertPayload);
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const host = hostOf(vel, transport);
  const answer = await ask(host, { url: path, headers: headersOf(options), remote, signal, raw: undefined });
  if (!answer.accept) throw new HandshakeError(answer.status, answer.headers, answer.body);

  const client = new TestClient(answer.protocol ?? "", answer.headers, answer.maxPayload);
  for (const payload of early) client.send(payload);
  client.socket.open(host, host.open(client.socket, answer));
  return client;
}

/** Binds a transport to a server once, as an adapter does. */
function hostOf(vel: Vel, transport: Transport<MemorySocket, readonly Outgoing[]>): Host<MemorySocket> {
  let bound = hosts.get(transport);
  if (!bound) hosts.set(transport, (bound = new WeakMap()));
  let host = bound.get(vel);
  if (!host) bound.set(vel, (host = vel.bind(transport)));
  return host;
}

function headersOf({ headers, origin, cookies = {}, protocols = [] }: ConnectOptions): Headers {
  const all = new Headers({ host: "localhost" });
  for (const [name, value] of new Headers(headers as ConstructorParameters<typeof Headers>[0])) all.set(name, value);
  const pairs = Object.entries(cookies).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  if (origin !== undefined) all.set("origin", origin);
  if (pairs.length > 0) all.set("cookie", pairs.join("; "));
  if (protocols.length > 0) all.set("sec-websocket-protocol", protocols.join(", "));
  return all;
}

/** A client that leaves does not wait for the answer: a guard may never give one. */
function ask(host: Host<MemorySocket>, handshake: Handshake): Promise<Accepted | Refused> {
  const { signal } = handshake;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    void Promise.resolve(host.upgrade(handshake))
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener("abort", onAbort);
      });
  }).then((answer) => {
    signal.throwIfAborted();
    return answer as Accepted | Refused;
  });
}
