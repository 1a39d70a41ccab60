/**
 * An in-memory client, to test handlers with.
 *
 * @module
 */
import {
  assertCloseCode,
  DisconnectError,
  encodeJson,
  truncateReason,
  type CloseInfo,
  type HeaderList,
  type Json,
  type Payload,
  type ReceiveOptions,
  type Received,
} from "@vel/core";
import { MemorySocket } from "./memory-socket.ts";

/** Somebody who waits for something that the server sends. */
interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** What the receiving methods take: no timeout, since no time goes by in a test. */
type Waiting = Pick<ReceiveOptions, "signal">;

/**
 * The client's end of a connection made by {@link connect}.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { createVel } from "@vel/core";
 * import { connect } from "@vel/testing";
 *
 * const vel = createVel();
 * vel.websocket("/ws", { message: (connection) => connection.close(4000, "enough") });
 * const client = await connect(vel, "/ws");
 * client.sendJson({ say: "hello" });
 * assert.deepEqual(await client.closed, { code: 4000, reason: "enough", wasClean: true, by: "remote" });
 */
export class TestClient {
  /** The subprotocol in use; empty when there is none. */
  readonly protocol: string;
  /** The headers that the server added to its answer. */
  readonly headers: Headers;
  /**
   * Resolves when the connection has ended, after the last message; `by` is `local` when the client ended it. A client
   * that is paused does not see a close until it reads on.
   */
  readonly closed: Promise<CloseInfo>;
  /** The wire below. */
  readonly socket: MemorySocket;
  readonly #received: Received[] = [];
  readonly #waiting = new Set<Waiter<Received>>();
  /** The server answers pings in order, so each pong is the oldest one's. */
  readonly #pings: Waiter<Uint8Array<ArrayBuffer>>[] = [];
  #info: CloseInfo | undefined;

  /** Made by {@link connect}. */
  constructor(protocol: string, headers: HeaderList, maxPayload: number) {
    this.protocol = protocol;
    this.headers = new Headers(headers.map(([name, value]) => [name, value]));
    let ended: (info: CloseInfo) => void = () => undefined;
    this.closed = new Promise((resolve) => (ended = resolve));
    this.socket = new MemorySocket(
      {
        message: (payload) => {
          const [next] = this.#waiting;
          if (next) next.resolve(payload);
          else this.#received.push(payload);
        },
        pong: (data) => this.#pings.shift()?.resolve(data),
        closed: (info) => {
          this.#info = info;
          for (const { reject } of [...this.#waiting, ...this.#pings.splice(0)]) reject(new DisconnectError(info));
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

  /**
   * Sends a text or binary message. Nothing happens when the client has closed or the connection has ended.
   *
   * @throws {TypeError} When the payload is neither a string nor bytes.
   */
  send(payload: Payload): void {
    assertPayload(payload);
    this.socket.sendFromClient("message", payload);
  }

  /**
   * Sends a value as JSON text.
   *
   * @throws {TypeError} When the value has no JSON form.
   */
  sendJson(value: Json): void {
    this.send(encodeJson(value));
  }

  /**
   * Sends a protocol ping of at most 125 bytes, as clients other than browsers can, and resolves with the data of its
   * pong. A rejection that nobody looks at does no harm.
   *
   * @throws {RangeError} When the data is longer than a control frame holds (RFC 6455, section 5.5).
   * @throws {DisconnectError} `ERR_VEL_DISCONNECTED` when the connection ends before the pong.
   */
  ping(data: Uint8Array = new Uint8Array()): Promise<Uint8Array<ArrayBuffer>> {
    assertControl("Ping", data);
    const info = this.#info;
    if (info) return quietly(Promise.reject(new DisconnectError(info)));
    this.socket.sendFromClient("ping", data);
    return quietly(
      new Promise((resolve, reject) => {
        this.#pings.push({ resolve, reject });
      }),
    );
  }

  /**
   * Sends a pong of at most 125 bytes that nobody asked for, as a sign of life.
   *
   * @throws {RangeError} When the data is longer than a control frame holds.
   */
  pong(data: Uint8Array = new Uint8Array()): void {
    assertControl("Pong", data);
    this.socket.sendFromClient("pong", data);
  }

  /**
   * Waits for the next message; what came before the end is handed out after it too.
   *
   * @param options.signal Gives up when it aborts, and rejects with its reason. No message is lost by that.
   * @throws {DisconnectError} `ERR_VEL_DISCONNECTED` when the connection has ended and nothing is left.
   */
  receive({ signal }: Waiting = {}): Promise<Received> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const payload = this.#received.shift();
    if (payload !== undefined) return Promise.resolve(payload);
    if (this.#info) return Promise.reject(new DisconnectError(this.#info));
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter<Received> = {
        resolve: (payload) => {
          settled();
          resolve(payload);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const onAbort = (): void => {
        waiter.reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /**
   * Waits for the next message, as {@link TestClient.receive} does.
   *
   * @throws {TypeError} When it is binary; it is consumed.
   */
  async receiveText(options?: Waiting): Promise<string> {
    const payload = await this.receive(options);
    if (typeof payload !== "string") throw new TypeError("Expected a text message, got a binary one");
    return payload;
  }

  /**
   * Waits for the next message, as {@link TestClient.receive} does.
   *
   * @throws {TypeError} When it is text; it is consumed.
   */
  async receiveBytes(options?: Waiting): Promise<Uint8Array<ArrayBuffer>> {
    const payload = await this.receive(options);
    if (typeof payload === "string") throw new TypeError("Expected a binary message, got a text one");
    return payload;
  }

  /**
   * Waits for the next message and parses it. `T` is what the test expects it to be; nothing is checked.
   *
   * @throws {TypeError} When it is binary; it is consumed.
   * @throws {SyntaxError} When it is not JSON; it is consumed.
   */
  async receiveJson<T = unknown>(options?: Waiting): Promise<T> {
    return JSON.parse(await this.receiveText(options)) as T;
  }

  /** Iterates over messages until the connection ends. Leaving the loop does not close. */
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

  /**
   * Closes with the closing handshake; what the server sent before it answers still arrives.
   *
   * @param code Default: none, so that the server sees 1005, as with a browser's `close()`.
   * @param reason Cut to 123 bytes of UTF-8; not sent without a code. Default: empty.
   * @throws {RangeError} When the code may not be sent.
   */
  close(code?: number, reason = ""): void {
    if (code === undefined) {
      this.socket.closeFromClient(1005, "");
      return;
    }
    assertCloseCode(code);
    this.socket.closeFromClient(code, truncateReason(reason));
  }

  /** Cuts the connection without a close frame: the server sees 1006, and what is on its way is lost. */
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

/** Checks what a test sends, since types can be lied to. */
export function assertPayload(payload: Payload): void {
  if (typeof payload !== "string" && !((payload as unknown) instanceof Uint8Array)) {
    throw new TypeError(`Payload must be a string or Uint8Array, got ${typeof payload}: use sendJson() for values`);
  }
}

function assertControl(name: string, { byteLength }: Uint8Array): void {
  if (byteLength > 125) throw new RangeError(`${name} data must be at most 125 bytes, got ${String(byteLength)}`);
}

/** Whoever awaits it sees its rejection; when nobody does, that is no unhandled one. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
