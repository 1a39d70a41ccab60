/**
 * Which rooms a client believes it is in.
 *
 * @module
 */
import type { Connection } from "@vel/core";
import type { HistoryFill } from "./history.ts";

/** A room that a client has asked to join. */
export interface FrameSeat {
  /** As whom; undefined while that is being asked. */
  userId: string | undefined;
  /** What {@link Join.missed} said. */
  missed: HistoryFill<unknown> | undefined;
  /** Whether the join was answered with `ok`; until then an answer is owed, and nothing else is said. */
  isIn: boolean;
  /** Whether the client has left before that. */
  isCancelled: boolean;
}

/** The seats of all connections, by the name of the room. They go with the connection. */
export class FrameSeats {
  readonly #seats = new WeakMap<Connection, Map<string, FrameSeat>>();

  /** The seats of a connection. */
  of(connection: Connection): Map<string, FrameSeat> {
    const seats = this.#seats.get(connection) ?? new Map<string, FrameSeat>();
    this.#seats.set(connection, seats);
    return seats;
  }

  /** Finds a seat. */
  get(connection: Connection, room: string): FrameSeat | undefined {
    return this.#seats.get(connection)?.get(room);
  }
}
