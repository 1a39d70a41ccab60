/**
 * The codes of this package's errors.
 *
 * @module
 */

/**
 * What a `VelError` of this package has as its `code`.
 *
 * - `ERR_VEL_ROOM_BANNED`: the user is banned; `retryAfter` says for how long, if it ends by itself.
 * - `ERR_VEL_ROOM_CLASS`: the room exists already and is of another class.
 * - `ERR_VEL_ROOM_CLOSED`: the manager was closed.
 * - `ERR_VEL_ROOM_FORBIDDEN`: somebody may not do that: join, speak, or act on that user.
 * - `ERR_VEL_ROOM_FULL`: the room has as many users as it may.
 * - `ERR_VEL_ROOM_LIMIT`: the manager holds as many rooms as it may, a connection is in as many, or a table of the room
 *   (bans, mutes, given roles, slow mode) is full.
 * - `ERR_VEL_ROOM_MEMBER`: the connection is in the room already.
 * - `ERR_VEL_ROOM_MUTED`: the user is muted; `retryAfter` says for how long, if it ends by itself.
 * - `ERR_VEL_ROOM_NOT_MEMBER`: the connection is not in the room.
 * - `ERR_VEL_ROOM_SLOW`: the user's last message was too short a time ago; `retryAfter` says when the next may come.
 */
export type RoomErrorCode =
  | "ERR_VEL_ROOM_BANNED"
  | "ERR_VEL_ROOM_CLASS"
  | "ERR_VEL_ROOM_CLOSED"
  | "ERR_VEL_ROOM_FORBIDDEN"
  | "ERR_VEL_ROOM_FULL"
  | "ERR_VEL_ROOM_LIMIT"
  | "ERR_VEL_ROOM_MEMBER"
  | "ERR_VEL_ROOM_MUTED"
  | "ERR_VEL_ROOM_NOT_MEMBER"
  | "ERR_VEL_ROOM_SLOW";
