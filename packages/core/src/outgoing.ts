/**
 * What leaves: messages, and what one turn of the event loop produced for a connection.
 *
 * @module
 */
import type { Payload } from "./payload.ts";

/** One message on its way out, shared by everybody whom it goes to. */
export class Outgoing {
  /** The payload's size in bytes. */
  readonly size: number;
  /** Whether it is to be compressed where that was negotiated. */
  readonly compress: boolean;
  #payload: Payload;
  #isKept = false;

  constructor(payload: Payload, size: number, compress: boolean) {
    this.size = size;
    this.compress = compress;
    this.#payload = payload;
  }

  get payload(): Payload {
    return this.#payload;
  }

  /** Makes it independent of the caller's bytes, which may change once the call has returned. */
  keep(): this {
    // Not slice(): that of Node's Buffer, which is a Uint8Array too, copies nothing.
    if (!this.#isKept && typeof this.#payload !== "string") this.#payload = new Uint8Array(this.#payload);
    this.#isKept = true;
    return this;
  }
}

/** What a transport that can build frames does with a batch. */
export interface Framer {
  frame(outgoing: readonly Outgoing[], group: unknown): unknown;
}

/**
 * Everything that a connection got in one turn, as a path from the turn's root: connections that got the same stand at
 * the same node, whatever they got it from, and share one frame. Adding to it costs one node for all of them.
 */
export class Batch {
  /** How many bytes of payload there are from the root to here. */
  readonly size: number;
  /** How many messages there are from the root to here. */
  readonly length: number;
  readonly #before: Batch | undefined;
  readonly #last: Outgoing | undefined;
  /** The newest continuation: a broadcast asks for the same one for each of its members. */
  #next: Batch | undefined;
  #frame: unknown;
  #group: unknown;
  /** The frames of all groups but the first: mostly there is only one. */
  #others: Map<unknown, unknown> | undefined;

  constructor(before?: Batch, last?: Outgoing) {
    this.#before = before;
    this.#last = last;
    this.size = (before?.size ?? 0) + (last?.size ?? 0);
    this.length = before ? before.length + 1 : 0;
  }

  /** This batch and one more; the same for everybody who adds the same. */
  with(outgoing: Outgoing): Batch {
    if (this.#next && this.#next.#last === outgoing) return this.#next;
    return (this.#next = new Batch(this, outgoing));
  }

  /** What goes on the wire for this batch; built once for each group of sockets that understand the same frames. */
  frame(framer: Framer, group: unknown): unknown {
    if (this.#frame === undefined) {
      this.#frame = framer.frame(this.#list(), group);
      this.#group = group;
    }
    if (this.#group === group) return this.#frame;
    const others = (this.#others ??= new Map<unknown, unknown>());
    let frame = others.get(group);
    if (frame === undefined) others.set(group, (frame = framer.frame(this.#list(), group)));
    return frame;
  }

  #list(): readonly Outgoing[] {
    const list = new Array<Outgoing>(this.length);
    if (this.#last) list[this.length - 1] = this.#last;
    let batch = this.#before;
    while (batch) {
      if (batch.#last) list[batch.length - 1] = batch.#last;
      batch = batch.#before;
    }
    return list;
  }
}
