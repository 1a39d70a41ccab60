/**
 * Settings of a room, checked at the door.
 *
 * @module
 */
import { capabilityTable, type CapabilityTable } from "./capability.ts";

/** Settings of one room. What is left out is as {@link RoomManagerOptions.defaults} says. */
export interface RoomOptions {
  /** How many users there may be; a second connection of somebody inside is not counted. Default: Infinity. */
  capacity?: number | undefined;
  /** Keeps the room out of {@link RoomManager.list}. Whoever knows its name can still join. Default: false. */
  private?: boolean | undefined;
  /** Keeps broadcasts in {@link Room.history}. Default: none is kept. */
  history?: RoomHistoryOptions | undefined;
  /** How long a user waits between two messages, in milliseconds, unless he has the capability `slow`. Default: 0. */
  slowMode?: number | undefined;
  /** How long the schema of a typed message may take, in milliseconds. Default: 5,000. */
  validateTimeout?: number | undefined;
  /** The least role for each capability. Default: {@link defaultCapabilities}. */
  capabilities?: Partial<CapabilityTable> | undefined;
  /** What {@link Room.meta} is at first: a title, a topic. Part of {@link RoomInfo}. Default: undefined. */
  meta?: unknown;
}

/** How a room keeps what it broadcasts. */
export interface RoomHistoryOptions {
  /** How many messages are kept; the oldest give way. */
  limit: number;
  /** How many of them a connection is sent that enters without a {@link JoinOptions.since}. Default: 0. */
  replay?: number | undefined;
}

/** What holds in a room: its options with the defaults filled in. */
export interface RoomSettings {
  readonly capacity: number;
  readonly private: boolean;
  readonly history: { readonly limit: number; readonly replay: number } | undefined;
  readonly slowMode: number;
  readonly validateTimeout: number;
  readonly capabilities: CapabilityTable;
  /** What {@link Room.meta} was at first. */
  readonly meta: unknown;
}

/**
 * Fills in what is left out, first from `defaults`.
 *
 * @throws {RangeError} When a number is out of its range.
 * @throws {TypeError} When a capability or a role is unknown.
 */
export function roomSettings(defaults: RoomOptions, options: RoomOptions): RoomSettings {
  const capacity = options.capacity ?? defaults.capacity ?? Infinity;
  const history = options.history ?? defaults.history;
  const slowMode = options.slowMode ?? defaults.slowMode ?? 0;
  const validateTimeout = options.validateTimeout ?? defaults.validateTimeout ?? 5_000;
  assertOption("capacity", capacity >= 1 && isWhole(capacity), "a positive integer or Infinity", capacity);
  assertOption("slowMode", slowMode >= 0 && slowMode < Infinity, "0 or more milliseconds", slowMode);
  assertOption("validateTimeout", validateTimeout > 0, "a positive number", validateTimeout);
  return Object.freeze({
    capacity,
    private: options.private ?? defaults.private ?? false,
    history: history && historySettings(history),
    slowMode,
    validateTimeout,
    capabilities: capabilityTable(defaults.capabilities, options.capabilities),
    meta: options.meta === undefined ? defaults.meta : options.meta,
  });
}

function historySettings({ limit, replay = 0 }: RoomHistoryOptions): NonNullable<RoomSettings["history"]> {
  assertOption("history.limit", limit >= 1 && Number.isSafeInteger(limit), "a positive integer", limit);
  assertOption("history.replay", replay >= 0 && isWhole(replay), "an integer of 0 or more, or Infinity", replay);
  return Object.freeze({ limit, replay });
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) || value === Infinity;
}

function assertOption(name: string, holds: boolean, wanted: string, value: unknown): void {
  if (!holds) throw new RangeError(`Option "${name}" must be ${wanted}, got ${String(value)}`);
}
