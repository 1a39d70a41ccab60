/**
 * What the page reads besides the metrics, by shape alone: the managers of Vel's packages fit.
 *
 * @module
 */
import type { Connection } from "@vel/core";

/** Rooms, such as the `RoomManager` of `@vel/rooms`. */
export interface RoomSource {
  /** Lists the rooms without their users; private ones included: who has the token may see them. */
  list(options: { includePrivate: true; users: false }): readonly RoomSummary[];
  /** Describes one room. */
  info(name: string): (RoomSummary & { readonly users: readonly { readonly id: string }[] }) | undefined;
  /** Finds one room, to put somebody out of. */
  get(name: string): { kick(userId: string, options: { by: "system" }): boolean } | undefined;
}

/** A room as it is listed. */
export interface RoomSummary {
  readonly name: string;
  readonly userCount: number;
  readonly connectionCount: number;
}

/** Channels, such as the `ChannelManager` of `@vel/channels`. */
export interface ChannelSource {
  /** Lists those that have subscribers. */
  list(): readonly ChannelSummary[];
}

/** A channel as it is listed. */
export interface ChannelSummary {
  readonly name: string;
  readonly subscriberCount: number;
  /** How many messages have come to its subscribers. */
  readonly messageCount: number;
}

/** Round trips, such as the `HeartbeatManager` of `@vel/heartbeat` knows them. */
export interface RoundTripSource {
  /** How long a connection's last answer took, in milliseconds. */
  roundTrip(connection: Connection): number | undefined;
}
