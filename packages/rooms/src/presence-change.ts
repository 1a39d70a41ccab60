/**
 * What changed in a presence since somebody was last told, and the frame that says it.
 *
 * @module
 */
import type { Frame } from "@vel/core";
import type { PresenceMeta } from "./presence-meta.ts";

/** One connection came (1) or went (-1). */
export interface PresenceChange {
  readonly by: 1 | -1;
  readonly userId: string;
  readonly meta: PresenceMeta;
  /** By how much it changed the number of users. */
  readonly users: 0 | 1 | -1;
}

/** Adds up changes, the latest first. */
export interface PresenceSum {
  add(change: PresenceChange): void;
  /** What to tell; undefined when everything cancelled out. */
  frame(): Frame | undefined;
}

/** Who came and who went. */
export class UsersSum implements PresenceSum {
  readonly #room: string;
  /** By user and JSON of the meta, without what cancelled out. */
  readonly #users = new Map<string, Map<string, { readonly meta: PresenceMeta; by: number }>>();

  constructor(room: string) {
    this.#room = room;
  }

  add({ by, userId, meta }: PresenceChange): void {
    const metas = this.#users.get(userId) ?? new Map<string, { readonly meta: PresenceMeta; by: number }>();
    this.#users.set(userId, metas);
    const sum = metas.get(meta.text) ?? { meta, by: 0 };
    sum.by += by;
    if (sum.by === 0) metas.delete(meta.text);
    else metas.set(meta.text, sum);
    if (metas.size === 0) this.#users.delete(userId);
  }

  frame(): Frame | undefined {
    if (this.#users.size === 0) return undefined;
    return { type: "presence_diff", room: this.#room, joins: this.#side(1), leaves: this.#side(-1) };
  }

  #side(sign: 1 | -1): Record<string, unknown[]> {
    const side: [string, unknown[]][] = [];
    for (const [userId, metas] of [...this.#users].reverse()) {
      const values: unknown[] = [];
      for (const { meta, by } of [...metas.values()].reverse()) {
        for (let left = by * sign; left > 0; left--) values.push(meta.value);
      }
      if (values.length > 0) side.push([userId, values]);
    }
    // Defines properties, whatever their names; an assignment to `__proto__` would not.
    return Object.fromEntries(side);
  }
}

/** How many there are. */
export class CountSum implements PresenceSum {
  readonly #now: () => Frame;
  #users = 0;
  #connections = 0;

  /** @param now Makes the frame. */
  constructor(now: () => Frame) {
    this.#now = now;
  }

  add({ by, users }: PresenceChange): void {
    this.#connections += by;
    this.#users += users;
  }

  frame(): Frame | undefined {
    return this.#users === 0 && this.#connections === 0 ? undefined : this.#now();
  }
}
