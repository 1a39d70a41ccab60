/**
 * The codes of this package's errors.
 *
 * @module
 */

/**
 * What a `VelError` of this package has as its `code`.
 *
 * - `ERR_VEL_CHANNEL_CLOSED`: the channel or its manager was closed.
 * - `ERR_VEL_CHANNEL_FORBIDDEN`: `authorize` did not allow it.
 * - `ERR_VEL_CHANNEL_GAP`: something was missed that cannot be had any more, or the reader was too slow.
 * - `ERR_VEL_CHANNEL_LIMIT`: the connection has as many channels as it may, or the manager has.
 */
export type ChannelErrorCode =
  "ERR_VEL_CHANNEL_CLOSED" | "ERR_VEL_CHANNEL_FORBIDDEN" | "ERR_VEL_CHANNEL_GAP" | "ERR_VEL_CHANNEL_LIMIT";
