/**
 * Sockets of somebody's existing `ws` server.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { AdoptOptions, Connection, Host, Received, Vel } from "@vel/core";
import { headersOf, remoteOf, targetOf } from "./handshake.ts";
import { openSocket, throughWs } from "./transport.ts";
import type { WsSocket } from "./ws.ts";

/** Each server is bound once, not once a socket. */
const hosts = new WeakMap<Vel, Host<WsSocket>>();

/**
 * Makes a {@link Connection} of a live socket of the `ws` package, version 8, so that rooms and all else work over a
 * server that you have.
 *
 * Call it in the `connection` event, before anything is awaited. No route, guard or origin check is asked: whoever
 * accepted the socket has done that; `trustProxy` and inspectors do count. Without a `message` hook, messages are left to
 * your own listeners, which also get what an inspector swallows. `ws.send` may go on being used beside it, in order with
 * what Vel sends.
 *
 * @param request The request of the `connection` event.
 * @throws {VelError} `ERR_VEL_UNSUPPORTED` when a feature requires what Node lacks.
 * @example
 * import { createVel } from "@vel/core";
 * import { adopt } from "@vel/node";
 * import { RoomManager } from "@vel/rooms";
 * import { WebSocketServer } from "ws";
 *
 * const vel = createVel();
 * const rooms = new RoomManager();
 * new WebSocketServer({ port: 8080 }).on("connection", (ws, request) => {
 *   const connection = adopt(vel, ws, request, {
 *     message: (connection, message) => rooms.broadcast("lobby", message, { except: connection }),
 *   });
 *   rooms.join("lobby", connection).catch(() => connection.close(1011));
 * });
 */
export function adopt<Data = unknown, In = Received>(
  vel: Vel,
  ws: WsSocket,
  request: IncomingMessage,
  options: AdoptOptions<Data, In> = {},
): Connection<Data> {
  let host = hosts.get(vel);
  if (!host) hosts.set(vel, (host = vel.bind(throughWs)));
  const bound = host;
  const handshake = {
    url: targetOf(request),
    remote: remoteOf(request.socket),
    headers: headersOf(request) ?? new Headers(),
  };
  const open = (): Connection => bound.adopt(ws, handshake, options);
  return openSocket(bound, ws, request.socket, undefined, open) as Connection<Data>;
}
