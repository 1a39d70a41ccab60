/**
 * Tells what a room refuses from what its handlers throw.
 *
 * @module
 */

/** An error may be either, by its code: a handler that kicks somebody may let `ERR_VEL_ROOM_FORBIDDEN` through. */
const refusals = new WeakMap<object, object>();

/** Marks an error by which a room refuses a message, and gives it back. */
export function markRefusal<E extends object>(error: E, room: object): E {
  refusals.set(error, room);
  return error;
}

/** Tells whether an error is a room's own refusal of a message. */
export function isRefusalOf(room: object, error: unknown): boolean {
  return typeof error === "object" && error !== null && refusals.get(error) === room;
}
