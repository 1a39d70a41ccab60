import { describe, expect, it } from "vitest";
import {
  createVel,
  reject,
  type Connection,
  type Transport,
  type UpgradeRequest,
  type VelOptions,
} from "../src/index.ts";
import {
  admit,
  handshake,
  open,
  scriptedTransport,
  ScriptedSocket,
  settled,
  type Asked,
} from "./scripted-transport.ts";
import { expectNoRejections, setup as setupServer } from "./kit.ts";

expectNoRejections();

/** A server that records what it is told. */
function setup(options: VelOptions = {}) {
  const { vel, clock, errors } = setupServer(options);
  const events: string[] = [];
  vel.on("open", () => events.push("open"));
  vel.on("close", (_connection, { code }) => events.push(`close ${String(code)}`));
  vel.on("refuse", ({ route }, code) => events.push(`refuse ${route} ${String(code)}`));
  const ask = (url: string, asked?: Asked) => vel.bind(scriptedTransport()).upgrade(handshake(url, asked));
  return { vel, clock, errors, events, ask };
}

describe("Host.matches()", () => {
  it("tells whether a route answers, without asking anybody", () => {
    const { vel } = setup();
    vel.websocket("/ws/:room", { message: () => undefined });
    const host = vel.bind(scriptedTransport());
    expect(host.matches("/ws/a")).toBe(true);
    expect(host.matches("/ws/%zz")).toBe(true);
    expect(host.matches("/other")).toBe(false);
  });
});

describe("Host.upgrade()", () => {
  it("answers 404 where no route fits and 400 at malformed escapes, and tells nobody of a refusal of a route", async () => {
    const { vel, ask, events } = setup();
    let asked = 0;
    vel.use(() => void asked++).websocket("/ws/:room", { message: () => undefined });
    expect(await ask("/other")).toMatchObject({ accept: false, status: 404 });
    expect(await ask("/ws")).toMatchObject({ accept: false, status: 404 });
    expect(await ask("/ws/%zz")).toMatchObject({ accept: false, status: 400 });
    expect(await ask("/ws/%E0%A4%A?x=1")).toMatchObject({ accept: false, status: 400 });
    expect(await ask("")).toMatchObject({ accept: false, status: 404 });
    expect(await ask("http://example.com/ws/a")).toMatchObject({ accept: false, status: 404 });
    expect(await ask("*")).toMatchObject({ accept: false, status: 404 });
    expect(asked).toBe(0);
    expect(events).toEqual([]);
  });

  it("takes the first route that fits", async () => {
    const { vel, ask } = setup();
    vel.websocket("/ws/:room", (request) => request.reject(401));
    vel.websocket("/ws/lobby", (request) => request.reject(402));
    expect(await ask("/ws/lobby")).toMatchObject({ status: 401 });
  });

  it("answers 403 to a foreign page before any guard runs", async () => {
    const { vel, ask, events } = setup();
    let asked = 0;
    vel.use(() => void asked++).websocket("/ws", { message: () => undefined });
    expect(await ask("/ws", { headers: { origin: "https://evil.com" } })).toMatchObject({ accept: false, status: 403 });
    expect(await ask("/ws", { headers: { cookie: "session=1" } })).toMatchObject({ accept: false, status: 403 });
    expect(asked).toBe(0);
    expect(await ask("/ws", { headers: { origin: "https://example.com", cookie: "session=1" } })).toMatchObject({
      accept: true,
    });
    expect(asked).toBe(1);
    expect(events).toEqual(["refuse /ws 403", "refuse /ws 403"]);
  });

  it("answers 503 with a time to come back while the server closes, before any guard runs", async () => {
    const { vel, ask, events } = setup();
    let asked = 0;
    vel.use(() => void asked++).websocket("/ws", { message: () => undefined });
    await vel.close();
    expect(await ask("/ws")).toEqual({ accept: false, status: 503, headers: [["Retry-After", "1"]], body: "" });
    expect(asked).toBe(0);
    expect(events).toEqual(["refuse /ws 503"]);
  });

  it("answers 503 when the server was closed while a guard or handler was deciding, whatever they say", async () => {
    for (const answer of ["admission", "close"]) {
      const { vel, ask, events, errors } = setup();
      const reached: string[] = [];
      let decide = (): void => undefined;
      const decision = new Promise<void>((resolve) => (decide = resolve));
      vel.websocket("/ws", async (request) => {
        await decision;
        request.defer(() => reached.push("released"));
        if (answer === "close") return request.close(4001);
        await request.accept().catch((error: unknown) => reached.push((error as { code: string }).code));
        return undefined;
      });
      const asked = ask("/ws");
      let isClosed = false;
      const closing = vel.close().then(() => (isClosed = true));
      await settled();
      expect(isClosed, "a request that is being decided is waited for").toBe(false);
      decide();
      expect(await asked).toMatchObject({ accept: false, status: 503 });
      await closing;
      await settled();
      expect(reached.sort()).toEqual(answer === "close" ? ["released"] : ["ERR_VEL_DISCONNECTED", "released"]);
      expect(events).toEqual(["refuse /ws 503"]);
      expect(errors).toEqual([]);
    }
  });

  it("never rejects: what a guard, upgrade hook or handler throws is a 500 and reaches onError", async () => {
    const { vel, ask, errors, events } = setup();
    const fail = (): never => {
      throw new Error("guard");
    };
    vel.with(fail).websocket("/guard", { message: () => undefined });
    vel.with(() => Promise.reject(new Error("async guard"))).websocket("/async", { message: () => undefined });
    vel.websocket("/upgrade", { upgrade: () => Promise.reject(new Error("hook")) });
    vel.websocket("/sync-upgrade", {
      upgrade: () => {
        throw new Error("sync hook");
      },
    });
    vel.websocket("/handler", () => Promise.reject(new Error("handler")));
    vel.websocket("/nothing", () => undefined);
    vel.websocket("/headers", { upgrade: () => ({ headers: { "x-a": "a\r\nb: c" } }) });
    vel.with(() => ({ headers: { connection: "x" } })).websocket("/reserved", { message: () => undefined });
    vel.websocket("/strange", () => Promise.reject(Object.create(null) as Error));
    for (const url of [
      "/guard",
      "/async",
      "/upgrade",
      "/sync-upgrade",
      "/handler",
      "/nothing",
      "/headers",
      "/reserved",
    ]) {
      expect(await ask(url), url).toEqual({ accept: false, status: 500, headers: [], body: "" });
    }
    expect(errors).toEqual([
      "guard: Error: guard",
      "guard: Error: async guard",
      "upgrade: Error: hook",
      "upgrade: Error: sync hook",
      "upgrade: Error: handler",
      expect.stringMatching(/^upgrade: VelError: .*"\/nothing" returned without an answer/),
      expect.stringMatching(/^upgrade: TypeError: Invalid value of header/),
      expect.stringMatching(/^guard: TypeError: Header "connection" belongs to the handshake/),
    ]);
    expect(events).toHaveLength(8);
    expect(events[0]).toBe("refuse /guard 500");
  });

  it("fails a pull handler whose accept() brings unfit headers, and answers 500", async () => {
    const { vel, ask, errors } = setup();
    const caught: unknown[] = [];
    vel.websocket("/ws", async (request) => {
      try {
        await request.accept({ headers: { "x-a": "a\nb" } });
      } catch (error) {
        caught.push(error);
        throw error;
      }
    });
    expect(await ask("/ws")).toMatchObject({ accept: false, status: 500 });
    await settled();
    expect(caught).toMatchObject([{ code: "ERR_VEL_DISCONNECTED" }]);
    expect(errors).toEqual([expect.stringMatching(/TypeError: Invalid value of header/)]);
  });

  it("does not report what fails because the client has left: nobody is there to be answered", async () => {
    const { vel, ask, errors, events } = setup();
    const left = new AbortController();
    vel
      .with(({ signal }) => {
        left.abort();
        signal.throwIfAborted();
      })
      .websocket("/ws", {});
    expect(await ask("/ws", { signal: left.signal })).toMatchObject({ accept: false });
    expect(errors).toEqual([]);
    expect(events).toEqual([]);
  });

  it("survives an onError that throws or rejects", async () => {
    const lines: unknown[] = [];
    const original = console.error;
    console.error = (...values: unknown[]) => void lines.push(...values);
    try {
      for (const onError of [
        () => {
          throw new Error("onError");
        },
        (() => Promise.reject(new Error("onError"))) as () => void,
      ]) {
        const { vel, ask } = setup({ onError });
        vel.websocket("/ws", () => Promise.reject(new Error("handler")));
        expect(await ask("/ws")).toMatchObject({ status: 500 });
        await settled();
      }
    } finally {
      console.error = original;
    }
    expect(lines).toHaveLength(4);
    expect(lines).toEqual([
      expect.stringMatching(/onError/),
      expect.stringMatching(/handler/),
      expect.stringMatching(/onError/),
      expect.stringMatching(/handler/),
    ]);
  });

  it("writes one line to console.error where there is no onError", async () => {
    const lines: unknown[] = [];
    const original = console.error;
    console.error = (...values: unknown[]) => void lines.push(...values);
    try {
      const vel = createVel();
      vel.websocket("/ws", () => Promise.reject(new Error("first\r\nsecond")));
      await vel.bind(scriptedTransport()).upgrade(handshake("/ws"));
    } finally {
      console.error = original;
    }
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^vel: upgrade: Error: first\\r\\nsecond[^\r\n]*$/);
  });

  it("gives the client what is refused with: status, headers, body", async () => {
    const { vel, ask, events } = setup();
    vel.websocket("/ws", (request) =>
      request.reject(429, {
        body: "slow",
        retryAfter: 2500,
        headers: [
          ["x-a", "1"],
          ["x-a", "2"],
        ],
      }),
    );
    expect(await ask("/ws")).toEqual({
      accept: false,
      status: 429,
      headers: [
        ["x-a", "1"],
        ["x-a", "2"],
        ["Retry-After", "3"],
      ],
      body: "slow",
    });
    expect(events).toEqual(["refuse /ws 429"]);
  });

  it("adds the headers of guards, upgrade and accept() in order, repeated names kept", async () => {
    const { vel, ask } = setup();
    const guarded = vel.with(() => ({ headers: { "x-guard": "1", "set-cookie": "a=1" } }));
    guarded.websocket("/hooks", { upgrade: () => ({ headers: new Headers({ "x-upgrade": "2" }) }) });
    guarded.websocket("/pull", async (request) => {
      await request.accept({ headers: [["set-cookie", "b=2"]] });
    });
    expect(await ask("/hooks")).toMatchObject({
      headers: [
        ["x-guard", "1"],
        ["set-cookie", "a=1"],
        ["x-upgrade", "2"],
      ],
    });
    expect(await ask("/pull")).toMatchObject({
      headers: [
        ["x-guard", "1"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
    });
  });

  it("chooses the application's subprotocol, else the route's best, and only one that was offered", async () => {
    const { vel, ask } = setup();
    const choice = (request: UpgradeRequest) => {
      const protocol = request.query.get("p");
      return protocol === null ? {} : { protocol };
    };
    vel.with(choice).websocket("/ws", { protocols: ["best", "good"] });
    const offered = async (offer: string | undefined, wanted?: string) => {
      const answer = await ask(wanted === undefined ? "/ws" : `/ws?p=${wanted}`, {
        headers: offer === undefined ? {} : { "sec-websocket-protocol": offer },
      });
      return answer.accept && answer.protocol;
    };
    expect(await offered(undefined)).toBeUndefined();
    expect(await offered("good, best")).toBe("best");
    expect(await offered("good")).toBe("good");
    expect(await offered("BEST, other")).toBeUndefined();
    expect(await offered("good, other", "other")).toBe("other");
    expect(await offered("good", "other")).toBeUndefined();
    expect(await offered(undefined, "other")).toBeUndefined();
    expect(await offered("good", "")).toBeUndefined();
  });

  it("gives the connection the chosen subprotocol, empty for none", async () => {
    const { vel } = setup();
    vel.websocket("/ws", { protocols: ["chat"] });
    const { connection } = await open(vel, "/ws", { headers: { "sec-websocket-protocol": "chat" } });
    expect(connection.protocol).toBe("chat");
    expect((await open(vel, "/ws")).connection.protocol).toBe("");
  });
});

describe("Host.open()", () => {
  it("accepts and closes at once for a refusal by close: no handler, no member, no event but refuse", async () => {
    const { vel, events, clock } = setup();
    let runs = 0;
    vel.websocket("/pull", (request) => request.close(4001, "Missing token"));
    vel.websocket("/hooks", {
      protocols: ["chat"],
      upgrade: (request) => request.close(4003),
      open: () => runs++,
      message: () => runs++,
      close: () => runs++,
    });
    for (const [url, close] of [
      ["/pull", { code: 4001, reason: "Missing token" }],
      ["/hooks", { code: 4003, reason: "" }],
    ] as const) {
      const { connection, socket, host, accepted } = await open(vel, url, {
        headers: { "sec-websocket-protocol": "chat" },
      });
      expect(accepted.protocol, "or browsers would fail the handshake").toBe(url === "/hooks" ? "chat" : undefined);
      expect(socket.closes).toEqual([close]);
      expect(connection.isOpen).toBe(false);
      expect(vel.connections.size).toBe(0);
      host.message(connection, "x");
      host.close(connection, close.code, "", true);
    }
    await settled();
    expect(runs).toBe(0);
    expect(events).toEqual(["refuse /pull 4001", "refuse /hooks 4003"]);
    expect(clock.pending).toBe(0);
  });

  it("gives the same connection for the same answer, and throws for another's", async () => {
    const { vel } = setup();
    let opens = 0;
    vel.websocket("/ws", { open: () => opens++ });
    const host = vel.bind(scriptedTransport());
    const accepted = await admit(host, "/ws");
    const connection = host.open(new ScriptedSocket(), accepted);
    expect(host.open(new ScriptedSocket(), accepted)).toBe(connection);
    expect(opens).toBe(1);
    expect(() =>
      host.open(new ScriptedSocket(), {
        accept: true,
        protocol: undefined,
        headers: [],
        maxPayload: 1,
        compression: false,
      }),
    ).toThrow(TypeError);
  });

  it.each(["the adapter says so", "the time is up"] as const)(
    "gives the place back of who was let in and became no connection, once %s",
    async (how) => {
      // Bun refuses some whom core has let in, and Deno tells nothing of those who leave before the 101: ten thousand
      // such requests filled the server for good.
      const { vel, clock } = setup({ maxConnections: 1, handshakeTimeout: 5_000 });
      let released = 0;
      vel.use((request) => request.defer(() => void released++)).websocket("/ws", { message: () => undefined });
      const host = vel.bind(scriptedTransport());
      for (let i = 1; i <= 3; i++) {
        const accepted = await admit(host, "/ws");
        expect(await host.upgrade(handshake("/ws"))).toMatchObject({ accept: false, status: 503 });
        if (how === "the time is up") await clock.advance(5_000);
        else for (let twice = 0; twice < 2; twice++) host.abandon(accepted);
        expect(released).toBe(i);
        expect(clock.pending).toBe(0);
      }
      // Whoever opens it all the same gets a connection that closes.
      const accepted = await admit(host, "/ws");
      host.abandon(accepted);
      const socket = new ScriptedSocket();
      expect(host.open(socket, accepted).isOpen).toBe(false);
      expect(socket.closes).toEqual([{ code: 1013, reason: "handshake took too long" }]);
    },
  );

  it("reports what a runtime says went wrong", async () => {
    const { vel, errors } = setup();
    vel.websocket("/ws", { message: () => undefined });
    const { host, connection } = await open(vel, "/ws");
    host.error(connection, new Error("reset"));
    host.error(undefined, new Error("listen"));
    expect(errors).toEqual(["transport: Error: reset", "transport: Error: listen"]);
    expect(connection.isOpen).toBe(true);
  });
});

describe("UpgradeRequest.defer()", () => {
  /** Defers before and after each step, and counts how often each release ran. */
  function counting() {
    const context = setup();
    const released: string[] = [];
    const deferAs = (request: UpgradeRequest, name: string): void => {
      request.defer(() => released.push(name));
    };
    return { ...context, released, deferAs };
  }

  it("runs once when the request is refused, in each way", async () => {
    const { vel, ask, released, deferAs } = counting();
    const guarded = vel.with((request) => {
      deferAs(request, "guard");
    });
    guarded.with(() => reject(401)).websocket("/guard", { message: () => undefined });
    guarded.websocket("/returned", (request) => request.reject(401));
    guarded.websocket("/thrown", () => {
      throw reject(401);
    });
    guarded.websocket("/failed", () => Promise.reject(new Error("x")));
    guarded.websocket("/nothing", () => undefined);
    for (const url of ["/guard", "/returned", "/thrown", "/failed", "/nothing"]) {
      await ask(url);
      expect(released.splice(0), url).toEqual(["guard"]);
    }
  });

  it("runs when the connection has ended that a refusal by close was", async () => {
    const { vel, released, deferAs } = counting();
    vel.websocket("/ws", (request) => {
      deferAs(request, "handler");
      return request.close(4001);
    });
    const { host, connection } = await open(vel, "/ws");
    expect(released).toEqual([]);
    host.close(connection, 4001, "", true);
    host.close(connection, 4001, "", true);
    expect(released).toEqual(["handler"]);
  });

  it("runs once when the connection has ended, also what was deferred after accept() or in the middle of it", async () => {
    const { vel, released, deferAs } = counting();
    vel.websocket("/ws", async (request) => {
      deferAs(request, "before");
      const accepting = request.accept();
      deferAs(request, "meanwhile");
      const connection = await accepting;
      deferAs(request, "after");
      expect(released).toEqual([]);
      for await (const _ of connection.texts());
      deferAs(request, "late");
    });
    const { host, connection } = await open(vel, "/ws");
    await settled();
    expect(released).toEqual([]);
    host.close(connection, 1000, "", true);
    expect(released).toEqual(["before", "meanwhile", "after"]);
    await settled();
    expect(released).toEqual(["before", "meanwhile", "after", "late"]);
  });

  it("runs once when the server closes", async () => {
    const { vel, released, deferAs, clock } = counting();
    vel
      .use((request) => {
        deferAs(request, "guard");
      })
      .websocket("/ws", { message: () => undefined });
    await open(vel, "/ws");
    const closing = vel.close();
    await clock.advance(10_000);
    await closing;
    expect(released).toEqual(["guard"]);
  });

  it("runs once when the client leaves: before, while a guard or handler decides, or before its socket is open", async () => {
    for (const when of ["before", "guard", "handler", "accepted", "opened"]) {
      for (const answer of ["accept", "close", "reject"]) {
        const { vel, released, deferAs, events, errors, clock } = counting();
        const abort = new AbortController();
        const step = async (name: string): Promise<void> => {
          await Promise.resolve();
          if (when === name) abort.abort();
          await Promise.resolve();
        };
        const outcomes: unknown[] = [];
        vel
          .use(async (request) => {
            deferAs(request, "early");
            await step("guard");
            deferAs(request, "guard");
          })
          .websocket("/ws", async (request) => {
            await step("handler");
            deferAs(request, "handler");
            if (answer === "close") return request.close(4001);
            if (answer === "reject") return request.reject(401);
            await request.accept().then(
              () => outcomes.push("open"),
              (error: unknown) => outcomes.push((error as { code: string }).code),
            );
            return undefined;
          });
        if (when === "before") abort.abort();
        const host = vel.bind(scriptedTransport());
        const given = await host.upgrade(handshake("/ws", { signal: abort.signal }));
        if (when === "accepted") abort.abort();
        else if (given.accept) {
          const connection = host.open(new ScriptedSocket(), given);
          if (when === "opened") abort.abort();
          await settled();
          host.close(connection, 1006, "", false);
        }
        await settled();
        const label = `${when}, ${answer}`;
        expect(released.sort(), label).toEqual(["early", "guard", "handler"]);
        if (when === "opened" && answer !== "reject") expect(given.accept, label).toBe(true);
        else if (when !== "accepted") expect(given.accept, label).toBe(false);
        if (answer === "accept") expect(outcomes, label).toEqual([when === "opened" ? "open" : "ERR_VEL_DISCONNECTED"]);
        expect(errors, label).toEqual([]);
        if (!["accepted", "opened"].includes(when)) expect(events, "nobody was there to be refused").toEqual([]);
        await vel.close();
        expect(clock.pending).toBe(0);
      }
    }
  });

  it("gives what a release throws or rejects with to onError, and runs the others", async () => {
    const { vel, ask, released, deferAs, errors } = counting();
    vel.websocket("/ws", (request) => {
      request.defer(() => {
        throw new Error("sync");
      });
      request.defer(() => Promise.reject(new Error("async")));
      deferAs(request, "other");
      return request.reject(401);
    });
    expect(await ask("/ws")).toMatchObject({ status: 401 });
    await settled();
    expect(released).toEqual(["other"]);
    expect(errors).toEqual(["release: Error: sync", "release: Error: async"]);
  });
});

describe("Vel.bind(), Vel.require()", () => {
  const without: Transport<ScriptedSocket> = scriptedTransport({ ping: false });

  it("let the later of the two throw, with the hint as the way out", () => {
    const unsupported = expect.objectContaining({
      code: "ERR_VEL_UNSUPPORTED",
      message: 'Transport "scripted" lacks "ping": use messages',
    }) as Error;
    const first = createVel();
    first.require("ping", "use messages");
    expect(() => first.bind(without)).toThrow(unsupported);
    expect(() => first.bind(scriptedTransport())).not.toThrow();
    const second = createVel();
    second.bind(scriptedTransport());
    second.require("ping", "use messages");
    const third = createVel();
    third.bind(without);
    expect(() => {
      third.require("ping", "use messages");
    }).toThrow(unsupported);
    expect(() => third.bind(without), "what was refused is not required").not.toThrow();
  });

  it("let several transports serve one server", async () => {
    const { vel } = setup();
    vel.websocket("/ws", { message: () => undefined });
    const one = await open(vel, "/ws");
    const two = await open(vel, "/ws", { transport: without });
    const all: ReadonlySet<Connection> = vel.connections;
    expect([...all]).toEqual([one.connection, two.connection]);
    expect(two.connection.capabilities.ping).toBe(false);
  });
});
