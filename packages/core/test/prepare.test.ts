import { connect, settle } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DisconnectError,
  InvalidMessageError,
  reject,
  type Admission,
  type Connection,
  type Host,
  type MaybePromise,
  type Transport,
  type UpgradeRequest,
  type Vel,
  type VelOptions,
} from "../src/index.ts";
import { admit, handshake, scriptedTransport, ScriptedSocket, settled } from "./scripted-transport.ts";
import { expectNoRejections, setup as setupServer } from "./kit.ts";

expectNoRejections();

type Prepare = NonNullable<Admission["prepare"]>;
type Form = "hooks" | "pull";
const forms: readonly Form[] = ["hooks", "pull"];

/** A server whose route `/ws` is behind these preparations, and everything that happens to its connections. */
function setup(prepare: Prepare | readonly Prepare[], form: Form = "hooks", options: VelOptions = {}) {
  const { vel, clock, errors } = setupServer({ closeTimeout: 1000, ...options });
  const log: string[] = [];
  vel.on("open", () => log.push("open event"));
  vel.on("close", (_connection, { code }) => log.push(`close event ${String(code)}`));
  vel.use((request) => {
    request.defer(() => log.push("released"));
  });
  const all: readonly Prepare[] = typeof prepare === "function" ? [prepare] : prepare;
  for (const each of all) vel.use(() => ({ prepare: each }));
  route(vel, form, log);
  return { vel, clock, errors, log, take: () => log.splice(0) };
}

function route(vel: Vel, form: Form, log: string[]): void {
  if (form === "hooks") {
    vel.websocket("/ws", {
      open: (connection) => void log.push(`open ${JSON.stringify(connection.data)}`),
      message: (_connection, message) => void log.push(String(message)),
      close: (_connection, { code }) => void log.push(`close ${String(code)}`),
    });
    return;
  }
  vel.websocket("/ws", async (request) => {
    try {
      const connection = await request.accept();
      log.push(`open ${JSON.stringify(connection.data)}`);
      for await (const text of connection.texts()) log.push(text);
      log.push(`close ${String(connection.closeInfo?.code)}`);
    } catch (error) {
      log.push(`failed ${error instanceof DisconnectError ? error.code : String(error)}`);
      if (error instanceof DisconnectError) log.push(`${String(error.info.code)} by ${error.info.by}`);
      throw error;
    }
  });
}

interface Opened {
  readonly host: Host<ScriptedSocket>;
  readonly socket: ScriptedSocket;
  readonly connection: Connection;
}

async function open(vel: Vel, transport: Transport<ScriptedSocket> = scriptedTransport()): Promise<Opened> {
  const host = vel.bind(transport);
  const accepted = await admit(host, "/ws");
  const socket = new ScriptedSocket();
  return { host, socket, connection: host.open(socket, accepted) };
}

/** A preparation that the test settles. */
function gate() {
  let pass: (data?: unknown) => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const passed = new Promise<object>((resolve, reject) => {
    pass = resolve as typeof pass;
    fail = reject;
  });
  const prepare: Prepare = () => passed;
  return { prepare, pass, fail };
}

describe("Admission.prepare()", () => {
  it("runs in the order of the guards, then of upgrade, and costs no turn where nothing is waited for", async () => {
    const { vel, clock, errors } = setupServer();
    const log: string[] = [];
    const upgraded: { upgraded: boolean; by?: string } = { upgraded: true };
    const named = (name: string, by?: string) => ({
      prepare(connection: Connection) {
        log.push(`${name} ${JSON.stringify(connection.data)}`);
        return by === undefined ? undefined : { by };
      },
    });
    vel
      .use(() => named("first", "first"))
      .use(() => ({ data: { guard: true } }))
      .use(() => Promise.resolve(named("second")))
      .with(() => named("third", "third"))
      .websocket("/ws", {
        upgrade: () => ({ ...named("upgrade"), data: upgraded }),
        open: (connection) => void log.push(`open ${JSON.stringify(connection.data)}`),
        message: (_connection, message) => void log.push(String(message)),
      });
    const host = vel.bind(scriptedTransport());
    const accepted = await admit(host, "/ws");
    expect(log).toEqual([]);
    const connection = host.open(new ScriptedSocket(), accepted);
    host.message(connection, "1");
    expect(log).toEqual([
      'first {"guard":true,"upgraded":true}',
      'second {"guard":true,"upgraded":true,"by":"first"}',
      'third {"guard":true,"upgraded":true,"by":"first"}',
      'upgrade {"guard":true,"upgraded":true,"by":"third"}',
      'open {"guard":true,"upgraded":true,"by":"third"}',
      "1",
    ]);
    expect(errors).toEqual([]);
    host.close(connection, 1000, "", true);
    expect(clock.pending).toBe(0);
  });

  it("runs one after the other where they take their time, as methods of what they stand in", async () => {
    class Login implements Admission {
      readonly #name: string;
      readonly #wait: Promise<object>;
      constructor(name: string, wait: Promise<object>) {
        this.#name = name;
        this.#wait = wait;
      }
      async prepare(): Promise<object> {
        log.push(`${this.#name} begins`);
        const data = await this.#wait;
        log.push(`${this.#name} ends`);
        return data;
      }
    }
    const log: string[] = [];
    const gates = [gate(), gate()] as const;
    const { vel } = setupServer();
    for (const [index, { prepare }] of gates.entries()) {
      vel.use(() => new Login(String(index), prepare(undefined as never) as Promise<object>));
    }
    route(vel, "hooks", log);
    await open(vel);
    gates[1].pass({ last: true });
    await settled();
    expect(log).toEqual(["0 begins"]);
    gates[0].pass({ first: true });
    await settled();
    expect(log).toEqual(["0 begins", "0 ends", "1 begins", "1 ends", 'open {"first":true,"last":true}']);
  });

  it.each(forms)("holds back the handler (%s), the open event and 1,000 messages until it resolves", async (form) => {
    const { prepare, pass } = gate();
    const { vel, clock, errors, log, take } = setup(prepare, form);
    const { host, connection } = await open(vel);
    const texts = Array.from({ length: 1000 }, (_, i) => String(i));
    for (const text of texts) host.message(connection, text);
    await settled();
    expect(log).toEqual([]);
    expect(vel.connections.size).toBe(0);
    pass({ user: "ada" });
    await settled();
    host.message(connection, "last");
    await settled();
    expect(vel.connections.has(connection)).toBe(true);
    expect(take()).toEqual(["open event", 'open {"user":"ada"}', ...texts, "last"]);
    host.close(connection, 4000, "", true);
    await settled();
    expect(take().sort()).toEqual(["close 4000", "close event 4000", "released"]);
    await vel.close();
    expect([errors, clock.pending]).toEqual([[], 0]);
  });

  it.each(forms)("may take messages, which the handler (%s) does not get, and send", async (form) => {
    const { vel, take } = setup(async (connection) => {
      const token = await connection.receiveText({ timeout: 5_000 });
      connection.send("welcome");
      return { token };
    }, form);
    const { host, connection, socket } = await open(vel);
    for (const text of ["secret", "1", "2"]) host.message(connection, text);
    await settled();
    expect(socket.sent).toEqual(["welcome"]);
    expect(take()).toEqual(["open event", 'open {"token":"secret"}', "1", "2"]);
  });

  it("does not let who still asks for a message take the first of a message hook's", async () => {
    const asked: unknown[] = [];
    const { vel, take } = setup((connection) => {
      connection.receiveText().catch((error: unknown) => asked.push((error as { code: string }).code));
    });
    const { host, connection } = await open(vel);
    await settled();
    host.message(connection, "first");
    expect(take()).toEqual(["open event", "open {}", "first"]);
    expect(asked).toEqual(["ERR_VEL_STATE"]);
  });

  it("lays properties over the data, which stays the same object, and nothing that is no object", async () => {
    const symbol = Symbol("mine");
    let before: unknown;
    const results: unknown[] = [
      JSON.parse('{ "__proto__": { "admin": true }, "constructor": 1 }'),
      { [symbol]: 1 },
      { user: "ada", role: undefined },
      "text",
      true,
      null,
      7,
      () => ({ user: "eve" }),
      undefined,
    ];
    const keep: Prepare = ({ data }) => void (before = data);
    const { vel, errors } = setup([keep, ...results.map((result) => () => result as object)]);
    const { connection } = await open(vel);
    expect(connection.data).toBe(before);
    expect(Reflect.ownKeys(connection.data as object)).toEqual(
      ["__proto__", "constructor", "user", "role", symbol].sort(
        (a, b) => Number(typeof a === "symbol") - Number(typeof b === "symbol"),
      ),
    );
    expect(Object.getPrototypeOf(connection.data)).toBe(Object.prototype);
    expect((connection.data as { admin?: true }).admin).toBeUndefined();
    expect((connection.data as { user: string }).user).toBe("ada");
    expect(errors).toEqual([]);
  });

  it("does not undo what later guards and upgrade have given, nor what comes after them", async () => {
    const { vel } = setupServer();
    const seen: unknown[] = [];
    vel.use(() => ({ data: { role: "none" }, prepare: () => ({ role: "admin", name: "ada", team: "a" }) }));
    vel.use(() => ({ data: { role: "guest" }, prepare: () => Promise.resolve({ name: "bob", role: "member" }) }));
    vel.websocket("/ws", {
      upgrade: () => ({ data: { team: "b" } }),
      open: ({ data }) => void seen.push({ ...(data as object) }),
    });
    await connect(vel, "/ws");
    await settle();
    expect(seen).toEqual([{ role: "member", name: "bob", team: "b" }]);
  });

  it("is not fooled by a promise of somebody's own that calls back more than once", async () => {
    const thenable = {
      then(resolve: (data: object) => void, fail: (error: unknown) => void) {
        resolve({ user: "ada" });
        resolve({ user: "eve" });
        fail(new Error("late"));
        throw new Error("later");
      },
    };
    const { vel, errors, take } = setup(() => thenable);
    await open(vel);
    await settled();
    expect(take()).toEqual(["open event", 'open {"user":"ada"}']);
    expect(errors).toEqual([]);
  });

  describe.each(forms)("in front of a handler (%s) that never starts", (form) => {
    const invalid = new InvalidMessageError("no token");
    const failing: Record<
      string,
      [prepare: (...args: [Connection]) => MaybePromise<object>, code: number, told?: RegExp]
    > = {
      "closes the connection": [(connection) => (connection.close(4401, "no"), { user: "ada" }), 4401],
      "closes it later": [async (connection) => (await settled(), connection.close(4401, "no"), {}), 4401],
      throws: [() => fail(new Error("broken")), 1011, /^prepare: Error: broken$/],
      "rejects later": [() => settled().then(() => fail(new Error("broken"))), 1011, /^prepare: Error: broken$/],
      "throws that a message is invalid": [() => fail(invalid), 1007],
      "rejects since a message is invalid": [() => Promise.reject(invalid), 1007],
      "gets bytes where it wants a text": [(connection) => connection.receiveText().then((user) => ({ user })), 1007],
      "has closed, and throws too": [(connection) => (connection.close(4401), fail(new Error("x"))), 4401, /Error: x$/],
      "returns a refusal": [() => reject(401), 1011, /^prepare: TypeError: Cannot refuse in prepare\(\)/],
      "resolves to a refusal": [() => Promise.resolve(reject(401)), 1011, /^prepare: TypeError: Cannot refuse/],
      "throws a refusal": [() => fail(reject(401)), 1011, /^prepare: /],
    };
    function fail(error: unknown): never {
      throw error;
    }

    it.each(Object.entries(failing))("since it %s", async (_how, [prepare, code, told]) => {
      let ran = 0;
      const { vel, clock, errors, log, take } = setup([prepare, () => void ran++], form);
      const { host, socket, connection } = await open(vel);
      host.message(connection, Uint8Array.of(1));
      host.message(connection, "2");
      await settled();
      await settled();
      expect(socket.closes.map((close) => close.code)).toEqual([code]);
      expect([ran, connection.isOpen, vel.connections.size]).toEqual([0, false, 0]);
      expect(log).toEqual([]);
      host.message(connection, "late");
      host.close(connection, code, "", true);
      await settled();
      const failed = form === "pull" ? ["failed ERR_VEL_DISCONNECTED", `${String(code)} by local`] : [];
      expect(take()).toEqual(["released", ...failed]);
      expect(errors).toEqual(told ? [expect.stringMatching(told)] : []);
      await vel.close();
      expect(clock.pending).toBe(0);
    });

    it("since the connection was cut", async () => {
      const { vel, clock, errors, take } = setup((connection) => {
        connection.terminate();
      }, form);
      await open(vel);
      await settled();
      expect(take()).toEqual([
        "released",
        ...(form === "pull" ? ["failed ERR_VEL_DISCONNECTED", "1006 by local"] : []),
      ]);
      await vel.close();
      expect([errors, clock.pending]).toEqual([[], 0]);
    });

    it("since the peer left before it said what is waited for", async () => {
      const { vel, clock, errors, take } = setup(
        async (connection) => ({ token: await connection.receiveText() }),
        form,
      );
      const { host, connection } = await open(vel);
      host.close(connection, 1001, "", true);
      await settled();
      expect(take()).toEqual([
        "released",
        ...(form === "pull" ? ["failed ERR_VEL_DISCONNECTED", "1001 by remote"] : []),
      ]);
      await vel.close();
      expect([errors, clock.pending]).toEqual([[], 0]);
    });

    it("since the server closes meanwhile, which waits for the peer's answer", async () => {
      const { prepare, pass } = gate();
      const { vel, clock, errors, log, take } = setup(prepare, form);
      const { host, socket, connection } = await open(vel);
      host.message(connection, "1");
      const closing = vel.close().then(() => log.push("closed"));
      expect(socket.closes).toEqual([{ code: 1001, reason: "" }]);
      pass({});
      await settled();
      expect(log).toEqual([]);
      host.close(connection, 1001, "", true);
      await closing;
      expect(take()).toEqual([
        "released",
        ...(form === "pull" ? ["failed ERR_VEL_DISCONNECTED", "1001 by local"] : []),
        "closed",
      ]);
      expect([errors, clock.pending]).toEqual([[], 0]);
    });

    it("since the server has closed before the connection was open", async () => {
      const { prepare } = gate();
      const { vel, clock, log } = setup([(connection) => void connection.receiveText().catch(() => 0), prepare], form);
      const host = vel.bind(scriptedTransport());
      const accepted = await admit(host, "/ws");
      const closing = vel.close().then(() => log.push("closed"));
      const socket = new ScriptedSocket();
      const connection = host.open(socket, accepted);
      expect(socket.closes).toEqual([{ code: 1001, reason: "" }]);
      host.close(connection, 1001, "", true);
      await clock.advance(1000);
      await closing;
      expect(log).toEqual(["released", "closed"]);
      expect(clock.pending).toBe(0);
    });
  });

  it("cannot refuse by the request any more: that throws, in both forms, and lets nobody in", async () => {
    for (const form of forms) {
      const { vel, errors } = setupServer();
      const log: string[] = [];
      vel.use((request: UpgradeRequest) => ({ prepare: () => void request.close(4401) }));
      route(vel, form, log);
      const { socket, host, connection } = await open(vel);
      expect(socket.closes).toEqual([{ code: 1011, reason: "internal error" }]);
      expect(errors).toEqual([expect.stringMatching(/^prepare: VelError: .*close its connection$/)]);
      host.close(connection, 1011, "", true);
      await settled();
      expect(log.filter((line) => line.startsWith("open"))).toEqual([]);
    }
  });

  it.each(forms)("lets the handler (%s) have what a peer said that has left meanwhile", async (form) => {
    const { prepare, pass } = gate();
    const { vel, clock, errors, log, take } = setup(prepare, form);
    const { host, connection } = await open(vel);
    host.message(connection, "1");
    host.message(connection, "2");
    host.close(connection, 1000, "", true);
    expect(take()).toEqual(["released"]);
    let isClosed = false;
    const closing = vel.close().then(() => (isClosed = true));
    await settled();
    expect(isClosed, "the server waits for it").toBe(false);
    pass({ user: "ada" });
    await closing;
    expect(log, "nobody is told of a connection that was open for nobody").toEqual([
      'open {"user":"ada"}',
      "1",
      "2",
      "close 1000",
    ]);
    expect([vel.connections.size, errors, clock.pending]).toEqual([0, [], 0]);
  });

  it("leaves nothing where it never settles and the peer leaves", async () => {
    for (const form of forms) {
      const { vel, clock, errors, log, take } = setup(() => new Promise<never>(() => undefined), form, {
        maxConnections: 1,
      });
      const host = vel.bind(scriptedTransport());
      for (let i = 0; i < 3; i++) {
        const accepted = await admit(host, "/ws");
        const connection = host.open(new ScriptedSocket(), accepted);
        host.message(connection, "1");
        expect(await host.upgrade(handshake("/ws")), "it has a place").toMatchObject({ status: 503 });
        host.close(connection, 1006, "", false);
        expect(take()).toEqual(["released"]);
        expect([vel.connections.size, clock.pending]).toEqual([0, 0]);
      }
      const closing = vel.close();
      await clock.advance(1000);
      await closing;
      expect([log, errors, clock.pending]).toEqual([[], [], 0]);
    }
  });

  it("is not waited for longer than closeTimeout when the server closes", async () => {
    const { prepare, pass } = gate();
    const { vel, clock, take } = setup(prepare);
    const { connection } = await open(vel);
    const closing = vel.close();
    await clock.advance(1000);
    await closing;
    expect(connection.closeInfo).toMatchObject({ code: 1001, wasClean: false });
    pass({});
    await settled();
    expect(take()).toEqual(["released"]);
    expect(clock.pending).toBe(0);
  });

  it("counts as one of maxConnections, and nothing of it as a handshake that takes too long", async () => {
    const { prepare, pass } = gate();
    const { vel, clock, errors } = setup(prepare, "hooks", { maxConnections: 1, handshakeTimeout: 100 });
    const { host, connection } = await open(vel);
    expect(clock.pending).toBe(0);
    await clock.advance(10_000);
    expect(await host.upgrade(handshake("/ws"))).toMatchObject({ status: 503 });
    expect(connection.isOpen).toBe(true);
    pass();
    await settled();
    expect(vel.connections.size).toBe(1);
    host.close(connection, 1000, "", true);
    expect(await host.upgrade(handshake("/ws"))).toMatchObject({ accept: true });
    expect(errors).toEqual([]);
  });

  it("has the socket paused while more waits than the receive buffer may hold", async () => {
    const { prepare, pass } = gate();
    const { vel, take } = setup(prepare, "hooks", { receiveBuffer: { limit: 1_000 } });
    const paused: boolean[] = [];
    const transport = {
      ...scriptedTransport({ pause: true }),
      pause: (_: unknown, is: boolean) => void paused.push(is),
    };
    const { host, connection } = await open(vel, transport);
    const texts = Array.from({ length: 20 }, (_, i) => String(i));
    for (const text of texts) host.message(connection, text);
    expect(paused).toEqual([true]);
    pass();
    await settled();
    expect(paused).toEqual([true, false]);
    expect(take()).toEqual(["open event", "open {}", ...texts]);
  });

  it("ends in 1008, and without a handler, where the socket cannot be paused", async () => {
    const { prepare, pass } = gate();
    const { vel, errors, take } = setup(prepare, "hooks", { receiveBuffer: { limit: 1_000 } });
    const { host, connection, socket } = await open(vel);
    for (let i = 0; i < 20; i++) host.message(connection, String(i));
    expect(socket.closes).toEqual([{ code: 1008, reason: "too many messages wait" }]);
    pass();
    await settled();
    host.close(connection, 1008, "", true);
    expect(take()).toEqual(["released"]);
    expect(errors).toEqual([]);
  });

  it("may be given by accept() and upgrade, and runs before the one resolves and the other's open", async () => {
    const { vel } = setupServer();
    const log: string[] = [];
    const prepare = async (connection: Connection) => {
      log.push("prepare");
      return { token: await connection.receiveText() };
    };
    vel.websocket("/pull", async (request) => {
      const accepting = request.accept({ data: { a: 1, token: "" }, prepare });
      log.push("accepting");
      const connection = await accepting;
      log.push(`accepted ${connection.data.token} ${String(connection.data.a)}`);
      await connection.receiveText();
    });
    vel.websocket("/hooks", {
      upgrade: () => ({ prepare }),
      open: (connection) => void log.push(`open ${connection.data.token}`),
    });
    const host = vel.bind(scriptedTransport());
    for (const [path, expected] of [
      ["/pull", ["accepting", "prepare", "accepted secret 1"]],
      ["/hooks", ["prepare", "open secret"]],
    ] as const) {
      const connection = host.open(new ScriptedSocket(), await admit(host, path));
      await settled();
      expect(log).toEqual(expected.slice(0, -1));
      host.message(connection, "secret");
      await settled();
      expect(log.splice(0)).toEqual(expected);
      host.close(connection, 1000, "", true);
    }
  });

  it("does not run for a connection that is only there to be closed", async () => {
    const { vel, clock } = setupServer();
    let ran = 0;
    const scope = vel.with(() => ({ prepare: () => void ran++ }));
    scope.websocket("/hooks", { upgrade: (request) => request.close(4001) });
    scope.websocket("/pull", (request) => request.close(4001));
    scope.websocket("/late", {});
    const host = vel.bind(scriptedTransport());
    for (const path of ["/hooks", "/pull", "/late"]) {
      const accepted = await admit(host, path);
      if (path === "/late") await clock.advance(5_000); // nobody has heard of it for too long
      const connection = host.open(new ScriptedSocket(), accepted);
      expect(connection.isOpen).toBe(false);
      host.close(connection, 4001, "", true);
    }
    await settled();
    expect([ran, clock.pending]).toEqual([0, 0]);
  });

  it("fails its own connection where the data cannot be changed", async () => {
    const fix: Prepare = ({ data }) => void Object.defineProperty(data, "user", { value: "ada" });
    const { vel, errors, take } = setup([fix, () => ({ user: "eve" })]);
    const { socket } = await open(vel);
    expect(socket.closes).toEqual([{ code: 1011, reason: "internal error" }]);
    expect(errors).toEqual([expect.stringMatching(/^prepare: TypeError: Cannot redefine property: user/)]);
    expect(take()).toEqual([]);
  });

  it("keeps its promises in whatever order things happen", async () => {
    const steps = fc.constantFrom(
      "message",
      "leave",
      "answer",
      "close",
      "server closes",
      "resolve",
      "reject",
      "cut",
      "wait",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 12 }), fc.constantFrom(...forms), async (order, form) => {
        const { prepare, pass, fail } = gate();
        const { vel, clock, errors, log } = setup(prepare, form);
        const { host, socket, connection } = await open(vel);
        const sent: string[] = [];
        let settledAs: "resolved" | "rejected" | undefined;
        let wasOpen = true;
        let mayStart = false;
        const isOver = (): boolean => connection.closeInfo !== undefined;
        for (const step of [...order, "wait", "leave", "resolve", "wait"]) {
          if (step === "message") {
            if (!isOver() && connection.isOpen) sent.push(String(sent.length));
            host.message(connection, String(sent.length - 1));
          } else if (step === "leave") host.close(connection, 1006, "", false);
          else if (step === "answer" && socket.closes.length > 0) host.close(connection, 1000, "", true);
          else if (step === "close") connection.close(4000);
          else if (step === "cut") connection.terminate();
          else if (step === "server closes") void vel.close();
          else if (step === "resolve" && settledAs === undefined) {
            [settledAs, wasOpen] = ["resolved", connection.isOpen || connection.closeInfo?.by === "remote"];
            pass({});
          } else if (step === "reject" && settledAs === undefined) {
            settledAs = "rejected";
            fail(new Error("no"));
          } else if (step === "wait") {
            await settled();
            // Ready is who was not closed by this side when the preparation had resolved and been heard of.
            mayStart ||= log.some((line) => line === "open {}");
          }
        }
        await vel.close();
        const started = log.filter((line) => line === "open {}").length;
        expect(started).toBe(mayStart ? 1 : 0);
        if (settledAs === "rejected" || !wasOpen) expect(started).toBe(0);
        const numbers = log.filter((line) => /^\d+$/.test(line));
        expect(numbers).toEqual(sent.slice(0, numbers.length));
        // Only what this side throws away by closing is not handed in.
        if (started > 0 && connection.closeInfo?.by === "remote") expect(numbers).toEqual(sent);
        const of = (start: string): number => log.filter((line) => line.startsWith(start)).length;
        expect(of("open event")).toBe(of("close event"));
        expect(of("open event")).toBeLessThanOrEqual(started);
        expect(of("close ") - of("close event")).toBe(started);
        expect(of("released")).toBe(1);
        expect(of("failed")).toBe(form === "pull" ? 1 - started : 0);
        expect(errors.length).toBe(settledAs === "rejected" ? 1 : 0);
        expect([vel.connections.size, clock.pending]).toEqual([0, 0]);
      }),
      { numRuns: 1_000 },
    );
  });
});
