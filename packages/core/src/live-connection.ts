/**
 * The connection behind the {@link Connection} interface: one life cycle over every transport.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { assertCloseCode, truncateReason, type CloseInfo } from "./close.ts";
import type { Connection, ReceiveOptions, SendOptions } from "./connection.ts";
import type { Unsubscribe } from "./emitter.ts";
import { DisconnectError, InvalidMessageError, VelError } from "./errors.ts";
import { randomId } from "./id.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import { parseJson } from "./json.ts";
import { Outbox, type OutboxOwner, type Wire } from "./outbox.ts";
import { Outgoing } from "./outgoing.ts";
import type { Limits } from "./limits.ts";
import { Listeners } from "./listeners.ts";
import { notify, type MaybePromise } from "./maybe-promise.ts";
import type { AnyParams } from "./path.ts";
import { encodeJson, payloadSize, type Json, type Payload, type Received, type SendStatus } from "./payload.ts";
import type { ErrorContext } from "./report.ts";
import { validate, type StandardSchemaV1 } from "./standard-schema.ts";
import type { Inspector } from "./vel.ts";
import type { Capabilities, Remote, Transport } from "./transport.ts";

/** How often a transport that does not tell is asked whether it has drained, in milliseconds. */
const drainInterval = 10;

/** How many pings may come while the send buffer is full: their pongs take 125 KiB at most. */
const mostUnreadPongs = 1_000;

const noBytes = new Uint8Array(0);

/** What a connection needs of the server that it belongs to. */
export interface ConnectionOwner {
  readonly clock: Clock;
  readonly closeTimeout: number;
  readonly inspectors: readonly Inspector[];
  report(error: unknown, context: ErrorContext): void;
  dropped(connection: LiveConnection, size: number): void;
  ended(connection: LiveConnection, info: CloseInfo): void;
}

/** What makes one connection. */
export interface ConnectionSetup {
  readonly owner: ConnectionOwner;
  readonly wire: Wire;
  readonly socket: unknown;
  readonly route: string;
  readonly params: AnyParams;
  readonly data: unknown;
  readonly protocol: string;
  readonly remote: Remote | undefined;
  readonly limits: Limits;
}

/** What a connection tells of itself. */
interface ConnectionEvents {
  closing: [connection: LiveConnection];
  close: [info: CloseInfo];
  pong: [data: Uint8Array];
  renew: [];
  drain: [];
}

/** See {@link Connection} for what users see; the methods below the line are core's own. */
export class LiveConnection implements Connection, InboxOwner, OutboxOwner {
  readonly id: string = randomId();
  readonly route: string;
  readonly params: AnyParams;
  data: unknown;
  readonly protocol: string;
  readonly remote: Remote | undefined;
  readonly openedAt: number;
  messagesReceived = 0;
  bytesReceived = 0;
  messagesDropped = 0;
  framesReceived = 0;
  /** Where messages wait for the handler. */
  readonly inbox: Inbox;
  readonly #outbox: Outbox;

  readonly #owner: ConnectionOwner;
  readonly #transport: Transport<unknown, unknown>;
  readonly #socket: unknown;
  readonly #limits: Limits;
  #isOpen = true;
  /** Whether those who hold it know that it is not open any more. */
  #hasLeft = false;
  #info: CloseInfo | undefined;
  /** What this side closed with; undefined while it has not. */
  #said: { code: number; reason: string } | undefined;
  #closeTimer: unknown;
  /** Whether the transport is being told to close: some answer from within the call. */
  #isTelling = false;
  /** Whether it does not wait for the peer any more. */
  #isCut = false;
  /** Pings that came since the send buffer was last not full. */
  #unreadPongs = 0;
  // Made on first use: most connections never have any of these.
  #abort: AbortController | undefined;
  #listeners: Listeners<ConnectionEvents> | undefined;

  /** Tells whether a connection is one of these itself: not of another copy of core, and not wrapped. */
  static is(connection: Connection): connection is LiveConnection {
    return #owner in connection;
  }

  constructor(setup: ConnectionSetup) {
    this.#owner = setup.owner;
    this.#transport = setup.wire.transport;
    this.#socket = setup.socket;
    this.#limits = setup.limits;
    this.inbox = new Inbox(setup.limits.receiveBuffer, this);
    this.#outbox = new Outbox(setup.wire, setup.socket, setup.limits, this);
    this.openedAt = setup.owner.clock.now();
    this.route = setup.route;
    this.params = setup.params;
    this.data = setup.data;
    this.protocol = setup.protocol;
    this.remote = setup.remote;
  }

  get capabilities(): Capabilities {
    return this.#transport.capabilities;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isPaused(): boolean {
    return this.inbox.isFull;
  }

  get closeInfo(): CloseInfo | undefined {
    return this.#info;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (!this.#isOpen) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  get bufferedAmount(): number | undefined {
    return this.#outbox.bufferedAmount;
  }

  get messagesSent(): number {
    return this.#outbox.messages;
  }

  get bytesSent(): number {
    return this.#outbox.bytes;
  }

  send(payload: Payload, options?: SendOptions): SendStatus {
    if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
      throw new TypeError(`Payload must be a string or Uint8Array, got ${typeof payload}: use sendJson() for values`);
    }
    if (!this.#isOpen) return "closed";
    return this.put(new Outgoing(payload, this.sizeOf(payload), options?.compress ?? true));
  }

  sendJson(value: Json, options?: SendOptions): SendStatus {
    return this.send(encodeJson(value), options);
  }

  drained(): Promise<void> {
    if (!this.#isOpen || !this.#outbox.isBacked) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        offClosing();
        offDrain();
        resolve();
      };
      const offClosing = this.onClosing(done);
      const offDrain = this.onDrain(done);
    });
  }

  ping(data: Uint8Array = noBytes): void {
    if (!this.capabilities.ping) {
      throw new VelError(
        "ERR_VEL_UNSUPPORTED",
        `Transport "${this.#transport.name}" cannot ping: ask capabilities.ping first`,
      );
    }
    if (!(data instanceof Uint8Array)) throw new TypeError("Ping data must be a Uint8Array");
    if (data.byteLength > 125) {
      throw new RangeError(`Ping data must be at most 125 bytes, got ${String(data.byteLength)}`);
    }
    if (this.#isOpen) this.#outbox.ping(data);
  }

  close(code = 1000, reason = ""): void {
    assertCloseCode(code);
    const text = truncateReason(reason);
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#said = { code, reason: text };
    this.inbox.discard();
    this.#closeTimer = this.#owner.clock.setTimeout(() => {
      this.#cut();
    }, this.#owner.closeTimeout);
    this.#outbox.flush();
    this.#tell(() => {
      this.#transport.close(this.#socket, code, text);
    });
    this.#leave();
  }

  terminate(reason = ""): void {
    if (this.#info) return;
    this.#isOpen = false;
    this.#outbox.discard();
    this.inbox.discard();
    this.#cut(reason);
    this.#leave();
  }

  async receiveText(options: ReceiveOptions = {}): Promise<string> {
    const payload = await this.inbox.receive(options, this.#owner.clock);
    if (typeof payload !== "string") throw new InvalidMessageError("Expected a text message, got a binary one");
    return payload;
  }

  async receiveBytes(options: ReceiveOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const payload = await this.inbox.receive(options, this.#owner.clock);
    if (typeof payload === "string") throw new InvalidMessageError("Expected a binary message, got a text one");
    return payload;
  }

  receiveJson(options?: ReceiveOptions): Promise<unknown>;
  receiveJson<Schema extends StandardSchemaV1>(
    schema: Schema,
    options?: ReceiveOptions,
  ): Promise<StandardSchemaV1.InferOutput<Schema>>;
  async receiveJson(first: StandardSchemaV1 | ReceiveOptions = {}, options: ReceiveOptions = {}): Promise<unknown> {
    const schema = "~standard" in first ? first : undefined;
    const value = this.parse(await this.receiveText(schema ? options : (first as ReceiveOptions)));
    return schema ? validate(schema, value) : value;
  }

  texts(): AsyncIterableIterator<string> {
    return iterate(() => this.receiveText());
  }

  bytes(): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return iterate(() => this.receiveBytes());
  }

  jsons(): AsyncIterableIterator<unknown>;
  jsons<Schema extends StandardSchemaV1>(schema: Schema): AsyncIterableIterator<StandardSchemaV1.InferOutput<Schema>>;
  jsons(schema?: StandardSchemaV1): AsyncIterableIterator<unknown> {
    return iterate(() => (schema ? this.receiveJson(schema) : this.receiveJson()));
  }

  onClosing(listener: () => void): Unsubscribe {
    if (this.#isOpen) return this.#on("closing", listener);
    this.#notify(listener);
    return () => undefined;
  }

  onClose(listener: (info: CloseInfo) => void): Unsubscribe {
    if (!this.#info) return this.#on("close", listener);
    const info = this.#info;
    this.#notify(() => listener(info));
    return () => undefined;
  }

  onPong(listener: (data: Uint8Array) => void): Unsubscribe {
    return this.#on("pong", listener);
  }

  async renew(data: object): Promise<void> {
    this.lay(data);
    const tell = async (listener: () => unknown): Promise<void> => {
      try {
        await listener();
      } catch (error) {
        this.#owner.report(error, { stage: "renew", connection: this });
      }
    };
    await Promise.all(Array.from(this.#listeners?.of("renew") ?? [], tell));
  }

  onRenew(listener: () => MaybePromise<void>): Unsubscribe {
    return this.#on("renew", listener);
  }

  // ------------------------------------------------------------------------------------------- core's own, see Host

  /** Whether it is this side that has ended it. */
  get isClosedHere(): boolean {
    return this.#said !== undefined;
  }

  /** Lays values over the data, which stays the object that somebody may hold. */
  lay(data: object): void {
    // What can take nothing, since it is frozen or no object at all, gives way to a copy.
    if (!Object.isExtensible(this.data)) this.data = { ...(this.data as object) };
    // Defined, not assigned: an own property called `__proto__` (out of somebody's JSON) stays a property.
    Object.defineProperties(this.data as object, Object.getOwnPropertyDescriptors({ ...data }));
  }

  /** Parses a text message within this route's limits. */
  parse(text: string): unknown {
    return parseJson(text, this.#limits.json);
  }

  /** Counts a payload's bytes. */
  sizeOf(payload: Payload): number {
    return this.#outbox.sizeOf(payload);
  }

  /** Sends what may be shared with other connections. */
  put(outgoing: Outgoing): SendStatus {
    return this.#isOpen ? this.#outbox.put(outgoing) : "closed";
  }

  /** Calls back each time that the send buffer has drained below half of its limit, after it was above. */
  onDrain(listener: () => void): Unsubscribe {
    return this.#on("drain", listener);
  }

  /** As {@link LiveConnection.onClosing} on an open connection, for whoever has one listener for many. */
  hold(listener: (connection: Connection) => void): void {
    this.#on("closing", listener);
  }

  /** Takes back a {@link LiveConnection.hold}. */
  release(listener: (connection: Connection) => void): void {
    this.#listeners?.off("closing", listener);
  }

  /** More waits for the handler than may, or half of it is left. */
  onFull(isFull: boolean): void {
    if (this.#transport.pause) this.#attempt(() => this.#transport.pause?.(this.#socket, isFull));
    else if (isFull) this.close(1008, "too many messages wait");
  }

  onDropped(size: number): void {
    this.messagesDropped++;
    this.#owner.dropped(this, size);
    if (this.#limits.onFull === "close") this.close(1013, "send buffer full");
  }

  onLost(messages: number): void {
    this.messagesDropped += messages;
  }

  onBacked(): void {
    if (this.#transport.drains === false) this.#lookLater();
  }

  onDrained(): void {
    this.#tellAll("drain");
  }

  onFailed(error: unknown): void {
    this.#owner.report(error, { stage: "transport", connection: this });
  }

  /** A message came. */
  receive(payload: Received, size: number = payloadSize(payload)): void {
    if (this.#info) return;
    this.framesReceived++;
    if (!this.#isOpen) return;
    this.messagesReceived++;
    this.bytesReceived += size;
    // Transports that know the limit never let such a message in; this is for those that cannot.
    if (size > this.#limits.maxPayload) this.close(1009, "message too big");
    else if (this.#owner.inspectors.length === 0 || this.#passes(payload, size)) this.inbox.push(payload, size);
  }

  /** A ping came. */
  receivePing(): void {
    if (this.#info) return;
    this.framesReceived++;
    // Each is answered below core. Who goes on asking and does not read would have the answers pile up; one ping beside
    // a large message is no fault.
    this.#unreadPongs = this.#outbox.isFull ? this.#unreadPongs + 1 : 0;
    if (this.#isOpen && this.#unreadPongs > mostUnreadPongs) this.terminate();
  }

  /** A pong came. */
  receivePong(data: Uint8Array): void {
    if (this.#info) return;
    this.framesReceived++;
    this.#tellAll("pong", data);
  }

  /** Nothing can be written any more in a moment. */
  flush(): void {
    this.#outbox.flush();
  }

  /** Bytes have left. */
  hasDrained(): void {
    if (this.#isOpen) this.#outbox.hasDrained();
  }

  /** The transport says that it is over. Whatever comes after the first time is ignored. */
  end(code: number, reason: string, wasClean: boolean): void {
    if (this.#info) return;
    if (this.#isTelling) {
      // Bun calls back inside close(): nobody's close() shall run its own listeners.
      queueMicrotask(() => {
        this.end(code, reason, wasClean);
      });
      return;
    }
    const isDropped = code === 0 || code === 1006;
    const how = this.#said ?? (isDropped ? { code: 1006, reason: "" } : { code, reason });
    const info: CloseInfo = {
      ...how,
      wasClean: wasClean && !isDropped && how.code !== 1006,
      by: this.#said ? "local" : "remote",
    };
    this.#info = info;
    this.#isOpen = false;
    this.#outbox.discard();
    this.#owner.clock.clearTimeout(this.#closeTimer);
    this.#leave();
    this.inbox.end(new DisconnectError(info));
    this.#tellAll("close", info);
    this.#listeners?.off("close");
    this.#owner.ended(this, info);
  }

  /** The handler failed: the one place that says what that means for its connection. */
  fail(error: unknown, stage: string): void {
    // The normal end of a handler. Whose end it is cannot always be told: while a close of this side is not answered
    // yet, there is no info that it could carry.
    if (error instanceof VelError && error.code === "ERR_VEL_DISCONNECTED" && !this.#isOpen) return;
    if (error instanceof InvalidMessageError) {
      this.close(1007, "invalid message");
      return;
    }
    this.#owner.report(error, { stage, connection: this });
    this.close(1011, "internal error");
  }

  /** Asks the inspectors; what one throws is this connection's end. */
  #passes(payload: Received, size: number): boolean {
    try {
      for (const inspector of this.#owner.inspectors) if (!inspector.inspect(this, payload, size)) return false;
      return true;
    } catch (error) {
      this.fail(error, "inspect");
      return false;
    }
  }

  /** Asks for what the transport does not tell, until it has drained. */
  #lookLater(): void {
    this.#owner.clock.setTimeout(() => {
      if (!this.#isOpen) return;
      this.hasDrained();
      if (this.#outbox.isBacked) this.#lookLater();
    }, drainInterval);
  }

  /** Tells those who hold the connection that it is not open any more. */
  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#tellAll("closing", this);
    this.#listeners?.off("closing");
    this.#abort?.abort();
  }

  /** Ends without waiting for the peer. */
  #cut(reason = ""): void {
    if (this.#isCut) return;
    this.#isCut = true;
    const isToldAlready = this.#said !== undefined;
    this.#said ??= { code: 1006, reason: truncateReason(reason) };
    this.#tell(() => {
      if (this.#transport.terminate) this.#transport.terminate(this.#socket);
      else if (!isToldAlready) this.#transport.close(this.#socket, 1001, "");
    });
    queueMicrotask(() => {
      this.end(1006, "", false);
    });
  }

  #tell(call: () => void): void {
    this.#isTelling = true;
    this.#attempt(call);
    this.#isTelling = false;
  }

  #attempt<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.onFailed(error);
      return undefined;
    }
  }

  #on<K extends keyof ConnectionEvents>(event: K, listener: (...args: ConnectionEvents[K]) => unknown): Unsubscribe {
    return (this.#listeners ??= new Listeners()).on(event, listener);
  }

  #tellAll<K extends keyof ConnectionEvents>(event: K, ...args: ConnectionEvents[K]): void {
    for (const listener of this.#listeners?.of(event) ?? []) this.#notify(() => listener(...args));
  }

  #notify(listener: () => unknown): void {
    notify(listener, (error) => {
      this.#owner.report(error, { stage: "listener", connection: this });
    });
  }
}

/** Reads until the connection ends. An error is thrown at the reader, who may read on. */
function iterate<T>(read: () => Promise<T>): AsyncIterableIterator<T> {
  let done = false;
  return {
    async next() {
      if (done) return { done: true, value: undefined };
      try {
        return { done: false, value: await read() };
      } catch (error) {
        if (!(error instanceof DisconnectError)) throw error;
        done = true;
        return { done: true, value: undefined };
      }
    },
    return() {
      done = true;
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
