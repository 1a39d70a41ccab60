/**
 * What somebody joins with, checked at the door.
 *
 * @module
 */
import type { HistoryPosition } from "./history.ts";
import { assertRole, type UserRole } from "./user-role.ts";

/** Who joins. */
export interface JoinOptions {
  /**
   * Who the user is, 1 to 1,024 characters; several connections with the same one are one user. Default: the
   * connection's id, so that two strangers are two users.
   */
  userId?: string | undefined;
  /** Default: `member`, or what the user's other connections say. */
  role?: UserRole | undefined;
  /** Anything about the user that others may see: it is part of {@link RoomInfo}. Default: none. */
  meta?: unknown;
  /**
   * What the client has seen of {@link Room.history} before: it is sent everything since, or nothing when that cannot
   * be done, see {@link Join.missed}. May come straight from the client. Default: what {@link RoomHistoryOptions.replay}
   * says.
   */
  since?: HistoryPosition | null | undefined;
}

/** Who joins, with a user id in any case: what {@link Room.canJoin} decides on. */
export interface JoinRequest extends Readonly<JoinOptions> {
  readonly userId: string;
}

/** The longest name in characters (UTF-16 units). Names are kept: 10,000 rooms shall not be 10,000 long messages. */
const nameLimit = 1_024;

/**
 * Checks the name of a room that is to be made.
 *
 * @throws {TypeError} When it is not a string of 1 to 1,024 characters.
 */
export function assertRoomName(name: string): void {
  assertName("Room name", name);
}

/**
 * Checks who joins.
 *
 * @throws {TypeError} When `userId` is not a string of 1 to 1,024 characters, or `role` none of {@link UserRole}.
 */
export function assertJoinOptions({ userId, role }: JoinOptions): void {
  if (userId !== undefined) assertName('Option "userId"', userId);
  if (role !== undefined) assertRole('Option "role"', role);
}

/**
 * Checks the id of a user who is acted on.
 *
 * @throws {TypeError} When it is not a string of 1 to 1,024 characters.
 */
export function assertUserId(userId: string): void {
  assertName("User id", userId);
}

function assertName(what: string, name: unknown): void {
  const is = typeof name === "string" ? `${String(name.length)} of them` : typeof name;
  if (typeof name !== "string" || name.length < 1 || name.length > nameLimit) {
    throw new TypeError(`${what} must be a string of 1 to ${String(nameLimit)} characters, got ${is}`);
  }
}
