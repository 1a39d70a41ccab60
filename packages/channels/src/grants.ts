/**
 * What clients got by asking for it, and may lose again.
 *
 * @module
 */
import { Renewals, type Connection, type MaybePromise, type Unsubscribe } from "@vel/core";

/** A subscription that a client asked for by a frame. */
export interface Grant {
  /** Whether `authorize` is being asked about it again. */
  isInQuestion: boolean;
  /** Whether it was taken back. */
  isWithdrawn: boolean;
}

/** What grants need of their manager. */
export interface GrantOwner {
  /** Tells whether a connection is subscribed. */
  isIn(connection: Connection, channel: string): boolean;
  /** Asks for permission. */
  mayStay(connection: Connection, channel: string): MaybePromise<boolean> | undefined;
  /** Ends a subscription, and tells its connection. */
  withdraw(connection: Connection, channel: string): void;
  report(error: unknown, stage: string, connection: Connection): void;
}

/** The grants of one connection. */
interface Granted {
  readonly byChannel: Map<string, Grant>;
  readonly off: Unsubscribe;
}

/**
 * The subscriptions of one manager that clients asked for by frames: `authorize` is asked about them again when their
 * connection is renewed. However many they are, they cost it one listener.
 */
export class Grants {
  readonly #owner: GrantOwner;
  readonly #granted = new WeakMap<Connection, Granted>();

  constructor(owner: GrantOwner) {
    this.#owner = owner;
  }

  /**
   * Writes down that a client has asked for a subscription, one that the server had made included: it may have taken off
   * the server's filter.
   *
   * @returns Undefined when the connection is not subscribed.
   */
  add(connection: Connection, channel: string): Grant | undefined {
    if (!this.#owner.isIn(connection, channel)) return undefined;
    const { byChannel } = this.#granted.get(connection) ?? this.#open(connection);
    const grant = byChannel.get(channel) ?? { isInQuestion: false, isWithdrawn: false };
    byChannel.set(channel, grant);
    return grant;
  }

  /** Forgets a subscription that has ended. */
  delete(connection: Connection, channel: string): void {
    const granted = this.#granted.get(connection);
    if (!granted?.byChannel.delete(channel) || granted.byChannel.size > 0) return;
    granted.off();
    this.#granted.delete(connection);
  }

  #open(connection: Connection): Granted {
    const off = connection.onRenew(() => this.#renew(connection));
    const granted: Granted = { byChannel: new Map(), off };
    this.#granted.set(connection, granted);
    return granted;
  }

  async #renew(connection: Connection): Promise<void> {
    const all = [...(this.#granted.get(connection)?.byChannel ?? [])];
    await Promise.all(all.map(([channel, grant]) => this.#askAgain(connection, channel, grant)));
  }

  /**
   * Asks about one subscription and ends it unless it is allowed still. One question at a time: a renewal meanwhile
   * leads to one more, and waits for its answer. A no counts at once.
   */
  async #askAgain(connection: Connection, channel: string, grant: Grant): Promise<void> {
    if (grant.isInQuestion) return;
    const { mayStay, report, withdraw } = this.#owner;
    const isIn = (): boolean => this.#granted.get(connection)?.byChannel.get(channel) === grant;
    let renewals: Renewals | undefined;
    let isAllowed: boolean | undefined;
    grant.isInQuestion = true;
    try {
      const answer = mayStay(connection, channel);
      // What `authorize` itself renews before it answers is no reason to ask again: that would never end.
      if (typeof answer !== "boolean") renewals = new Renewals(connection);
      isAllowed = typeof answer === "boolean" ? answer : await answer;
      while (isAllowed === true && isIn() && renewals?.take()) isAllowed = await mayStay(connection, channel);
    } catch (error) {
      isAllowed = false;
      report(error, "authorize", connection);
    }
    grant.isInQuestion = false;
    if (isAllowed !== true && isIn()) {
      grant.isWithdrawn = true;
      withdraw(connection, channel);
    }
    renewals?.close();
  }
}
