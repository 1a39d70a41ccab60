/**
 * Who may do what in a room: roles, bans, mutes, slow mode.
 *
 * @module
 */
import { VelError, type Clock } from "@vel/core";
import type { Actor } from "./act-options.ts";
import { isCapability, type Capability } from "./capability.ts";
import type { RoomErrorCode } from "./errors.ts";
import type { RoomSettings } from "./room-options.ts";
import type { Member, RoomUser } from "./room-user.ts";
import type { Roster } from "./roster.ts";
import { TimedTable } from "./timed-table.ts";
import { roleRank, type UserRole } from "./user-role.ts";

/**
 * The rules of one room. It judges and remembers; to put somebody out is the membership's work.
 *
 * What it remembers goes by user id and lives as long as the room, whether or not the user is in.
 */
export class Moderation {
  readonly bans: TimedTable;
  readonly mutes: TimedTable;
  /** Who has spoken, and for how long that keeps him from speaking again. */
  readonly #spoken: TimedTable;
  readonly #room: string;
  readonly #settings: RoomSettings;
  readonly #roster: Roster;

  constructor(room: string, settings: RoomSettings, roster: Roster, clock: Clock) {
    this.#room = JSON.stringify(room);
    this.#settings = settings;
    this.#roster = roster;
    this.bans = new TimedTable(`the bans of room ${this.#room}`, clock);
    this.mutes = new TimedTable(`the mutes of room ${this.#room}`, clock);
    this.#spoken = new TimedTable(`the speakers of room ${this.#room}`, clock);
  }

  /** Tells whether a user may do something; false for one who is not in this room at this moment. */
  can(user: RoomUser, capability: Capability): boolean {
    return this.#roster.users.get(user.id) === user && this.#suffices(this.#roster.roleOfActor(user), capability);
  }

  /**
   * Checks an act: the actor is in the room, has the capability and stands above the one he acts on, and above the
   * role that he gives.
   *
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`
   */
  authorize(capability: Capability, userId: string, by: Actor, given?: UserRole): void {
    if (by === "system") return;
    const actor = this.#actor(by);
    const role = actor && this.#roster.roleOfActor(actor);
    const rank = role ? roleRank(role) : -1;
    const isAbove = rank > roleRank(this.#roster.roleOf(userId)) && (given === undefined || rank > roleRank(given));
    if (role && isAbove && this.#suffices(role, capability)) return;
    const who = actor ? `${JSON.stringify(actor.id)} (${actor.role})` : "somebody who is not in it";
    throw this.#error("ERR_VEL_ROOM_FORBIDDEN", `${who} may not ${capability} ${JSON.stringify(userId)}`);
  }

  /**
   * Checks that a user may come in.
   *
   * @throws {VelError} `ERR_VEL_ROOM_BANNED`
   */
  assertNotBanned(userId: string): void {
    const left = this.bans.left(userId);
    if (left > 0) throw this.#error("ERR_VEL_ROOM_BANNED", `${JSON.stringify(userId)} is banned`, left);
  }

  /**
   * Checks that a user may speak at all.
   *
   * @throws {VelError} `ERR_VEL_ROOM_FORBIDDEN`, `ERR_VEL_ROOM_MUTED`
   */
  assertMaySpeak(user: Member): void {
    if (!this.#suffices(this.#roster.roleOfSpeaker(user), "speak")) {
      throw this.#error("ERR_VEL_ROOM_FORBIDDEN", `${JSON.stringify(user.id)} may not speak`);
    }
    const left = this.mutes.left(user.id);
    if (left > 0) throw this.#error("ERR_VEL_ROOM_MUTED", `${JSON.stringify(user.id)} is muted`, left);
  }

  /**
   * Counts a message of a user in slow mode.
   *
   * @throws {VelError} `ERR_VEL_ROOM_SLOW` when it comes too early; `ERR_VEL_ROOM_LIMIT` when too many speak.
   */
  pace(user: Member): void {
    const { slowMode } = this.#settings;
    if (slowMode === 0 || this.#suffices(this.#roster.roleOfSpeaker(user), "slow")) return;
    const left = this.#spoken.left(user.id);
    if (left > 0) throw this.#error("ERR_VEL_ROOM_SLOW", `${JSON.stringify(user.id)} has just spoken`, left);
    this.#spoken.set(user.id, slowMode);
  }

  /** The actor, if he is in this room at this moment: the object that the room gave out, not one that looks like it. */
  #actor(by: Exclude<Actor, "system">): RoomUser | undefined {
    const user = this.#roster.users.get((by as Partial<RoomUser> | undefined)?.id ?? "");
    return user === by ? user : undefined;
  }

  #suffices(role: UserRole, capability: Capability): boolean {
    return isCapability(capability) && roleRank(role) >= roleRank(this.#settings.capabilities[capability]);
  }

  #error(code: RoomErrorCode, why: string, left = Infinity): VelError<RoomErrorCode> {
    const text = `Refused in room ${this.#room}: ${why}`;
    return new VelError(code, text, left < Infinity ? { retryAfter: Math.ceil(left) } : undefined);
  }
}
