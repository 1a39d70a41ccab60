/**
 * The chat, free of any runtime: a {@link Vel} and a `fetch` that an adapter serves.
 *
 * @module
 */
import { createVel, systemClock, VelError, type StandardSchemaV1, type UpgradeRequest, type Vel } from "@vel/core";
import { RoomManager, type HistoryPosition, type RoomContext } from "@vel/rooms";
import { ChatRoom, type Visit } from "./chat-room.ts";
import { createHttp } from "./http.ts";
import { dropSilentPeers } from "./liveness.ts";
import { roomName } from "./names.ts";
import { limits, type ChatOptions } from "./settings.ts";
import { SignIns, type SignIn } from "./sign-ins.ts";
import { toWire, type FromServer } from "./wire.ts";

/** A chat, ready to be served. */
export interface Chat {
  readonly vel: Vel;
  /** Answers the page and the HTTP routes. */
  fetch(request: Request): Response | Promise<Response>;
}

/**
 * Makes a chat.
 *
 * @example
 * const chat = createChat({ page });
 * await serve(chat.vel, { port: 3000, fetch: chat.fetch });
 */
export function createChat(options: ChatOptions): Chat {
  const { page, clock = systemClock, pingInterval = 20_000, pongTimeout = 10_000, closeTimeout, origins } = options;
  const secret = options.secret ?? crypto.getRandomValues(new Uint8Array(32));
  const signIns = new SignIns({ secret, lifetime: options.tokenLifetime ?? 900_000, clock });
  const vel = createVel({
    clock,
    ...(closeTimeout !== undefined && { closeTimeout }),
    ...(origins !== undefined && { origins }),
  });
  class TimedRoom extends ChatRoom {
    constructor(context: RoomContext) {
      super(context, clock);
    }
  }
  const rooms = new RoomManager<ChatRoom>({ room: TimedRoom, clock });
  dropSilentPeers(vel, pingInterval + pongTimeout);

  vel.websocket("/ws/chat/:room", {
    schema: anyJson,
    sendBuffer: { limit: limits.sendBuffer },
    async upgrade(request) {
      const token = request.query.get("token");
      if (token === null || token === "") return request.close(4001, "Missing token");
      const signIn = await signIns.find(token);
      if (!signIn) return request.close(4001, "Invalid token");
      const name = roomName(request.params.room);
      if (name === undefined) return request.close(4400, "Invalid room name");
      const { userId } = signIn;
      const visit: Visit & { signIn: SignIn } = {
        signIn,
        userId,
        name: signIn.name,
        roomName: name,
        since: since(request),
      };
      return { data: visit };
    },
    async open(connection) {
      const { signIn, roomName: room, userId, name } = connection.data;
      if (!signIns.attach(signIn, connection)) return;
      try {
        await rooms.join(room, connection, { userId, meta: name });
      } catch (error) {
        if (!(error instanceof VelError) || error.code !== "ERR_VEL_ROOM_LIMIT") throw error;
        connection.close(1013, "Too many rooms");
      }
    },
    message: (connection, value) => rooms.get(connection.data.roomName)?.receive(connection, value),
    invalid(connection) {
      const error: FromServer = { type: "error", code: "invalid_json", message: "A message is JSON in a text frame" };
      connection.sendJson(toWire(error));
    },
  });

  const http = createHttp({ page, signIns, rooms, pingInterval, pongTimeout });
  return { vel, fetch: (request) => http.fetch(request) };
}

/** Core parses text frames as JSON where there is a schema; what is in them is the room's to judge. */
const anyJson: StandardSchemaV1 = {
  "~standard": { version: 1, vendor: "vel-chat", validate: (value) => ({ value }) },
};

/** What a returning page says it has seen. */
function since({ query }: UpgradeRequest): HistoryPosition | undefined {
  const epoch = query.get("epoch");
  const seq = query.get("since");
  if (epoch === null || seq === null) return undefined;
  return { epoch, seq: /^\d{1,15}$/.test(seq) ? Number(seq) : NaN };
}
