/**
 * Users whose last connection dropped and who may be back in a moment.
 *
 * @module
 */
import type { Clock } from "@vel/core";
import type { PresenceMeta } from "./presence-meta.ts";

interface Ghost {
  readonly meta: PresenceMeta;
  readonly due: number;
}

/**
 * How many are kept, and how many characters of their metas: who comes and drops under ever new names shall not fill the
 * memory, nor the state that newcomers are sent. The oldest give way.
 */
export const ghostLimit = 10_000;
const metaLimit = 2 ** 18;

/** Keeps users for the same time each, with one timer, none when there is nobody. */
export class PresenceGhosts {
  readonly #grace: number;
  readonly #clock: Clock;
  readonly #onGone: (userId: string, meta: PresenceMeta) => void;
  /** In the order in which they are due. */
  readonly #ghosts = new Map<string, Ghost>();
  /** Characters of all metas. */
  #size = 0;
  #timer: unknown;

  constructor(grace: number, clock: Clock, onGone: (userId: string, meta: PresenceMeta) => void) {
    this.#grace = grace;
    this.#clock = clock;
    this.#onGone = onGone;
  }

  /** How many there are. */
  get size(): number {
    return this.#ghosts.size;
  }

  /** Adds a user who is not in. */
  add(userId: string, meta: PresenceMeta): void {
    this.#ghosts.set(userId, { meta, due: this.#clock.now() + this.#grace });
    this.#size += meta.text.length;
    for (const oldest of this.#ghosts) {
      if (this.#ghosts.size <= ghostLimit && this.#size <= metaLimit) break;
      this.#go(...oldest);
    }
    this.#timer ??= this.#clock.setTimeout(this.#sweep, this.#grace);
  }

  /** Takes back a user who has returned. */
  take(userId: string): PresenceMeta | undefined {
    const ghost = this.#ghosts.get(userId);
    if (!ghost) return undefined;
    this.#remove(userId, ghost);
    if (this.#ghosts.size === 0) this.clear();
    return ghost.meta;
  }

  /** Forgets everybody. */
  clear(): void {
    this.#ghosts.clear();
    this.#size = 0;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  *[Symbol.iterator](): Generator<readonly [userId: string, meta: PresenceMeta], undefined> {
    for (const [userId, { meta }] of this.#ghosts) yield [userId, meta];
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [userId, ghost] of this.#ghosts) {
      if (ghost.due > now) {
        this.#timer = this.#clock.setTimeout(this.#sweep, ghost.due - now);
        return;
      }
      this.#go(userId, ghost);
    }
  };

  #go(userId: string, ghost: Ghost): void {
    this.#remove(userId, ghost);
    this.#onGone(userId, ghost.meta);
  }

  #remove(userId: string, { meta }: Ghost): void {
    this.#ghosts.delete(userId);
    this.#size -= meta.text.length;
  }
}
