/**
 * A channel as others see it.
 *
 * @module
 */
import type { Position } from "@vel/core";

/** A channel, or a pattern, at one moment, as one process knows it; fit to be sent as JSON. */
export interface ChannelInfo {
  /** The name of the channel, or the pattern as it is written. */
  readonly name: string;
  /** Whether it is a pattern, which stands for many channels. */
  readonly isPattern: boolean;
  /** How many connections, loops and event streams of this process there are. */
  readonly subscriberCount: number;
  /** How many messages have come to this process since it has had subscribers without a break. */
  readonly messageCount: number;
  /** Where it stands; undefined without history, and until the broker has said. */
  readonly position: Position | undefined;
}
