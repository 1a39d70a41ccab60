/** A plain WebSocket client for the specification's examples: messages in the order in which they came. */

/** A connected client. */
export class Client {
  readonly #socket: WebSocket;
  readonly #received: unknown[] = [];
  readonly #waiting: ((message: unknown) => void)[] = [];
  /** How the connection ended. */
  readonly closed: Promise<{ code: number; reason: string }>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      const message = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
      const next = this.#waiting.shift();
      if (next) next(message);
      else this.#received.push(message);
    };
    this.closed = new Promise((resolve) => {
      socket.onclose = ({ code, reason }) => resolve({ code, reason });
    });
  }

  static async open(url: string, protocols: string[] = []): Promise<Client> {
    const socket = new WebSocket(url, protocols);
    const client = new Client(socket);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`Not connected to ${url}`));
    });
    return client;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  send(message: string | Uint8Array<ArrayBuffer> | object): void {
    const isPlain = typeof message === "string" || message instanceof Uint8Array;
    this.#socket.send(isPlain ? message : JSON.stringify(message));
  }

  next(): Promise<unknown> {
    const message = this.#received.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  async json(): Promise<Record<string, unknown>> {
    return JSON.parse(String(await this.next())) as Record<string, unknown>;
  }

  async close(): Promise<void> {
    this.#socket.close(1000);
    await this.closed;
  }
}

/** Any time as the examples write it. */
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
