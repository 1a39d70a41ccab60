/**
 * What stands in a client's frame, checked field by field.
 *
 * @module
 */
import { InvalidMessageError, VelError, type Frame } from "@vel/core";
import type { HistoryPosition } from "./history.ts";
import { presenceMeta } from "./presence-meta.ts";
import { UserRole } from "./user-role.ts";

/** The longest text in characters (UTF-16 units), as long as names of rooms and users may be. */
const textLimit = 1_024;

/**
 * Reads a text.
 *
 * @throws {InvalidMessageError} When it is not a string of 1 to 1,024 characters.
 */
export function textOf(frame: Frame, field: string): string {
  const value = frame[field];
  if (isText(value)) return value;
  throw new InvalidMessageError(`Field "${field}" must be a string of 1 to ${String(textLimit)} characters`);
}

/**
 * Reads a text that may be left out.
 *
 * @throws {InvalidMessageError} As {@link textOf}.
 */
export function optionalTextOf(frame: Frame, field: string): string | undefined {
  return frame[field] === undefined ? undefined : textOf(frame, field);
}

/**
 * Reads `for`, which may be left out: for ever.
 *
 * @throws {InvalidMessageError} When it is not a positive number of milliseconds.
 */
export function durationOf({ for: duration }: Frame): number | undefined {
  if (duration === undefined || (typeof duration === "number" && duration > 0)) return duration;
  throw new InvalidMessageError('Field "for" must be a positive number');
}

/**
 * Reads `role`.
 *
 * @throws {InvalidMessageError} When it is none of {@link UserRole}.
 */
export function roleOf({ role }: Frame): UserRole {
  if (typeof role === "string" && Object.hasOwn(UserRole, role)) return role as UserRole;
  throw new InvalidMessageError('Field "role" must be a role');
}

/**
 * Reads `since`, which may be left out.
 *
 * @throws {InvalidMessageError} When it is not a position. Whether it is known is the history's to say.
 */
export function sinceOf({ since }: Frame): HistoryPosition | undefined {
  if (since === undefined) return undefined;
  const { epoch, seq } = (since ?? {}) as Partial<Record<keyof HistoryPosition, unknown>>;
  if (isText(epoch) && Number.isSafeInteger(seq) && (seq as number) >= 0) return { epoch, seq: seq as number };
  throw new InvalidMessageError('Field "since" must have an epoch and a seq');
}

/**
 * Reads `meta`, which may be left out.
 *
 * @throws {VelError} `ERR_VEL_LIMIT` when it has more than `limit` bytes of JSON.
 * @throws {InvalidMessageError} When it has no JSON form: not every codec is JSON.
 */
export function metaOf({ meta }: Frame, limit: number): unknown {
  try {
    return meta === undefined ? undefined : presenceMeta(meta, limit).value;
  } catch (cause) {
    throw cause instanceof VelError ? cause : new InvalidMessageError('Field "meta" has no JSON form', { cause });
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= textLimit;
}
