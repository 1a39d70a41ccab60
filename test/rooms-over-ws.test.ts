/** Rooms over the sockets of somebody's existing `ws` server. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createVel } from "@vel/core";
import { adopt } from "@vel/node";
import { RoomManager } from "@vel/rooms";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

test.each([
  ["plain", false],
  ["with permessage-deflate", { threshold: 0 }],
])("RoomManager.join() takes in adopted sockets of a ws server, %s", async (_name, perMessageDeflate) => {
  const errors: unknown[] = [];
  const vel = createVel({ onError: (error) => errors.push(error) });
  const rooms = new RoomManager({ onError: (error) => errors.push(error) });
  const wss = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate });
  await once(wss, "listening");
  wss.on("connection", (ws, request) => {
    const connection = adopt(vel, ws, request, {
      message: (sender, message) => rooms.broadcast("lobby", message, { except: sender }),
    });
    rooms.join("lobby", connection, { userId: request.url?.slice(1) ?? "" }).then(
      () => connection.send("joined"),
      () => {
        connection.close(1011);
      },
    );
  });

  /** Opens a client that has joined. */
  const open = async (userId: string): Promise<{ ws: WebSocket; next: () => Promise<string> }> => {
    const ws = new WebSocket(`ws://127.0.0.1:${String((wss.address() as AddressInfo).port)}/${userId}`);
    const messages: string[] = [];
    let wake = (): void => undefined;
    ws.on("message", (data: Buffer) => {
      messages.push(data.toString());
      wake();
    });
    const next = async (): Promise<string> => {
      while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return messages.shift() ?? "";
    };
    expect(await next()).toBe("joined");
    return { ws, next };
  };

  const ada = await open("ada");
  const bob = await open("bob");
  const room = rooms.get("lobby");
  expect([...(room?.users.keys() ?? [])]).toEqual(["ada", "bob"]);
  ada.ws.send("to bob");
  expect(await bob.next()).toBe("to bob");
  const long = "x".repeat(100_000);
  bob.ws.send(long);
  expect(await ada.next()).toBe(long);

  const left = new Promise((resolve) => room?.on("leave", resolve));
  ada.ws.close(4000);
  await left;
  expect([...(room?.users.keys() ?? [])]).toEqual(["bob"]);
  const closed = once(bob.ws, "close");
  await vel.close();
  expect((await closed)[0]).toBe(1001);
  expect(room?.users.size).toBe(0);
  expect(vel.connections.size).toBe(0);
  wss.close();
  await once(wss, "close");
  expect(errors).toEqual([]);
});
