/**
 * The codes of this package's errors.
 *
 * @module
 */

/**
 * What a `VelError` of this package has as its `code`.
 *
 * - `ERR_VEL_ROOM_CLASS`: the room exists already and is of another class.
 * - `ERR_VEL_ROOM_CLOSED`: the manager was closed.
 * - `ERR_VEL_ROOM_LIMIT`: the manager holds as many rooms as it may.
 * - `ERR_VEL_ROOM_MEMBER`: the connection is in the room already.
 * - `ERR_VEL_ROOM_NOT_MEMBER`: the connection is not in the room.
 */
export type RoomErrorCode =
  | "ERR_VEL_ROOM_CLASS"
  | "ERR_VEL_ROOM_CLOSED"
  | "ERR_VEL_ROOM_LIMIT"
  | "ERR_VEL_ROOM_MEMBER"
  | "ERR_VEL_ROOM_NOT_MEMBER";
