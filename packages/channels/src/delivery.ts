/**
 * One publication on its way to the subscribers of this process: read once, encoded once.
 *
 * @module
 */
import { payloadSize, type Connection, type Frame, type Payload, type Position, type Publication } from "@vel/core";
import type { ChannelMessage } from "./channel-message.ts";

/** Makes payloads of frames: core's `Protocol` does, with its codec. */
export interface FrameEncoder {
  /** Makes a payload of a frame. */
  encode(frame: Frame): Payload;
}

/** About what a message takes besides its payload, in bytes. */
const overhead = 128;

/** A publication as the subscribers of this process share it. */
export class Delivery {
  readonly message: ChannelMessage;
  /** The id of the connection that does not get it. */
  readonly except: string | undefined;
  /** Why it cannot be read: another program on the same broker published what is not JSON. It has its place all the same. */
  readonly fault: unknown;
  /** About how much memory it takes, in bytes. */
  readonly weight: number;
  readonly #encoder: FrameEncoder;
  #frame: Payload | undefined;
  #size: number | undefined;

  constructor({ topic, payload, position, origin }: Publication, encoder: FrameEncoder) {
    const { from, except } = readOrigin(origin);
    this.#encoder = encoder;
    this.except = except;
    this.weight = payload.length + overhead;
    let data: unknown;
    try {
      data = JSON.parse(typeof payload === "string" ? payload : new TextDecoder().decode(payload)) as unknown;
    } catch (error) {
      this.fault = error;
    }
    this.message = {
      channel: topic,
      data,
      ...(position && { position }),
      ...(from !== undefined && { from }),
    };
  }

  get position(): Position | undefined {
    return this.message.position;
  }

  /** What connections get. */
  get frame(): Payload {
    return (this.#frame ??= this.#encoder.encode({ type: "message", ...this.message }));
  }

  /** How many bytes the frame takes. */
  get size(): number {
    return (this.#size ??= payloadSize(this.frame));
  }
}

/** Writes down who published, and who is not to get it: connections are known by their ids, which have no spaces. */
export function writeOrigin(from: Connection | undefined, except: Connection | undefined): string | undefined {
  if (!from && !except) return undefined;
  return except ? `${from?.id ?? ""} ${except.id}` : from?.id;
}

function readOrigin(origin = ""): { from: string | undefined; except: string | undefined } {
  const [from = "", except] = origin.split(" ");
  return { from: from === "" ? undefined : from, except };
}
