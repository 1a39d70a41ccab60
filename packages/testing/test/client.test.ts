import { createVel, DisconnectError, type Connection } from "@vel/core";
import { connect, HandshakeError, ManualClock, settle } from "@vel/testing";
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

describe("connect({ signal })", () => {
  it("rejects at once when it aborts, also while a guard never answers, and leaves no listener", async () => {
    const clock = new ManualClock();
    const vel = createVel({ clock, onError: () => undefined });
    vel.websocket("/never", { upgrade: () => new Promise<never>(() => undefined) }).websocket("/ws", {});
    const abort = new AbortController();
    const counted = new Set<unknown>();
    const { signal } = abort;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (type: string, listener: never, options?: never) => {
      counted.add(listener);
      addEventListener.call(signal, type, listener, options);
    };
    signal.removeEventListener = (type: string, listener: never) => {
      counted.delete(listener);
      removeEventListener.call(signal, type, listener);
    };
    const client = await connect(vel, "/ws", { signal });
    expect(counted.size).toBe(0);
    const connecting = connect(vel, "/never", { signal });
    await settle();
    abort.abort(new Error("gone"));
    await expect(connecting).rejects.toThrow("gone");
    expect(client.isOpen).toBe(true);
    client.close();
    await client.closed;
    await clock.advance(5_000); // the guard's own deadline
    expect(clock.pending).toBe(0);
  });
});

describe("connect({ origin, cookies })", () => {
  it("comes as a browser does, cookies decoded to what they were", async () => {
    const vel = createVel({ origins: ["https://app.example"] });
    vel.websocket("/ws", {
      upgrade: ({ cookies, headers }) => ({ data: { cookies, origin: headers.get("origin") } }),
      open: (connection) =>
        connection.sendJson({ origin: connection.data.origin, cookies: [...connection.data.cookies] }),
    });
    const cookies = { session: "a b;c=%", theme: "dark" };
    await expect(connect(vel, "/ws", { cookies })).rejects.toMatchObject({ status: 403 });
    await expect(connect(vel, "/ws", { origin: "https://evil.example" })).rejects.toMatchObject({ status: 403 });
    const client = await connect(vel, "/ws", { origin: "https://app.example", cookies });
    expect(await client.receiveJson()).toEqual({ origin: "https://app.example", cookies: Object.entries(cookies) });
  });
});

describe("connect({ early })", () => {
  it("refuses what cannot be sent before it bothers the server", async () => {
    const vel = createVel({ maxConnections: 1 });
    vel.websocket("/ws", {});
    await expect(connect(vel, "/ws", { early: [1 as never] })).rejects.toThrow(TypeError);
    expect((await connect(vel, "/ws")).isOpen).toBe(true);
  });

  it("loses nothing to a handler that takes its time", async () => {
    const vel = createVel();
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      await settle();
      for await (const text of connection.texts()) connection.send(text);
    });
    const early = Array.from({ length: 100 }, (_, index) => String(index));
    const client = await connect(vel, "/ws", { early });
    client.send("after");
    const echoed: unknown[] = [];
    while (echoed.length < 101) echoed.push(await client.receive());
    expect(echoed).toEqual([...early, "after"]);
  });
});

describe("TestClient.receive()", () => {
  it("gives up when its signal aborts, and loses no message by that", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const abort = new AbortController();
    const [first, second] = [client.receive({ signal: abort.signal }), client.receive()];
    abort.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    connections[0]?.send("a");
    expect(await second).toBe("a");
    connections[0]?.send("b");
    await settle();
    for (const receive of [client.receiveText, client.receiveBytes, client.receiveJson, client.receive])
      await expect(receive.call(client, { signal: abort.signal })).rejects.toThrow("enough");
    expect(client.received).toEqual(["b"]);
  });

  it("keeps what it got when its signal aborts in the same turn", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const abort = new AbortController();
    const waiting = client.receive({ signal: abort.signal });
    connections[0]?.send("a");
    await Promise.resolve(); // delivered, and nobody was told yet
    abort.abort(new Error("too late"));
    expect(await waiting).toBe("a");
  });

  it("rejects everybody who waits when the connection ends", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const waiting = [client.receive(), client.receiveText(), client.receiveJson(), client.receiveBytes()];
    connections[0]?.close(4000);
    for (const each of waiting) {
      await expect(each).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED", info: { code: 4000 } });
    }
  });

  it("is strict about the kind, and consumes what it refuses", async () => {
    const { vel } = echo();
    const client = await connect(vel, "/ws");
    for (const payload of [new Uint8Array([1]), "text", "{", "last"]) client.send(payload);
    await expect(client.receiveText()).rejects.toThrow(TypeError);
    await expect(client.receiveBytes()).rejects.toThrow(TypeError);
    await expect(client.receiveJson()).rejects.toThrow(SyntaxError);
    expect(await client.receiveText()).toBe("last");
  });
});

describe("TestClient.messages()", () => {
  it("iterates to the end, and leaving it closes nothing", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws", { early: ["a", "b", "c"] });
    for await (const message of client.messages()) {
      expect(message).toBe("a");
      break;
    }
    expect(client.isOpen).toBe(true);
    await settle();
    connections[0]?.close(1000);
    const rest: unknown[] = [];
    for await (const message of client.messages()) rest.push(message);
    expect(rest).toEqual(["b", "c"]);
  });
});

describe("TestClient.send()", () => {
  it("refuses what is neither text nor bytes, and what has no JSON form", async () => {
    const { vel } = echo();
    const client = await connect(vel, "/ws");
    for (const payload of [3, undefined, {}, new ArrayBuffer(1)]) {
      expect(() => client.send(payload as never)).toThrow(TypeError);
    }
    expect(() => client.sendJson(undefined as never)).toThrow(TypeError);
    await settle();
    expect(client.received).toEqual([]);
  });

  it("does nothing once the client has closed or dropped", async () => {
    for (const end of ["close", "drop"] as const) {
      const { vel, connections } = echo();
      const client = await connect(vel, "/ws");
      client[end]();
      client.send("late");
      await client.closed;
      client.send("later");
      await settle();
      expect(connections[0]?.messagesReceived).toBe(0);
    }
  });
});

describe("TestClient.ping()", () => {
  it("resolves with the data of its own pong, in order", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    expect(
      await Promise.all([client.ping(new Uint8Array([1])), client.ping(new Uint8Array([2])), client.ping()]),
    ).toEqual([new Uint8Array([1]), new Uint8Array([2]), new Uint8Array()]);
    expect(connections[0]?.messagesReceived).toBe(0);
  });

  it("rejects when the connection ends first, unhandled by nobody", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    connections[0]?.close(4000);
    void client.ping();
    await expect(client.ping()).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED", info: { code: 4000 } });
    await expect(client.ping()).rejects.toThrow(DisconnectError);
  });

  it("holds what a control frame holds", async () => {
    const { vel, connections } = echo();
    const client = await connect(vel, "/ws");
    const pongs: number[] = [];
    connections[0]?.onPong((data) => pongs.push(data.byteLength));
    expect(() => client.ping(new Uint8Array(126))).toThrow(RangeError);
    expect(() => client.pong(new Uint8Array(126))).toThrow(RangeError);
    client.pong(new Uint8Array(125));
    expect(await client.ping(new Uint8Array(125))).toHaveLength(125);
    expect(pongs).toEqual([125]);
  });
});

describe("TestClient.close()", () => {
  it.each([999, 1004, 1005, 1006, 1015, 2999, 5000, NaN])("refuses %d, which no endpoint may send", async (code) => {
    const { vel } = echo();
    const client = await connect(vel, "/ws");
    expect(() => client.close(code)).toThrow(RangeError);
    client.send("still here");
    expect(await client.receiveText()).toBe("still here");
  });

  it("cuts the reason to what a close frame holds, and sends none without a code", async () => {
    const { vel, connections } = echo();
    const [long, none] = [await connect(vel, "/ws"), await connect(vel, "/ws")];
    long.close(3000, "é".repeat(100));
    none.close(undefined, "nobody sees this");
    await Promise.all([long.closed, none.closed]);
    expect(connections[0]?.closeInfo).toMatchObject({ code: 3000, reason: "é".repeat(61) });
    expect(connections[1]?.closeInfo).toEqual({ code: 1005, reason: "", wasClean: true, by: "remote" });
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
