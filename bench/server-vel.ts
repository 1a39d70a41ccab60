/** The benchmark's paths on Vel. */
import { Audience, createVel } from "@vel/core";
import { serve } from "@vel/node";
import { paths, roomMessage } from "./protocol.ts";

const vel = createVel();
const room = new Audience();
let sequence = 0;

vel.websocket(paths.echo, { message: (connection, message) => connection.send(message) });
vel.websocket(paths.room, {
  open(connection) {
    room.add(connection);
  },
  message(_connection, message) {
    const [count = 0, size = 0] = String(message).split(" ").map(Number);
    for (let i = 0; i < count; i++) room.broadcast(roomMessage(++sequence, size));
  },
});
const { port } = await serve(vel, { hostname: "127.0.0.1" });
console.log(port);
