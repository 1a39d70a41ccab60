/**
 * Who is where, within a process or across many.
 *
 * @module
 */

/** One connection of one user at one topic. */
export interface PresenceEntry {
  /** Who it is: the user. */
  readonly key: string;
  /** Which of the user's connections. */
  readonly connectionId: string;
  /** The process that holds the connection. */
  readonly node: string;
  /** What others may see of it. */
  readonly meta: unknown;
}

/**
 * Keeps who is present, by topic, keyed by user with an entry for each connection. Entries are leases: those of a process
 * that does not refresh them any more are gone when their time is over.
 *
 * @example
 * const store: PresenceStore = new MemoryPresenceStore();
 * await store.join("lobby", { key: "ada", connectionId: "c1", node: "n1", meta: null }, 30_000); // { first: true }
 * await store.count("lobby"); // { users: 1, connections: 1 }
 * await store.leave("lobby", "ada", "c1"); // { last: true }
 */
export interface PresenceStore {
  /**
   * Adds an entry, or renews the one of the same connection, for `lease` milliseconds.
   *
   * @returns Whether the user had no entry at the topic before.
   */
  join(topic: string, entry: PresenceEntry, lease: number): Promise<{ first: boolean }>;
  /**
   * Removes an entry; nothing happens when there is none.
   *
   * @returns Whether it was the user's last.
   */
  leave(topic: string, key: string, connectionId: string): Promise<{ last: boolean }>;
  /** Renews all entries of a process. */
  refresh(node: string, lease: number): Promise<void>;
  /** Lists who is present, by user. */
  list(topic: string): Promise<ReadonlyMap<string, readonly PresenceEntry[]>>;
  /** Counts who is present. */
  count(topic: string): Promise<{ users: number; connections: number }>;
}
