/**
 * The kit's client over a transport without a network.
 *
 * @module
 */
import type { TestClient } from "../client.ts";
import type { Client, Ended } from "./client.ts";

/** A {@link TestClient} as the kit's cases see it. */
export class MemoryClient implements Client {
  readonly #client: TestClient;
  readonly #pongs: Promise<Uint8Array>[] = [];

  constructor(client: TestClient) {
    this.#client = client;
  }

  get protocol(): string {
    return this.#client.protocol;
  }

  get headers(): Headers {
    return this.#client.headers;
  }

  get closed(): Promise<Ended> {
    return this.#client.closed.then(({ code, reason }) => ({ code, reason }));
  }

  get received(): readonly (string | Uint8Array)[] {
    return this.#client.received;
  }

  send(payload: string | Uint8Array): void {
    this.#client.send(payload);
  }

  next(): Promise<string | Uint8Array> {
    return this.#client.receive();
  }

  ping(data: Uint8Array): void {
    this.#pongs.push(this.#client.ping(data));
  }

  pong(): Promise<Uint8Array> {
    return this.#pongs.shift() ?? Promise.reject(new Error("No ping was sent"));
  }

  close(code?: number, reason?: string): void {
    this.#client.close(code, reason);
  }

  drop(): void {
    this.#client.drop();
  }

  pause(): void {
    this.#client.pause();
  }

  resume(): void {
    this.#client.resume();
  }

  silence(): void {
    this.#client.silence();
  }
}
