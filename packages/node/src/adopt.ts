/**
 * Sockets of somebody's existing `ws` server.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { AdoptOptions, Connection, Host, Received, Transport, Vel } from "@vel/core";
import { remoteOf } from "./handshake.ts";
import { listen, nodeTransport, type NodeSocket } from "./transport.ts";
import type { WsSocket } from "./ws-socket.ts";

/** Where `ws` compresses, it may be at work on an earlier message: then each message goes through it, in order. */
const throughWs: Transport<NodeSocket> = (({ frame: _frame, sendFrame: _sendFrame, afterTurn: _afterTurn, ...rest }) =>
  rest)(nodeTransport);

const hosts = new WeakMap<Vel, { plain: Host<NodeSocket>; compressed: Host<NodeSocket> }>();

/**
 * Makes a {@link Connection} of a live `ws` socket, so that rooms and all else work over a server that you have.
 *
 * Call it in the `connection` event, before anything is awaited. No origin check, guard or limit of the handshake is
 * asked: whoever accepted the socket has done that. Without a `message` hook messages are left to your own listeners.
 *
 * @example
 * const wss = new WebSocketServer({ port: 8080 });
 * wss.on("connection", (ws, request) => {
 *   const connection = adopt(vel, ws, request, { message: (connection, message) => connection.send(message) });
 * });
 */
export function adopt<Data = unknown, In = Received>(
  vel: Vel<never>,
  ws: WsSocket,
  request: IncomingMessage,
  options?: AdoptOptions<Data, In>,
): Connection<Data> {
  const key = vel as Vel;
  let bound = hosts.get(key);
  if (!bound) hosts.set(key, (bound = { plain: key.bind(nodeTransport), compressed: key.bind(throughWs) }));
  const host = ws.extensions === "" ? bound.plain : bound.compressed;
  const socket: NodeSocket = { ws, net: request.socket };
  const connection = host.adopt(socket, { url: request.url ?? "/", remote: remoteOf(request) }, options);
  listen(socket, host, connection as Connection);
  return connection;
}
