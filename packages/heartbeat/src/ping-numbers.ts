/**
 * What pings carry, so that a pong can be told from those to the pings of others.
 *
 * @module
 */

/**
 * Numbers as the data of pings: four bytes that are this heartbeat's own, four for the number. Written byte by byte, since a
 * DataView needs an ArrayBuffer of its own for each, which costs as much as sending the ping does.
 */
export class PingNumbers {
  readonly #own = crypto.getRandomValues(new Uint8Array(4));

  /** Gives the number after a number: four bytes begin again at 0. */
  after(number: number): number {
    return (number + 1) >>> 0;
  }

  /** Makes the data of a ping. */
  encode(number: number): Uint8Array {
    const data = new Uint8Array(8);
    data.set(this.#own);
    for (let index = 0; index < 4; index++) data[4 + index] = number >>> (24 - 8 * index);
    return data;
  }

  /** Reads a pong's data; undefined when it answers no ping of this heartbeat. */
  decode(data: Uint8Array): number | undefined {
    if (data.byteLength !== 8 || this.#own.some((byte, index) => byte !== data[index])) return undefined;
    let number = 0;
    for (let index = 4; index < 8; index++) number = (number << 8) | (data[index] ?? 0);
    return number >>> 0;
  }
}
