/**
 * A route that is a room: the hooks behind {@link RoomManager.serve}.
 *
 * @module
 */
import {
  isPromise,
  errorFrame,
  Refusal,
  VelError,
  type AnyParams,
  type Connection,
  type Hooks,
  type MaybePromise,
  type StandardSchemaV1,
  type UpgradeRequest,
} from "@vel/core";
import { assertJoinOptions, assertRoomName, type JoinOptions } from "./join-options.ts";
import type { Expulsion } from "./membership.ts";
import { isRefusalOf } from "./refusal-mark.ts";

/** Which room a request is for, and who joins it. */
export interface RoomPlace extends JoinOptions {
  /** The name of the room, 1 to 1,024 characters. */
  room: string;
}

/** What a route needs of a manager. */
export interface Rooms<Data> {
  join(name: string, connection: Connection<Data>, options: JoinOptions): Promise<RouteRoom<Data>>;
}

/** What a route needs of a room. */
interface RouteRoom<Data> {
  receive(connection: Connection<Data>, message: unknown): MaybePromise<void>;
}

/** How connections are closed that are put out of the room for which they came. */
export const expulsionCodes: Readonly<Record<Expulsion, number>> = { kicked: 4500, banned: 4501, forbidden: 4403 };

/** How connections are closed that cannot join, by the code of the error. What is not here is a mistake: 1011. */
const refusals: ReadonlyMap<string, readonly [code: number, reason: string]> = new Map([
  ["ERR_VEL_ROOM_LIMIT", [1013, "too many rooms"]],
  ["ERR_VEL_ROOM_FULL", [1013, "room is full"]],
  ["ERR_VEL_ROOM_BANNED", [4501, "banned"]],
  ["ERR_VEL_ROOM_FORBIDDEN", [4403, "forbidden"]],
]);

/** Where a connection's data keeps its place, out of sight: between `upgrade` and `open` there is nothing else. */
const place: unique symbol = Symbol("vel.rooms.place");

/** What `upgrade` adds to a connection's data. */
export interface Placed {
  readonly [place]: RoomPlace;
}

/** Lets every JSON value through: the parsing is core's. */
const anyJson: StandardSchemaV1 = {
  "~standard": { version: 1, vendor: "vel", validate: (value) => ({ value }) },
};

/**
 * Makes the hooks: decide, join, receive. That a connection leaves when it closes is the membership's work.
 *
 * @param served Is told for which room each connection came.
 */
export function roomHooks<Data, Params extends AnyParams>(
  rooms: Rooms<Data>,
  where: (request: UpgradeRequest<Params, Data>) => MaybePromise<RoomPlace | Refusal>,
  served: WeakMap<Connection, string>,
): Hooks<Data, Params, Placed, unknown> {
  const joined = new WeakMap<Connection, RouteRoom<Data>>();
  return {
    schema: anyJson,
    async upgrade(request) {
      const answer = await where(request);
      if (answer instanceof Refusal) return answer;
      assertRoomName(answer.room);
      assertJoinOptions(answer);
      return { data: { [place]: answer } };
    },
    async open(connection) {
      const { room, ...options } = connection.data[place];
      served.set(connection, room);
      try {
        joined.set(connection, await rooms.join(room, connection, options));
      } catch (error) {
        const refusal = error instanceof VelError ? refusals.get(String(error.code)) : undefined;
        if (!refusal) throw error;
        connection.close(...refusal);
      }
    },
    message(connection, message) {
      // A connection that never joined is closed; what it sent before has nowhere to go.
      const room = joined.get(connection);
      if (!room) return undefined;
      try {
        const received = room.receive(connection, message);
        return isPromise(received)
          ? received.then(undefined, (error: unknown) => answer(room, connection, error))
          : undefined;
      } catch (error) {
        answer(room, connection, error);
        return undefined;
      }
    },
  };
}

/** Answers what a room has refused. */
function answer(room: object, connection: Connection, error: unknown): void {
  if (!isRefusalOf(room, error)) throw error;
  connection.sendJson(errorFrame(error));
}
