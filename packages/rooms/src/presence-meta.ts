/**
 * What others may see of a connection: checked, and kept as it was.
 *
 * @module
 */
import { payloadSize, VelError } from "@vel/core";

/** A meta at the moment when it was given; what the application does to it later changes nothing. */
export interface PresenceMeta {
  /** Its JSON: two metas are the same if these are. */
  readonly text: string;
  readonly value: unknown;
}

/** No meta, or one that was refused. */
export const noMeta: PresenceMeta = { text: "null", value: null };

/**
 * Copies a meta.
 *
 * @param limit Bytes of JSON.
 * @throws {VelError} `ERR_VEL_LIMIT` when it has more of them.
 * @throws {TypeError} When it has no JSON form.
 */
export function presenceMeta(meta: unknown, limit: number): PresenceMeta {
  if (meta === undefined) return noMeta;
  const text = JSON.stringify(meta) as string | undefined;
  if (text === undefined) throw new TypeError(`Meta must have a JSON form, got ${typeof meta}`);
  const size = payloadSize(text);
  if (size > limit) {
    throw new VelError("ERR_VEL_LIMIT", `Meta has ${String(size)} bytes of JSON, more than ${String(limit)}`);
  }
  return { text, value: JSON.parse(text) };
}
