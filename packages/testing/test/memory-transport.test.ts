import { createVel, type Connection } from "@vel/core";
import { connect, ManualClock, memoryTransport, settle, type TestClient } from "@vel/testing";
import { describe, expect, it } from "vitest";

function echo() {
  const clock = new ManualClock();
  const vel = createVel({ clock, closeTimeout: 10_000 });
  const connections: Connection[] = [];
  vel.websocket("/ws", {
    open: (connection) => connections.push(connection),
    message: (connection, message) => connection.send(message),
  });
  return { vel, connections, clock };
}

/** A client, its connection, and what the client had received when it ended. */
async function pair(transport = memoryTransport()) {
  const { vel, connections, clock } = echo();
  const client = await connect(vel, "/ws", { transport });
  const atEnd = client.closed.then(() => [...client.received]);
  return { vel, client, connection: connections[0]!, clock, atEnd };
}

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

describe("memoryTransport().send()", () => {
  it("delivers in order and never within the call", async () => {
    const { client, connection } = await pair();
    for (const text of ["a", "b", "c"]) connection.send(text);
    expect([client.received, connection.bufferedAmount]).toEqual([[], 3]);
    await settle();
    expect([client.received, connection.bufferedAmount]).toEqual([["a", "b", "c"], 0]);
  });

  it("carries text as UTF-8 does: a lone surrogate arrives as U+FFFD", async () => {
    const { client, connection } = await pair();
    connection.send("a\ud800b \u{1f600}");
    client.send("\udc00");
    await settle();
    expect(client.received).toEqual(["a\u{fffd}b \u{1f600}", "\u{fffd}"]);
  });

  it("shares no bytes, in neither direction nor between receivers", async () => {
    const { client, connection } = await pair();
    const bytes = new Uint8Array([1]);
    connection.send(bytes);
    client.send(bytes);
    bytes[0] = 2;
    await settle();
    expect(client.received).toEqual([new Uint8Array([1]), new Uint8Array([1])]);
  });
});

describe("memoryTransport().buffered()", () => {
  it("counts what a paused client has not read, and core is told of each message that it reads", async () => {
    const { client, connection } = await pair();
    client.pause();
    expect(connection.send("x".repeat(600_000))).toBe("queued");
    expect(connection.send("é")).toBe("queued");
    await settle();
    expect(connection.bufferedAmount).toBe(600_002);
    let isDrained = false;
    void connection.drained().then(() => (isDrained = true));
    // Half of the way is enough: the client stops again after the large one.
    const stop = client.socket;
    stop.pauseClient(false);
    await Promise.resolve();
    stop.pauseClient(true);
    await settle();
    expect([isDrained, connection.bufferedAmount]).toEqual([true, 2]);
  });

  it("is full in the end: the policy of the send buffer closes with 1013", async () => {
    const { client, connection } = await pair();
    client.pause();
    while (connection.isOpen) connection.send("x".repeat(300_000));
    expect(connection.messagesDropped).toBe(1);
    client.resume();
    expect(await client.closed).toMatchObject({ code: 1013 });
  });
});

describe("memoryTransport().close()", () => {
  it("comes after what was sent before, and is answered", async () => {
    const { client, connection, atEnd } = await pair();
    connection.send("last");
    connection.close(4000, "bye");
    expect(connection.closeInfo).toBeUndefined();
    expect(await client.closed).toEqual({ code: 4000, reason: "bye", wasClean: true, by: "remote" });
    expect(connection.closeInfo).toEqual({ code: 4000, reason: "bye", wasClean: true, by: "local" });
    expect(await atEnd).toEqual(["last"]);
  });

  // Once, an end reached the client past the messages on their way to it.
  it("of the client lets arrive what the server had sent before, and nothing after the end", async () => {
    const { client, connection, atEnd } = await pair();
    client.close(3000, "done");
    for (let index = 0; index < 5; index++) connection.send(String(index));
    expect(await atEnd).toEqual(["0", "1", "2", "3", "4"]);
    expect(connection.closeInfo).toEqual({ code: 3000, reason: "done", wasClean: true, by: "remote" });
    expect(client.closeInfo).toEqual({ code: 3000, reason: "done", wasClean: true, by: "local" });
    await settle();
    expect(client.received).toHaveLength(5);
  });

  it("waits for a client that does not read, at the client's end alone", async () => {
    const { client, connection, atEnd } = await pair();
    client.pause();
    connection.send("waits");
    client.close(1000);
    await settle();
    expect(connection.closeInfo).toMatchObject({ code: 1000, by: "remote" });
    expect(client.closeInfo).toBeUndefined();
    client.resume();
    expect(await atEnd).toEqual(["waits"]);
    expect(client.closeInfo).toMatchObject({ code: 1000, by: "local" });
  });

  it.each(["client first", "server first"])("crosses the other side's, %s: each has heard the other", async (first) => {
    const { client, connection } = await pair();
    const acts = [() => client.close(3000, "client's"), () => connection.close(4000, "server's")];
    for (const act of first === "client first" ? acts : acts.reverse()) act();
    expect(await client.closed).toEqual({ code: 4000, reason: "server's", wasClean: true, by: "remote" });
    // The server's end comes first, so a test that has awaited the client's can look at it.
    expect(connection.closeInfo).toEqual({ code: 4000, reason: "server's", wasClean: true, by: "local" });
  });

  it("tells core what came over the wire, as ws does", async () => {
    const told: unknown[] = [];
    const vel = createVel();
    vel.websocket("/ws", {});
    const transport = memoryTransport();
    const bind = vel.bind.bind(vel);
    vel.bind = (own) => {
      const host = bind(own);
      return {
        ...host,
        close(connection, ...how) {
          told.push(how);
          host.close(connection, ...how);
        },
      };
    };
    const act = async (end: (client: TestClient, connection: Connection) => void): Promise<void> => {
      const client = await connect(vel, "/ws", { transport });
      end(client, [...vel.connections][0]!);
      await client.closed;
    };
    await act((client) => client.close());
    await act((client) => client.close(3000, "r"));
    await act((client) => client.drop());
    await act((_, connection) => connection.close(4000, "s"));
    await act((client, connection) => {
      client.close(3000, "r");
      connection.close(4000, "s");
    });
    await act((_, connection) => connection.terminate());
    expect(told).toEqual([
      [1005, "", true],
      [3000, "r", true],
      [1006, "", false],
      [4000, "s", true],
      [3000, "r", true],
      [1006, "", false],
    ]);
  });

  it("is not answered by a silent client: time ends it", async () => {
    const { client, connection, clock } = await pair();
    client.silence();
    connection.close(4000);
    await clock.advance(9_999);
    expect([client.isOpen, connection.closeInfo]).toEqual([true, undefined]);
    await clock.advance(1);
    expect(client.closeInfo).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
    expect(connection.closeInfo).toMatchObject({ code: 4000, wasClean: false });
    expect(clock.pending).toBe(0);
  });
});

describe("memoryTransport().terminate()", () => {
  it("cuts: both see 1006, and what was on its way is lost", async () => {
    const { client, connection } = await pair();
    connection.send("lost");
    client.send("lost too");
    connection.terminate();
    expect(await client.closed).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
    expect(connection.closeInfo).toMatchObject({ code: 1006, wasClean: false, by: "local" });
    await settle();
    expect([client.received, connection.messagesReceived]).toEqual([[], 0]);
  });

  // Once, messages sent between the cut and its discovery arrived after the end.
  it("of the client: what the server sends before it knows arrives nowhere", async () => {
    const { client, connection } = await pair();
    client.drop();
    expect(connection.send("late")).toBe("sent");
    connection.ping();
    await settle();
    expect([client.closeInfo?.code, client.received]).toEqual([1006, []]);
    expect(connection.closeInfo).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
  });

  it("comes after both have closed and changes nothing then", async () => {
    const { client, connection } = await pair();
    client.close(1000);
    await client.closed;
    connection.terminate();
    client.drop();
    await settle();
    expect([client.closeInfo?.code, connection.closeInfo?.code]).toEqual([1000, 1000]);
  });
});

describe("memoryTransport().ping()", () => {
  it("is answered with its data by the client, but not by one that plays dead", async () => {
    const { client, connection } = await pair();
    const pongs: Uint8Array[] = [];
    connection.onPong((data) => pongs.push(data));
    connection.ping(new Uint8Array([7]));
    await settle();
    client.silence();
    connection.ping(new Uint8Array([8]));
    await settle();
    expect(pongs).toEqual([new Uint8Array([7])]);
  });

  it("waits behind what a paused client has not read", async () => {
    const { client, connection } = await pair();
    const before = connection.framesReceived;
    client.pause();
    connection.ping();
    await settle();
    expect(connection.framesReceived).toBe(before);
    client.resume();
    await settle();
    expect(connection.framesReceived).toBe(before + 1);
  });
});

describe("memoryTransport().pause()", () => {
  it("holds a client back while its messages wait for the handler, and loses none", async () => {
    const vel = createVel({ receiveBuffer: { limit: 500 } });
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const got: unknown[] = [];
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      await gate;
      for await (const text of connection.texts()) got.push(text);
    });
    const client = await connect(vel, "/ws");
    const [connection] = vel.connections;
    const sent = Array.from({ length: 50 }, (_, index) => String(index));
    for (const text of sent) client.send(text);
    await settle();
    expect(connection?.messagesReceived).toBeLessThan(50);
    goOn();
    await settle();
    expect(got).toEqual(sent);
  });
});

describe("memoryTransport({ batches: true })", () => {
  it("puts what a turn produced on the wire at its end, in order, a close included", async () => {
    const { client, connection, atEnd } = await pair(memoryTransport({ batches: true }));
    connection.send("a");
    connection.send(new Uint8Array([1]));
    await Promise.resolve();
    await Promise.resolve();
    expect(client.received).toEqual([]);
    await settle();
    expect(client.received).toEqual(["a", new Uint8Array([1])]);
    connection.send("b");
    connection.close(4000);
    expect(await client.closed).toMatchObject({ code: 4000 });
    expect((await atEnd).slice(2)).toEqual(["b"]);
  });
});

describe("MemorySocket", () => {
  it.each([
    [5, "12345", true],
    [5, "123456", false],
    [5, "ééé", false],
    [5, new Uint8Array(6), false],
  ])("enforces a maxPayload of %d bytes: %j", async (maxPayload, payload, fits) => {
    const vel = createVel({ maxPayload });
    const handled: unknown[] = [];
    vel.websocket("/ws", { message: (_, message) => handled.push(message) });
    const client = await connect(vel, "/ws", { early: [payload, "next"] });
    const [connection] = vel.connections;
    await settle();
    expect(client.closeInfo?.code).toBe(fits ? undefined : 1009);
    expect(connection?.closeInfo).toEqual(fits ? undefined : { code: 1009, reason: "", wasClean: false, by: "local" });
    expect(handled).toEqual(fits ? [payload, "next"] : []);
  });
});

describe("memoryTransport({ batches: true })", () => {
  it("delivers what was sent in the turn in which the peer's close came, and counts what was not", async () => {
    const vel = createVel();
    const connections: Connection[] = [];
    vel.websocket("/ws", {
      open: (connection) => connections.push(connection),
      message: (connection, message) => connection.send(message),
    });
    const transport = memoryTransport({ batches: true });
    const client = await connect(vel, "/ws", { transport });
    client.send("a");
    client.send("b");
    client.close(1000);
    await client.closed;
    expect(client.received).toEqual(["a", "b"]);
    expect(connections[0]?.messagesDropped).toBe(0);

    await connect(vel, "/ws", { transport });
    const [, cut] = connections;
    cut?.send("never leaves");
    cut?.terminate();
    await settle();
    expect(cut?.messagesDropped).toBe(1);
  });

  it("counts the client's pings as signs of life", async () => {
    const vel = createVel();
    let connection: Connection | undefined;
    vel.websocket("/ws", { open: (opened) => void (connection = opened) });
    const client = await connect(vel, "/ws");
    await client.ping();
    expect(connection?.framesReceived).toBe(1);
  });
});
