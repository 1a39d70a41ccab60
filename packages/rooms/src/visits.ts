/**
 * Where a connection is, and that all of it is told when the connection is renewed.
 *
 * @module
 */
import type { Connection, Unsubscribe } from "@vel/core";
import type { HookRunner } from "./hook-runner.ts";
import type { Membership } from "./membership.ts";

/**
 * The rooms of one manager in which a connection has a place. However many they are, they cost it one listener, and none
 * where they let everybody in.
 */
export class Visits {
  readonly #connection: Connection;
  readonly #runner: HookRunner;
  /** A room is in it once for each place. Mostly it is one. */
  #places: readonly Membership[] = [];
  #off: Unsubscribe | undefined;

  constructor(connection: Connection, runner: HookRunner) {
    this.#connection = connection;
    this.#runner = runner;
  }

  /** The rooms, as they are now. */
  get rooms(): ReadonlySet<Membership> {
    return new Set(this.#places);
  }

  /** Takes note of a place. */
  add(members: Membership): void {
    this.#places = this.#places.concat(members); // no larger than it has to be
    if (members.isGuarded) this.#off ??= this.#connection.onRenew(() => this.#renew());
  }

  /** Takes back one {@link Visits.add}. */
  remove(members: Membership): void {
    this.#places = this.#places.toSpliced(this.#places.indexOf(members), 1);
    if (this.#places.length > 0) return;
    this.#off?.();
    this.#off = undefined;
  }

  async #renew(): Promise<void> {
    const deciding = Promise.all([...this.rooms].map((members) => members.renew(this.#connection)));
    this.#runner.track(deciding);
    await deciding;
  }
}
