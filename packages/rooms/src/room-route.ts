/**
 * A route that is a room: the hooks behind {@link RoomManager.serve}.
 *
 * @module
 */
import {
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
import type { Room } from "./room.ts";

/** Which room a request is for, and who joins it. */
export interface RoomPlace extends JoinOptions {
  /** The name of the room, 1 to 1,024 characters. */
  room: string;
}

/** What a route needs of a manager. */
export interface Rooms<Data> {
  join(name: string, connection: Connection<Data>, options: JoinOptions): Promise<Room<Data, never>>;
}

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

/** Makes the hooks: decide, join, receive. That a connection leaves when it closes is the membership's work. */
export function roomHooks<Data, Params extends AnyParams>(
  rooms: Rooms<Data>,
  where: (request: UpgradeRequest<Params, Data>) => MaybePromise<RoomPlace | Refusal>,
): Hooks<Data, Params, Placed, unknown> {
  const joined = new WeakMap<Connection, Room<Data, never>>();
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
      try {
        joined.set(connection, await rooms.join(room, connection, options));
      } catch (error) {
        if (!(error instanceof VelError) || error.code !== "ERR_VEL_ROOM_LIMIT") throw error;
        connection.close(1013, "too many rooms");
      }
    },
    // A connection that never joined is closed; what it sent before has nowhere to go.
    message: (connection, message) => joined.get(connection)?.receive(connection, message),
  };
}
