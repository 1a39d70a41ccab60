/**
 * Where a connection is, and that all of it is told when the connection is renewed.
 *
 * @module
 */
import type { Connection, Unsubscribe } from "@vel/core";
import type { HookRunner } from "./hook-runner.ts";
import type { Membership } from "./membership.ts";
import { Tally } from "./tally.ts";

/**
 * The rooms of one manager in which a connection has a place. However many they are, they cost it one listener, and none
 * where they let everybody in.
 */
export class Visits extends Tally<Membership> {
  readonly #connection: Connection;
  readonly #runner: HookRunner;
  #off: Unsubscribe | undefined;

  constructor(connection: Connection, runner: HookRunner) {
    super();
    this.#connection = connection;
    this.#runner = runner;
  }

  override add(members: Membership): void {
    super.add(members);
    if (members.isGuarded) this.#off ??= this.#connection.onRenew(() => this.#renew());
  }

  override remove(members: Membership): void {
    super.remove(members);
    if (this.size > 0) return;
    this.#off?.();
    this.#off = undefined;
  }

  async #renew(): Promise<void> {
    const deciding = Promise.all([...this].map((members) => members.renew(this.#connection)));
    this.#runner.track(deciding);
    await deciding;
  }
}
