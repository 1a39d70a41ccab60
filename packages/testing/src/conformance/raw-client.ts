/**
 * A client on a TCP socket, which writes whatever bytes it is given.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { inflateRawSync, constants } from "node:zlib";
import { HandshakeError } from "../handshake-error.ts";
import { closePayload, frame as buildFrame, handshake, opcodes, type RequestHeaders } from "./bytes.ts";
import type { Client, Ended } from "./client.ts";

/** A frame that the server sent. */
export interface ServerFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** An HTTP response. */
export interface Answer {
  readonly status: number;
  /** In order, repeated names kept, names as they were written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** What the server said before it ended the connection. */
export interface Ending extends Ended {
  readonly frames: readonly ServerFrame[];
  /** Text messages, in order. */
  readonly texts: readonly string[];
  /** The payloads of pongs, in order. */
  readonly pongs: readonly string[];
  /** Everything that came, one character a byte. */
  readonly raw: string;
}

/** How a TCP connection is made. */
export interface DialOptions {
  /** Whether this side stays open when the other has ended. Default: false. */
  readonly allowHalfOpen?: boolean;
}

/** How a handshake is made. */
export interface HandshakeOptions extends DialOptions {
  readonly headers?: RequestHeaders;
  readonly protocols?: readonly string[];
  /** Bytes that go out in one write with the request. */
  readonly early?: Uint8Array;
}

/** What somebody waits for. */
interface Waiter {
  /** Whether it has come; tried whenever something has. */
  attempt(): boolean;
  reject(error: Error): void;
}

/**
 * A TCP connection to a server under test. One that {@link RawClient.dial} made answers nothing by itself; one that
 * {@link RawClient.open} made is a proper {@link Client}.
 */
export class RawClient implements Client {
  readonly socket: Socket;
  /** What the server said, once it has ended the connection. Rejects at a frame that no server may send. */
  readonly ended: Promise<Ending>;
  readonly closed: Promise<Ended>;
  readonly received: (string | Uint8Array)[] = [];
  readonly frames: ServerFrame[] = [];
  protocol = "";
  headers: Headers = new Headers();
  #raw = "";
  #answer: Answer | undefined;
  /** Whether pings and closes are answered. */
  #isProper = false;
  #hasClosed = false;
  #hasHeardClose = false;
  #isOver = false;
  #fault: Error | undefined;
  /** Bytes of frames that are not whole yet, and how many it takes to go on. */
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = 2;
  /** The parts of a message that is not whole yet. */
  #parts: ServerFrame[] = [];
  readonly #pongs: Uint8Array[] = [];
  #pings: Uint8Array[] = [];
  readonly #waiters = new Set<Waiter>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => undefined); // `close` follows
    socket.on("data", (chunk) => {
      this.#read(chunk);
      this.#look();
    });
    this.ended = new Promise((resolve, reject) => {
      socket.once("close", () => {
        this.#isOver = true;
        this.#look();
        if (this.#fault) reject(this.#fault);
        else resolve(this.#ending());
      });
    });
    this.ended.catch(() => undefined);
    this.closed = this.ended.then(({ code, reason }) => ({ code, reason }));
    this.closed.catch(() => undefined);
  }

  /** Makes a TCP connection. */
  static dial(port: number, options: DialOptions = {}): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", ...options });
      const client = new RawClient(socket);
      socket.once("error", reject);
      socket.once("connect", () => {
        resolve(client);
      });
    });
  }

  /**
   * Makes a WebSocket connection.
   *
   * @throws {HandshakeError} When it was refused.
   */
  static async open(port: number, path: string, options: HandshakeOptions = {}): Promise<RawClient> {
    const client = await RawClient.dial(port, options);
    const { protocols = [], headers = {}, early = Buffer.alloc(0) } = options;
    const offer = protocols.length > 0 ? { "Sec-WebSocket-Protocol": protocols.join(", ") } : {};
    client.#isProper = true;
    client.write(handshake(path, { ...offer, ...headers }), early);
    const { status, headers: answered, body } = await client.answer();
    if (status === 101) return client;
    client.drop();
    throw new HandshakeError(status, answered, body);
  }

  /** Everything that has come, one character a byte. */
  get raw(): string {
    return this.#raw;
  }

  /** Writes bytes; strings are one byte a character. */
  write(...parts: readonly (string | Uint8Array)[]): void {
    this.socket.write(
      Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part))),
    );
  }

  /** Waits for the whole response: for its head when it lets a WebSocket in, else for its body too. */
  answer(): Promise<Answer> {
    return this.#when(() => this.#answer ?? (this.#isOver ? this.#parseAnswer() : undefined));
  }

  /** Waits until `text` has come, and gives all that has. */
  until(text: string): Promise<string> {
    return this.#when(() => (this.#raw.includes(text) ? this.#raw : undefined));
  }

  /** Waits for the frame of this number, counted from 0. */
  frame(index: number): Promise<ServerFrame> {
    return this.#when(() => this.frames[index]);
  }

  next(): Promise<string | Uint8Array> {
    return this.#when(() => this.received.shift());
  }

  pong(): Promise<Uint8Array> {
    return this.#when(() => this.#pongs.shift());
  }

  /** Waits for the next ping. */
  pinged(): Promise<Uint8Array> {
    return this.#when(() => this.#pings.shift());
  }

  send(payload: string | Uint8Array): void {
    this.write(buildFrame(typeof payload === "string" ? opcodes.text : opcodes.binary, payload));
  }

  ping(data: Uint8Array): void {
    this.write(buildFrame(opcodes.ping, data));
  }

  close(code?: number, reason?: string): void {
    this.#hasClosed = true;
    this.write(buildFrame(opcodes.close, closePayload(code, reason)));
  }

  drop(): void {
    this.socket.destroy();
  }

  /** Cuts the connection with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  silence(): void {
    this.#isProper = false;
  }

  #when<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): boolean => {
        const found = find();
        if (found !== undefined) resolve(found);
        return found !== undefined;
      };
      const waiter = { attempt, reject };
      this.#waiters.add(waiter);
      this.#look();
    });
  }

  #look(): void {
    for (const waiter of this.#waiters) {
      if (waiter.attempt()) this.#waiters.delete(waiter);
      else if (this.#isOver || this.#fault) {
        this.#waiters.delete(waiter);
        const { code, reason } = this.#ending();
        waiter.reject(this.#fault ?? new Error(`The connection ended first, with ${String(code)} "${reason}"`));
      }
    }
  }

  #read(chunk: Buffer): void {
    this.#raw += chunk.toString("latin1");
    if (this.#answer?.status === 101) this.#readFrames(chunk);
    else if (!this.#answer) this.#readAnswer();
  }

  #readAnswer(): void {
    const end = this.#raw.indexOf("\r\n\r\n") + 4;
    if (end < 4) return;
    const answer = this.#parseAnswer();
    if (!answer) return;
    const length = Number(answer.headers.find(([name]) => name.toLowerCase() === "content-length")?.[1] ?? NaN);
    if (answer.status !== 101) {
      if (Buffer.byteLength(answer.body) >= length) this.#answer = answer;
      return; // without a length, the body ends with the connection
    }
    this.#answer = { ...answer, body: "" };
    this.headers = new Headers(answer.headers.map(([name, value]) => [name, value]));
    this.protocol = this.headers.get("sec-websocket-protocol") ?? "";
    this.#readFrames(Buffer.from(this.#raw.slice(end), "latin1"));
  }

  #parseAnswer(): Answer | undefined {
    const [head = "", ...rest] = this.#raw.split("\r\n\r\n");
    const [start = "", ...lines] = head.split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(start)?.[1]);
    if (!status) return undefined;
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    return { status, headers, body: Buffer.from(rest.join("\r\n\r\n"), "latin1").toString() };
  }

  #readFrames(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    while (this.#size >= this.#needed && !this.#fault) {
      const bytes = this.#chunks.length === 1 && this.#chunks[0] ? this.#chunks[0] : Buffer.concat(this.#chunks);
      this.#chunks = [bytes];
      const start = startOf(bytes);
      const whole = start === undefined ? this.#size + 1 : start.at + start.length;
      if (start === undefined || bytes.byteLength < whole) {
        this.#needed = whole;
        return;
      }
      this.#chunks = [bytes.subarray(whole)];
      this.#size -= whole;
      this.#needed = 2;
      const [first = 0, second = 0] = bytes;
      if (second & 0x80) this.#fault = new Error("The server masked a frame");
      const payload = bytes.subarray(start.at, whole);
      this.#onFrame({ fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload });
    }
  }

  #onFrame(frame: ServerFrame): void {
    const { opcode, payload } = frame;
    if (this.#hasHeardClose) {
      this.#fault = new Error(`The server sent a frame of opcode ${String(opcode)} after its close frame`);
    }
    this.frames.push(frame);
    switch (opcode) {
      case opcodes.close:
        this.#hasHeardClose = true;
        if (this.#isProper && !this.#hasClosed) this.close(...closeOf(payload));
        break;
      case opcodes.ping:
        this.#pings.push(payload);
        if (this.#isProper) this.write(buildFrame(opcodes.pong, payload));
        break;
      case opcodes.pong:
        this.#pongs.push(payload);
        break;
      case opcodes.continuation:
      case opcodes.text:
      case opcodes.binary:
        this.#parts.push(frame);
        if (frame.fin) this.received.push(messageOf(this.#parts.splice(0)));
        break;
      default:
        this.#fault = new Error(`The server sent a frame of opcode ${String(opcode)}`);
    }
  }

  #ending(): Ending {
    const close = this.frames.find(({ opcode }) => opcode === opcodes.close);
    const of = (wanted: number): string[] =>
      this.frames.filter(({ opcode }) => opcode === wanted).map(({ payload }) => payload.toString());
    const [code = 1005, reason = ""] = close ? closeOf(close.payload) : [1006];
    return { code, reason, frames: this.frames, texts: of(opcodes.text), pongs: of(opcodes.pong), raw: this.#raw };
  }
}

/** Where a frame's payload begins and how long it is; undefined while its header is not whole. */
function startOf(bytes: Buffer): { at: number; length: number } | undefined {
  const short = (bytes[1] ?? 0) & 0x7f;
  const at = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.byteLength < at) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  return { at, length };
}

function closeOf(payload: Buffer): [code?: number, reason?: string] {
  return payload.byteLength < 2 ? [] : [payload.readUInt16BE(), payload.subarray(2).toString()];
}

/** Joins a message's frames, inflated when the first says so (RFC 7692, section 7.2.2). */
function messageOf(parts: readonly ServerFrame[]): string | Uint8Array {
  const [first] = parts;
  const joined = Buffer.concat(parts.map(({ payload }) => payload));
  const data = first && first.rsv & 4 ? inflate(joined) : joined;
  return first?.opcode === opcodes.text ? data.toString() : new Uint8Array(data);
}

function inflate(data: Buffer): Buffer {
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  return inflateRawSync(Buffer.concat([data, tail]), { finishFlush: constants.Z_SYNC_FLUSH });
}
