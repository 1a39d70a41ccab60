/**
 * Where a message stands that becomes a payload.
 *
 * @module
 */
import type { Message, Payload } from "@vel/core";

/** Where a message is said: what a frame around it may tell. */
export interface MessagePlace {
  /** The name of the room. */
  readonly room: string;
  /** The message's number in {@link Room.history}; undefined when it is not kept there. */
  readonly seq: number | undefined;
  /** Which history that is, see {@link HistoryPosition}; undefined when it is not kept. */
  readonly epoch: string | undefined;
}

/** Makes a payload of a message. */
export type MessageFrame = (message: Message, place: MessagePlace) => Payload;
