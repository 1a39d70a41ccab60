/**
 * Who gets a broadcast.
 *
 * @module
 */
import type { Connection } from "@vel/core";
import type { RoomUser } from "./room-user.ts";

/** Who does not get a broadcast: one connection, or all connections of a user. */
export type RoomExcept<Data = unknown> = Connection<Data> | RoomUser<Data> | { readonly userId: string };

/** How one message is broadcast in a room. */
export interface RoomBroadcastOptions<Data = unknown> {
  /** Who does not get it. Somebody who is not in the room changes nothing. Default: everybody gets it. */
  except?: RoomExcept<Data> | undefined;
  /** Keeps it in {@link Room.history}, where that is on, for everybody who asks later. Default: true. */
  record?: boolean | undefined;
}
