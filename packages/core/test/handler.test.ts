import { connect, settle, type TestClient } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type createVel,
  DisconnectError,
  InvalidMessageError,
  type Connection,
  type Hooks,
  type PullHandler,
  type Received,
  type StandardSchemaV1,
  type VelOptions,
} from "../src/index.ts";
import { expectNoRejections, setup } from "./kit.ts";

expectNoRejections();

/** A promise that the test settles. */
function gate() {
  let open = (): void => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const passed = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { passed, open, fail };
}

/** One behaviour in both forms; each gets every message and may be told to act on its text. */
type Act = (connection: Connection, text: string) => unknown;
const forms: readonly (readonly [string, (vel: ReturnType<typeof createVel>, act: Act) => void])[] = [
  [
    "pull form",
    (vel, act) => {
      vel.websocket("/ws", async (request) => {
        const connection = await request.accept();
        for await (const text of connection.texts()) await act(connection, text);
      });
    },
  ],
  [
    "hook form",
    (vel, act) => {
      vel.websocket("/ws", { message: (connection, message) => act(connection, message as string) });
    },
  ],
];

describe.each(forms)("A handler in the %s", (_name, register) => {
  it("sees every message in order, those that were sent before it started among them", async () => {
    const { vel } = setup();
    const seen: string[] = [];
    register(vel, async (_connection, text) => {
      await Promise.resolve();
      seen.push(text);
    });
    const client = await connect(vel, "/ws", { early: ["1", "2", "3"] });
    client.send("4");
    await settle();
    client.send("5");
    client.close(1000);
    await client.closed;
    await settle();
    expect(seen).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("runs for one message at a time", async () => {
    const { vel } = setup();
    const gates = [gate(), gate()];
    const log: string[] = [];
    register(vel, async (_connection, text) => {
      log.push(`start ${text}`);
      await gates[Number(text)]?.passed;
      log.push(`end ${text}`);
    });
    const client = await connect(vel, "/ws", { early: ["0", "1"] });
    await settle();
    expect(log).toEqual(["start 0"]);
    gates[0]?.open();
    await settle();
    expect(log).toEqual(["start 0", "end 0", "start 1"]);
    gates[1]?.open();
    await settle();
    expect(client.isOpen).toBe(true);
  });

  it("ends its connection alone with 1011 when it throws, and tells onError", async () => {
    const { vel, errors } = setup();
    register(vel, (connection, text) => {
      if (text === "throw") throw new Error("secret");
      connection.send(text);
    });
    const [bad, good] = [await connect(vel, "/ws"), await connect(vel, "/ws")];
    bad.send("throw");
    bad.send("never seen");
    expect(await bad.closed).toMatchObject({ code: 1011, by: "remote" });
    expect(bad.received, "nothing of the error reaches the client").toEqual([]);
    expect(bad.closeInfo?.reason).not.toContain("secret");
    good.send("still here");
    expect(await good.receiveText()).toBe("still here");
    expect(errors).toEqual([expect.stringMatching(/^(handler|message): Error: secret$/)]);
  });

  it("ends its connection with 1007 at an InvalidMessageError that nobody caught, and tells nobody", async () => {
    const { vel, errors } = setup();
    register(vel, async () => {
      await Promise.resolve();
      throw new InvalidMessageError("Not what was asked for");
    });
    const client = await connect(vel, "/ws", { early: ["x"] });
    expect(await client.closed).toMatchObject({ code: 1007 });
    expect(errors).toEqual([]);
  });

  it("takes an uncaught DisconnectError of its own connection for its end, of another's for a failure", async () => {
    const { vel, errors } = setup();
    let other: Connection | undefined;
    vel.websocket("/other", { open: (connection) => void (other = connection) });
    const otherClient = await connect(vel, "/other");
    otherClient.drop();
    await otherClient.closed;
    const foreign = new DisconnectError(other?.closeInfo ?? { code: 0, reason: "", wasClean: false, by: "local" });
    register(vel, (connection, text) => {
      if (text === "foreign") throw foreign;
      connection.close(4000);
      // What it will end with is not known before the peer has answered; a feature says this of it meanwhile.
      throw new DisconnectError({ code: 1006, reason: "", wasClean: false, by: "remote" });
    });
    expect(await (await connect(vel, "/ws", { early: ["foreign"] })).closed).toMatchObject({ code: 1011 });
    expect(await (await connect(vel, "/ws", { early: ["own"] })).closed).toMatchObject({ code: 4000 });
    await settle();
    expect(errors).toEqual([expect.stringMatching(/Disconnected with code 1006/)]);
  });

  it("may close its own connection, whose code then stands", async () => {
    const { vel, errors } = setup();
    const seen: string[] = [];
    register(vel, (connection, text) => {
      seen.push(text);
      connection.close(4321, "done");
      connection.send("too late");
    });
    const client = await connect(vel, "/ws", { early: ["a", "b"] });
    expect(await client.closed).toMatchObject({ code: 4321, reason: "done" });
    await settle();
    expect(seen, "what it had not handled is discarded").toEqual(["a"]);
    expect(errors).toEqual([]);
  });
});

describe("A handler in the pull form", () => {
  it("closes with 1000 when it returns", async () => {
    const { vel } = setup();
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      connection.send("bye");
    });
    const client = await connect(vel, "/ws");
    expect(await client.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(client.received).toEqual(["bye"]);
  });

  it("may be a function that is not async, and answers all the same", async () => {
    const { vel } = setup();
    vel.websocket("/ws", (request) => request.accept().then((connection) => void connection.send("hi")));
    expect(await (await connect(vel, "/ws")).receiveText()).toBe("hi");
    vel.websocket("/throws", () => {
      throw new Error("sync");
    });
    await expect(connect(vel, "/throws")).rejects.toMatchObject({ status: 500 });
  });

  it("reads on after a wrong frame or invalid JSON, with the same iterator and the connection open", async () => {
    const { vel } = setup();
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      const messages = connection.jsons();
      for (;;) {
        try {
          const { done, value } = await messages.next();
          if (done) return;
          connection.sendJson({ got: value });
        } catch (error) {
          if (!(error instanceof InvalidMessageError)) throw error;
          connection.sendJson({ error: error.code });
        }
      }
    });
    const client = await connect(vel, "/ws", { early: ["{", new Uint8Array([1]), "1"] });
    const invalid = { error: "ERR_VEL_INVALID_MESSAGE" };
    expect([await client.receiveJson(), await client.receiveJson(), await client.receiveJson()]).toEqual([
      invalid,
      invalid,
      { got: 1 },
    ]);
    expect(client.isOpen).toBe(true);
  });

  it("closes with 1007 where a wrong frame or invalid JSON is not caught", async () => {
    const { vel, errors } = setup();
    vel.websocket("/ws", async (request) => {
      for await (const _ of (await request.accept()).jsons());
    });
    for (const payload of ["{", new Uint8Array([1])]) {
      expect(await (await connect(vel, "/ws", { early: [payload] })).closed).toMatchObject({ code: 1007 });
    }
    expect(errors).toEqual([]);
  });

  it("accepts once: a second time, and after a refusal, is ERR_VEL_STATE", async () => {
    const { vel, errors } = setup();
    const codes: unknown[] = [];
    const codeOf = (error: unknown): unknown => codes.push((error as { code: string }).code);
    vel.websocket("/twice", async (request) => {
      const connection = await request.accept();
      await request.accept().catch(codeOf);
      connection.send("open");
    });
    expect(await (await connect(vel, "/twice")).receiveText()).toBe("open");
    vel.websocket("/both", async (request) => {
      const [first] = await Promise.all([request.accept(), request.accept().catch(codeOf)]);
      first.send("open");
    });
    expect(await (await connect(vel, "/both")).receiveText()).toBe("open");
    vel.websocket("/refused", async (request) => {
      request.reject(401);
      await request.accept().catch(codeOf);
    });
    await expect(connect(vel, "/refused")).rejects.toMatchObject({ status: 401 });
    vel.websocket("/uncaught", async (request) => {
      request.reject(401);
      await request.accept();
    });
    await expect(connect(vel, "/uncaught")).rejects.toMatchObject({ status: 401 });
    expect(codes).toEqual(["ERR_VEL_STATE", "ERR_VEL_STATE", "ERR_VEL_STATE"]);
    expect(errors, "who forgot the return is told").toEqual([expect.stringMatching(/ERR_VEL_STATE|refused already/)]);
  });

  it("cannot refuse what it has accepted: ERR_VEL_STATE, and the first answer stands", async () => {
    for (const when of ["before open", "after open"]) {
      for (const how of ["reject", "close"] as const) {
        const { vel, errors } = setup();
        const codes: unknown[] = [];
        vel.websocket("/ws", async (request) => {
          const accepting = request.accept();
          if (when === "after open") await accepting;
          try {
            if (how === "reject") request.reject(401);
            else request.close(4001);
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
          (await accepting).send("open");
        });
        const client = await connect(vel, "/ws");
        expect(await client.receiveText()).toBe("open");
        expect(await client.closed).toMatchObject({ code: 1000 });
        expect(codes).toEqual(["ERR_VEL_STATE"]);
        expect(errors).toEqual([]);
      }
    }
  });

  it("cannot accept any more once it has returned without an answer", async () => {
    const { vel, errors } = setup();
    const late = gate();
    const codes: unknown[] = [];
    vel.websocket("/ws", (request) => {
      void late.passed
        .then(() => request.accept())
        .catch((error: unknown) => codes.push((error as { code: string }).code));
    });
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 500 });
    late.open();
    await settle();
    expect(codes).toEqual(["ERR_VEL_STATE"]);
    expect(errors).toEqual([expect.stringMatching(/without an answer/)]);
  });

  it("is told by accept() that the client has left meanwhile, and has then simply ended", async () => {
    const { vel, errors } = setup();
    const left = new AbortController();
    const outcomes: unknown[] = [];
    const handler: PullHandler = async (request) => {
      left.abort();
      try {
        await request.accept();
      } catch (error) {
        outcomes.push((error as DisconnectError).info);
        throw error;
      }
    };
    vel.websocket("/ws", handler);
    await expect(connect(vel, "/ws", { signal: left.signal })).rejects.toMatchObject({ name: "AbortError" });
    await settle();
    expect(outcomes).toEqual([{ code: 1006, reason: "", wasClean: false, by: "remote" }]);
    expect(errors).toEqual([]);
  });

  it("is told of what else goes wrong after the client has left", async () => {
    const { vel, errors } = setup();
    const left = new AbortController();
    vel.websocket("/ws", async (request) => {
      left.abort();
      await request.accept().catch(() => undefined);
      throw new Error("cleanup");
    });
    await expect(connect(vel, "/ws", { signal: left.signal })).rejects.toMatchObject({ name: "AbortError" });
    await settle();
    expect(errors).toEqual(["handler: Error: cleanup"]);
  });

  it("does not need to await accept()", async () => {
    const { vel, errors } = setup();
    vel.websocket("/ws", (request) => void request.accept());
    expect(await (await connect(vel, "/ws")).closed).toMatchObject({ code: 1000 });
    const left = new AbortController();
    vel.websocket("/left", (request) => {
      left.abort();
      void request.accept();
    });
    await connect(vel, "/left", { signal: left.signal }).catch(() => undefined);
    await settle();
    expect(errors).toEqual([]);
  });

  it("ends when this side closes the connection from elsewhere", async () => {
    const { vel, errors } = setup();
    let hasEnded = false;
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      for await (const _ of connection.texts());
      hasEnded = true;
    });
    const client = await connect(vel, "/ws");
    for (const connection of vel.connections) connection.close(4000);
    await client.closed;
    await settle();
    expect(hasEnded).toBe(true);
    expect(errors).toEqual([]);
  });
});

describe("A handler in the hook form", () => {
  /** Registers hooks that write down what they are called for. */
  function recording(hooks: Partial<Hooks> = {}, options: VelOptions = {}) {
    const context = setup(options);
    const log: string[] = [];
    context.vel.websocket("/ws", {
      open: () => void log.push("open"),
      message: (_connection: Connection, message: Received) => void log.push(`message ${String(message)}`),
      close: (_connection: Connection, { code }: { code: number }) => void log.push(`close ${String(code)}`),
      ...hooks,
    } as Hooks);
    return { ...context, log };
  }

  it("calls open first, messages in order, close once at the end, however it ends", async () => {
    const ends: readonly (readonly [number, (client: TestClient, connection: Connection | undefined) => void])[] = [
      [1000, (client) => client.close(1000)],
      [1005, (client) => client.close()],
      [1006, (client) => client.drop()],
      [4000, (_client, connection) => connection?.close(4000)],
      [1006, (_client, connection) => connection?.terminate()],
    ];
    for (const [code, end] of ends) {
      const { vel, log } = recording();
      const client = await connect(vel, "/ws", { early: ["a", "b"] });
      await settle();
      end(client, [...vel.connections][0]);
      await client.closed;
      await settle();
      expect(log).toEqual(["open", "message a", "message b", `close ${String(code)}`]);
    }
  });

  it("keeps messages and the close until an async open has settled", async () => {
    const opening = gate();
    const { vel, log } = recording({ open: () => opening.passed });
    const client = await connect(vel, "/ws", { early: ["a"] });
    client.send("b");
    client.close(1000);
    await client.closed;
    await settle();
    expect(log).toEqual([]);
    opening.open();
    await settle();
    expect(log).toEqual(["message a", "message b", "close 1000"]);
  });

  it("calls close after the last async message hook, which the peer's close does not cut short", async () => {
    const working = gate();
    const { vel, log } = recording({
      message: async (_connection, message) => {
        await working.passed;
        log.push(`done ${String(message)}`);
      },
    });
    const client = await connect(vel, "/ws", { early: ["a", "b"] });
    client.close(1000);
    await client.closed;
    await settle();
    expect(log).toEqual(["open"]);
    working.open();
    await settle();
    expect(log).toEqual(["open", "done a", "done b", "close 1000"]);
  });

  it("does not await message hooks where serial is false, but calls close after all of them", async () => {
    for (const where of ["route", "server"]) {
      const gates = [gate(), gate()];
      const message: Hooks["message"] = async (_connection, text) => {
        log.push(`start ${String(text)}`);
        await gates[Number(text)]?.passed;
        log.push(`end ${String(text)}`);
      };
      const { vel, log } = recording(
        where === "route" ? { message, serial: false } : { message },
        where === "route" ? {} : { serial: false },
      );
      const client = await connect(vel, "/ws", { early: ["0", "1"] });
      client.close(1000);
      await client.closed;
      gates[1]?.open();
      await settle();
      expect(log).toEqual(["open", "start 0", "start 1", "end 1"]);
      gates[0]?.open();
      await settle();
      expect(log).toEqual(["open", "start 0", "start 1", "end 1", "end 0", "close 1000"]);
    }
  });

  it("lets a route be serial where the server's default is not", async () => {
    const stuck = gate();
    const { vel, log } = recording(
      {
        serial: true,
        message: (_connection, text) => {
          log.push(String(text));
          return stuck.passed;
        },
      },
      { serial: false },
    );
    await connect(vel, "/ws", { early: ["a", "b"] });
    await settle();
    expect(log).toEqual(["open", "a"]);
    stuck.open();
    await settle();
    expect(log).toEqual(["open", "a", "b"]);
  });

  it("closes with 1011 when open throws or rejects: no message is handed in, close is still called", async () => {
    for (const open of [
      () => {
        throw new Error("open");
      },
      () => Promise.reject(new Error("open")),
    ]) {
      const { vel, log, errors } = recording({ open });
      const client = await connect(vel, "/ws", { early: ["a"] });
      expect(await client.closed).toMatchObject({ code: 1011 });
      await settle();
      expect(log).toEqual(["close 1011"]);
      expect(errors).toEqual(["open: Error: open"]);
    }
  });

  it("reports what message, drain and close throw or reject with, and is never an unhandled rejection", async () => {
    const failing = (stage: string, isAsync: boolean) => (): unknown => {
      if (isAsync) return Promise.reject(new Error(stage));
      throw new Error(stage);
    };
    for (const isAsync of [false, true]) {
      const { vel, errors } = recording(
        { message: failing("message", isAsync), close: failing("close", isAsync), drain: failing("drain", isAsync) },
        { sendBuffer: { limit: 10 } },
      );
      const client = await connect(vel, "/ws", { early: ["x"] });
      expect(await client.closed).toMatchObject({ code: 1011 });
      await settle();
      expect(errors).toEqual(["message: Error: message", "close: Error: close"]);
      const slow = await connect(vel, "/ws");
      slow.pause();
      for (const connection of vel.connections) connection.send("123456789");
      slow.resume();
      expect(await slow.closed).toMatchObject({ code: 1011 });
      await settle();
      expect(errors.slice(2)).toEqual(["drain: Error: drain", "close: Error: close"]);
    }
  });

  it("calls drain once the buffer is below half again, and not when it never was above", async () => {
    const { vel, log } = recording({ drain: () => void log.push("drain") }, { sendBuffer: { limit: 10 } });
    const client = await connect(vel, "/ws");
    const [connection] = vel.connections;
    connection?.send("12345");
    await settle();
    expect(log).toEqual(["open"]);
    client.pause();
    expect(connection?.send("123456")).toBe("queued");
    await settle();
    expect(log).toEqual(["open"]);
    client.resume();
    await settle();
    expect(log).toEqual(["open", "drain"]);
    client.close(1000);
    await settle();
    expect(log).toEqual(["open", "drain", "close 1000"]);
  });

  it("does not call drain any more once the connection closes", async () => {
    const { vel, log } = recording({ drain: () => void log.push("drain") }, { sendBuffer: { limit: 10 } });
    const client = await connect(vel, "/ws");
    const [connection] = vel.connections;
    client.pause();
    expect(connection?.send("123456")).toBe("queued");
    connection?.close(4000);
    client.resume();
    await client.closed;
    await settle();
    expect(log).toEqual(["open", "close 4000"]);
  });

  it("gives the hooks that are there only: without any, messages are taken and the connection lives", async () => {
    const { vel, errors } = setup();
    vel.websocket("/ws", {});
    const client = await connect(vel, "/ws", { early: ["x", new Uint8Array([1])] });
    await settle();
    expect(client.isOpen).toBe(true);
    expect(errors).toEqual([]);
  });

  it("takes hooks from an object of a class and calls them on it", async () => {
    const { vel, errors } = setup();
    class Counter {
      count = 0;
      message(connection: Connection): void {
        connection.send(String(++this.count));
      }
    }
    vel.websocket("/ws", new Counter());
    const client = await connect(vel, "/ws", { early: ["a", "b"] });
    expect([await client.receiveText(), await client.receiveText()]).toEqual(["1", "2"]);
    expect(errors).toEqual([]);
  });

  it("receives by hook only: the receiving methods are ERR_VEL_STATE, from open on", async () => {
    const codes: unknown[] = [];
    const tried = (connection: Connection): Promise<void> =>
      connection.receiveText().then(
        (text) => void codes.push(text),
        (error: unknown) => void codes.push((error as { code: string }).code),
      );
    const { vel } = recording({ open: tried, message: tried });
    await connect(vel, "/ws", { early: ["a"] });
    await settle();
    expect(codes).toEqual(["ERR_VEL_STATE", "ERR_VEL_STATE"]);
  });

  it("lets upgrade decide: refuse by return or throw, or add data, protocol and headers", async () => {
    const { vel } = setup();
    vel.websocket("/ws/:what", {
      async upgrade(request) {
        await Promise.resolve();
        if (request.params.what === "return") return request.reject(403);
        if (request.params.what === "throw") throw request.reject(402);
        request.defer(() => undefined);
        return { data: { who: request.params.what }, protocol: "b", headers: { "x-a": "1" } };
      },
      open(connection) {
        connection.send(`${connection.data.who} ${connection.params.what} ${connection.protocol} ${connection.route}`);
      },
    });
    await expect(connect(vel, "/ws/return")).rejects.toMatchObject({ status: 403 });
    await expect(connect(vel, "/ws/throw")).rejects.toMatchObject({ status: 402 });
    const client = await connect(vel, "/ws/ada", { protocols: ["a", "b"] });
    expect(await client.receiveText()).toBe("ada ada b /ws/:what");
    expect(client.protocol).toBe("b");
    expect(client.headers.get("x-a")).toBe("1");
  });

  it("takes a refusal that upgrade made and did not return for its answer", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {
      upgrade(request) {
        request.reject(401);
        return { data: {} };
      },
    });
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 401 });
  });
});

describe("Hooks.schema", () => {
  const Say = z.object({ say: z.string() });
  /** A schema that answers later, and decides by the value. */
  const later: StandardSchemaV1<unknown, string> = {
    "~standard": {
      version: 1,
      vendor: "test",
      async validate(value) {
        await Promise.resolve();
        if (value === "crash") throw new Error("schema");
        return value === "no" ? { issues: [{ message: "no" }] } : { value: `${String(value)}!` };
      },
    },
  };

  it("makes texts arrive parsed and checked, with the schema's output", async () => {
    const { vel } = setup();
    vel.websocket("/now", { schema: Say, message: (connection, { say }) => connection.send(say.toUpperCase()) });
    vel.websocket("/later", { schema: later, message: (connection, text) => connection.send(text) });
    const now = await connect(vel, "/now");
    now.sendJson({ say: "hi", more: 1 });
    expect(await now.receiveText()).toBe("HI");
    const client = await connect(vel, "/later", { early: ['"a"', '"b"'] });
    expect([await client.receiveText(), await client.receiveText()]).toEqual(["a!", "b!"]);
  });

  it("closes with 1007 at what does not fit: no JSON, a binary frame, the schema's objections at once or later", async () => {
    const { vel, errors } = setup();
    const seen: unknown[] = [];
    vel.websocket("/now", { schema: Say, message: (_connection, message) => seen.push(message) });
    vel.websocket("/later", { schema: later, message: (_connection, message) => seen.push(message) });
    for (const payload of ["{", '{"say":1}', "null", new Uint8Array([1])]) {
      expect(await (await connect(vel, "/now", { early: [payload, '{"say":"x"}'] })).closed).toMatchObject({
        code: 1007,
      });
    }
    expect(await (await connect(vel, "/later", { early: ['"no"'] })).closed).toMatchObject({ code: 1007 });
    expect(seen).toEqual([]);
    expect(errors).toEqual([]);
  });

  it("gives what does not fit to invalid instead, and the connection stays", async () => {
    const { vel, errors } = setup();
    const schemas: [string, StandardSchemaV1][] = [
      ["/now", Say],
      ["/later", later],
    ];
    for (const [path, schema] of schemas) {
      vel.websocket(path, {
        schema,
        message: (connection, message) => connection.sendJson({ got: message as string }),
        async invalid(connection, error) {
          await Promise.resolve();
          connection.sendJson({ code: error.code, issues: error.issues.length });
        },
      });
    }
    const now = await connect(vel, "/now", { early: ["{", '{"say":1}', '{"say":"x"}'] });
    const code = "ERR_VEL_INVALID_MESSAGE";
    expect([await now.receiveJson(), await now.receiveJson(), await now.receiveJson()]).toEqual([
      { code, issues: 0 },
      { code, issues: 1 },
      { got: { say: "x" } },
    ]);
    const client = await connect(vel, "/later", { early: ['"no"', '"yes"'] });
    expect([await client.receiveJson(), await client.receiveJson()]).toEqual([{ code, issues: 1 }, { got: "yes!" }]);
    expect(errors).toEqual([]);
  });

  it("closes with 1011 when the schema or invalid itself fails", async () => {
    const { vel, errors } = setup();
    vel.websocket("/crash", { schema: later, message: () => undefined, invalid: () => undefined });
    vel.websocket("/invalid", {
      schema: later,
      message: () => undefined,
      invalid: () => Promise.reject(new Error("invalid")),
    });
    expect(await (await connect(vel, "/crash", { early: ['"crash"'] })).closed).toMatchObject({ code: 1011 });
    expect(await (await connect(vel, "/invalid", { early: ['"no"'] })).closed).toMatchObject({ code: 1011 });
    expect(errors).toEqual(["message: Error: schema", "invalid: Error: invalid"]);
  });

  it("closes with 1007 when the message hook itself throws an InvalidMessageError, without asking invalid", async () => {
    const { vel } = setup();
    let asked = 0;
    vel.websocket("/ws", {
      schema: Say,
      message: () => Promise.reject(new InvalidMessageError("Not now")),
      invalid: () => asked++,
    });
    expect(await (await connect(vel, "/ws", { early: ['{"say":"x"}'] })).closed).toMatchObject({ code: 1007 });
    expect(asked).toBe(0);
  });
});
