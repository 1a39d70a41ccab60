import { createVel, DisconnectError, type Connection } from "@vel/core";
import { connect, HandshakeError, ManualClock, memoryTransport, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";

function echo(): { vel: ReturnType<typeof createVel>; connections: Connection[]; clock: ManualClock } {
  const clock = new ManualClock();
  const vel = createVel({ clock, closeTimeout: 10_000 });
  const connections: Connection[] = [];
  vel.websocket("/ws", {
    open: (connection) => connections.push(connection),
    message: (connection, message) => connection.send(message),
  });
  return { vel, connections, clock };
}

describe("connect()", () => {
  it("goes through guards and origin check as over a network, and rejects with the answer that refused", async () => {
    const vel = createVel().use((request) =>
      request.headers.get("x-key") === "good"
        ? { headers: { "x-seen": "yes" } }
        : request.reject(429, { retryAfter: 1_500, body: "Slowly", headers: { "x-why": "key" } }),
    );
    vel.websocket("/ws", {
      protocols: ["b"],
      open: (connection) => connection.send(connection.remote?.address ?? "?"),
    });
    const refused = await connect(vel, "/ws").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(HandshakeError);
    expect(refused).toMatchObject({ code: "ERR_VEL_HANDSHAKE", status: 429, body: "Slowly" });
    expect((refused as HandshakeError).headers.get("retry-after")).toBe("2");
    expect((refused as HandshakeError).headers.get("x-why")).toBe("key");
    await expect(connect(vel, "/nowhere")).rejects.toMatchObject({ status: 404 });
    const headers = { "x-key": "good" };
    await expect(
      connect(vel, "/ws", { headers: { ...headers, origin: "https://evil.example" } }),
    ).rejects.toMatchObject({ status: 403 });
    const client = await connect(vel, "/ws", { headers, protocols: ["a", "b"], remote: { address: "192.0.2.1" } });
    expect(client.protocol).toBe("b");
    expect(client.headers.get("x-seen")).toBe("yes");
    expect(await client.receiveText()).toBe("192.0.2.1");
  });

  it("resolves for a refusal by close code, and the connection ends at once", async () => {
    const vel = createVel();
    vel.websocket("/ws", (request) => request.close(4001, "No token"));
    expect(await (await connect(vel, "/ws")).closed).toEqual({
      code: 4001,
      reason: "No token",
      wasClean: true,
      by: "remote",
    });
  });

  it("delivers what was sent before the handshake was answered, and leaves when its signal aborts", async () => {
    const { vel } = echo();
    const client = await connect(vel, "/ws", { early: ["a", new Uint8Array([1])] });
    expect([await client.receive(), await client.receive()]).toEqual(["a", new Uint8Array([1])]);

    const released: string[] = [];
    const slow = createVel();
    const abort = new AbortController();
    slow.websocket("/ws", async (request) => {
      request.defer(() => released.push("released"));
      abort.abort(new Error("gone"));
      await request.accept();
    });
    await expect(connect(slow, "/ws", { signal: abort.signal })).rejects.toThrow("gone");
    await settle();
    expect(released).toEqual(["released"]);
    await expect(connect(slow, "/ws", { signal: abort.signal })).rejects.toThrow("gone");
  });
});

describe("TestClient", () => {
  it("receives in order, by kind, also what came before the end, and then rejects", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    client.send("text");
    client.send(new Uint8Array([1, 2]));
    client.sendJson({ a: 1 });
    expect(await client.receiveText()).toBe("text");
    expect(await client.receiveBytes()).toEqual(new Uint8Array([1, 2]));
    expect(await client.receiveJson()).toEqual({ a: 1 });
    connections[0]?.send("last");
    connections[0]?.close(4000, "bye");
    expect(await client.closed).toEqual({ code: 4000, reason: "bye", wasClean: true, by: "remote" });
    expect(await client.receiveText()).toBe("last");
    await expect(client.receive()).rejects.toThrow(DisconnectError);
    const rest: unknown[] = [];
    for await (const message of client.messages()) rest.push(message);
    expect(rest).toEqual([]);
  });

  it("shares no bytes with the server", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const bytes = new Uint8Array([1]);
    connections[0]?.send(bytes);
    bytes[0] = 2;
    expect(await client.receiveBytes()).toEqual(new Uint8Array([1]));
  });

  it("closes with and without a code, drops, and is seen so by the server", async () => {
    const { vel, connections } = echo();
    const end = async (act: (client: Awaited<ReturnType<typeof connect>>) => void) => {
      const client = await connect(vel, "/ws");
      act(client);
      const { by, code } = await client.closed;
      return [by, code, connections.at(-1)?.closeInfo];
    };
    expect(await end((client) => client.close(3000, "done"))).toEqual([
      "local",
      3000,
      { code: 3000, reason: "done", wasClean: true, by: "remote" },
    ]);
    expect(await end((client) => client.close())).toMatchObject(["local", 1005, { code: 1005, wasClean: true }]);
    expect(await end((client) => client.drop())).toMatchObject(["local", 1006, { code: 1006, wasClean: false }]);
  });

  it("is a slow reader while it is paused: the server's buffer fills and drains", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const [connection] = connections;
    client.pause();
    expect(connection?.send("x".repeat(600_000))).toBe("queued");
    expect(connection?.bufferedAmount).toBe(600_000);
    let isDrained = false;
    void connection?.drained().then(() => (isDrained = true));
    await settle();
    expect(isDrained).toBe(false);
    client.resume();
    await settle();
    expect([isDrained, connection?.bufferedAmount]).toEqual([true, 0]);
  });

  it("answers pings unless it plays dead; then a close is answered by nobody but time", async () => {
    const { vel, connections, clock } = echo();
    const client = await connect(vel, "/ws");
    const [connection] = connections;
    const pongs: Uint8Array[] = [];
    connection?.onPong((data) => pongs.push(data));
    connection?.ping(new Uint8Array([7]));
    await settle();
    expect(pongs).toEqual([new Uint8Array([7])]);
    client.silence();
    connection?.ping();
    connection?.close(1000);
    await settle();
    expect([pongs.length, connection?.closeInfo]).toEqual([1, undefined]);
    await clock.advance(10_000);
    expect(connection?.closeInfo).toEqual({ code: 1000, reason: "", wasClean: false, by: "local" });
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(clock.pending).toBe(0);
  });

  it("is closed with 1009 when it sends more than the route lets in", async () => {
    const vel = createVel({ maxPayload: 10 });
    vel.websocket("/small", {}).websocket("/large", { maxPayload: 20 });
    const [small, large] = [await connect(vel, "/small"), await connect(vel, "/large")];
    for (const client of [small, large]) client.send("x".repeat(15));
    expect(await small.closed).toMatchObject({ code: 1009 });
    expect(large.isOpen).toBe(true);
  });
});

describe("memoryTransport()", () => {
  it("lacks what it is told to deny, so that features find out", async () => {
    const transport = memoryTransport({
      capabilities: { ping: false, terminate: false, buffered: false, pause: false },
    });
    for (const name of ["ping", "terminate", "buffered", "pause"]) expect(transport).not.toHaveProperty(name);
    const { vel, connections } = echo();
    await connect(vel, "/ws", { transport });
    expect(() => connections[0]?.ping()).toThrow(expect.objectContaining({ code: "ERR_VEL_UNSUPPORTED" }) as Error);
    expect(connections[0]?.bufferedAmount).toBeUndefined();
    const needy = createVel();
    needy.require("ping", "use another");
    needy.websocket("/ws", {});
    await expect(connect(needy, "/ws", { transport })).rejects.toMatchObject({ code: "ERR_VEL_UNSUPPORTED" });
  });
});
