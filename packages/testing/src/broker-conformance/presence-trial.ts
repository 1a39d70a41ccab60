/**
 * One run of one case about a presence store.
 *
 * @module
 */
import { randomId, type MaybePromise, type PresenceEntry, type PresenceStore } from "@vel/core";
import type { Started } from "./case.ts";
import { Patience } from "./patience.ts";

/** A presence store that is started for a case. */
export interface StartedPresence {
  readonly store: PresenceStore;
  /** Another store on the same server, as another process has one. Default: the same. */
  readonly peer?: PresenceStore;
  /** Lets so many milliseconds go by, where the store's time is a test's. Default: waits. */
  advance?(milliseconds: number): MaybePromise<void>;
  /** Ends both. */
  close(): Promise<void>;
}

/** A lease that no case outlives, in milliseconds. */
export const long = 600_000;

/** What a case works with. */
export class PresenceTrial implements Started {
  readonly store: PresenceStore;
  readonly peer: PresenceStore;
  readonly patience: Patience;
  readonly #close: () => Promise<void>;
  readonly #id = randomId();

  /** Made by the kit. */
  constructor(started: StartedPresence) {
    this.store = started.store;
    this.peer = started.peer ?? started.store;
    this.patience = new Patience(started.advance?.bind(started));
    this.#close = () => started.close();
  }

  /** Makes a name that only this case knows: of a topic, or of a process. */
  name(name: string): string {
    return `${this.#id}.${name}`;
  }

  /** Makes an entry. */
  entry(
    key: string,
    connectionId: string,
    { node = "n1", meta = null }: { node?: string; meta?: unknown } = {},
  ): PresenceEntry {
    return { key, connectionId, node: this.name(node), meta };
  }

  /** Lists who is present, each as `key connectionId`, sorted. */
  async present(topic: string, store: PresenceStore = this.peer): Promise<string[]> {
    const users = await store.list(topic);
    return [...users].flatMap(([key, entries]) => entries.map(({ connectionId }) => `${key} ${connectionId}`)).sort();
  }

  abandon(): void {
    this.patience.abandon();
  }

  close(): Promise<void> {
    return this.#close();
  }
}
