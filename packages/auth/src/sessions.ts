/**
 * Who is connected by which token.
 *
 * @module
 */
import type { Clock, Connection } from "@vel/core";
import { Deadlines } from "./deadlines.ts";
import { MultiMap } from "./multi-map.ts";
import { turnAway, unauthorized } from "./refusal.ts";
import type { TargetKey } from "./revoke-target.ts";
import type { TimedToken } from "./timed-token.ts";
import type { VerifiedToken } from "./verified-token.ts";

/** Makes of a token what a connection's data says; throws `ERR_VEL_TOKEN` when the token is not good for that. */
export type DataOf<Claims> = (token: VerifiedToken<Claims>) => object;

/** One token that a guard let in, from that moment on: the connection comes later. */
export interface Session<Claims> {
  readonly dataOf: DataOf<Claims>;
  token: TimedToken<Claims>;
  /** What of the connection's data is by this token; undefined under a name that an earlier one had. */
  data: object;
  connection: Connection | undefined;
  /** Whether its token has expired or was revoked. */
  isOver: boolean;
}

/** All sessions of a handler, with one timer for all of their ends. */
export class Sessions<Claims> {
  readonly #clock: Clock;
  readonly #bySubject = new MultiMap<string, Session<Claims>>();
  readonly #byTokenId = new MultiMap<string, Session<Claims>>();
  /** More than one where a connection has come through several guards of the handler. */
  readonly #byConnection = new MultiMap<Connection, Session<Claims>>();
  readonly #deadlines: Deadlines<Session<Claims>>;

  /** @param onExpired Is called for each connection that is closed because its token has expired. */
  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (session) => {
      if (this.#end(session)) onExpired();
    });
  }

  /** How many connections there are. */
  get size(): number {
    return this.#byConnection.size;
  }

  /** Begins a session. */
  add(token: TimedToken<Claims>, dataOf: DataOf<Claims>): Session<Claims> {
    const session: Session<Claims> = { dataOf, token, data: dataOf(token), connection: undefined, isOver: false };
    this.#watch(session);
    return session;
  }

  /**
   * Gives a session its connection, before the handler of that starts.
   *
   * @throws {VelError} `ERR_VEL_DISCONNECTED` when it is over: then the connection is closed.
   */
  attach(session: Session<Claims>, connection: Connection): void {
    session.connection = connection;
    if (session.isOver || this.#clock.now() >= session.token.deadline) turnAway(connection, unauthorized);
    // One whose peer has left meanwhile was deleted already; its handler gets what it has said before.
    if (!connection.closeInfo) this.#byConnection.add(connection, session);
  }

  /** The sessions of a connection. */
  of(connection: Connection): ReadonlySet<Session<Claims>> {
    return this.#byConnection.get(connection);
  }

  /** Lets a session live on by another token. */
  renew(session: Session<Claims>, token: TimedToken<Claims>, data: object): void {
    this.#unwatch(session);
    session.token = token;
    session.data = data;
    this.#watch(session);
  }

  /** Forgets a session, whose request was refused or whose connection has ended. */
  delete(session: Session<Claims>): void {
    this.#unwatch(session);
    this.#byConnection.delete(session.connection, session);
  }

  /** Ends sessions because of their tokens, and tells how many connections were closed by that. */
  end([by, name]: TargetKey): number {
    const sessions = (by === "subject" ? this.#bySubject : this.#byTokenId).get(name);
    return [...sessions].filter((session) => this.#end(session)).length;
  }

  /** Forgets all; connections stay. */
  clear(): void {
    this.#deadlines.clear();
    for (const index of [this.#bySubject, this.#byTokenId, this.#byConnection]) index.clear();
  }

  /** Tells whether a connection was closed by it. */
  #end(session: Session<Claims>): boolean {
    session.isOver = true;
    const { connection } = session;
    if (!connection?.isOpen) return false;
    connection.close(...unauthorized);
    return true;
  }

  #watch(session: Session<Claims>): void {
    const { subject, tokenId, deadline } = session.token;
    this.#bySubject.add(subject, session);
    this.#byTokenId.add(tokenId, session);
    this.#deadlines.set(session, deadline);
  }

  #unwatch(session: Session<Claims>): void {
    const { subject, tokenId } = session.token;
    this.#bySubject.delete(subject, session);
    this.#byTokenId.delete(tokenId, session);
    this.#deadlines.delete(session);
  }
}
