/**
 * The seam between a manager and the rooms that it makes.
 *
 * @module
 */
import type { Membership } from "./membership.ts";

/** Where a context keeps what is nobody else's. Not exported by the package. */
export const membership: unique symbol = Symbol("vel.rooms.membership");

/**
 * What a {@link RoomManager} makes a room with. Opaque: a subclass that has a constructor passes it on to `super`.
 *
 * Most subclasses have none and use field initialisers.
 */
export interface RoomContext {
  /** The name of the room. */
  readonly name: string;
  /** Internal to the package. */
  readonly [membership]: Membership;
}
