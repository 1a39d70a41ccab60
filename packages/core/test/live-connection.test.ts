import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createVel, DisconnectError, type CloseInfo, type Connection, type VelOptions } from "../src/index.ts";
import { Outgoing } from "../src/outgoing.ts";
import { open, scriptedTransport, settled } from "./scripted-transport.ts";

/** A connection whose handler stays until it ends. */
async function setup(options: VelOptions & { transport?: ReturnType<typeof scriptedTransport> } = {}) {
  const { transport = scriptedTransport(), ...rest } = options;
  const clock = new ManualClock();
  const errors: { error: unknown; stage: string }[] = [];
  const vel = createVel({
    clock,
    closeTimeout: 1000,
    onError: (error, { stage }) => errors.push({ error, stage }),
    ...rest,
  });
  vel.websocket("/ws", async (request) => {
    const connection = await request.accept();
    await new Promise<void>((resolve) =>
      connection.onClose(() => {
        resolve();
      }),
    );
  });
  return { ...(await open(vel, "/ws", { transport })), vel, clock, errors };
}

describe("Connection.close()", () => {
  it("is open until it is called, closing until the peer answers, ended then", async () => {
    const { connection, socket, host, clock } = await setup();
    const calls: unknown[] = [];
    connection.onClosing(() => calls.push("closing"));
    connection.onClose((info) => calls.push(info));
    const { signal } = connection;
    connection.close(4000, "bye");
    expect(connection.isOpen).toBe(false);
    expect(connection.closeInfo).toBeUndefined();
    expect(signal.aborted).toBe(true);
    expect(calls).toEqual(["closing"]);
    expect(socket.closes).toEqual([{ code: 4000, reason: "bye" }]);
    expect(connection.send("late")).toBe("closed");
    host.close(connection, 4000, "bye", true);
    const info = { code: 4000, reason: "bye", wasClean: true, by: "local" };
    expect(connection.closeInfo).toEqual(info);
    expect(calls).toEqual(["closing", info]);
    expect(clock.pending).toBe(0);
  });

  it("says 1000 by default, cuts the reason to 123 bytes, and does nothing the second time", async () => {
    const { connection, socket } = await setup();
    connection.close(undefined, "é".repeat(100));
    connection.close(4001, "again");
    expect(socket.closes).toEqual([{ code: 1000, reason: "é".repeat(61) }]);
  });

  it("throws for a code that may not be sent and changes nothing", async () => {
    const { connection, socket } = await setup();
    for (const code of [1005, 1006, 1015, 999, 2000, 5000]) {
      expect(() => {
        connection.close(code);
      }).toThrow(RangeError);
    }
    expect(() => {
      connection.close(1000, 5 as never);
    }).toThrow(TypeError);
    expect(connection.isOpen).toBe(true);
    expect(socket.closes).toEqual([]);
  });

  it("cuts off a peer that does not answer within closeTimeout", async () => {
    const { connection, socket, clock } = await setup();
    connection.close(4000, "bye");
    await clock.advance(999);
    await settled();
    expect(socket.terminations).toBe(0);
    await clock.advance(1);
    await settled();
    expect(socket.terminations).toBe(1);
    expect(connection.closeInfo).toEqual({ code: 4000, reason: "bye", wasClean: false, by: "local" });
    expect(clock.pending).toBe(0);
  });

  it("ends behind the caller's back, not within its call, where the runtime calls back from within close()", async () => {
    const { connection, socket, host } = await setup();
    let ended = 0;
    connection.onClose(() => ended++);
    socket.onClose = () => {
      host.close(connection, 4000, "bye", true);
    };
    connection.close(4000, "bye");
    expect(ended).toBe(0);
    await settled();
    expect(ended).toBe(1);
    expect(connection.closeInfo).toMatchObject({ code: 4000, by: "local", wasClean: true });
  });

  it("survives a transport that throws and an onError that closes or terminates again", async () => {
    const { connection, socket, clock, errors } = await setup({
      onError: (_error, context) => {
        context.connection?.close();
        context.connection?.terminate();
      },
    });
    socket.onClose = socket.onTerminate = () => {
      throw new Error("runtime");
    };
    connection.close(4000);
    await settled();
    expect(socket.closes).toHaveLength(1);
    expect(socket.terminations).toBe(1);
    expect(connection.closeInfo).toMatchObject({ code: 4000, wasClean: false });
    expect(clock.pending).toBe(0);
    expect(errors).toEqual([]);
  });
});

describe("Connection.terminate()", () => {
  it("cuts without a close frame and ends as a local 1006, once", async () => {
    const { connection, socket, host } = await setup();
    let ended = 0;
    connection.onClose(() => ended++);
    connection.terminate();
    connection.terminate();
    expect(connection.isOpen).toBe(false);
    await settled();
    host.close(connection, 1006, "", false);
    expect(socket.terminations).toBe(1);
    expect(socket.closes).toEqual([]);
    expect(ended).toBe(1);
    expect(connection.closeInfo).toEqual({ code: 1006, reason: "", wasClean: false, by: "local" });
  });

  it("closes with 1001 and forgets the connection where the transport cannot", async () => {
    const { connection, socket } = await setup({ transport: scriptedTransport({ terminate: false }) });
    connection.terminate();
    connection.terminate();
    await settled();
    expect(socket.closes).toEqual([{ code: 1001, reason: "" }]);
    expect(connection.closeInfo).toMatchObject({ code: 1006, by: "local", wasClean: false });
  });

  it("does not close a second time after close() where the transport cannot cut", async () => {
    const { connection, socket } = await setup({ transport: scriptedTransport({ terminate: false }) });
    connection.close(4000);
    connection.terminate();
    await settled();
    expect(socket.closes).toEqual([{ code: 4000, reason: "" }]);
    expect(connection.closeInfo).toMatchObject({ code: 4000, by: "local", wasClean: false });
  });
});

describe("Connection.closeInfo", () => {
  it("says 1006 for Deno's 0 and for a drop, never clean", async () => {
    for (const [code, wasClean] of [
      [0, true],
      [0, false],
      [1006, true],
      [1006, false],
    ] as const) {
      const { connection, host } = await setup();
      host.close(connection, code, "", wasClean);
      expect(connection.closeInfo).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
    }
  });

  it("says what the peer said, and 1005 when it said nothing", async () => {
    const { connection, host } = await setup();
    host.close(connection, 4321, "mine", true);
    expect(connection.closeInfo).toEqual({ code: 4321, reason: "mine", wasClean: true, by: "remote" });
    const other = await setup();
    other.host.close(other.connection, 1005, "", true);
    expect(other.connection.closeInfo).toEqual({ code: 1005, reason: "", wasClean: true, by: "remote" });
  });

  it("is unclean when this side closed and the transport says that it was cut", async () => {
    const { connection, host } = await setup();
    connection.close(4000);
    host.close(connection, 0, "", true);
    expect(connection.closeInfo).toEqual({ code: 4000, reason: "", wasClean: false, by: "local" });
  });
});

describe("The life cycle of a Connection", () => {
  it("has one end, told once and consistently, whatever both sides and the runtime do in whatever order", async () => {
    const reason = fc.constantFrom("", "bye");
    const step = fc.oneof(
      fc.record({ kind: fc.constant("close" as const), code: fc.constantFrom(1000, 1011, 4000), reason }),
      fc.record({
        kind: fc.constantFrom("terminate" as const, "advance" as const, "settle" as const, "traffic" as const),
      }),
      fc.record({
        kind: fc.constant("over" as const),
        code: fc.constantFrom(0, 1000, 1001, 1005, 1006, 4999),
        reason,
        wasClean: fc.boolean(),
      }),
    );
    // How the runtime behaves within its close() and terminate(): silent, calls back (Bun), twice (Deno), or throws.
    const manner = fc.constantFrom("silent", "calls back", "calls back twice", "throws");
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 8 }),
        manner,
        manner,
        fc.boolean(),
        async (steps, onClose, onTerminate, terminate) => {
          const { connection, host, socket, vel, clock } = await setup({ transport: scriptedTransport({ terminate }) });
          const act = (how: string, code: number) => (): void => {
            if (how === "throws") throw new Error("runtime");
            if (how === "silent") return;
            host.close(connection, code, "", code !== 0);
            if (how === "calls back twice") host.close(connection, 0, "", false);
          };
          socket.onClose = () => {
            act(onClose, socket.closes.at(-1)?.code ?? 0)();
          };
          socket.onTerminate = act(onTerminate, 0);
          const told: CloseInfo[] = [];
          const eventual: CloseInfo[] = [];
          let closings = 0;
          let messages = 0;
          connection.onClosing(() => {
            expect(connection.isOpen).toBe(false);
            closings++;
          });
          connection.onClose((info) => told.push(info));
          vel.on("close", (_connection, info) => eventual.push(info));

          // What must be said in the end, by whoever was first.
          let expected: Partial<CloseInfo> | undefined;
          for (const step of steps) {
            const before = connection.closeInfo;
            if (step.kind === "close") {
              if (connection.isOpen) expected = { code: step.code, reason: step.reason, by: "local" };
              connection.close(step.code, step.reason);
            } else if (step.kind === "terminate") {
              if (connection.isOpen) expected = { code: 1006, reason: "", by: "local", wasClean: false };
              connection.terminate();
            } else if (step.kind === "over") {
              if (connection.isOpen) {
                const isDropped = step.code === 0 || step.code === 1006;
                expected = isDropped
                  ? { code: 1006, reason: "", wasClean: false, by: "remote" }
                  : { code: step.code, reason: step.reason, wasClean: step.wasClean, by: "remote" };
              }
              host.close(connection, step.code, step.reason, step.wasClean);
            } else if (step.kind === "advance") {
              await clock.advance(1000);
              await settled();
            } else if (step.kind === "settle") {
              await settled();
            } else {
              host.message(connection, "x");
              host.pong(connection, new Uint8Array());
              host.drain(connection);
              if (connection.isOpen) messages++;
              expect(connection.send("y")).toBe(connection.isOpen ? "sent" : "closed");
            }
            if (before) expect(connection.closeInfo).toBe(before);
            if (expected) expect(connection.isOpen).toBe(false);
            expect(closings).toBe(expected ? 1 : 0);
            expect(told.length).toBe(connection.closeInfo ? 1 : 0);
          }
          await clock.advance(1000);
          await settled();

          expect(connection.messagesReceived).toBe(messages);
          expect(connection.isOpen).toBe(expected === undefined);
          expect(connection.signal.aborted).toBe(expected !== undefined);
          expect(closings).toBe(expected ? 1 : 0);
          expect(told).toEqual(expected ? [connection.closeInfo] : []);
          expect(eventual).toEqual(told);
          expect(socket.closes.length).toBeLessThanOrEqual(1);
          expect(socket.terminations).toBeLessThanOrEqual(1);
          expect(clock.pending).toBe(0);
          expect(vel.connections.has(connection)).toBe(expected === undefined);
          if (expected) {
            expect(connection.closeInfo).toMatchObject(expected);
            if (connection.closeInfo?.code === 1006) expect(connection.closeInfo.wasClean).toBe(false);
            // Who comes later hears of it at once.
            const late: unknown[] = [];
            connection.onClosing(() => late.push("closing"));
            connection.onClose((info) => late.push(info));
            expect(late).toEqual(["closing", connection.closeInfo]);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("Connection.onClose(), onClosing(), onPong()", () => {
  it("can be taken back, even by a listener before, and count each registration as its own", async () => {
    const { connection, host } = await setup();
    const calls: string[] = [];
    const listener = (): void => void calls.push("same");
    connection.onClose(() => {
      offLater();
    });
    const offLater = connection.onClose(() => calls.push("taken back"));
    connection.onClose(listener);
    const off = connection.onClose(listener);
    off();
    off();
    host.close(connection, 1000, "", true);
    expect(calls).toEqual(["same"]);
  });

  it("give what a listener throws or rejects with to onError, and call the others", async () => {
    const { connection, host, errors } = await setup();
    const calls: string[] = [];
    connection.onClosing(() => {
      throw new Error("closing");
    });
    connection.onClose(async () => {
      await Promise.resolve();
      throw new Error("close");
    });
    connection.onPong(() => {
      throw new Error("pong");
    });
    connection.onPong((data) => calls.push(String(data)));
    connection.onClosing(() => calls.push("closing"));
    connection.onClose(() => calls.push("close"));
    host.pong(connection, new Uint8Array([7]));
    host.close(connection, 1000, "", true);
    await settled();
    expect(calls).toEqual(["7", "closing", "close"]);
    expect(errors.map(({ error, stage }) => `${stage} ${String(error)}`)).toEqual([
      "listener Error: pong",
      "listener Error: closing",
      "listener Error: close",
    ]);
  });

  it("hear of pongs until the end and not after", async () => {
    const { connection, host } = await setup();
    let pongs = 0;
    connection.onPong(() => {
      pongs++;
      if (pongs === 1) connection.onPong(() => pongs++);
    });
    connection.onPong(() => {
      offLater();
    });
    const offLater = connection.onPong(() => pongs++);
    host.pong(connection, new Uint8Array());
    expect(pongs).toBe(1);
    host.pong(connection, new Uint8Array());
    expect(pongs).toBe(3);
    host.close(connection, 1000, "", true);
    host.pong(connection, new Uint8Array());
    expect(pongs).toBe(3);
  });
});

describe("Connection.send()", () => {
  it("says sent below half of the limit, queued until it has drained, dropped over it, closed when it is not open", async () => {
    const { connection, socket, host, vel } = await setup({ sendBuffer: { limit: 100, onFull: "drop" } });
    const drops: number[] = [];
    vel.on("drop", (_connection, size) => drops.push(size));
    expect(connection.send("é")).toBe("sent");
    socket.buffered = 50;
    expect(connection.send("a")).toBe("sent");
    socket.buffered = 51;
    expect(connection.send("b")).toBe("queued");
    socket.buffered = 100;
    expect(connection.send("c")).toBe("queued");
    socket.buffered = 101;
    expect(connection.send("€")).toBe("dropped");
    socket.buffered = 0;
    host.drain(connection);
    expect(connection.send(new Uint8Array([1, 2]))).toBe("sent");
    expect(connection).toMatchObject({ messagesSent: 5, bytesSent: 7, messagesDropped: 1, isOpen: true });
    expect(drops).toEqual([3]);
    connection.close();
    expect(connection.send("d")).toBe("closed");
    expect(connection).toMatchObject({ messagesSent: 5, messagesDropped: 1 });
    expect(socket.sent).toEqual(["é", "a", "b", "c", new Uint8Array([1, 2])]);
  });

  it("closes with 1013 at the first drop by default, the transport's own drops included", async () => {
    for (const how of ["buffer", "transport"]) {
      const { connection, socket, vel } = await setup();
      const drops: number[] = [];
      vel.on("drop", (_connection, size) => drops.push(size));
      if (how === "buffer") socket.buffered = 2 ** 20 + 1;
      else socket.status = "dropped";
      expect(connection.send("abc")).toBe("dropped");
      expect(socket.closes).toEqual([{ code: 1013, reason: "send buffer full" }]);
      expect(connection).toMatchObject({ messagesSent: 0, messagesDropped: 1, isOpen: false });
      expect(drops).toEqual([3]);
    }
  });

  it("throws a TypeError for what is no payload, also when closed, and sends nothing", async () => {
    const { connection, socket } = await setup();
    for (const value of [undefined, null, 5, {}, [1], new ArrayBuffer(1), Promise.resolve("x")]) {
      expect(() => connection.send(value as string)).toThrow(TypeError);
    }
    connection.close();
    expect(() => connection.send({} as string)).toThrow(TypeError);
    expect(socket.sent).toEqual([]);
  });

  it("never throws for the connection's sake: a transport's error is reported", async () => {
    const { connection, socket, errors } = await setup();
    socket.onSend = () => {
      throw new Error("runtime");
    };
    expect(connection.send("x")).toBe("closed");
    expect(errors).toMatchObject([{ stage: "transport" }]);
    expect(connection.messagesSent).toBe(0);
  });

  it("passes the wish to compress, true by default", async () => {
    const { connection, socket } = await setup();
    connection.send("a");
    connection.send("b", { compress: false });
    connection.sendJson({ c: 1 }, { compress: false });
    expect(socket.compressed).toEqual([true, false, false]);
  });
});

describe("Connection.sendJson()", () => {
  it("sends JSON as text, a string quoted, and throws for what has none", async () => {
    const { connection, socket } = await setup();
    connection.sendJson({ a: [1] });
    connection.sendJson("text");
    expect(() => connection.sendJson(undefined as never)).toThrow(TypeError);
    expect(socket.sent).toEqual(['{"a":[1]}', '"text"']);
  });
});

describe("Connection.drained()", () => {
  it("resolves at once while less than half waits", async () => {
    const { connection, socket } = await setup({ sendBuffer: { limit: 100 } });
    socket.buffered = 50;
    await connection.drained();
  });

  it("resolves when it has drained below half, for all who wait", async () => {
    const { connection, socket, host } = await setup({ sendBuffer: { limit: 100 } });
    socket.buffered = 80;
    let resolved = 0;
    for (let i = 0; i < 3; i++) void connection.drained().then(() => resolved++);
    host.drain(connection);
    await settled();
    expect(resolved).toBe(0);
    socket.buffered = 50;
    host.drain(connection);
    await settled();
    expect(resolved).toBe(3);
  });

  it("resolves when the connection closes, and at once afterwards", async () => {
    const { connection, socket } = await setup({ sendBuffer: { limit: 100 } });
    socket.buffered = 80;
    const drained = connection.drained();
    connection.close();
    await drained;
    await connection.drained();
  });

  it("waits for the transport's word where that cannot count, after it said queued", async () => {
    const { connection, socket, host } = await setup({ transport: scriptedTransport({ buffered: false }) });
    expect(connection.bufferedAmount).toBeUndefined();
    await connection.drained();
    socket.status = "queued";
    expect(connection.send("x")).toBe("queued");
    let isDrained = false;
    const drained = connection.drained().then(() => (isDrained = true));
    await settled();
    expect(isDrained).toBe(false);
    host.drain(connection);
    await drained;
  });

  // Who asked later, when the buffer had drained already and the transport had not said so yet, once made it forget
  // those who were waiting.
  it("wakes who waits although somebody asked again before the transport told of the drain", async () => {
    const { connection, socket, host } = await setup({ sendBuffer: { limit: 100 } });
    socket.buffered = 80;
    let isAwake = false;
    void connection.drained().then(() => (isAwake = true));
    socket.buffered = 0;
    await connection.drained();
    host.drain(connection);
    await settled();
    expect(isAwake).toBe(true);
  });

  // Each wait once left its listener behind, so that a connection that was often slow held on to more and more.
  it("leaves nothing behind", async () => {
    const { connection, socket, host } = await setup({ sendBuffer: { limit: 100 } });
    const wait = async (): Promise<void> => {
      socket.buffered = 80;
      const drained = connection.drained();
      socket.buffered = 0;
      host.drain(connection);
      await drained;
    };
    // Listeners are kept in sets that nobody outside can see: what goes in has to come out.
    const { add, delete: remove } = Set.prototype;
    let kept = 0;
    Set.prototype.add = function (this: Set<unknown>, value: unknown) {
      kept++;
      return add.call(this, value);
    };
    Set.prototype.delete = function (this: Set<unknown>, value: unknown) {
      const isRemoved = remove.call(this, value);
      if (isRemoved) kept--;
      return isRemoved;
    };
    try {
      for (let round = 0; round < 3; round++) await wait();
    } finally {
      Set.prototype.add = add;
      Set.prototype.delete = remove;
    }
    expect(kept).toBe(0);
  });
});

describe("The peer's pings", () => {
  it("end a connection whose peer does not read the answers", async () => {
    // Runtimes answer pings by themselves. Bun kept every pong for a client that sent pings and read nothing.
    const { host, connection, socket } = await setup({ sendBuffer: { limit: 1_000 } });
    socket.buffered = 1_001;
    for (let i = 0; i < 1_000; i++) host.ping(connection);
    socket.buffered = 1_000;
    host.ping(connection);
    socket.buffered = 1_001;
    for (let i = 0; i < 1_000; i++) host.ping(connection);
    expect(socket.terminations).toBe(0);
    host.ping(connection);
    expect(socket.terminations).toBe(1);
    expect(connection.isOpen).toBe(false);
    expect(connection.framesReceived).toBe(2_002);
  });
});

describe("Connection.ping()", () => {
  it("sends at most 125 bytes, nothing when closed", async () => {
    const { connection, socket } = await setup();
    connection.ping();
    connection.ping(new Uint8Array(125));
    expect(() => {
      connection.ping(new Uint8Array(126));
    }).toThrow(RangeError);
    expect(() => {
      connection.ping("text" as never);
    }).toThrow(TypeError);
    connection.close();
    connection.ping();
    expect(socket.pings).toEqual([new Uint8Array(), new Uint8Array(125)]);
  });

  it("throws ERR_VEL_UNSUPPORTED where the transport cannot, also when closed", async () => {
    const { connection } = await setup({ transport: scriptedTransport({ ping: false }) });
    expect(connection.capabilities.ping).toBe(false);
    const ping = (): void => {
      connection.ping();
    };
    expect(ping).toThrow(expect.objectContaining({ code: "ERR_VEL_UNSUPPORTED" }) as Error);
    connection.close();
    expect(ping).toThrow(expect.objectContaining({ code: "ERR_VEL_UNSUPPORTED" }) as Error);
  });
});

describe("The counters of a Connection", () => {
  it("count messages and bytes of UTF-8 that came, pongs as frames, and nothing after the end", async () => {
    const { connection, host } = await setup();
    host.message(connection, "é");
    host.message(connection, new Uint8Array(3));
    host.message(connection, "known", 5);
    host.pong(connection, new Uint8Array());
    expect(connection).toMatchObject({ messagesReceived: 3, bytesReceived: 10, framesReceived: 4 });
    connection.close();
    host.message(connection, "x");
    expect(connection, "frames are a sign of life while the close is not answered").toMatchObject({
      messagesReceived: 3,
      bytesReceived: 10,
      framesReceived: 5,
    });
    host.close(connection, 1000, "", true);
    host.message(connection, "x");
    host.pong(connection, new Uint8Array());
    expect(connection).toMatchObject({ messagesReceived: 3, bytesReceived: 10, framesReceived: 5 });
  });

  it("closes with 1009 at a message over maxPayload where the transport let it in", async () => {
    const { connection, host, socket } = await setup({ maxPayload: 10 });
    host.message(connection, "x".repeat(10));
    expect(connection.isOpen).toBe(true);
    host.message(connection, "é".repeat(6));
    expect(socket.closes).toMatchObject([{ code: 1009 }]);
  });
});

describe("Connection.receiveText(), receiveBytes(), receiveJson()", () => {
  it("throw at the wrong kind of frame or at invalid JSON, consume it, and leave the connection open", async () => {
    const { connection, host } = await setup();
    for (const payload of [new Uint8Array([1]), "text", "{", new Uint8Array([2]), "fine"])
      host.message(connection, payload);
    const invalid = { code: "ERR_VEL_INVALID_MESSAGE" };
    await expect(connection.receiveText()).rejects.toMatchObject(invalid);
    await expect(connection.receiveBytes()).rejects.toMatchObject(invalid);
    await expect(connection.receiveJson()).rejects.toMatchObject({
      ...invalid,
      cause: expect.any(SyntaxError) as unknown,
    });
    await expect(connection.receiveJson()).rejects.toMatchObject(invalid);
    expect(await connection.receiveText()).toBe("fine");
    expect(connection.isOpen).toBe(true);
  });

  it("check with a schema, at once or later, and give its output", async () => {
    const { connection, host } = await setup();
    const Now = z.object({ n: z.string().transform(Number) });
    const Later = z.object({ n: z.number().refine((n) => Promise.resolve(n > 0)) });
    for (const text of ['{"n":"5"}', '{"n":5}', '{"n":5}', '{"n":-5}']) host.message(connection, text);
    expect(await connection.receiveJson(Now)).toEqual({ n: 5 });
    await expect(connection.receiveJson(Now, { timeout: 5 })).rejects.toMatchObject({ issues: [{ path: ["n"] }] });
    expect(await connection.receiveJson(Later)).toEqual({ n: 5 });
    await expect(connection.receiveJson(Later)).rejects.toMatchObject({ code: "ERR_VEL_INVALID_MESSAGE" });
  });

  it("give up by timeout and by signal, and lose nothing by it", async () => {
    const { connection, host, clock } = await setup();
    const timed = connection.receiveText({ timeout: 10 });
    const json = connection.receiveJson({ timeout: 10 });
    const abort = new AbortController();
    const aborted = connection.receiveBytes({ signal: abort.signal });
    const timeouts = Promise.all([
      expect(timed).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" }),
      expect(json).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" }),
    ]);
    await clock.advance(10);
    await timeouts;
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
    host.message(connection, "x");
    expect(await connection.receiveText()).toBe("x");
  });

  it("reject with a DisconnectError that tells how it ended, after what came before", async () => {
    const { connection, host } = await setup();
    host.message(connection, "last");
    host.close(connection, 4321, "bye", true);
    expect(await connection.receiveText()).toBe("last");
    const failure = await connection.receiveText().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DisconnectError);
    expect((failure as DisconnectError).info).toBe(connection.closeInfo);
  });

  it("reject those who wait when this side closes, once it has ended, and discard what was not handled", async () => {
    const { connection, host } = await setup();
    host.message(connection, "unseen");
    connection.close();
    const waiting = connection.receiveText();
    host.message(connection, "late");
    host.close(connection, 1000, "", true);
    await expect(waiting).rejects.toMatchObject({ info: { by: "local" } });
  });
});

describe("Connection.texts(), bytes(), jsons()", () => {
  it("end with the connection, however it ends, after what came before", async () => {
    for (const end of [1000, 1001, 1005, 1006, 4999]) {
      const { connection, host } = await setup();
      host.message(connection, "a");
      host.message(connection, "b");
      host.close(connection, end, "", true);
      const seen: string[] = [];
      for await (const text of connection.texts()) seen.push(text);
      expect(seen).toEqual(["a", "b"]);
    }
  });

  it("throw at a wrong message and can be read on, the same iterator", async () => {
    const { connection, host } = await setup();
    const iterator = connection.jsons();
    for (const text of ["1", "{", "2"]) host.message(connection, text);
    expect(await iterator.next()).toEqual({ done: false, value: 1 });
    await expect(iterator.next()).rejects.toMatchObject({ code: "ERR_VEL_INVALID_MESSAGE" });
    expect(await iterator.next()).toEqual({ done: false, value: 2 });
    host.close(connection, 1000, "", true);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it("do not close when the loop is left, and another loop goes on where it stopped", async () => {
    const { connection, host } = await setup();
    for (const text of ["a", "b", "c"]) host.message(connection, text);
    const left = connection.texts();
    for await (const text of left) if (text === "b") break;
    expect(connection.isOpen).toBe(true);
    expect(await left.next()).toEqual({ done: true, value: undefined });
    expect(await connection.receiveText()).toBe("c");
  });

  it("give bytes and checked JSON", async () => {
    const { connection, host } = await setup();
    host.message(connection, new Uint8Array([1, 2]));
    host.message(connection, '{"n":1}');
    expect((await connection.bytes().next()).value).toEqual(new Uint8Array([1, 2]));
    const { value } = (await connection.jsons(z.object({ n: z.number() })).next()) as { value: { n: number } };
    expect(value.n).toBe(1);
  });
});

describe("Connection", () => {
  it("knows where it comes from and has an id of its own", async () => {
    const { connection } = await setup();
    const other: Connection = (await setup()).connection;
    expect(connection).toMatchObject({ route: "/ws", protocol: "", remote: { address: "192.0.2.1", port: 4000 } });
    expect(connection.id).toMatch(/^[\w-]{21}$/);
    expect(other.id).not.toBe(connection.id);
  });
});

describe("Outgoing.keep()", () => {
  // Node's Buffer is a Uint8Array whose slice() copies nothing: what was changed after send() once left changed.
  it("copies bytes, a Buffer's too", () => {
    for (const bytes of [new Uint8Array([1, 2, 3]), Buffer.from([1, 2, 3]), Buffer.from([0, 1, 2, 3]).subarray(1)]) {
      const outgoing = new Outgoing(bytes, 3, true).keep();
      bytes.fill(9);
      expect([...(outgoing.payload as Uint8Array)]).toEqual([1, 2, 3]);
    }
  });
});
