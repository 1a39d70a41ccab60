/**
 * The opt-in protocol that features share: frames, answers and questions over one connection.
 *
 * @module
 */
import { systemClock, type Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { VelError } from "./errors.ts";
import { assertFrame, isFrameId, jsonCodec, type Codec, type Frame, type FrameId } from "./frame.ts";
import { notify, type MaybePromise } from "./maybe-promise.ts";
import type { Received, SendStatus } from "./payload.ts";
import { logError, type ErrorContext } from "./report.ts";
import type { Hooks } from "./vel.ts";

/** What an answer says besides its type and id. */
export type Reply = Readonly<Record<string, unknown>>;

/**
 * Handles the frames of one type. What it returns becomes the answer where one was asked for; what it throws becomes an
 * error frame, of which the client sees the code alone.
 */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most handlers answer with nothing but `ok`
export type FrameHandler = (connection: Connection, frame: Frame) => MaybePromise<Reply | void>;

/** Handlers by the type of frames. */
export type FrameHandlers = Readonly<Record<string, FrameHandler>>;

/** Settings of a {@link Protocol}. */
export interface ProtocolOptions {
  /** How frames travel. Default: {@link jsonCodec}. */
  codec?: Codec;
  /** How many questions a connection may owe an answer to; one more is refused. Default: 64. */
  maxPending?: number;
  /** Default: {@link systemClock}. */
  clock?: Clock;
  /** Is told of what handlers throw that is no condition of the client's (stage `frame`). Default: {@link logError}. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** How long {@link Protocol.request} waits. */
export interface RequestOptions {
  /** Gives up after so many milliseconds. Default: 10,000. */
  timeout?: number;
  /** Gives up when it aborts, and rejects with its reason. */
  signal?: AbortSignal;
}

interface Question {
  resolve(reply: Frame): void;
  reject(error: unknown): void;
}

/** What a connection is asked and has not answered yet. */
interface Pending {
  last: number;
  readonly questions: Map<FrameId, Question>;
}

/**
 * Speaks frames on connections: hands each to the handler of its type, answers, asks, and never closes: an error frame
 * leaves the connection open.
 *
 * Rooms, channels and others add their frames to one protocol, so that one connection carries them all.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { createVel, Protocol } from "@vel/core";
 * import { connect } from "@vel/testing";
 *
 * const protocol = new Protocol().add({ double: (_, { value }) => ({ value: 2 * Number(value) }) });
 * const vel = createVel();
 * vel.websocket("/ws", protocol.hooks());
 * const client = await connect(vel, "/ws");
 * client.sendJson({ type: "double", id: 1, value: 21 });
 * assert.deepEqual(await client.receiveJson(), { type: "ok", id: 1, value: 42 });
 */
export class Protocol {
  readonly #handlers = new Map<string, FrameHandler>();
  readonly #pending = new WeakMap<Connection, Pending>();
  readonly #codec: Codec;
  readonly #maxPending: number;
  readonly #clock: Clock;
  readonly #onError: (error: unknown, context: ErrorContext) => unknown;

  /** @throws {RangeError} When `maxPending` is not a positive number. */
  constructor(options: ProtocolOptions = {}) {
    const { codec = jsonCodec(), maxPending = 64, clock = systemClock, onError = logError } = options;
    if (!(maxPending > 0)) {
      throw new RangeError(`Option "maxPending" must be a positive number, got ${String(maxPending)}`);
    }
    this.#codec = codec;
    this.#maxPending = maxPending;
    this.#clock = clock;
    this.#onError = onError;
    this.add({
      ping: (connection, { id }) => {
        this.send(connection, { type: "pong", ...(id !== undefined && { id }) });
      },
      pong: (connection, frame) => {
        this.#settle(connection, frame);
      },
      ok: (connection, frame) => {
        this.#settle(connection, frame);
      },
      error: (connection, frame) => {
        this.#settle(connection, frame);
      },
    });
  }

  /**
   * Adds handlers.
   *
   * @throws {TypeError} When a type is taken: two features would fight for its frames.
   */
  add(handlers: FrameHandlers): this {
    for (const [type, handler] of Object.entries(handlers)) {
      if (this.#handlers.has(type)) throw new TypeError(`Frames of type "${type}" have a handler already`);
      this.#handlers.set(type, handler);
    }
    return this;
  }

  /**
   * Makes the hooks of a route that speaks the protocol and nothing else.
   *
   * @example
   * vel.websocket("/ws", new Protocol().hooks());
   */
  hooks<Data>(): Hooks<Data> {
    return { message: (connection, message) => this.receive(connection, message) };
  }

  /** Takes a message: for routes of your own. Never throws or rejects. */
  async receive(connection: Connection, message: Received): Promise<void> {
    let id: FrameId | undefined;
    try {
      const frame = this.#codec.decode(message);
      // Whoever gets the rest wrong should still learn which question that was.
      const asked = (frame as { id?: unknown } | null | undefined)?.id;
      if (isFrameId(asked)) id = asked;
      assertFrame(frame);
      const handler = this.#handlers.get(frame.type);
      if (!handler) throw new VelError("ERR_VEL_UNKNOWN_TYPE", "Frame is of a type that nobody handles");
      const reply = await handler(connection, frame);
      if (id !== undefined && !unanswered.has(frame.type)) this.send(connection, { ...reply, type: "ok", id });
    } catch (error) {
      const frame = errorFrame(error, id);
      if (frame.code === "internal") this.#report(error, connection);
      try {
        this.send(connection, frame);
      } catch (failure) {
        this.#report(failure, connection);
      }
    }
  }

  /**
   * Sends a frame.
   *
   * @throws What the codec throws.
   */
  send(connection: Connection, frame: Frame): SendStatus {
    return connection.send(this.encode(frame));
  }

  /** Makes a payload of a frame, to send it to many. */
  encode(frame: Frame): ReturnType<Codec["encode"]> {
    return this.#codec.encode(frame);
  }

  /**
   * Asks the client, and waits for its answer: a frame of type `ok` (`pong` for a `ping`) with the same id.
   *
   * A route hands in one message after the other, so a handler that awaits the answer keeps it waiting behind itself:
   * go on without it, or set `serial: false` on the route.
   *
   * @param frame What is asked; it gets an id.
   * @throws {VelError} `ERR_VEL_TIMEOUT`; `ERR_VEL_LIMIT` when too many questions are open; `ERR_VEL_REPLY` when the
   * answer is an error, whose frame is the `cause`; `ERR_VEL_DISCONNECTED` when the connection ends first.
   */
  request(connection: Connection, frame: Omit<Frame, "id">, options: RequestOptions = {}): Promise<Frame> {
    const { timeout = 10_000, signal } = options;
    const pending = this.#pending.get(connection) ?? { last: 0, questions: new Map<FrameId, Question>() };
    this.#pending.set(connection, pending);
    const { questions } = pending;
    return new Promise<Frame>((resolve, reject) => {
      signal?.throwIfAborted();
      if (!connection.isOpen) throw new VelError("ERR_VEL_DISCONNECTED", "Cannot ask: the connection is not open");
      if (questions.size >= this.#maxPending) {
        throw new VelError("ERR_VEL_LIMIT", `Cannot ask: ${String(questions.size)} questions are open`);
      }
      const id = ++pending.last;
      const timer = this.#clock.setTimeout(() => {
        question.reject(new VelError("ERR_VEL_TIMEOUT", `No answer within ${String(timeout)} ms`));
      }, timeout);
      const onAbort = (): void => {
        question.reject(signal?.reason);
      };
      const offClosing = connection.onClosing(() => {
        question.reject(new VelError("ERR_VEL_DISCONNECTED", "Connection ended before the answer"));
      });
      const settle = (): void => {
        this.#clock.clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        offClosing();
        questions.delete(id);
      };
      const question: Question = {
        resolve: (reply) => {
          settle();
          resolve(reply);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      questions.set(id, question);
      try {
        this.send(connection, { ...frame, id } as Frame);
      } catch (error) {
        question.reject(error); // what cannot be encoded was not asked
      }
    });
  }

  /** Hands an answer to whoever asked; one that nobody waits for any more is ignored. */
  #settle(connection: Connection, reply: Frame): void {
    const question = reply.id === undefined ? undefined : this.#pending.get(connection)?.questions.get(reply.id);
    if (!question) return;
    if (reply.type !== "error") question.resolve(reply);
    else question.reject(new VelError("ERR_VEL_REPLY", "The client answered with an error", { cause: reply }));
  }

  #report(error: unknown, connection: Connection): void {
    const context = { stage: "frame", connection };
    notify(
      () => this.#onError(error, context),
      (failure) => {
        logError(failure, { stage: "onError" });
        logError(error, context);
      },
    );
  }
}

/** What is an answer itself, or answers in its own way. */
const unanswered: ReadonlySet<string> = new Set(["ok", "error", "ping", "pong"]);

/** A frame that tells a client what went wrong, see {@link errorFrame}. */
export interface ErrorFrame extends Frame {
  readonly type: "error";
  /** What to switch on: `room_full`; `internal` for what is the server's own fault. */
  readonly code: string;
  /** When it is worth to try again, in milliseconds. */
  readonly retryAfter?: number;
}

/**
 * Makes the frame that tells a client of an error: its code without `ERR_VEL_`, in lower case, and nothing of its text.
 * What is no {@link VelError}, and what says that the server was used wrongly, is `internal`.
 *
 * @param id The question that it answers.
 * @example
 * errorFrame(new VelError("ERR_VEL_TIMEOUT", "Too slow"), 7); // { type: "error", id: 7, code: "timeout" }
 */
export function errorFrame(error: unknown, id?: FrameId): ErrorFrame {
  const known = error instanceof VelError && !faults.has(String(error.code)) ? (error as VelError<string>) : undefined;
  const code = known?.code.replace(/^ERR_(?:VEL_)?/, "").toLowerCase() ?? "internal";
  const retryAfter = known?.retryAfter;
  return { type: "error", ...(id !== undefined && { id }), code, ...(retryAfter !== undefined && { retryAfter }) };
}

const faults: ReadonlySet<string> = new Set(["ERR_VEL_STATE", "ERR_VEL_UNSUPPORTED"]);
