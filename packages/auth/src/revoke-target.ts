/**
 * What can be revoked.
 *
 * @module
 */

/** Whose tokens: all of a user (`sub`), or one (`jti`). */
export type RevokeTarget = { readonly subject: string } | { readonly tokenId: string };

/** Which of the two it is, and its name. */
export type TargetKey = readonly [by: "subject" | "tokenId", name: string];

/**
 * Reads a target.
 *
 * @throws {TypeError} When it is not exactly one text: an unset variable must not look like a revocation.
 */
export function targetKey(target: RevokeTarget): TargetKey {
  const { subject, tokenId } = Object(target) as { subject?: unknown; tokenId?: unknown };
  if (typeof subject === "string" && subject !== "" && tokenId === undefined) return ["subject", subject];
  if (typeof tokenId === "string" && tokenId !== "" && subject === undefined) return ["tokenId", tokenId];
  throw new TypeError("What is revoked must be either { subject } or { tokenId }, a text that is not empty");
}
