/**
 * The messages of one connection between `send()` and the wire: the send buffer's policy, and what waits for the turn's
 * end.
 *
 * @module
 */
import type { Limits } from "./limits.ts";
import type { Batch, Outgoing } from "./outgoing.ts";
import { payloadSize, type Payload, type SendStatus } from "./payload.ts";
import type { Transport } from "./transport.ts";
import type { Turn } from "./turn.ts";

/** Bytes that may wait for the end of a turn before they are flushed early: 256 KiB. */
const turnLimit = 2 ** 18;

/** How a transport is used: the same for all of its sockets. */
export interface Wire {
  readonly transport: Transport<unknown, unknown>;
  /** Where what leaves is collected; undefined when the transport sends each message by itself. */
  readonly turn: Turn | undefined;
}

/** What an outbox tells its connection. */
export interface OutboxOwner {
  /** A message of so many bytes is dropped, because the send buffer is full. */
  onDropped(size: number): void;
  /** So many messages were taken and will never leave, because the socket is gone. */
  onLost(messages: number): void;
  /** More than half of the send buffer's limit waits. */
  onBacked(): void;
  /** Less than half of the send buffer's limit waits, after more did. */
  onDrained(): void;
  /** The transport has thrown. */
  onFailed(error: unknown): void;
}

/** What leaves, in order: every message and ping of a connection comes through here. */
export class Outbox {
  /** Messages that were taken. */
  messages = 0;
  /** Payload bytes that were taken. */
  bytes = 0;
  readonly #wire: Wire;
  readonly #socket: unknown;
  readonly #limit: number;
  readonly #owner: OutboxOwner;
  /** What this turn produced so far; undefined when nothing waits for its end. */
  #batch: Batch | undefined;
  /** How much waited in the transport when this turn's first message came. */
  #waiting = 0;
  /** Whether more than half of the limit waited when last looked at. */
  #isBacked = false;

  constructor(wire: Wire, socket: unknown, { sendBuffer }: Pick<Limits, "sendBuffer">, owner: OutboxOwner) {
    this.#wire = wire;
    this.#socket = socket;
    this.#limit = sendBuffer;
    this.#owner = owner;
  }

  /** Bytes that wait to leave; undefined where the transport cannot tell. */
  get bufferedAmount(): number | undefined {
    const buffered = this.#wire.transport.buffered?.(this.#socket);
    return buffered === undefined ? undefined : buffered + (this.#batch?.size ?? 0);
  }

  /** Whether `drained()` has to be waited for. */
  get isBacked(): boolean {
    const isBacked = this.bufferedAmount === undefined ? this.#isBacked : this.#isOverHalf;
    // Never the other way: those who wait are told by hasDrained(), which has to know of them.
    if (isBacked) this.#isBacked = true;
    return isBacked;
  }

  /** Whether a message that came now would be dropped. */
  get isFull(): boolean {
    return (this.bufferedAmount ?? 0) > this.#limit;
  }

  /** Counts a payload's bytes. */
  sizeOf(payload: Payload): number {
    const { transport } = this.#wire;
    return typeof payload === "string" && transport.size ? transport.size(payload) : payloadSize(payload);
  }

  /** Sends what may be shared with other connections. The one place where the send buffer's policy is asked. */
  put(outgoing: Outgoing): SendStatus {
    const { turn } = this.#wire;
    // Nothing leaves within a turn, so one look at the transport is enough for all of it.
    const waiting = this.#batch ? this.#waiting + this.#batch.size : (this.#waiting = this.bufferedAmount ?? 0);
    if (waiting > this.#limit) return this.#drop(outgoing);
    if (turn) {
      this.#enqueue(turn, outgoing);
    } else {
      const status = this.#sendNow(outgoing);
      if (status !== "sent") return status;
    }
    this.messages++;
    this.bytes += outgoing.size;
    const left = turn ? waiting + outgoing.size : (this.bufferedAmount ?? 0);
    if (left > this.#limit / 2) this.#back();
    return this.#isBacked ? "queued" : "sent";
  }

  /** Sends a ping at once, after the messages that the turn has produced so far; where the transport can. */
  ping(data: Uint8Array): void {
    this.flush();
    try {
      this.#wire.transport.ping?.(this.#socket, data);
    } catch (error) {
      this.#owner.onFailed(error);
    }
  }

  /** The turn is over, or cannot be waited for: what it produced leaves in one write. */
  flush(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    const socket = this.#socket;
    // Only a transport that builds frames has turns.
    const transport = this.#wire.transport as Required<Transport<unknown, unknown>>;
    let status: SendStatus = "closed";
    try {
      status = transport.sendFrame(socket, batch.frame(transport, this.#wire.transport.group?.(socket)));
    } catch (error) {
      this.#owner.onFailed(error);
    }
    if (status === "closed" || status === "dropped") this.#owner.onLost(batch.length);
  }

  /** Forgets what waits for the turn's end: the socket is gone. */
  discard(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch) this.#owner.onLost(batch.length);
  }

  /** Bytes have left. */
  hasDrained(): void {
    if (!this.#isBacked || this.#isOverHalf) return;
    this.#isBacked = false;
    this.#owner.onDrained();
  }

  get #isOverHalf(): boolean {
    return (this.bufferedAmount ?? 0) > this.#limit / 2;
  }

  #enqueue(turn: Turn, outgoing: Outgoing): void {
    if (!this.#batch) turn.add(this);
    this.#batch = (this.#batch ?? turn.root).with(outgoing);
    if (this.#batch.size > turnLimit) this.flush();
    else outgoing.keep();
  }

  #sendNow(outgoing: Outgoing): SendStatus {
    let status: SendStatus;
    try {
      status = this.#wire.transport.send(this.#socket, outgoing.payload, outgoing.compress);
    } catch (error) {
      this.#owner.onFailed(error);
      return "closed";
    }
    if (status === "dropped") return this.#drop(outgoing);
    if (status === "queued") this.#back();
    return status === "closed" ? status : "sent";
  }

  #back(): void {
    if (this.#isBacked) return;
    this.#isBacked = true;
    this.#owner.onBacked();
  }

  #drop({ size }: Outgoing): SendStatus {
    this.#owner.onDropped(size);
    return "dropped";
  }
}
