/**
 * A WebSocket in memory: two ends, and a wire in each direction.
 *
 * @module
 */
import { payloadSize, type CloseInfo, type Connection, type Host, type Payload, type Received } from "@vel/core";
import { Wire, type CloseFrame, type Frame } from "./wire.ts";

/** What the client's end is told. */
export interface ClientEnd {
  message(payload: Received): void;
  pong(data: Uint8Array<ArrayBuffer>): void;
  closed(info: CloseInfo): void;
}

/**
 * A connection between a server in this process and a client in this process. Behaves as `ws` on a real network does:
 * what was sent before a close arrives before it, nothing arrives after the end, and the server's end comes first, as
 * the server is who closes the TCP connection (RFC 6455, section 7.1.1).
 */
export class MemorySocket {
  /** A dead peer: it reads, and answers neither pings nor a close. */
  isSilent = false;
  readonly #toClient: Wire;
  readonly #toServer: Wire;
  readonly #client: ClientEnd;
  readonly #maxPayload: number;
  #server: { readonly host: Host<MemorySocket>; readonly connection: Connection } | undefined;
  /** Whether each side has sent its close frame. */
  #hasServerClosed = false;
  #hasClientClosed = false;
  /** The server's close frame, once the client has read it and has answered it or needs not to. */
  #heard: CloseFrame | undefined;
  /** Whether the client broke the rules: the server does not listen to it any more, its answer to the close included. */
  #isViolated = false;
  #isCut = false;
  #isServerOver = false;
  #isClientOver = false;

  constructor(client: ClientEnd, maxPayload: number) {
    this.#client = client;
    this.#maxPayload = maxPayload;
    this.#toClient = new Wire(
      (frame) => {
        this.#atClient(frame);
      },
      () => this.#server?.host.drain(this.#server.connection),
    );
    this.#toServer = new Wire((frame) => {
      this.#atServer(frame);
    });
  }

  /** Connects the server's end, in the same turn in which the client sent its early messages. */
  open(host: Host<MemorySocket>, connection: Connection): void {
    this.#server = { host, connection };
  }

  // What the server does, see memoryTransport().

  /** Sends a message or ping from the server. */
  sendFromServer(kind: "message" | "ping", payload: Payload): void {
    if (this.#isCut || this.#hasServerClosed) return;
    this.#toClient.push({ kind, payload: own(payload) });
  }

  /** Starts the closing handshake from the server. */
  closeFromServer(code: number, reason: string): void {
    if (this.#isCut || this.#hasServerClosed) return;
    this.#hasServerClosed = true;
    this.#toClient.push({ kind: "close", code, reason, isAnswer: false });
  }

  /** Bytes that the client has not read. */
  get buffered(): number {
    return this.#toClient.bytes;
  }

  /** Stops or goes on reading at the server. */
  pauseServer(isPaused: boolean): void {
    this.#toServer.pause(isPaused);
  }

  // What the client does, see TestClient.

  /** Sends a message, ping or pong from the client. */
  sendFromClient(kind: "message" | "ping" | "pong", payload: Payload): void {
    if (this.#isCut || this.#hasClientClosed) return;
    this.#toServer.push({ kind, payload: own(payload) });
  }

  /** Starts the closing handshake from the client; 1005 stands for no code. */
  closeFromClient(code: number, reason: string): void {
    if (this.#isCut || this.#hasClientClosed) return;
    this.#hasClientClosed = true;
    this.#toServer.push({ kind: "close", code, reason, isAnswer: false });
  }

  /** Stops or goes on reading at the client. */
  pauseClient(isPaused: boolean): void {
    this.#toClient.pause(isPaused);
  }

  /** Cuts both wires: what is on them is lost, and in a later microtask both ends that are not over see 1006. */
  cut(by: "client" | "server"): void {
    if (this.#isCut || this.#isClientOver) return;
    this.#isCut = true;
    this.#toClient.clear();
    this.#toServer.clear();
    queueMicrotask(() => {
      this.#endServer(1006, "", false);
      this.#endClient({ code: 1006, reason: "", wasClean: false, by: by === "client" ? "local" : "remote" });
    });
  }

  #atClient(frame: Frame): void {
    switch (frame.kind) {
      case "message":
        this.#client.message(frame.payload);
        break;
      case "pong":
        this.#client.pong(bytesOf(frame.payload));
        break;
      case "ping":
        if (!this.isSilent) this.sendFromClient("pong", frame.payload);
        break;
      case "close":
        if (!this.#hasClientClosed) {
          if (this.isSilent) return;
          this.#hasClientClosed = true;
          this.#toServer.push({ ...frame, isAnswer: true });
        }
        this.#heard = frame;
        this.#finish();
    }
  }

  #atServer(frame: Frame): void {
    const server = this.#server;
    if (!server || this.#isServerOver) return;
    switch (frame.kind) {
      case "message": {
        if (this.#isViolated) return;
        const size = payloadSize(frame.payload);
        this.#isViolated = size > this.#maxPayload;
        if (this.#isViolated) server.connection.close(1009);
        else server.host.message(server.connection, frame.payload, size);
        break;
      }
      case "pong":
        if (!this.#isViolated) server.host.pong(server.connection, bytesOf(frame.payload));
        break;
      case "ping":
        // As runtimes do: answered below core, which only counts it.
        server.host.ping(server.connection);
        if (!this.#hasServerClosed) this.#toClient.push({ kind: "pong", payload: frame.payload });
        break;
      case "close":
        if (!this.#hasServerClosed) {
          server.host.flush(server.connection);
          this.#hasServerClosed = true;
          this.#toClient.push({ ...frame, isAnswer: true });
        }
        if (this.#isViolated) this.#endServer(1006, "", false);
        else this.#endServer(frame.code, frame.reason, true);
        this.#finish();
    }
  }

  /** Both have said and heard everything: the client's end follows the server's. */
  #finish(): void {
    if (!this.#isServerOver || !this.#heard) return;
    const { code, reason, isAnswer } = this.#heard;
    this.#endClient({ code, reason, wasClean: true, by: isAnswer ? "local" : "remote" });
  }

  #endServer(code: number, reason: string, wasClean: boolean): void {
    if (this.#isServerOver) return;
    this.#isServerOver = true;
    this.#server?.host.close(this.#server.connection, code, reason, wasClean);
  }

  #endClient(info: CloseInfo): void {
    if (this.#isClientOver) return;
    this.#isClientOver = true;
    this.#client.closed(info);
  }
}

const encoder = new TextEncoder();

/** What arrives: bytes that nobody shares, and text of which a lone surrogate has become U+FFFD, as UTF-8 has none. */
function own(payload: Payload): Received {
  if (typeof payload !== "string") return new Uint8Array(payload);
  return payload.replace(/\p{Surrogate}/gu, "\u{FFFD}");
}

function bytesOf(payload: Received): Uint8Array<ArrayBuffer> {
  return typeof payload === "string" ? encoder.encode(payload) : payload;
}
