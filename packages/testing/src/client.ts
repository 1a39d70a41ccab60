/**
 * An in-memory client, to test handlers with.
 *
 * @module
 */
import {
  DisconnectError,
  VelError,
  type CloseInfo,
  type HeaderList,
  type HeadersLike,
  type Host,
  type Json,
  type Outgoing,
  type Payload,
  type Received,
  type Remote,
  type Transport,
  type Vel,
} from "@vel/core";
import { MemorySocket } from "./memory-socket.ts";
import { memoryTransport } from "./memory-transport.ts";

/** How a client connects. */
export interface ConnectOptions {
  /** Headers of the handshake. Default: `host: localhost`. */
  headers?: HeadersLike;
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

/**
 * Says that a handshake was refused with an HTTP answer.
 *
 * @example
 * await expect(connect(vel, "/nope")).rejects.toMatchObject({ status: 404 });
 */
export class HandshakeError extends VelError<"ERR_VEL_HANDSHAKE"> {
  override readonly name = "HandshakeError";
  /** The HTTP status. */
  readonly status: number;
  /** The headers of the answer. */
  readonly headers: Headers;
  /** The body of the answer. */
  readonly body: string;

  constructor(status: number, headers: HeaderList, body: string) {
    super("ERR_VEL_HANDSHAKE", `Handshake refused with ${String(status)}`);
    this.status = status;
    this.headers = new Headers(headers.map(([name, value]) => [name, value]));
    this.body = body;
  }
}

const hosts = new WeakMap<object, WeakMap<Vel, Host<MemorySocket>>>();
const defaultTransport = memoryTransport();

/** Binds a transport to a server once, as an adapter does. */
function hostOf(vel: Vel, transport: Transport<MemorySocket, readonly Outgoing[]>): Host<MemorySocket> {
  let bound = hosts.get(transport);
  if (!bound) hosts.set(transport, (bound = new WeakMap()));
  let host = bound.get(vel);
  if (!host) bound.set(vel, (host = vel.bind(transport)));
  return host;
}

/**
 * Connects to a route of a server in this process: the same guards, handlers and life cycle as on a network, without
 * sockets and without time. A refusal by close code is, as on a network, a connection that closes at once.
 *
 * @param path The request's target, query included: `/ws/chat/lobby?user_id=ada`.
 * @throws {HandshakeError} When the handshake was refused with an HTTP status.
 * @throws What the signal aborted with.
 * @example
 * const client = await connect(vel, "/ws");
 * client.send("hello");
 * expect(await client.receiveText()).toBe("Echo: hello");
 */
export async function connect(vel: Vel, path: string, options: ConnectOptions = {}): Promise<TestClient> {
  const { protocols = [], remote = { address: "127.0.0.1" }, transport = defaultTransport } = options;
  const signal = options.signal ?? new AbortController().signal;
  const headers = new Headers({ host: "localhost" });
  for (const [name, value] of new Headers(options.headers as ConstructorParameters<typeof Headers>[0]))
    headers.set(name, value);
  if (protocols.length > 0) headers.set("sec-websocket-protocol", protocols.join(", "));

  signal.throwIfAborted();
  const host = hostOf(vel, transport);
  const answer = await host.upgrade({ url: path, headers, remote, signal, raw: undefined });
  signal.throwIfAborted();
  if (!answer.accept) throw new HandshakeError(answer.status, answer.headers, answer.body);

  const client = new TestClient(answer.protocol ?? "", answer.headers, answer.maxPayload);
  for (const payload of options.early ?? []) client.send(payload);
  client.socket.open(host, host.open(client.socket, answer));
  return client;
}

/** The client's end of a connection made by {@link connect}. */
export class TestClient {
  /** The subprotocol in use; empty when there is none. */
  readonly protocol: string;
  /** The headers that the server added to its answer. */
  readonly headers: Headers;
  /** Resolves when the connection has ended; `by` is `local` when the client ended it. */
  readonly closed: Promise<CloseInfo>;
  /** The wire below. */
  readonly socket: MemorySocket;
  readonly #received: Received[] = [];
  readonly #waiting: { resolve(payload: Received): void; reject(error: unknown): void }[] = [];
  #info: CloseInfo | undefined;

  constructor(protocol: string, headers: HeaderList, maxPayload: number) {
    this.protocol = protocol;
    this.headers = new Headers(headers.map(([name, value]) => [name, value]));
    let ended: (info: CloseInfo) => void = () => undefined;
    this.closed = new Promise((resolve) => (ended = resolve));
    this.socket = new MemorySocket(
      {
        message: (payload) => {
          const next = this.#waiting.shift();
          if (next) next.resolve(payload);
          else this.#received.push(payload);
        },
        closed: (info) => {
          this.#info = info;
          for (const { reject } of this.#waiting.splice(0)) reject(new DisconnectError(info));
          ended(info);
        },
      },
      maxPayload,
    );
  }

  /** Whether the connection has not ended. */
  get isOpen(): boolean {
    return this.#info === undefined;
  }

  /** How it ended; undefined until it has. */
  get closeInfo(): CloseInfo | undefined {
    return this.#info;
  }

  /** What has come and was not taken by a `receive` method. */
  get received(): readonly Received[] {
    return this.#received;
  }

  /** Sends a text or binary message. Nothing happens when the connection has ended. */
  send(payload: Payload): void {
    this.socket.sendFromClient("message", payload);
  }

  /** Sends a value as JSON text. */
  sendJson(value: Json): void {
    this.send(JSON.stringify(value));
  }

  /** Sends a pong that nobody asked for, as a sign of life. */
  pong(data: Uint8Array = new Uint8Array()): void {
    this.socket.sendFromClient("ping", data);
  }

  /**
   * Waits for the next message; what came before the end is handed out after it too.
   *
   * @throws {DisconnectError} When the connection has ended and nothing is left.
   */
  receive(): Promise<Received> {
    const payload = this.#received.shift();
    if (payload !== undefined) return Promise.resolve(payload);
    if (this.#info) return Promise.reject(new DisconnectError(this.#info));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** Waits for the next message. @throws {TypeError} When it is binary. */
  async receiveText(): Promise<string> {
    const payload = await this.receive();
    if (typeof payload !== "string") throw new TypeError("Expected a text message, got a binary one");
    return payload;
  }

  /** Waits for the next message. @throws {TypeError} When it is text. */
  async receiveBytes(): Promise<Uint8Array<ArrayBuffer>> {
    const payload = await this.receive();
    if (typeof payload === "string") throw new TypeError("Expected a binary message, got a text one");
    return payload;
  }

  /** Waits for the next message and parses it. `T` is what the test expects it to be; nothing is checked. */

  async receiveJson<T = unknown>(): Promise<T> {
    return JSON.parse(await this.receiveText()) as T;
  }

  /** Iterates over messages until the connection ends. */
  async *messages(): AsyncGenerator<Received, void, undefined> {
    while (this.#received.length > 0 || this.#info === undefined) {
      try {
        yield await this.receive();
      } catch (error) {
        if (error instanceof DisconnectError) return;
        throw error;
      }
    }
  }

  /** Closes with the closing handshake. Without a code the server sees 1005, as with a browser's `close()`. */
  close(code = 1005, reason = ""): void {
    this.socket.closeFromClient(code, reason);
  }

  /** Cuts the connection without a close frame: the server sees 1006. */
  drop(): void {
    this.socket.cut("client");
  }

  /** Stops reading, as a slow client does: what the server sends waits in its buffer. */
  pause(): void {
    this.socket.pauseClient(true);
  }

  /** Reads on. */
  resume(): void {
    this.socket.pauseClient(false);
  }

  /** Plays dead from now on: reads, and answers neither pings nor a close. */
  silence(): void {
    this.socket.isSilent = true;
  }
}
