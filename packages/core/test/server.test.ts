import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { createVel, reject, type Connection, type UpgradeRequest } from "../src/index.ts";
import { admit, open, scriptedTransport, ScriptedSocket, settled } from "./scripted-transport.ts";
import { expectNoRejections, setup } from "./kit.ts";

expectNoRejections();

describe("createVel()", () => {
  it("throws for times and limits that are not positive numbers, and for malformed origins", () => {
    for (const value of [0, -1, NaN, "5" as unknown as number]) {
      for (const name of ["closeTimeout", "handshakeTimeout", "maxConnections", "maxPayload"]) {
        expect(() => createVel({ [name]: value }), `${name} ${String(value)}`).toThrow(RangeError);
      }
      expect(() => createVel({ sendBuffer: { limit: value } })).toThrow(RangeError);
    }
    expect(() => createVel({ origins: ["app.example.com"] })).toThrow(TypeError);
    expect(() => createVel({ closeTimeout: Infinity, maxPayload: Infinity })).not.toThrow();
  });
});

describe("Vel.websocket()", () => {
  it("throws for a path that is malformed or taken, and for bad settings, and registers nothing then", async () => {
    const { vel } = setup();
    expect(() => vel.websocket("ws", {})).toThrow(TypeError);
    expect(() => vel.websocket("/ws", { sendBuffer: { limit: 0 } })).toThrow(RangeError);
    expect(() => vel.websocket("/ws", { sendBuffer: { onFull: "wait" as "drop" } })).toThrow(TypeError);
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 404 });
    vel.websocket("/ws", {});
    expect(() => vel.websocket("/ws", {})).toThrow(/"\/ws" is registered already/);
    expect(() => vel.with(() => undefined).websocket("/ws", {})).toThrow(TypeError);
  });

  it("gives the server or scope back, to go on with", async () => {
    const { vel } = setup();
    expect(vel.websocket("/a", {}).websocket("/b", {})).toBe(vel);
    const scope = vel.with(() => undefined);
    expect(scope.websocket("/c", {})).toBe(scope);
    for (const path of ["/a", "/b", "/c"]) expect((await connect(vel, path)).isOpen).toBe(true);
  });

  it("takes a pull handler with settings of its own", async () => {
    const { vel } = setup({ sendBuffer: { limit: 1000 } });
    vel.websocket("/ws", { protocols: ["chat"], sendBuffer: { limit: 10, onFull: "drop" } }, async (request) => {
      const connection = await request.accept();
      const sent = ["12345678901", "x"].map((text) => connection.send(text));
      connection.send(sent.join()); // the buffer is full
      await connection.drained();
      connection.send(sent.join());
    });
    const client = await connect(vel, "/ws", { protocols: ["chat"] });
    await client.closed;
    expect(client.protocol).toBe("chat");
    expect(client.received).toEqual(["12345678901", "queued,dropped"]);
  });
});

describe("Vel.use(), Routes.with()", () => {
  it("run guards in order: the server's, then those of each scope from the outside in", async () => {
    const { vel } = setup();
    const log: string[] = [];
    const guard = (name: string) => async () => {
      await Promise.resolve();
      log.push(name);
      return { data: { [name]: true, last: name } };
    };
    const inner = vel.with(guard("outer")).with(guard("inner"));
    vel.use(guard("first")).use(guard("second"));
    const seen: unknown[] = [];
    const hooks = { open: (connection: Connection) => seen.push(connection.data) };
    inner.websocket("/inner", hooks);
    vel.websocket("/plain", hooks);
    await connect(vel, "/inner");
    expect(log.splice(0)).toEqual(["first", "second", "outer", "inner"]);
    await connect(vel, "/plain");
    expect(log.splice(0)).toEqual(["first", "second"]);
    expect(seen).toEqual([
      { first: true, second: true, outer: true, inner: true, last: "inner" },
      { first: true, second: true, last: "second" },
    ]);
  });

  it("throw ERR_VEL_STATE once a route exists, which would miss the guard; scopes may still be made", () => {
    const { vel } = setup();
    const scope = vel.with(() => undefined);
    vel.websocket("/ws", {});
    expect(() => vel.use(() => undefined)).toThrow(expect.objectContaining({ code: "ERR_VEL_STATE" }) as Error);
    expect(() => scope.websocket("/late", {})).not.toThrow();
  });

  it("let the first refusal win, whichever way it is given, and run no guard after it", async () => {
    const refusals: readonly (readonly [string, (request: UpgradeRequest) => unknown])[] = [
      ["returned", (request) => request.reject(418)],
      ["returned later", (request) => Promise.resolve(request.reject(418))],
      [
        "thrown",
        (request) => {
          throw request.reject(418);
        },
      ],
      ["made elsewhere and returned", () => reject(418)],
      [
        "made elsewhere and thrown",
        () => {
          throw reject(418);
        },
      ],
      ["made and not returned", (request) => void request.reject(418)],
      ["made, and data returned", (request) => (request.reject(418), { data: { a: 1 } })],
      ["made, and another returned", (request) => (request.reject(418), request.reject(419))],
      [
        "made, and another thrown",
        (request) => {
          request.reject(418);
          throw reject(419);
        },
      ],
      ["made, and a close returned", (request) => (request.reject(418), request.close(4001))],
    ];
    for (const [how, refuse] of refusals) {
      const { vel, errors } = setup();
      let ran = 0;
      vel
        .with(refuse as () => undefined)
        .with(() => void ran++)
        .websocket("/ws", { open: () => ran++ });
      await expect(connect(vel, "/ws"), how).rejects.toMatchObject({ status: 418 });
      expect(ran, how).toBe(0);
      expect(errors, how).toEqual([]);
    }
  });

  it("refuse with the refusal that was made and tell onError of the error that followed it", async () => {
    const { vel, errors } = setup();
    vel
      .with((request) => {
        request.reject(418);
        throw new Error("after it");
      })
      .websocket("/ws", {});
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 418 });
    expect(errors).toEqual(["guard: Error: after it"]);
  });

  it("give guards what earlier ones found, and the connection what upgrade and accept() add", async () => {
    const { vel } = setup();
    const scope = vel
      .with(() => ({ data: { name: "ada", tab: 0 } }))
      .with((request) => ({ data: { loud: request.data.name.toUpperCase() } }))
      .with((request) => (request.data.loud === "ADA" ? undefined : request.reject(403)));
    scope.websocket("/pull", async (request) => {
      const before = { ...request.data };
      const connection = await request.accept({ data: { tab: 1 } });
      connection.sendJson([before, connection.data]);
    });
    scope.websocket("/hooks", {
      upgrade: (request) => ({ data: { tab: 2, was: request.data.tab } }),
      open: (connection) => connection.sendJson(connection.data),
    });
    expect(await (await connect(vel, "/pull")).receiveJson()).toEqual([
      { name: "ada", tab: 0, loud: "ADA" },
      { name: "ada", tab: 1, loud: "ADA" },
    ]);
    expect(await (await connect(vel, "/hooks")).receiveJson()).toEqual({ name: "ada", tab: 2, was: 0, loud: "ADA" });
  });

  it("keep the data of one connection from another's", async () => {
    const { vel } = setup();
    const shared = { count: 0 };
    vel
      .with(() => ({ data: shared }))
      .websocket("/ws", {
        open: (connection) => connection.sendJson({ count: ++connection.data.count }),
      });
    expect(await (await connect(vel, "/ws")).receiveJson()).toEqual({ count: 1 });
    expect(await (await connect(vel, "/ws")).receiveJson()).toEqual({ count: 1 });
    expect(shared.count).toBe(0);
  });

  it("cannot accept: only the pull handler's request can, and only in its hands", async () => {
    const { vel } = setup();
    const codes: unknown[] = [];
    const tryToAccept = async (request: unknown): Promise<undefined> => {
      await (request as { accept(): Promise<unknown> })
        .accept()
        .catch((error: unknown) => codes.push((error as { code: string }).code));
    };
    vel.with(tryToAccept).websocket("/pull", (request) => request.reject(401));
    vel.with(tryToAccept).websocket("/hooks", {
      upgrade: async (request) => {
        await tryToAccept(request);
        return {};
      },
    });
    await expect(connect(vel, "/pull")).rejects.toMatchObject({ status: 401 });
    await connect(vel, "/hooks");
    expect(codes).toEqual(["ERR_VEL_STATE", "ERR_VEL_STATE", "ERR_VEL_STATE"]);
  });
});

describe("Vel.on()", () => {
  it("tells of each connection's start and end, once, in that order, with its handler between them", async () => {
    const { vel } = setup();
    const log: string[] = [];
    vel.on("open", (connection) => log.push(`open ${connection.route} ${String(vel.connections.has(connection))}`));
    vel.on("close", (connection, info) =>
      log.push(`close ${connection.route} ${String(info.code)} ${String(vel.connections.has(connection))}`),
    );
    vel.websocket("/ws", { open: () => void log.push("hook open"), close: () => void log.push("hook close") });
    const client = await connect(vel, "/ws");
    client.close(4000);
    await client.closed;
    expect(log).toEqual(["open /ws true", "hook open", "hook close", "close /ws 4000 false"]);
  });

  it("survives a listener that throws or closes the connection at once", async () => {
    const { vel, errors } = setup();
    const log: string[] = [];
    vel.on("open", () => {
      throw new Error("listener");
    });
    vel.on("open", (connection) => {
      connection.close(4000);
    });
    vel.on("close", (_connection, { code }) => log.push(`close ${String(code)}`));
    vel.websocket("/hooks", { message: () => log.push("message"), close: () => log.push("hook close") });
    vel.websocket("/pull", async (request) => {
      const connection = await request.accept();
      for await (const _ of connection.texts()) log.push("message");
      log.push("pull end");
    });
    for (const path of ["/hooks", "/pull"]) {
      const client = await connect(vel, path, { early: ["x"] });
      expect(await client.closed).toMatchObject({ code: 4000 });
      await settle();
    }
    expect(log).toEqual(["hook close", "close 4000", "close 4000", "pull end"]);
    expect(errors).toEqual(["listener: Error: listener", "listener: Error: listener"]);
  });
});

describe("Vel.close()", () => {
  it("closes all with 1001 and resolves when they have ended and their handlers have settled", async () => {
    const { vel, clock } = setup();
    const log: string[] = [];
    let finish = (): void => undefined;
    const work = new Promise<void>((resolve) => (finish = resolve));
    vel.websocket("/pull", async (request) => {
      const connection = await request.accept();
      for await (const _ of connection.texts());
      await work;
      log.push("pull settled");
    });
    vel.websocket("/hooks", {
      close: async () => {
        await work;
        log.push("hook settled");
      },
    });
    const clients = [await connect(vel, "/pull"), await connect(vel, "/hooks"), await connect(vel, "/hooks")];
    expect(vel.accepting).toBe(true);
    let isClosed = false;
    const closing = vel.close().then(() => (isClosed = true));
    expect(vel.accepting).toBe(false);
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1001, wasClean: true });
    await settle();
    expect(isClosed).toBe(false);
    finish();
    await closing;
    expect(log.sort()).toEqual(["hook settled", "hook settled", "pull settled"]);
    expect(vel.connections.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("waits for a running message hook and for a connection that closes already", async () => {
    const { vel } = setup();
    let finish = (): void => undefined;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const log: string[] = [];
    vel.websocket("/ws", {
      message: async (connection) => {
        connection.close(4000);
        await work;
        log.push("message");
      },
      close: () => void log.push("close"),
    });
    const client = await connect(vel, "/ws", { early: ["x"] });
    expect(await client.closed).toMatchObject({ code: 4000 });
    const closing = vel.close().then(() => log.push("closed"));
    await settle();
    expect(log).toEqual([]);
    finish();
    await closing;
    expect(log).toEqual(["message", "close", "closed"]);
  });

  it("takes a code and reason, and throws for one that may not be sent", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const client = await connect(vel, "/ws");
    expect(() => vel.close({ code: 1005 })).toThrow(RangeError);
    expect(vel.accepting).toBe(true);
    await vel.close({ code: 1012, reason: "restart" });
    expect(await client.closed).toMatchObject({ code: 1012, reason: "restart" });
  });

  it("resolves at once where there is nobody, and leaves no timer", async () => {
    const { vel, clock } = setup();
    await vel.close();
    expect(clock.pending).toBe(0);
  });

  it("gives every call the same end", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const client = await connect(vel, "/ws");
    const first = vel.close();
    expect(vel.close({ code: 4000 })).toBe(first);
    await first;
    expect(await client.closed).toMatchObject({ code: 1001 });
    await vel.close();
  });

  it("is what `await using` does", async () => {
    const { vel } = setup();
    vel.websocket("/ws", {});
    const client = await connect(vel, "/ws");
    {
      await using server = vel;
      expect(server.accepting).toBe(true);
    }
    expect(await client.closed).toMatchObject({ code: 1001 });
    expect(vel.accepting).toBe(false);
  });

  it("has cut off, when it resolves, who did not answer within closeTimeout", async () => {
    const { vel, clock } = setup({ closeTimeout: 1000 });
    const log: string[] = [];
    vel.websocket("/ws", {
      close: (_connection, info) => void log.push(`${String(info.code)} ${String(info.wasClean)}`),
    });
    vel.websocket("/refused", (request) => request.close(4001));
    const clients = [await connect(vel, "/ws"), await connect(vel, "/ws")];
    const refused = await connect(vel, "/refused");
    for (const client of [...clients, refused]) client.silence();
    await clock.advance(400);
    for (const connection of vel.connections) {
      connection.close(4000);
      break;
    }
    let state: unknown;
    const closing = vel.close().then(() => {
      state = { connections: vel.connections.size, pending: clock.pending, closed: log.length };
    });
    await clock.advance(999);
    expect(state).toBeUndefined();
    await clock.advance(1);
    await closing;
    expect(state).toEqual({ connections: 0, pending: 0, closed: 2 });
    expect(log.sort()).toEqual(["1001 false", "4000 false"]);
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1006 });
  });

  it("does not wait longer than closeTimeout for a handler or guard that never settles", async () => {
    const { vel, clock } = setup({ closeTimeout: 1000 });
    const never = new Promise<never>(() => undefined);
    vel.websocket("/pull", async (request) => {
      await request.accept();
      await never;
    });
    vel.websocket("/hooks", { message: () => never });
    vel.with(() => never).websocket("/guard", {});
    const clients = [await connect(vel, "/pull"), await connect(vel, "/hooks", { early: ["x"] })];
    connect(vel, "/guard").catch(() => undefined);
    await settle();
    const closing = vel.close();
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1001 });
    await clock.advance(1000);
    await closing;
    await clock.advance(4000);
    expect(clock.pending).toBe(0);
  });

  it("closes a connection that was let in before and opens after the call, and waits for it", async () => {
    const { vel, clock } = setup();
    const log: string[] = [];
    vel.websocket("/ws", { open: () => void log.push("open"), close: () => void log.push("close") });
    const host = vel.bind(scriptedTransport());
    const accepted = await admit(host, "/ws");
    const closing = vel.close().then(() => log.push("closed"));
    await settled();
    expect(log).toEqual([]);
    const socket = new ScriptedSocket();
    const connection = host.open(socket, accepted);
    expect(socket.closes).toEqual([{ code: 1001, reason: "" }]);
    host.close(connection, 1001, "", true);
    await closing;
    expect(log).toEqual(["open", "close", "closed"]);
    expect(clock.pending).toBe(0);
  });

  it("survives handlers that close, send and terminate meanwhile", async () => {
    const { vel, clock, errors } = setup();
    const all: Connection[] = [];
    vel.websocket("/ws", {
      open: (connection) => {
        all.push(connection);
        connection.onClosing(() => {
          for (const other of all) {
            other.send("leaving");
            other.close(4000);
            other.terminate();
          }
        });
      },
    });
    const opened = [await open(vel, "/ws"), await open(vel, "/ws"), await open(vel, "/ws")];
    await vel.close();
    for (const { connection, socket } of opened) {
      expect(connection.closeInfo).toMatchObject({ by: "local", wasClean: false });
      expect(socket.closes.length).toBeLessThanOrEqual(1);
      expect(socket.terminations).toBe(1);
    }
    expect(errors).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe("Host.adopt()", () => {
  it("makes a connection of a socket that somebody else has let in, with its hooks, data and life cycle", async () => {
    const { vel } = setup();
    const log: string[] = [];
    vel.on("open", ({ route }) => log.push(`open ${route}`));
    const host = vel.bind(scriptedTransport());
    const socket = new ScriptedSocket();
    const connection = host.adopt(
      socket,
      { url: "/theirs?x=1", remote: { address: "192.0.2.7" }, headers: new Headers() },
      {
        data: { user: "ada" },
        message: (own, message) => own.send(`${own.data.user}: ${String(message)}`),
        close: (_own, { code }) => void log.push(`close ${String(code)}`),
      },
    );
    host.message(connection, "hi");
    expect(socket.sent).toEqual(["ada: hi"]);
    expect(connection).toMatchObject({ route: "/theirs", remote: { address: "192.0.2.7" }, data: { user: "ada" } });
    expect(vel.connections.has(connection)).toBe(true);
    const closing = vel.close();
    expect(socket.closes).toEqual([{ code: 1001, reason: "" }]);
    host.close(connection, 1001, "", true);
    await closing;
    expect(log).toEqual(["open /theirs", "close 1001"]);
  });
});
