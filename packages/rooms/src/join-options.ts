/**
 * What somebody joins with, checked at the door.
 *
 * @module
 */
import { UserRole } from "./user-role.ts";

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
}

/** The longest name in characters (UTF-16 units). Names are kept: 10,000 rooms shall not be 10,000 long messages. */
const nameLimit = 1_024;

/** @throws {TypeError} When it is not a string of 1 to 1,024 characters. */
export function assertRoomName(name: string): void {
  assertName("Room name", name);
}

/** @throws {TypeError} When `userId` is not a string of 1 to 1,024 characters, or `role` none of {@link UserRole}. */
export function assertJoinOptions({ userId, role }: JoinOptions): void {
  if (userId !== undefined) assertName('Option "userId"', userId);
  if (role !== undefined && !Object.hasOwn(UserRole, role)) {
    throw new TypeError(`Option "role" must be one of ${Object.keys(UserRole).join(", ")}, got ${String(role)}`);
  }
}

function assertName(what: string, name: unknown): void {
  const is = typeof name === "string" ? `${String(name.length)} of them` : typeof name;
  if (typeof name !== "string" || name.length < 1 || name.length > nameLimit) {
    throw new TypeError(`${what} must be a string of 1 to ${String(nameLimit)} characters, got ${is}`);
  }
}
