/** The benchmark's paths on bare `ws`, as its README writes a broadcast. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { paths, roomMessage } from "./protocol.ts";

const server = createServer();
const sockets = new WebSocketServer({ noServer: true, clientTracking: false });
const room = new Set<WebSocket>();
let sequence = 0;

server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on("error", console.error);
    if (request.url === paths.echo) {
      ws.on("message", (data, isBinary) => {
        ws.send(data, { binary: isBinary });
      });
      return;
    }
    room.add(ws);
    ws.on("close", () => room.delete(ws));
    ws.on("message", (data) => {
      const [count = 0, size = 0] = (data as Buffer).toString().split(" ").map(Number);
      for (let i = 0; i < count; i++) {
        const message = roomMessage(++sequence, size);
        for (const member of room) member.send(message);
      }
    });
  });
});
server.listen(0, "127.0.0.1", () => {
  console.log((server.address() as AddressInfo).port);
});
