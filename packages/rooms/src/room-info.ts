/**
 * A room as others see it.
 *
 * @module
 */
import type { UserRole } from "./user-role.ts";

/** A room at one moment without its users: costs the same however many they are. */
export interface RoomSummary {
  /** The name of the room. */
  readonly name: string;
  /** How many users are in. */
  readonly userCount: number;
  /** How many connections they have together. */
  readonly connectionCount: number;
  /** What {@link Room.meta} is. */
  readonly meta: unknown;
}

/** A room at one moment, fit to be sent as JSON as far as each `meta` is. */
export interface RoomInfo extends RoomSummary {
  /** The users, in the order in which they came. Whoever gets this sees each `meta`. */
  readonly users: readonly { readonly id: string; readonly role: UserRole; readonly meta: unknown }[];
}

/** Notes how a room is now. */
export function summaryOf({ name, userCount, connectionCount, meta }: RoomSummary): RoomSummary {
  return { name, userCount, connectionCount, meta };
}
