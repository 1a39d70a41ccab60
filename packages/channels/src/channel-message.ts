/**
 * What a channel says.
 *
 * @module
 */
import type { Position } from "@vel/core";

/** One message of a channel. Shared by all who get it: not to be changed. */
export interface ChannelMessage<T = unknown> {
  /** The channel that it was published to, also where a pattern subscribed. */
  readonly channel: string;
  /** What was published, as its JSON reads. */
  readonly data: T;
  /** Its place in the channel's stream, to resume after it; undefined for a channel without history. */
  readonly position?: Position;
  /** The id of the connection that published it; undefined where the server did. */
  readonly from?: string;
}
