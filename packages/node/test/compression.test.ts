import { Audience, createVel, type Connection, type VelOptions } from "@vel/core";
import { serve, type NodeServer } from "@vel/node";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { deferred } from "./kit.ts";

const servers: NodeServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** A server whose one route keeps its connections in an audience, and a way to connect to it. */
async function start(compression: VelOptions["compression"]) {
  const vel = createVel(compression === undefined ? {} : { compression });
  const audience = new Audience();
  let opened = deferred<Connection>();
  vel.websocket("/", {
    open(connection) {
      audience.add(connection);
      opened.resolve(connection);
    },
    message: (connection, message) => connection.send(message),
  });
  const server = await serve(vel, { hostname: "127.0.0.1" });
  servers.push(server);
  const connect = async (offer: unknown = true) => {
    opened = deferred<Connection>();
    const options = { perMessageDeflate: offer as boolean };
    const client = new WebSocket(`ws://127.0.0.1:${String(server.port)}/`, options);
    let onWire = 0;
    client.once("upgrade", ({ socket }) => socket.on("data", (chunk: Buffer) => (onWire += chunk.byteLength)));
    await new Promise((resolve, reject) => client.once("open", resolve).once("error", reject));
    const next = (): Promise<string> =>
      new Promise((resolve) => client.once("message", (data: Buffer) => resolve(data.toString())));
    return { client, next, connection: await opened.promise, onWire: () => onWire };
  };
  return { vel, audience, connect };
}

const text = JSON.stringify(Array.from({ length: 200 }, (_, i) => ({ id: i, name: `name ${String(i)}` })));

describe("RouteOptions.compression", () => {
  it("is off by default: an offer is not taken", async () => {
    const { connect } = await start(undefined);
    const { client, next, onWire } = await connect();
    expect(client.extensions).toBe("");
    client.send(text);
    expect(await next()).toBe(text);
    expect(onWire()).toBeGreaterThan(text.length);
  });

  it.each([true, "auto", { threshold: 100, windowBits: 9 }] as const)(
    "compresses once for all, with %j",
    async (option) => {
      const { audience, connect } = await start(option);
      const several = [await connect(), await connect(), await connect(), await connect(false)];
      expect(several.map(({ client }) => client.extensions !== "")).toEqual([true, true, true, false]);
      const received = Promise.all(several.map(({ next }) => next()));
      audience.broadcast(text);
      expect(await received).toEqual([text, text, text, text]);
      for (const { onWire } of several.slice(0, 3)) expect(onWire()).toBeLessThan(text.length / 3);
      expect(several[3]?.onWire()).toBeGreaterThan(text.length);
    },
  );

  it("keeps the order of compressed, small and uncompressed messages, and inflates what comes", async () => {
    const { connect } = await start(true);
    const { client, connection } = await connect();
    const received: string[] = [];
    const all = new Promise<void>((resolve) => {
      client.on("message", (data: Buffer) => {
        received.push(data.toString());
        if (received.length === 5) resolve();
      });
    });
    connection.send(text);
    connection.send("small");
    connection.send(`${text}!`, { compress: false });
    connection.send(`${text}?`);
    client.send(text); // compressed by the client
    await all;
    expect(received).toEqual([text, "small", `${text}!`, `${text}?`, text]);
  });

  it.each([8, 9, 10, 15])("respects a window of %i bits that the client asks for", async (serverMaxWindowBits) => {
    const { connect } = await start(true);
    const { client, next, connection } = await connect({ serverMaxWindowBits });
    expect(client.extensions).toContain("permessage-deflate");
    const message = Array.from({ length: 3_000 }, (_, i) => (i * 7919) % 1_000).join(" ");
    connection.send(message);
    expect(await next()).toBe(message);
  });

  it("is not offered once the memory for inflating is used up, until it is free again", async () => {
    const { connect } = await start({ memoryLimit: 100_000 });
    const first = await connect();
    const second = await connect();
    const third = await connect();
    expect([first, second, third].map(({ client }) => client.extensions !== "")).toEqual([true, true, false]);
    const ended = new Promise((resolve) => first.connection.onClose(resolve));
    first.client.close();
    await ended;
    expect((await connect()).client.extensions).not.toBe("");
  });

  it.each([[{ threshold: -1 }], [{ windowBits: 8 }], [{ windowBits: 16 }], [{ memoryLimit: 0 }]])(
    "refuses %j",
    (compression) => {
      expect(() => createVel().websocket("/", { compression })).toThrow(RangeError);
    },
  );
});
