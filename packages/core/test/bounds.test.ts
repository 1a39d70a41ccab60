import { readFileSync } from "node:fs";
import { connect, HandshakeError, ManualClock, memoryTransport, settle, type TestClient } from "@vel/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createVel, type Connection, type PendingRequest, type Vel, type VelOptions } from "../src/index.ts";
import { limitsOf } from "../src/limits.ts";
import { handshake, ScriptedSocket, scriptedTransport, settled } from "./scripted-transport.ts";
import { expectNoRejections } from "./kit.ts";

const rejections = expectNoRejections();

const handshakeTimeout = 500;
const closeTimeout = 200;

interface Setup {
  readonly vel: Vel;
  readonly clock: ManualClock;
  readonly errors: { stage: string; text: string; connection: Connection | undefined }[];
  readonly refusals: number[];
}

function setup(options: VelOptions = {}): Setup {
  const clock = new ManualClock();
  const errors: Setup["errors"] = [];
  const vel = createVel({
    clock,
    handshakeTimeout,
    closeTimeout,
    onError: (error, { stage, connection }) => errors.push({ stage, text: String(error), connection }),
    ...options,
  });
  const refusals: number[] = [];
  vel.on("refuse", (_request, code) => refusals.push(code));
  return { vel, clock, errors, refusals };
}

/** A promise that the test settles. */
interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
  readonly fail: (error: unknown) => void;
}

function gate(): Gate {
  let open = (): void => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const passed = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { passed, open, fail };
}

/** What becomes of a request: a client, or the status that it was refused with. */
async function outcomeOf(vel: Vel, path: string): Promise<TestClient | number> {
  try {
    return await connect(vel, path);
  } catch (error) {
    if (error instanceof HandshakeError) return error.status;
    throw error;
  }
}

describe("VelOptions.handshakeTimeout", () => {
  interface Slow {
    /** What the one who is slow does in the end. */
    readonly gate: Gate;
    readonly calls: string[];
  }
  /** Registers `/ws` with somebody slow in it, who answers once the gate is opened or fails once it does. */
  const slow: Record<string, (vel: Vel, slow: Slow) => void> = {
    "a guard": (vel, { gate, calls }) => {
      const scope = vel
        .with(async (request) => {
          request.defer(() => calls.push("released early"));
          await gate.passed;
          request.defer(() => calls.push("released late"));
          return { data: { late: true } };
        })
        .with(() => void calls.push("next guard"));
      scope.websocket("/ws", { upgrade: () => (calls.push("upgrade"), {}), open: () => calls.push("open") });
    },
    "an upgrade hook": (vel, { gate, calls }) => {
      vel.websocket("/ws", {
        async upgrade(request) {
          request.defer(() => calls.push("released early"));
          await gate.passed;
          request.defer(() => calls.push("released late"));
          return { data: { late: true } };
        },
        open: () => calls.push("open"),
        close: () => calls.push("close"),
      });
    },
    "a pull handler": (vel, { gate, calls }) => {
      vel.websocket("/ws", async (request) => {
        request.defer(() => calls.push("released early"));
        await gate.passed;
        request.defer(() => calls.push("released late"));
        await request.accept();
        calls.push("open");
      });
    },
  };

  for (const [name, register] of Object.entries(slow)) {
    describe(`with ${name} that does not answer in time`, () => {
      it("refuses with 503, tells onError once and releases once, and leaves nothing", async () => {
        const { vel, clock, errors, refusals } = setup();
        const calls: string[] = [];
        register(vel, { gate: gate(), calls });
        const outcome = outcomeOf(vel, "/ws");
        await clock.advance(handshakeTimeout - 1);
        expect(errors).toEqual([]);
        expect(calls).toEqual([]);
        await clock.advance(1);
        expect(await outcome).toBe(503);
        expect(errors).toEqual([
          {
            stage: "handshake",
            text: 'VelError: Handshake on "/ws" took longer than 500 ms',
            connection: undefined,
          },
        ]);
        expect(refusals).toEqual([503]);
        expect(calls).toEqual(["released early"]);
        expect(clock.pending).toBe(0);
        await vel.close();
        expect(clock.pending).toBe(0);
      });

      it("tells the client when to come back", async () => {
        const { vel, clock } = setup();
        register(vel, { gate: gate(), calls: [] });
        const answer = vel.bind(scriptedTransport()).upgrade(handshake("/ws"));
        await clock.advance(handshakeTimeout);
        expect(await answer).toEqual({ accept: false, status: 503, headers: [["Retry-After", "1"]], body: "" });
      });

      it("lets go of the answer that comes after all", async () => {
        const { vel, clock, errors, refusals } = setup();
        const calls: string[] = [];
        const late = gate();
        register(vel, { gate: late, calls });
        const outcome = outcomeOf(vel, "/ws");
        await clock.advance(handshakeTimeout);
        expect(await outcome).toBe(503);
        late.open();
        await settle();
        expect(calls).toEqual(["released early", "released late"]);
        expect(vel.connections.size).toBe(0);
        expect(errors.map(({ stage }) => stage)).toEqual(["handshake"]);
        expect(refusals).toEqual([503]);
        await vel.close();
        expect(clock.pending).toBe(0);
      });

      it("tells onError what it throws after all, and nobody else", async () => {
        const { vel, clock, errors, refusals } = setup();
        const late = gate();
        register(vel, { gate: late, calls: [] });
        const outcome = outcomeOf(vel, "/ws");
        await clock.advance(handshakeTimeout);
        expect(await outcome).toBe(503);
        late.fail(new Error("late"));
        await settle();
        expect(errors).toHaveLength(2);
        expect(errors[1]).toMatchObject({ text: "Error: late", connection: undefined });
        expect(refusals).toEqual([503]);
        await vel.close();
      });

      it("does not count time of a client that has left and was answered for", async () => {
        const { vel, clock, errors, refusals } = setup();
        const calls: string[] = [];
        const late = gate();
        register(vel, { gate: late, calls });
        const leave = new AbortController();
        const refused = expect(connect(vel, "/ws", { signal: leave.signal })).rejects.toMatchObject({
          name: "AbortError",
        });
        await clock.advance(1);
        leave.abort();
        expect(calls).toEqual(["released early"]);
        late.open();
        await refused;
        await clock.advance(handshakeTimeout);
        expect(errors).toEqual([]);
        expect(refusals).toEqual([]);
        expect(clock.pending).toBe(0);
        await vel.close();
      });

      it("is not waited for longer than closeTimeout when the server closes", async () => {
        const { vel, clock, errors } = setup();
        register(vel, { gate: gate(), calls: [] });
        const outcome = outcomeOf(vel, "/ws");
        await settle();
        let isClosed = false;
        const closing = vel.close().then(() => (isClosed = true));
        await clock.advance(closeTimeout - 1);
        expect(isClosed).toBe(false);
        await clock.advance(1);
        await closing;
        expect(clock.pending, "no timer is left").toBe(0);
        expect(await outcome).toBe(503);
        expect(errors).toEqual([]);
      });
    });
  }

  it("does not touch who answers in time, and no timer of theirs is left", async () => {
    const { vel, clock, errors } = setup();
    vel.websocket("/ws", { upgrade: () => Promise.resolve({}) });
    const client = await connect(vel, "/ws");
    expect(clock.pending).toBe(0);
    await clock.advance(handshakeTimeout * 10);
    expect(client.isOpen).toBe(true);
    expect(errors).toEqual([]);
    await vel.close();
  });
});

describe("VelOptions.maxConnections", () => {
  it("refuses who comes beyond it with 503 and a time to come back, before any guard runs", async () => {
    const { vel, refusals } = setup({ maxConnections: 2 });
    let asked = 0;
    vel.use(() => void asked++).websocket("/ws", {});
    const first = await connect(vel, "/ws");
    await connect(vel, "/ws");
    const error = await connect(vel, "/ws").catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(HandshakeError);
    expect((error as HandshakeError).status).toBe(503);
    expect((error as HandshakeError).headers.get("retry-after")).toBe("1");
    expect(asked).toBe(2);
    expect(refusals).toEqual([503]);
    first.close();
    await first.closed;
    expect(await outcomeOf(vel, "/ws")).not.toBe(503);
    await vel.close();
  });

  it("counts handshakes in progress, and frees their places on every way out", async () => {
    const clock = new ManualClock();
    const vel = createVel({ clock, handshakeTimeout, maxConnections: 1, onError: () => undefined });
    let next: (request: PendingRequest) => unknown = () => undefined;
    vel.websocket("/ws", (request) => next(request) as undefined);
    const isFull = async (): Promise<boolean> => {
      const before = next;
      next = (request) => request.reject(418);
      const answer = await outcomeOf(vel, "/ws");
      next = before;
      return answer === 503;
    };
    const ways: Record<string, () => Promise<unknown>> = {
      "a refusal": async () => {
        const answered = gate();
        next = async (request) => {
          await answered.passed;
          return request.reject(401);
        };
        const outcome = outcomeOf(vel, "/ws");
        expect(await isFull()).toBe(true);
        answered.open();
        expect(await outcome).toBe(401);
      },
      "a throw": async () => {
        const answered = gate();
        next = () => answered.passed;
        const outcome = outcomeOf(vel, "/ws");
        expect(await isFull()).toBe(true);
        answered.fail(new Error("boom"));
        expect(await outcome).toBe(500);
      },
      "no answer in time": async () => {
        next = () => gate().passed;
        const outcome = outcomeOf(vel, "/ws");
        expect(await isFull()).toBe(true);
        await clock.advance(handshakeTimeout);
        expect(await outcome).toBe(503);
      },
      "a refusal by close": async () => {
        next = (request) => request.close(4001);
        const client = (await outcomeOf(vel, "/ws")) as TestClient;
        await client.closed;
      },
      "a client that leaves while it is decided on": async () => {
        const answered = gate();
        next = () => answered.passed;
        const leave = new AbortController();
        const outcome = connect(vel, "/ws", { signal: leave.signal }).catch(() => undefined);
        expect(await isFull()).toBe(true);
        leave.abort();
        answered.open();
        await outcome;
      },
      "a client that leaves between the answer and its socket": async () => {
        next = async (request) => {
          await request.accept();
        };
        const leave = new AbortController();
        const answer = await vel.bind(scriptedTransport()).upgrade(handshake("/ws", { signal: leave.signal }));
        expect(answer.accept).toBe(true);
        expect(await isFull()).toBe(true);
        leave.abort();
      },
      "the peer's close": async () => {
        next = async (request) => {
          for await (const text of (await request.accept()).texts()) void text;
        };
        const client = (await outcomeOf(vel, "/ws")) as TestClient;
        expect(await isFull()).toBe(true);
        client.close();
        await client.closed;
      },
      "a drop": async () => {
        next = async (request) => {
          for await (const text of (await request.accept()).texts()) void text;
        };
        const client = (await outcomeOf(vel, "/ws")) as TestClient;
        client.drop();
        await client.closed;
      },
      "a handler's end": async () => {
        next = async (request) => {
          await request.accept();
        };
        const client = (await outcomeOf(vel, "/ws")) as TestClient;
        await client.closed;
      },
      "terminate()": async () => {
        next = async (request) => {
          (await request.accept()).terminate();
        };
        const client = (await outcomeOf(vel, "/ws")) as TestClient;
        await client.closed;
      },
    };
    for (const [name, way] of Object.entries(ways)) {
      expect(await isFull(), `before ${name}`).toBe(false);
      await way();
      await settle();
      expect(await isFull(), `after ${name}`).toBe(false);
    }
    await vel.close();
    expect(clock.pending).toBe(0);
  });

  it("is by default what the transport can hold", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const host = vel.bind({ ...scriptedTransport(), maxConnections: 3 });
    const statuses: (number | boolean)[] = [];
    for (let count = 0; count < 4; count++) {
      const answer = await host.upgrade(handshake("/ws"));
      if (answer.accept) host.open(new ScriptedSocket(), answer);
      statuses.push(answer.accept || answer.status);
    }
    expect(statuses).toEqual([true, true, true, 503]);
  });

  it("overrules what the transport says it can hold, and is 10,000 where neither says anything", async () => {
    for (const [options, capacity, expected] of [
      [{ maxConnections: 2 }, 1, 2],
      [{ maxConnections: 1 }, 2, 1],
      [{}, undefined, 10_000],
    ] as const) {
      const { vel } = setup(options);
      vel.websocket("/ws", {});
      const host = vel.bind({ ...scriptedTransport(), ...(capacity && { maxConnections: capacity }) });
      let open = 0;
      for (;;) {
        const answer = await host.upgrade(handshake("/ws"));
        if (!answer.accept) break;
        host.open(new ScriptedSocket(), answer);
        open++;
      }
      expect(open).toBe(expected);
    }
  });
});

describe("The limits of a connection", () => {
  const texts = { size: 2_000, depth: 3, keys: 5 };

  it("are those that the documentation states, where nothing is said", async () => {
    const documented = readFileSync(new URL("../src/vel.ts", import.meta.url), "utf8");
    const defaultOf = (option: string): string | undefined =>
      new RegExp(`Default: ([^.\\n]+?)\\.[^/]*\\*/\\s+${option}\\?:`).exec(documented)?.[1]?.replaceAll("`", "");
    expect(["maxPayload", "json", "receiveBuffer", "sendBuffer", "limit", "onFull"].map(defaultOf)).toEqual([
      "1 MiB",
      "64 KiB, depth 64, 1,000 keys",
      "1 MiB",
      "1 MiB, then close",
      "1 MiB",
      "close",
    ]);
    expect(limitsOf({})).toEqual({
      maxPayload: 2 ** 20,
      json: { size: 2 ** 16, depth: 64, keys: 1_000 },
      receiveBuffer: 2 ** 20,
      sendBuffer: 2 ** 20,
      onFull: "close",
    });
    expect(["closeTimeout", "handshakeTimeout"].map(defaultOf)).toEqual(["10,000", "5,000"]);
    const clock = new ManualClock();
    const delays: number[] = [];
    const vel = createVel({
      clock: Object.assign(Object.create(clock) as ManualClock, {
        now: () => clock.now(),
        wall: () => clock.wall(),
        setTimeout: (callback: () => void, delay: number) => (delays.push(delay), clock.setTimeout(callback, delay)),
        clearTimeout: (timer: unknown) => {
          clock.clearTimeout(timer);
        },
      }),
    });
    vel.websocket("/ws", {});
    const client = await connect(vel, "/ws");
    await Promise.all([vel.close(), client.closed]);
    expect([...new Set(delays)]).toEqual([5_000, 10_000]);
  });

  it("are the route's over the server's: maxPayload", async () => {
    const { vel } = setup({ maxPayload: 10 });
    vel.websocket("/server", {}).websocket("/route", { maxPayload: 20 });
    const host = vel.bind(scriptedTransport());
    expect(await host.upgrade(handshake("/server"))).toMatchObject({ maxPayload: 10 });
    expect(await host.upgrade(handshake("/route"))).toMatchObject({ maxPayload: 20 });
    for (const [path, fits] of [
      ["/server", 10],
      ["/route", 20],
    ] as const) {
      const client = await connect(vel, path);
      client.send("x".repeat(fits));
      await settle();
      expect(client.isOpen).toBe(true);
      client.send("x".repeat(fits + 1));
      expect(await client.closed).toMatchObject({ code: 1009 });
    }
  });

  it("are the route's over the server's, value by value: json", async () => {
    const { vel } = setup({ json: texts });
    const schema = {
      "~standard": { version: 1 as const, vendor: "test", validate: (value: unknown) => ({ value: value as object }) },
    };
    const hooks = {
      schema,
      message: (connection: Connection) => connection.send("fits"),
      invalid: (connection: Connection) => connection.send("does not"),
    };
    vel.websocket("/server", hooks).websocket("/route", { ...hooks, json: { depth: 4 } });
    const keys = (count: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${String(i)}`, i])));
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    const long = (size: number): string => JSON.stringify("x".repeat(size - 2));
    for (const [path, depth] of [
      ["/server", 3],
      ["/route", 4],
    ] as const) {
      const client = await connect(vel, path);
      for (const text of [keys(5), nested(depth), long(2_000)]) {
        client.send(text);
        expect(await client.receiveText(), text).toBe("fits");
      }
      for (const text of [keys(6), nested(depth + 1), long(2_001)]) {
        client.send(text);
        expect(await client.receiveText(), text).toBe("does not");
      }
    }
  });

  it("are the route's over the server's: sendBuffer", async () => {
    const { vel } = setup({ sendBuffer: { limit: 10, onFull: "drop" } });
    const connections: Connection[] = [];
    const open = (connection: Connection): unknown => connections.push(connection);
    vel
      .websocket("/server", { open })
      .websocket("/larger", { open, sendBuffer: { limit: 20 } })
      .websocket("/closing", { open, sendBuffer: { onFull: "close" } });
    for (const path of ["/server", "/larger", "/closing"]) (await connect(vel, path)).pause();
    const [server, larger, closing] = connections as [Connection, Connection, Connection];
    for (const connection of connections) for (let count = 0; count < 3; count++) connection.send("x".repeat(11));
    expect(server).toMatchObject({ messagesSent: 1, messagesDropped: 2, isOpen: true });
    expect(larger).toMatchObject({ messagesSent: 2, messagesDropped: 1, isOpen: true });
    expect(closing).toMatchObject({ messagesSent: 1, messagesDropped: 1, isOpen: false });
  });

  it("are the route's over the server's: receiveBuffer, which stops reading, and loses nothing", async () => {
    const { vel } = setup({ receiveBuffer: { limit: 1_000 } });
    const gates = { "/server": gate(), "/route": gate() };
    const got: Record<string, number> = { "/server": 0, "/route": 0 };
    const hooks = {
      open: (connection: Connection) => gates[connection.route as keyof typeof gates].passed,
      message: (connection: Connection) => (got[connection.route] = (got[connection.route] ?? 0) + 1),
    };
    vel.websocket("/server", hooks).websocket("/route", { ...hooks, receiveBuffer: { limit: 2_000 } });
    for (const [path, limit] of [
      ["/server", 1_000],
      ["/route", 2_000],
    ] as const) {
      const paused: boolean[] = [];
      const memory = memoryTransport();
      const client = await connect(vel, path, {
        transport: {
          ...memory,
          pause(socket, isPaused) {
            paused.push(isPaused);
            memory.pause?.(socket, isPaused);
          },
        },
      });
      // A message of 36 bytes counts as 100.
      for (let count = 0; count < limit / 100; count++) client.send("x".repeat(36));
      await settle();
      expect(paused).toEqual([]);
      for (let count = 0; count < 100; count++) client.send("x".repeat(36));
      await settle();
      expect(paused).toEqual([true]);
      gates[path].open();
      await settle();
      expect(got[path]).toBe(limit / 100 + 100);
      expect(paused.at(-1)).toBe(false);
    }
  });

  it("are options of adopt() too", () => {
    const { vel } = setup({ maxPayload: 10, sendBuffer: { limit: 10 } });
    const host = vel.bind(scriptedTransport());
    const sockets = [new ScriptedSocket(), new ScriptedSocket()] as const;
    const wire = { url: "/", remote: undefined, headers: new Headers() };
    host.message(host.adopt(sockets[0], wire), "x".repeat(11));
    host.message(host.adopt(sockets[1], wire, { maxPayload: 11 }), "x".repeat(11));
    expect(sockets.map(({ closes }) => closes.map(({ code }) => code))).toEqual([[1009], []]);
    expect(() => host.adopt(new ScriptedSocket(), wire, { maxPayload: 0 })).toThrow(/"maxPayload"/);
  });

  it("are checked when the server is made and when a route is registered", () => {
    const wrong: VelOptions[] = [
      { maxPayload: 0 },
      { maxPayload: Number.NaN },
      { json: { size: -1 } },
      { json: { depth: 0 } },
      { json: { keys: "7" as never } },
      { receiveBuffer: { limit: 0 } },
      { sendBuffer: { limit: 0 } },
      { compression: { threshold: -1 } },
      { compression: { windowBits: 8 } },
      { compression: { memoryLimit: 0 } },
    ];
    for (const options of wrong) {
      const server = (): unknown => {
        const vel = createVel(options);
        return vel.websocket("/ws", {});
      };
      expect(server, JSON.stringify(options)).toThrow(RangeError);
      expect(() => createVel().websocket("/ws", options as object), JSON.stringify(options)).toThrow(RangeError);
    }
    for (const options of [{ closeTimeout: 0 }, { handshakeTimeout: -1 }, { maxConnections: 0 }]) {
      expect(() => createVel(options)).toThrow(RangeError);
    }
    expect(() => createVel({ sendBuffer: { onFull: "queue" as never } })).toThrow(TypeError);
  });
});

describe("What user code does wrong", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const manners: Record<string, () => unknown> = {
    throws: () => {
      throw new Error("boom");
    },
    rejects: () => Promise.reject(new Error("boom")),
    "never settles": () => new Promise(() => undefined),
  };

  /** Somebody in whose place user code runs. */
  interface Place {
    /** Registers `/ws` with code in it that goes wrong. */
    register(vel: Vel, wrong: () => never): void;
    /** What the client does to have it run. */
    provoke?(client: TestClient): unknown;
    /** What the client sees of a failure: the status that it is refused with, its close code, or nothing. */
    failure: { status: number } | { code: number } | undefined;
    /** The stage that `onError` is told. */
    stage: string;
    /** Whether a request that is never answered hangs in it. */
    isBeforeOpen?: boolean;
    /** How many times it runs. Default: 1. */
    times?: number;
  }

  const places: Record<string, Place> = {
    "a guard of the server": {
      register: (vel, wrong) => vel.use((request) => (request.path === "/ws" ? wrong() : undefined)),
      failure: { status: 500 },
      stage: "guard",
      isBeforeOpen: true,
    },
    "a guard of a scope": {
      register: (vel, wrong) => vel.with(wrong).websocket("/ws", {}),
      failure: { status: 500 },
      stage: "guard",
      isBeforeOpen: true,
    },
    "Hooks.upgrade()": {
      register: (vel, wrong) => vel.websocket("/ws", { upgrade: wrong }),
      failure: { status: 500 },
      stage: "upgrade",
      isBeforeOpen: true,
    },
    "a pull handler before accept()": {
      register: (vel, wrong) => vel.websocket("/ws", wrong),
      failure: { status: 500 },
      stage: "upgrade",
      isBeforeOpen: true,
    },
    "a pull handler after accept()": {
      register: (vel, wrong) =>
        vel.websocket("/ws", async (request) => {
          await request.accept();
          return wrong();
        }),
      failure: { code: 1011 },
      stage: "handler",
    },
    "Hooks.open()": {
      register: (vel, wrong) => vel.websocket("/ws", { open: wrong }),
      failure: { code: 1011 },
      stage: "open",
    },
    "Hooks.message()": {
      register: (vel, wrong) => vel.websocket("/ws", { message: wrong }),
      provoke: (client) => {
        client.send("x");
      },
      failure: { code: 1011 },
      stage: "message",
    },
    "Hooks.message() that is not serial": {
      register: (vel, wrong) => vel.websocket("/ws", { serial: false, message: wrong }),
      provoke: (client) => {
        client.send("x");
      },
      failure: { code: 1011 },
      stage: "message",
    },
    "Hooks.invalid()": {
      register: (vel, wrong) =>
        vel.websocket("/ws", {
          schema: { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "no" }] }) } },
          message: () => undefined,
          invalid: wrong,
        }),
      provoke: (client) => {
        client.send("{}");
      },
      failure: { code: 1011 },
      stage: "invalid",
    },
    "a schema": {
      register: (vel, wrong) =>
        vel.websocket("/ws", {
          schema: { "~standard": { version: 1, vendor: "test", validate: wrong } },
          message: () => undefined,
        }),
      provoke: (client) => {
        client.send("{}");
      },
      failure: { code: 1011 },
      stage: "message",
    },
    "Hooks.drain()": {
      register: (vel, wrong) => vel.websocket("/ws", { open: fill, drain: wrong, sendBuffer: { limit: 10 } }),
      failure: { code: 1011 },
      stage: "drain",
    },
    "Hooks.close()": {
      register: (vel, wrong) => vel.websocket("/ws", { close: wrong }),
      provoke: (client) => {
        client.close();
      },
      failure: undefined,
      stage: "close",
    },
    "Connection.onClosing()": {
      register: (vel, wrong) => vel.websocket("/ws", { open: (connection) => connection.onClosing(wrong) }),
      provoke: (client) => {
        client.close();
      },
      failure: undefined,
      stage: "listener",
    },
    "Connection.onClose()": {
      register: (vel, wrong) => vel.websocket("/ws", { open: (connection) => connection.onClose(wrong) }),
      provoke: (client) => {
        client.close();
      },
      failure: undefined,
      stage: "listener",
    },
    "Connection.onPong()": {
      register: (vel, wrong) =>
        vel.websocket("/ws", {
          open(connection) {
            connection.onPong(wrong);
            connection.ping();
          },
        }),
      failure: undefined,
      stage: "listener",
    },
    "UpgradeRequest.defer()": {
      register: (vel, wrong) =>
        vel.websocket("/ws", {
          upgrade(request) {
            request.defer(wrong);
            return {};
          },
        }),
      provoke: (client) => {
        client.close();
      },
      failure: undefined,
      stage: "release",
    },
    'vel.on("open")': {
      register: (vel, wrong) => {
        vel.on("open", (connection) => (connection.route === "/ws" ? wrong() : undefined));
      },
      failure: undefined,
      stage: "listener",
    },
    'vel.on("close")': {
      register: (vel, wrong) => {
        vel.on("close", (connection) => (connection.route === "/ws" ? wrong() : undefined));
      },
      provoke: (client) => {
        client.close();
      },
      failure: undefined,
      stage: "listener",
    },
    'vel.on("refuse")': {
      register: (vel, wrong) => {
        vel.on("refuse", wrong);
        vel.websocket("/ws", (request) => request.reject(401));
      },
      failure: { status: 401 },
      stage: "listener",
    },
    'vel.on("drop")': {
      register: (vel, wrong) => {
        vel.on("drop", wrong);
        vel.websocket("/ws", {
          sendBuffer: { limit: 1, onFull: "drop" },
          open(connection) {
            for (let count = 0; count < 3; count++) connection.send("xx");
          },
        });
      },
      failure: undefined,
      stage: "listener",
      times: 2,
    },
  };

  function fill(connection: Connection): void {
    connection.send("123456");
  }

  for (const [place, { register, provoke, failure, stage, isBeforeOpen = false, times = 1 }] of Object.entries(
    places,
  )) {
    it.each(Object.entries(manners))(`touches one connection only where ${place} %s`, async (manner, behave) => {
      const { vel, clock, errors } = setup();
      let calls = 0;
      register(vel, () => {
        calls++;
        return behave() as never;
      });
      vel.websocket("/fine", { message: (connection, message) => connection.send(message) });
      if (!isRegistered(vel)) vel.websocket("/ws", {});
      const fine = await connect(vel, "/fine");

      const pending = outcomeOf(vel, "/ws");
      await settle();
      const isHanging = manner === "never settles" && isBeforeOpen;
      if (isHanging) await clock.advance(handshakeTimeout);
      const outcome = await pending;
      if (typeof outcome !== "number") {
        await provoke?.(outcome);
        await settle();
      }

      expect(calls).toBe(times);
      if (isHanging) {
        expect(outcome).toBe(503);
        expect(errors).toMatchObject([{ stage: "handshake" }]);
      } else if (manner === "never settles") {
        if (failure && "status" in failure) expect(outcome).toBe(failure.status);
        else if (!provoke || failure) expect(outcome).toMatchObject({ isOpen: true });
        expect(errors).toEqual([]);
      } else {
        if (!failure) expect(typeof outcome).not.toBe("number");
        else if ("status" in failure) expect(outcome).toBe(failure.status);
        else
          expect(outcome).toMatchObject({ closeInfo: { code: failure.code, reason: "internal error", by: "remote" } });
        expect(errors).toMatchObject(Array.from({ length: times }, () => ({ stage, text: "Error: boom" })));
      }

      for (const client of [fine, await connect(vel, "/fine")]) {
        client.send("still here");
        expect(await client.receiveText()).toBe("still here");
      }
      expect(rejections).toEqual([]);
      let isClosed = false;
      void vel.close().then(() => (isClosed = true));
      await clock.advance(manner === "never settles" ? closeTimeout : 0);
      expect(isClosed).toBe(true);
      expect(vel.connections.size).toBe(0);
      expect(clock.pending).toBe(0);
    });
  }

  function isRegistered(vel: Vel): boolean {
    return vel.bind(memoryTransport()).matches("/ws");
  }

  it.each(Object.entries(manners))(
    "ends with onError, which %s itself: a line on the console",
    async (manner, behave) => {
      const lines: unknown[] = [];
      vi.spyOn(console, "error").mockImplementation((line: unknown) => lines.push(line));
      const { vel, clock } = setup({ onError: behave });
      vel.websocket("/ws", {
        message() {
          throw new Error("of the hook");
        },
      });
      const client = await connect(vel, "/ws");
      client.send("x");
      expect(await client.closed).toMatchObject({ code: 1011 });
      await settled();
      if (manner === "never settles") expect(lines).toEqual([]);
      else {
        expect(lines).toMatchObject([
          expect.stringContaining("onError: Error: boom"),
          expect.stringContaining("of the hook"),
        ]);
      }
      await vel.close();
      expect(clock.pending).toBe(0);
    },
  );
});
