/** What the tests of the limits share. */
import { createVel, type Clock, type Host, type Measurable, type Remote, type Vel, type VelOptions } from "@vel/core";
import { MemoryLimitStore, type AttemptRate, type LimitStore } from "@vel/pool";
import { connect, HandshakeError, ManualClock, memoryTransport, settle, type TestClient } from "@vel/testing";
import { expect, onTestFinished } from "vitest";

/** A server whose time the test moves and that must be empty at the end, and what it told `onError`. */
export function server(options: VelOptions = {}): { vel: Vel; clock: ManualClock; errors: string[] } {
  const clock = new ManualClock();
  const errors: string[] = [];
  const vel = createVel({
    clock,
    closeTimeout: 1_000,
    handshakeTimeout: 5_000,
    onError: (error, { stage }) => errors.push(`${stage}: ${String(error)}`),
    ...options,
  });
  onTestFinished(async () => {
    const closed = vel.close();
    await clock.advance(1_000);
    await closed;
    await settle();
    expect(vel.connections.size).toBe(0);
    expect(clock.pending).toBe(0);
  });
  return { vel, clock, errors };
}

/** A clock that is moved in the same turn, for what has no timers. */
export class Sundial implements Clock {
  #now = 0;

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    throw new Error("Limits know nothing of dates");
  }

  setTimeout(): unknown {
    throw new Error("Limits have no timers");
  }

  clearTimeout(): void {
    throw new Error("Limits have no timers");
  }
}

/** What somebody measures, as `name{label,label}`. */
export function measured(measurable: Measurable): Record<string, number> {
  const entries = [...measurable.measure()].map(({ name, kind, value, labels = {} }) => {
    expect(kind).toBe(name.endsWith("_total") ? "counter" : "gauge");
    // Which of the limits counts everybody has a test of its own.
    const values = name === "vel_limit_connections" ? [] : Object.values(labels);
    return [values.length === 0 ? name : `${name}{${values.join()}}`, Number(value)] as const;
  });
  expect(new Set(entries.map(([name]) => name)).size).toBe(entries.length);
  return Object.fromEntries(entries);
}

/** What a request came to: a client, or the status of a refusal with its `Retry-After`. */
export async function come(
  vel: Vel,
  path: string,
  options: Parameters<typeof connect>[2] | string = {},
): Promise<TestClient | string> {
  try {
    return await connect(vel, path, typeof options === "string" ? { remote: { address: options } } : options);
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    return `${String(error.status)} ${error.headers.get("retry-after") ?? ""}`.trim();
  }
}

/** As {@link come}, of a client that must get in. */
export async function enter(...args: Parameters<typeof come>): Promise<TestClient> {
  const client = await come(...args);
  if (typeof client === "string") expect.fail(`Refused with ${client}`);
  return client;
}

const hosts = new WeakMap<Vel, Host<never>>();

/** A request whose socket is not opened by itself: for what adapters do. */
export function knock(vel: Vel, url: string, remote: Remote | undefined, signal = new AbortController().signal) {
  let host = hosts.get(vel);
  if (!host) hosts.set(vel, (host = vel.bind(memoryTransport()) as Host<never>));
  const headers = new Headers({ host: "localhost" });
  return { host, headers, answer: () => host.upgrade({ url, headers, remote, signal, raw: undefined }) };
}

/** A store that knows who holds what, and sees a place that is given back twice. */
export class WatchedStore extends MemoryLimitStore {
  readonly held = new Map<string, number>();

  override take(key: string, limit: number): number {
    const used = super.take(key, limit);
    if (used !== (this.held.get(key) ?? 0)) expect.fail(`${key} has ${String(used)} places`);
    if (used < limit) this.held.set(key, used + 1);
    return used;
  }

  override release(key: string): void {
    const held = this.held.get(key) ?? 0;
    if (held === 0) expect.fail(`${key} was given back already`);
    if (held > 1) this.held.set(key, held - 1);
    else this.held.delete(key);
    super.release(key);
  }

  get all(): Record<string, number> {
    return Object.fromEntries(this.held);
  }
}

/** A store that answers when the test wants. */
export class SlowStore implements LimitStore {
  readonly inner: WatchedStore;
  readonly waiting: (() => void)[] = [];

  constructor(inner: WatchedStore) {
    this.inner = inner;
  }

  take(key: string, limit: number): Promise<number> {
    return this.#later(() => this.inner.take(key, limit));
  }

  release(key: string): Promise<void> {
    return this.#later(() => {
      this.inner.release(key);
    });
  }

  attempt(key: string, rate: AttemptRate): Promise<number> {
    return this.#later(() => this.inner.attempt(key, rate));
  }

  /** Answers whatever was asked, and what is asked because of that. */
  async answer(): Promise<void> {
    await settle();
    while (this.waiting.length > 0) {
      for (const answer of this.waiting.splice(0)) answer();
      await settle();
    }
  }

  #later<T>(act: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.waiting.push(() => {
        resolve(act());
      });
    });
  }
}

/** How many tokens a bucket holds, and how many come back in some time. */
export type Rate = { tokens: number; burst: number };

/** What passed: when, and how much of it. */
export type Passed = { at: number; cost: number }[];

/**
 * Whether a bucket may let this much more pass: in no span of time that ends now it would be more than the burst and what
 * came back in that span. The definition, written down as plainly as can be.
 */
export function mayPass(passed: Passed, { tokens, burst }: Rate, per: number, at: number, cost: number): boolean {
  let sum = cost;
  if (sum > burst) return false;
  for (let index = passed.length - 1; index >= 0; index--) {
    const before = passed[index]!;
    sum += before.cost;
    if (sum * per > burst * per + (at - before.at) * tokens) return false;
  }
  return true;
}
