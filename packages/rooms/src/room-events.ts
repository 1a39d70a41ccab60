/**
 * What hooks and listeners are told when somebody comes and goes.
 *
 * @module
 */
import type { Connection, Message } from "@vel/core";
import type { HistoryFill } from "./history.ts";
import type { RoomUser } from "./room-user.ts";

/** How somebody joined. */
export interface Join<Data = unknown> {
  /** The connection that joined. */
  readonly connection: Connection<Data>;
  /** Whether it is the user's first here; false for a second tab. */
  readonly first: boolean;
  /**
   * What was missed since {@link JoinOptions.since}, all of which was just sent if `complete`, and none of which if not.
   * Undefined when nobody asked.
   */
  readonly missed: HistoryFill<Message> | undefined;
}

/**
 * Why a connection is not in the room any more.
 *
 * - `left`: {@link RoomManager.leave} was called.
 * - `disconnected`: the connection is not open any more, whichever side closed it.
 * - `kicked`, `banned`: {@link Room.kick} or {@link Room.ban} was called.
 * - `forbidden`: the connection was renewed, and {@link Room.canJoin} does not let it in any more.
 * - `closed`: the manager was closed.
 */
export type LeaveReason = "left" | "disconnected" | "kicked" | "banned" | "forbidden" | "closed";

/** How somebody left. */
export interface Leave<Data = unknown> {
  /** The connection that left. It may be open still, see {@link Leave.reason}. */
  readonly connection: Connection<Data>;
  /** Whether the user has no connection here any more; false while another tab is left. */
  readonly last: boolean;
  /** Why it is not in any more. */
  readonly reason: LeaveReason;
}

/** What a room tells its listeners, once for each connection. */
export interface RoomEvents<Data = unknown> {
  /** A join is complete: `onJoin` has settled without an error. */
  join: [user: RoomUser<Data>, join: Join<Data>];
  /** A connection has left and `onLeave` was called. Once for each `join`. */
  leave: [user: RoomUser<Data>, leave: Leave<Data>];
}
