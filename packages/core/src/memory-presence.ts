/**
 * A presence store within one process.
 *
 * @module
 */
import { systemClock, type Clock } from "./clock.ts";
import type { PresenceEntry, PresenceStore } from "./presence.ts";

interface Lease {
  entry: PresenceEntry;
  expires: number;
}

/** The leases of one topic: by user, then by connection. */
type Topic = Map<string, Map<string, Lease>>;

/**
 * Keeps who is present within one process: the default of every feature. Takes no timer: each call drops what expired
 * at the topic that it is about.
 *
 * @example
 * import assert from "node:assert/strict";
 * import { MemoryPresenceStore } from "@vel/core";
 *
 * const store = new MemoryPresenceStore();
 * const entry = { key: "ada", node: "n1", meta: { name: "Ada" } };
 * assert.deepEqual(await store.join("lobby", { ...entry, connectionId: "c1" }, 30_000), { first: true });
 * assert.deepEqual(await store.join("lobby", { ...entry, connectionId: "c2" }, 30_000), { first: false });
 * assert.deepEqual(await store.count("lobby"), { users: 1, connections: 2 });
 */
export class MemoryPresenceStore implements PresenceStore {
  readonly #topics = new Map<string, Topic>();
  readonly #clock: Clock;

  constructor({ clock = systemClock }: { clock?: Clock } = {}) {
    this.#clock = clock;
  }

  // The work is done at once: who calls it twice gets the answers in that order.
  join(topic: string, entry: PresenceEntry, lease: number): Promise<{ first: boolean }> {
    if (!(lease > 0)) return Promise.reject(noLease(lease));
    const users = this.#present(topic);
    const leases = users.get(entry.key) ?? new Map<string, Lease>();
    const first = leases.size === 0;
    leases.set(entry.connectionId, { entry, expires: this.#clock.now() + lease });
    users.set(entry.key, leases);
    this.#topics.set(topic, users);
    return Promise.resolve({ first });
  }

  leave(topic: string, key: string, connectionId: string): Promise<{ last: boolean }> {
    const users = this.#present(topic);
    const leases = users.get(key);
    const wasIn = leases?.delete(connectionId) ?? false;
    const last = wasIn && leases?.size === 0;
    if (last) users.delete(key);
    if (users.size === 0) this.#topics.delete(topic);
    return Promise.resolve({ last });
  }

  refresh(node: string, lease: number): Promise<void> {
    if (!(lease > 0)) return Promise.reject(noLease(lease));
    const now = this.#clock.now();
    for (const topic of this.#topics.keys()) {
      for (const leases of this.#present(topic).values()) {
        for (const each of leases.values()) if (each.entry.node === node) each.expires = now + lease;
      }
    }
    return Promise.resolve();
  }

  list(topic: string): Promise<ReadonlyMap<string, readonly PresenceEntry[]>> {
    const users = [...this.#present(topic)];
    return Promise.resolve(
      new Map(users.map(([key, leases]) => [key, [...leases.values()].map(({ entry }) => entry)])),
    );
  }

  count(topic: string): Promise<{ users: number; connections: number }> {
    const users = this.#present(topic);
    let connections = 0;
    for (const leases of users.values()) connections += leases.size;
    return Promise.resolve({ users: users.size, connections });
  }

  /** A topic without what has expired; a new one when nothing is left. */
  #present(topic: string): Topic {
    const users = this.#topics.get(topic);
    if (!users) return new Map();
    const now = this.#clock.now();
    for (const [key, leases] of users) {
      for (const [id, { expires }] of leases) if (expires <= now) leases.delete(id);
      if (leases.size === 0) users.delete(key);
    }
    if (users.size === 0) this.#topics.delete(topic);
    return users;
  }
}

function noLease(lease: number): RangeError {
  return new RangeError(`Lease must be a positive number, got ${String(lease)}`);
}
