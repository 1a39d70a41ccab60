/**
 * What pings carry, so that a pong can be told from those to the pings of others.
 *
 * @module
 */

/** Numbers as the data of pings: four bytes that are this heartbeat's own, four for the number. */
export class PingNumbers {
  readonly #own = new DataView(crypto.getRandomValues(new Uint8Array(4)).buffer).getUint32(0);

  /** Gives the number after a number: four bytes begin again at 0. */
  after(number: number): number {
    return (number + 1) >>> 0;
  }

  /** Makes the data of a ping. */
  encode(number: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, this.#own);
    view.setUint32(4, number);
    return new Uint8Array(view.buffer);
  }

  /** Reads a pong's data; undefined when it answers no ping of this heartbeat. */
  decode(data: Uint8Array): number | undefined {
    if (data.byteLength !== 8) return undefined;
    const view = new DataView(data.buffer, data.byteOffset, 8);
    return view.getUint32(0) === this.#own ? view.getUint32(4) : undefined;
  }
}
