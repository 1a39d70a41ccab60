/**
 * Roles.
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
