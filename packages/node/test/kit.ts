/** Clients for the tests: a `ws` client with a queue, and a raw one for what a proper client never sends. */
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { setImmediate } from "node:timers/promises";
import { WebSocket, type ClientOptions } from "ws";

/** A value that is waited for, with its resolver. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A proper client. What it receives waits in a queue until it is asked for. */
export class Client {
  readonly ws: WebSocket;
  readonly response: Promise<IncomingMessage>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #messages: (string | Buffer)[] = [];
  readonly #waiting: ((message: string | Buffer) => void)[] = [];

  private constructor(url: string, protocols: string[], options: ClientOptions) {
    this.ws = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
    this.response = once(this.ws, "upgrade").then(([response]) => response as IncomingMessage);
    this.closed = once(this.ws, "close").then(([code, reason]) => ({ code: code as number, reason: String(reason) }));
    this.ws.on("error", () => undefined);
    this.ws.on("message", (data: Buffer, isBinary) => {
      const message = isBinary ? data : data.toString();
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#messages.push(message);
    });
  }

  static async open(url: string, protocols: string[] = [], options: ClientOptions = {}): Promise<Client> {
    const client = new Client(url, protocols, options);
    await once(client.ws, "open");
    return client;
  }

  next(): Promise<string | Buffer> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  async close(code = 1000): Promise<void> {
    this.ws.close(code);
    await this.closed;
  }
}

/** A client that writes whatever bytes it is given. */
export class Wire {
  readonly socket: Socket;
  /** Everything that was received, once the other side has ended. */
  readonly ended: Promise<string>;
  #received = "";
  #onData: (() => void) | undefined;

  private constructor(port: number, options: { allowHalfOpen?: boolean }) {
    this.socket = connect({ port, host: "127.0.0.1", ...options });
    this.socket.on("error", () => undefined);
    this.socket.on("data", (chunk) => {
      this.#received += chunk.toString("latin1");
      this.#onData?.();
    });
    this.ended = once(this.socket, "close").then(() => this.#received);
  }

  static async open(port: number, options: { allowHalfOpen?: boolean } = {}): Promise<Wire> {
    const wire = new Wire(port, options);
    await once(wire.socket, "connect");
    return wire;
  }

  write(...parts: (string | Buffer)[]): void {
    this.socket.write(
      Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part))),
    );
  }

  /** Waits until `text` has been received, and gives all that was. */
  async until(text: string): Promise<string> {
    while (!this.#received.includes(text)) await new Promise<void>((resolve) => (this.#onData = resolve));
    return this.#received;
  }
}

/** Sends one request, and gives the response once the server has ended the connection. */
export async function ask(port: number, request: string): Promise<string> {
  const wire = await Wire.open(port);
  wire.write(request);
  return wire.ended;
}

/** The text of a handshake; `headers` replace (or with undefined remove) those of a proper one. */
export function handshake(
  path: string,
  headers: Record<string, string | readonly string[] | undefined> = {},
  start = `GET ${path} HTTP/1.1`,
): string {
  const all = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each) => `${name}: ${each}`),
  );
  return `${[start, ...lines].join("\r\n")}\r\n\r\n`;
}

/** A masked frame of up to 125 bytes, its masking key zero. */
export function frame(opcode: number, payload: string | Buffer, fin = true): Buffer {
  const data = Buffer.from(payload);
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | data.length, 0, 0, 0, 0]), data]);
}

/** What still keeps the process alive of the kinds that servers and clients make. */
export async function openHandles(): Promise<string[]> {
  // A closed handle is let go of up to two turns of the event loop after its `close` event.
  for (let turn = 0; turn < 3; turn++) await setImmediate();
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS|HTTP)/.test(name));
}
