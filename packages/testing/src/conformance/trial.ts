/**
 * One run of one case: servers to talk to, clients that talk, and the checks that hold for all.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import {
  createVel,
  type Capabilities,
  type CloseInfo,
  type Connection,
  type ErrorContext,
  type MaybePromise,
  type Vel,
  type VelOptions,
} from "@vel/core";
import type { ConnectOptions } from "../connect.ts";
import type { TestClient } from "../client.ts";
import { HandshakeError } from "../handshake-error.ts";
import { handshake } from "./bytes.ts";
import type { Client } from "./client.ts";
import { MemoryClient } from "./memory-client.ts";
import { RawClient, type Answer, type DialOptions, type HandshakeOptions } from "./raw-client.ts";

/** A server that an adapter runs for a case. */
export interface StartedAdapter {
  /** Where it listens on 127.0.0.1. Left out by a transport without a network, which gives `connect` instead. */
  readonly port?: number;
  /** Connects to it where there is no network. */
  connect?(path: string, options: ConnectOptions): Promise<TestClient>;
  /** Ends it: `vel.close()`, then whatever it listens with. */
  close(): Promise<void>;
}

/** An error that was told to `onError`. */
export interface ToldError {
  readonly error: unknown;
  readonly stage: string;
}

/** A client, the server's side of its connection, and how that ended. */
export interface Pair {
  readonly client: Client;
  readonly connection: Connection;
  readonly info: Promise<CloseInfo>;
}

/** A {@link Pair} whose client is on a TCP socket. */
export interface RawPair extends Pair {
  readonly client: RawClient;
}

/** What a case works with. */
export class Trial {
  /** What the adapter says that it can do. */
  readonly capabilities: Capabilities;
  readonly #start: (vel: Vel) => MaybePromise<StartedAdapter>;
  readonly #targets: Target[] = [];

  /** Made by the kit. */
  constructor(start: (vel: Vel) => MaybePromise<StartedAdapter>, capabilities: Capabilities) {
    this.#start = start;
    this.capabilities = capabilities;
  }

  /** Runs a server. It has a route `/echo` besides those that `routes` adds. */
  async serve(routes: (vel: Vel) => void = () => undefined, options: VelOptions = {}): Promise<Target> {
    const errors: ToldError[] = [];
    const onError = (error: unknown, { stage }: ErrorContext): void => void errors.push({ error, stage });
    const vel = createVel({ closeTimeout: 2_000, onError, ...options });
    routes(vel);
    vel.websocket("/echo", { message: (connection, message) => connection.send(message) });
    const target = new Target(vel, errors, await this.#start(vel));
    this.#targets.push(target);
    return target;
  }

  /** Checks what must hold after every case, and ends what it started. */
  async end(): Promise<void> {
    for (const target of this.#targets) await target.end();
  }

  /** Ends what a failed case has left, without another word. */
  async abandon(): Promise<void> {
    for (const target of this.#targets) await target.close().catch(() => undefined);
  }
}

/** A server under test. */
export class Target {
  readonly vel: Vel;
  /** What was told to `onError`. A case takes out what it expects; what is left fails it. */
  readonly errors: ToldError[];
  readonly #adapter: StartedAdapter;
  readonly #clients: Client[] = [];
  #isClosed = false;

  /** Made by {@link Trial.serve}. */
  constructor(vel: Vel, errors: ToldError[], adapter: StartedAdapter) {
    this.vel = vel;
    this.errors = errors;
    this.#adapter = adapter;
  }

  /** The port, of an adapter with sockets. */
  get port(): number {
    assert(this.#adapter.port !== undefined, "A case without `needs: { sockets: true }` asked for a port");
    return this.#adapter.port;
  }

  /**
   * Opens a client.
   *
   * @throws {HandshakeError} When it is refused.
   */
  async open(path: string, options: HandshakeOptions = {}): Promise<Client> {
    if (!this.#adapter.connect) return this.openRaw(path, options);
    const { protocols = [], headers = {} } = options;
    const list = Object.entries(headers).flatMap(([name, value = []]) =>
      [value].flat().map((each): [string, string] => [name, each]),
    );
    return this.#keep(new MemoryClient(await this.#adapter.connect(path, { protocols, headers: list })));
  }

  /** Opens a client on a TCP socket. */
  async openRaw(path: string, options: HandshakeOptions = {}): Promise<RawClient> {
    return this.#keep(await RawClient.open(this.port, path, options));
  }

  /** Opens a client and gives the server's side too. No other client may be opened meanwhile. */
  async pair(path: string, options?: HandshakeOptions): Promise<Pair> {
    const opened = this.opened();
    const client = await this.open(path, options);
    return { client, ...(await opened) };
  }

  /** Opens a client on a TCP socket that answers nothing by itself, and gives the server's side too. */
  async rawPair(path: string, options?: HandshakeOptions): Promise<RawPair> {
    const opened = this.opened();
    const client = await this.openRaw(path, options);
    client.silence();
    return { client, ...(await opened) };
  }

  /** Makes a TCP connection. */
  async dial(options?: DialOptions): Promise<RawClient> {
    return this.#keep(await RawClient.dial(this.port, options));
  }

  /** Asks for a WebSocket that is refused, and gives the answer. */
  async refused(path: string, options: HandshakeOptions = {}): Promise<Answer> {
    if (!this.#adapter.connect) {
      const { headers = {}, protocols = [] } = options;
      const offer = protocols.length > 0 ? { "Sec-WebSocket-Protocol": protocols.join(", ") } : {};
      return this.ask(handshake(path, { ...offer, ...headers }));
    }
    const error: unknown = await this.open(path, options).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert(error instanceof HandshakeError, "The handshake was not refused");
    return { status: error.status, headers: [...error.headers], body: error.body };
  }

  /** Sends the text of a request, and gives the answer. */
  async ask(request: string | Uint8Array): Promise<Answer> {
    const client = await this.dial();
    client.write(request);
    return client.answer();
  }

  /** Waits for the next connection that opens, and for how it ends. */
  opened(): Promise<Omit<Pair, "client">> {
    return new Promise((resolve) => {
      const off = this.vel.on("open", (connection) => {
        off();
        resolve({ connection, info: new Promise((settle) => connection.onClose(settle)) });
      });
    });
  }

  /** Takes out the errors that were told of, once there are so many, each as `stage: message`. */
  async told(count: number): Promise<string[]> {
    while (this.errors.length < count) await setImmediate();
    return this.errors.splice(0).map(({ error, stage }) => `${stage}: ${messageOf(error)}`);
  }

  /** Waits until no connection is left. */
  async everyoneLeft(): Promise<void> {
    while (this.vel.connections.size > 0) await setImmediate();
  }

  /** Checks that a good client is served, ends everything, and checks that nothing is left. */
  async end(): Promise<void> {
    if (this.vel.accepting) {
      const client = await this.open("/echo");
      client.send("alive");
      assert.equal(await client.next(), "alive");
      client.close(1000);
      assert.deepEqual(await client.closed, { code: 1000, reason: "" });
    }
    for (const client of this.#clients) client.drop();
    await this.everyoneLeft();
    await this.close();
    assert.deepEqual(
      this.errors.map(({ error, stage }) => `${stage}: ${messageOf(error)}`),
      [],
      "errors were told of",
    );
  }

  /** Ends the server. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const client of this.#clients) client.drop();
    await this.#adapter.close();
  }

  #keep<Some extends Client>(client: Some): Some {
    this.#clients.push(client);
    return client;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
