/**
 * What roles may do.
 *
 * @module
 */
import { assertRole, type UserRole } from "./user-role.ts";

/**
 * Something that a user may do in a room, or may not.
 *
 * - `speak`: have messages taken by {@link Room.receive}.
 * - `kick`, `ban`, `mute`: put others out, keep them out, silence them; `ban` and `mute` also take it back.
 * - `slow`: speak without waiting for {@link RoomOptions.slowMode}.
 * - `setRole`: give others roles below one's own.
 */
export type Capability = "speak" | "kick" | "ban" | "mute" | "slow" | "setRole";

/** The least role that has each capability. */
export type CapabilityTable = Readonly<Record<Capability, UserRole>>;

/** The table that holds unless {@link RoomOptions.capabilities} says otherwise. */
export const defaultCapabilities: CapabilityTable = {
  speak: "guest",
  kick: "moderator",
  ban: "moderator",
  mute: "moderator",
  slow: "moderator",
  setRole: "admin",
};

/**
 * Makes one table of several, of which the later ones win.
 *
 * @throws {TypeError} When a capability is unknown or a role is none.
 */
export function capabilityTable(...parts: readonly (Partial<CapabilityTable> | undefined)[]): CapabilityTable {
  const table = { ...defaultCapabilities };
  for (const part of parts) {
    for (const [capability, role] of Object.entries(part ?? {})) {
      if (!isCapability(capability)) {
        throw new TypeError(`Option "capabilities" has an unknown capability ${JSON.stringify(capability)}`);
      }
      assertRole(`Option "capabilities.${capability}"`, role);
      table[capability] = role;
    }
  }
  return Object.freeze(table);
}

/** Tells whether a value is the name of a capability. */
export function isCapability(value: string): value is Capability {
  return Object.hasOwn(defaultCapabilities, value);
}
