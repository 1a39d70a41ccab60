/**
 * Roles, and who stands above whom.
 *
 * @module
 */

/**
 * What a user is in a room, from the least to the most.
 *
 * @example
 * await rooms.join("lobby", connection, { userId: "ada", role: UserRole.moderator });
 */
export const UserRole: {
  readonly guest: "guest";
  readonly member: "member";
  readonly moderator: "moderator";
  readonly admin: "admin";
  readonly owner: "owner";
} = { guest: "guest", member: "member", moderator: "moderator", admin: "admin", owner: "owner" };

/** One of the roles in {@link UserRole}; the plain string does as well. */
export type UserRole = keyof typeof UserRole;

const ascending: readonly string[] = Object.keys(UserRole);

/**
 * Tells how high a role stands: 0 for `guest` to 4 for `owner`, and -1 for what is no role.
 *
 * @example
 * roleRank("moderator") > roleRank("member"); // true
 */
export function roleRank(role: UserRole): number {
  return ascending.indexOf(role);
}

/**
 * Checks a role.
 *
 * @throws {TypeError} When it is none of {@link UserRole}.
 */
export function assertRole(what: string, role: unknown): asserts role is UserRole {
  if (typeof role === "string" && ascending.includes(role)) return;
  const is = typeof role === "string" ? JSON.stringify(role) : typeof role;
  throw new TypeError(`${what} must be one of ${ascending.join(", ")}, got ${is}`);
}
