/**
 * How somebody acts on somebody else, checked at the door.
 *
 * @module
 */
import type { RoomUser } from "./room-user.ts";

/**
 * Who acts: a user who is in the room at this moment, or `"system"`, which may do everything. Never take it from a
 * message: look up the user that sent it.
 */
export type Actor<Data = unknown> = RoomUser<Data> | "system";

/** An act on a user. */
export interface ActOptions<Data = unknown> {
  /** Who acts. A user needs the capability and a higher rank than the one he acts on. */
  by: Actor<Data>;
}

/** How somebody is put out. */
export interface KickOptions<Data = unknown> extends ActOptions<Data> {
  /** What a connection that is closed for it is told as the close reason. Default: `kicked` or `banned`. */
  reason?: string | undefined;
}

/** How somebody is kept out. */
export interface BanOptions<Data = unknown> extends KickOptions<Data> {
  /** For how long, in milliseconds. Default: Infinity, until it is taken back. */
  for?: number | undefined;
}

/** How somebody is silenced. */
export interface MuteOptions<Data = unknown> extends ActOptions<Data> {
  /** For how long, in milliseconds. Default: Infinity, until it is taken back. */
  for?: number | undefined;
}

/**
 * Checks how long an act holds.
 *
 * @throws {RangeError} When it is not a positive number.
 */
export function assertDuration(duration: number): void {
  if (typeof duration === "number" && duration > 0) return;
  throw new RangeError(`Option "for" must be a positive number of milliseconds, got ${String(duration)}`);
}

/**
 * Checks a reason.
 *
 * @throws {TypeError} When it is given and not a string.
 */
export function assertReason(reason: string | undefined): void {
  if (reason === undefined || typeof reason === "string") return;
  throw new TypeError(`Option "reason" must be a string, got ${typeof reason}`);
}
