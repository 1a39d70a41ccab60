/**
 * A WebSocket in memory: two ends, and a wire between them that keeps order and never delivers at once.
 *
 * @module
 */
import { payloadSize, type CloseInfo, type Connection, type Host, type Payload, type Received } from "@vel/core";

/** What the client's end is told. */
export interface ClientEnd {
  message(payload: Received): void;
  closed(info: CloseInfo): void;
}

type Frame =
  | { readonly kind: "message" | "ping" | "pong"; readonly payload: Received }
  | { readonly kind: "close"; readonly code: number; readonly reason: string };

/** One direction of the wire. */
class Wire {
  isPaused = false;
  readonly #frames: Frame[] = [];
  readonly #deliver: (frame: Frame) => void;
  readonly #onEmpty: () => void;
  #bytes = 0;
  #isRunning = false;

  constructor(deliver: (frame: Frame) => void, onEmpty: () => void) {
    this.#deliver = deliver;
    this.#onEmpty = onEmpty;
  }

  /** Bytes of messages that the other end has not read. */
  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
    if (frame.kind === "message") this.#bytes += payloadSize(frame.payload);
    this.run();
  }

  clear(): void {
    this.#frames.length = 0;
    this.#bytes = 0;
  }

  /** Reads on, frame by frame, each in a microtask of its own. */
  run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    queueMicrotask(() => {
      this.#isRunning = false;
      const frame = this.isPaused ? undefined : this.#frames.shift();
      if (!frame) return;
      if (frame.kind === "message") this.#bytes -= payloadSize(frame.payload);
      this.#deliver(frame);
      if (this.#frames.length > 0) this.run();
      else this.#onEmpty();
    });
  }
}

/** A connection between a server in this process and a client in this process. Behaves as `ws` on a real network does. */
export class MemorySocket {
  /** A dead peer: it reads, and answers neither pings nor a close. */
  isSilent = false;
  readonly #toClient: Wire;
  readonly #toServer: Wire;
  readonly #client: ClientEnd;
  readonly #maxPayload: number;
  #server: { readonly host: Host<MemorySocket>; readonly connection: Connection } | undefined;
  /** What each side closed with first. */
  #serverClose: { code: number; reason: string } | undefined;
  #clientClose: { code: number; reason: string } | undefined;
  #isOver = false;

  constructor(client: ClientEnd, maxPayload: number) {
    this.#client = client;
    this.#maxPayload = maxPayload;
    this.#toClient = new Wire(
      (frame) => {
        this.#atClient(frame);
      },
      () => this.#server?.host.drain(this.#server.connection),
    );
    this.#toServer = new Wire(
      (frame) => {
        this.#atServer(frame);
      },
      () => undefined,
    );
  }

  /** Connects the server's end. What the client sent before is delivered now. */
  open(host: Host<MemorySocket>, connection: Connection): void {
    this.#server = { host, connection };
    this.#toServer.run();
  }

  // What the server does, see MemoryTransport.

  /** Sends a message or ping from the server. */
  sendFromServer(kind: "message" | "ping", payload: Payload): void {
    if (!this.#isOver && !this.#serverClose) this.#toClient.push({ kind, payload: own(payload) });
  }

  /** Starts the closing handshake from the server. */
  closeFromServer(code: number, reason: string): void {
    if (this.#isOver || this.#serverClose) return;
    this.#serverClose = { code, reason };
    this.#toClient.push({ kind: "close", code, reason });
  }

  /** Bytes that the client has not read. */
  get buffered(): number {
    return this.#toClient.bytes;
  }

  /** Stops or goes on reading at the server. */
  pauseServer(isPaused: boolean): void {
    this.#toServer.isPaused = isPaused;
    this.#toServer.run();
  }

  // What the client does, see TestClient.

  /** Sends a message or ping from the client. */
  sendFromClient(kind: "message" | "ping", payload: Payload): void {
    if (!this.#isOver && !this.#clientClose)
      this.#toServer.push({ kind: kind === "ping" ? "pong" : kind, payload: own(payload) });
  }

  /** Starts the closing handshake from the client. */
  closeFromClient(code: number, reason: string): void {
    if (this.#isOver || this.#clientClose) return;
    this.#clientClose = { code, reason };
    this.#toServer.push({ kind: "close", code, reason });
  }

  /** Stops or goes on reading at the client. */
  pauseClient(isPaused: boolean): void {
    this.#toClient.isPaused = isPaused;
    this.#toClient.run();
  }

  /** Cuts the wire: both ends see 1006, in a later microtask. */
  cut(by: "client" | "server"): void {
    if (this.#isOver) return;
    this.#toClient.clear();
    this.#toServer.clear();
    queueMicrotask(() => {
      this.#end({ code: 1006, reason: "" }, false, by);
    });
  }

  #atClient(frame: Frame): void {
    if (frame.kind === "message") this.#client.message(frame.payload);
    if (this.isSilent) return;
    if (frame.kind === "ping") this.#toServer.push({ kind: "pong", payload: frame.payload });
    if (frame.kind === "close" && !this.#clientClose) {
      this.#clientClose = frame;
      this.#toServer.push(frame);
    }
  }

  #atServer(frame: Frame): void {
    const server = this.#server;
    if (!server) return;
    if (frame.kind === "close") {
      this.#end(this.#serverClose ?? frame, true, this.#serverClose ? "server" : "client");
    } else if (frame.kind === "pong") {
      server.host.pong(server.connection, typeof frame.payload === "string" ? new Uint8Array() : frame.payload);
    } else {
      const size = payloadSize(frame.payload);
      if (size > this.#maxPayload) server.connection.close(1009);
      else server.host.message(server.connection, frame.payload, size);
    }
  }

  #end({ code, reason }: { code: number; reason: string }, wasClean: boolean, by: "client" | "server"): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#server?.host.close(this.#server.connection, code, reason, wasClean);
    this.#client.closed({ code, reason, wasClean, by: by === "client" ? "local" : "remote" });
  }
}

/** Copies bytes: on a wire nobody shares them. */
function own(payload: Payload): Received {
  return typeof payload === "string" ? payload : new Uint8Array(payload);
}
