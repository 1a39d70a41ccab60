/**
 * The chat, free of any runtime: a {@link Vel} and a `fetch` that an adapter serves.
 *
 * @module
 */
import { JwtHandler, type RefuseReason } from "@vel/auth";
import {
  createVel,
  systemClock,
  VelError,
  type Connection,
  type Refusal,
  type StandardSchemaV1,
  type UpgradeRequest,
  type Vel,
} from "@vel/core";
import { HeartbeatManager } from "@vel/heartbeat";
import { metricsPage, WebSocketMetrics } from "@vel/metrics";
import { ConnectionPool, connectionLimit } from "@vel/pool";
import { RoomManager, type HistoryPosition, type RoomContext } from "@vel/rooms";
import { ChatRoom, type Visit } from "./chat-room.ts";
import { createHttp } from "./http.ts";
import { roomName } from "./names.ts";
import { keepPace } from "./pace.ts";
import { limits, type ChatOptions } from "./settings.ts";
import { SignIns, tokenRules } from "./sign-ins.ts";
import { fromWire, toWire, type FromServer } from "./wire.ts";

/** A chat, ready to be served. */
export interface Chat {
  readonly vel: Vel;
  /** Answers the pages and the HTTP routes. */
  fetch(request: Request): Response | Promise<Response>;
}

/**
 * Makes a chat.
 *
 * @throws {TypeError} When a secret or token cannot be one.
 * @example
 * const chat = createChat({ page });
 * await serve(chat.vel, { port: 3000, fetch: chat.fetch });
 */
export function createChat(options: ChatOptions): Chat {
  const {
    page,
    secret = crypto.getRandomValues(new Uint8Array(32)),
    tokenLifetime = 900_000,
    pingInterval = 20_000,
    pongTimeout = 10_000,
    connections,
    pace = limits.pace,
    memory = limits.memory,
    metricsToken = crypto.randomUUID(),
    clock = systemClock,
    ...server
  } = options;
  const { perUser, ...perAddress } = { ...limits.connections, ...connections };
  if (!/^[\w.~+/=-]{16,}$/.test(metricsToken)) {
    throw new TypeError('Option "metricsToken" must be 16 or more letters, digits and -._~+/=');
  }

  const jwt = new JwtHandler({ ...tokenRules, secret, clock });
  const signIns = new SignIns({ jwt, lifetime: tokenLifetime, clock });
  class TimedRoom extends ChatRoom {
    constructor(context: RoomContext) {
      super(context, clock);
    }
  }
  const rooms = new RoomManager<ChatRoom>({ room: TimedRoom, clock });

  const addressLimit = connectionLimit({ ...perAddress, clock });
  const userLimit = connectionLimit({ perUser, clock });
  const paceLimit = keepPace(pace, clock);
  const vel = createVel({ clock, ...server })
    .use(addressLimit)
    .use(paceLimit);
  const heartbeat = new HeartbeatManager({ pingInterval, pongTimeout: Math.min(pongTimeout, pingInterval) }, { clock });
  heartbeat.observe(vel);
  // While memory is short nobody else comes in: who is in a conversation stays in it.
  const unlimited = { maxConnections: Infinity, idleTimeout: Infinity };
  const pool = new ConnectionPool({ ...unlimited, memory, cleanupStrategy: "reject", clock });
  pool.observe(vel);

  const metrics = new WebSocketMetrics({ clock });
  metrics.observe(vel, rooms, heartbeat, pool, jwt, addressLimit, userLimit, paceLimit);
  const answerMetricsPage = metricsPage({ token: metricsToken, vel, metrics, rooms, heartbeat, clock });

  const members = vel.with(jwt.guard({ from: ["subprotocol", "query"], refuse: refuseToken })).with(userLimit);
  members.websocket("/ws/chat/:room", {
    schema: anyJson,
    maxPayload: limits.body,
    sendBuffer: { limit: limits.sendBuffer },
    upgrade(request) {
      const signIn = signIns.of(request.data.claims);
      if (!signIn) return refuseToken(request, "invalid");
      const name = roomName(request.params.room);
      if (name === undefined) return request.close(4400, "Invalid room name");
      const visit: Visit = { userId: signIn.userId, name: signIn.name, roomName: name, since: since(request) };
      return { data: visit };
    },
    async open(connection) {
      const { roomName: room, userId, name } = connection.data;
      try {
        await rooms.join(room, connection, { userId, meta: name });
      } catch (error) {
        if (!(error instanceof VelError) || error.code !== "ERR_VEL_ROOM_LIMIT") throw error;
        connection.close(1013, "Too many rooms");
      }
    },
    message(connection, value) {
      const message = fromWire(value);
      if (message.type === "auth") return refresh(connection, message.token);
      return rooms.get(connection.data.roomName)?.receive(connection, message);
    },
    invalid(connection) {
      const error: FromServer = { type: "error", code: "invalid_json", message: "A message is JSON in a text frame" };
      connection.sendJson(toWire(error));
    },
  });

  const http = createHttp({ page, signIns, rooms, metrics, metricsToken, pingInterval, pongTimeout });
  return { vel, fetch: (request) => answerMetricsPage(request) ?? http.fetch(request) };

  /** Lets a connection live for as long as a fresh token of the same person is good. */
  async function refresh(connection: Connection, token: string): Promise<void> {
    const answer = await jwt.refresh(connection, token).then(
      ({ exp }): FromServer => ({ type: "auth_ok", expiresIn: exp * 1000 - clock.wall() }),
      (): FromServer => ({ type: "error", code: "unauthorized", message: "This token does not prove who you are" }),
    );
    connection.sendJson(toWire(answer));
  }
}

/** Tells a browser why, as the specification does: of an HTTP status it sees nothing. */
function refuseToken(request: UpgradeRequest, why: RefuseReason): Refusal {
  return request.close(4001, why === "missing" ? "Missing token" : "Invalid token");
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
