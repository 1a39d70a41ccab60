/**
 * Peers that stop answering, in real time and on real sockets. Nothing is expected to happen early; how late it may be is
 * the suite's time limit, since a busy machine is late with everything.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createVel, type CloseInfo } from "@vel/core";
import { serve } from "@vel/node";
import { describe, expect, test } from "vitest";

/** A client that completes the handshake and never says anything again, a close included. */
async function connectSilently(port: number, path: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  await once(socket, "data");
  socket.resume();
  return socket;
}

describe("closeTimeout", () => {
  const closeTimeout = 300;

  test("cuts off a peer that does not answer a close", async () => {
    const vel = createVel({ closeTimeout });
    const ended = new Promise<{ info: CloseInfo; after: number }>((resolve) => {
      let closedAt = 0;
      vel.websocket("/ws", {
        open(connection) {
          closedAt = performance.now();
          connection.close(4000, "bye");
        },
        close(_connection, info) {
          resolve({ info, after: performance.now() - closedAt });
        },
      });
    });
    const server = await serve(vel, { hostname: "127.0.0.1" });
    const socket = await connectSilently(server.port, "/ws");
    const cut = once(socket, "close");

    const { info, after } = await ended;
    expect(info).toMatchObject({ code: 4000, wasClean: false, by: "local" });
    expect(after).toBeGreaterThanOrEqual(closeTimeout - 1);
    await cut;
    expect(vel.connections.size).toBe(0);
    await server.close();
  });

  test("bounds how long a server takes to close, whoever does not answer", async () => {
    const vel = createVel({ closeTimeout });
    let open = 0;
    const allOpen = new Promise<void>((resolve) => {
      vel.websocket("/ws", {
        open() {
          if (++open === 20) resolve();
        },
      });
    });
    const server = await serve(vel, { hostname: "127.0.0.1" });
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connectSilently(server.port, "/ws")));
    await allOpen;

    const cut = sockets.map((socket) => once(socket, "close"));
    const startedAt = performance.now();
    await server.close();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(closeTimeout - 1);
    expect(vel.connections.size).toBe(0);
    await Promise.all(cut);
  });
});
