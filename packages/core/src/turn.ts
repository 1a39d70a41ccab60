/**
 * One turn of the event loop on a transport that can batch: what it produced leaves at its end, in one write a socket.
 *
 * @module
 */
import { Batch } from "./outgoing.ts";

/** Somebody for whom something waits. */
export interface Flushable {
  flush(): void;
}

/** Collects who is to be flushed when the turn ends. */
export class Turn {
  /** Where every connection's batch of this turn begins. */
  root: Batch = new Batch();
  #waiting: Flushable[] = [];
  readonly #afterTurn: (flush: () => void) => void;

  constructor(afterTurn: (flush: () => void) => void) {
    this.#afterTurn = afterTurn;
  }

  /** Flushes a connection at the end of the turn. */
  add(connection: Flushable): void {
    if (this.#waiting.push(connection) === 1) this.#afterTurn(this.#flush);
  }

  readonly #flush = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.root = new Batch();
    for (const connection of waiting) connection.flush();
  };
}
