/** Handshakes that do not come to an end, in real time: whoever sends no whole request is cut off. */
import { createConnection, type Socket } from "node:net";
import { createVel } from "@vel/core";
import { serve } from "@vel/node";
import { expect, it } from "vitest";

/** Short, so that the run is; the default is 5,000. */
const handshakeTimeout = 400;

const request = "GET /ws HTTP/1.1\r\nHost: localhost\r\n";

const kinds: [what: string, act: (socket: Socket) => void][] = [
  ["sends nothing", () => undefined],
  ["sends half a request", (socket) => void socket.write(request)],
  [
    "sends a header every 20 ms",
    (socket) => {
      socket.write(request);
      const timer = setInterval(() => socket.write("X-More: 1\r\n"), 20);
      socket.on("close", () => clearInterval(timer));
    },
  ],
];

it.each(kinds)("A TCP connection that %s is cut off within the handshake's time and a check", async (_what, act) => {
  const vel = createVel({ handshakeTimeout });
  vel.websocket("/ws", {});
  const server = await serve(vel, { hostname: "127.0.0.1" });
  const held = Array.from({ length: 100 }, () => {
    const socket = createConnection({ port: server.port, host: "127.0.0.1" });
    socket.on("error", () => undefined).resume();
    const closed = new Promise<number>((resolve) => {
      const started = performance.now();
      socket.on("connect", () => act(socket)).on("close", () => resolve(performance.now() - started));
    });
    return closed;
  });
  // Meanwhile a good client is let in.
  const good = new WebSocket(`ws://127.0.0.1:${String(server.port)}/ws`);
  await new Promise((resolve) => good.addEventListener("open", resolve));
  const times = await Promise.all(held);
  // The time, one interval of checking (a quarter of it) before and after, and a second for a busy machine.
  expect(Math.max(...times)).toBeLessThan(handshakeTimeout * 1.5 + 1_000);
  expect(Math.min(...times)).toBeGreaterThan(handshakeTimeout * 0.9);
  expect(good.readyState).toBe(WebSocket.OPEN);
  await server.close();
});
