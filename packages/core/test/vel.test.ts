/**
 * What the types promise: this file is worth compiling. Handlers that only the compiler reads are registered and never
 * run; every `@ts-expect-error` is a misuse that must not compile.
 */
import { connect } from "@vel/testing";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import {
  createVel,
  DisconnectError,
  InvalidMessageError,
  reject,
  type Admission,
  type AnyParams,
  type CloseInfo,
  type Connection,
  type Json,
  type PendingRequest,
  type Received,
  type Refusal,
  type Routes,
  type SendStatus,
  type StandardSchemaV1,
  type UpgradeRequest,
  type Vel,
} from "../src/index.ts";

declare function processBinaryData(data: Uint8Array): Uint8Array;
declare function validate(key: string | null): boolean;
declare function verify(token: string): Promise<{ sub?: string }>;

describe("A pull handler", () => {
  it("is written as the specification's examples are", () => {
    const vel = createVel();
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      for await (const text of connection.texts()) connection.send(`Echo: ${text}`);
      expectTypeOf(connection.closeInfo).toEqualTypeOf<CloseInfo | undefined>();
    });
    vel.websocket("/ws/literal", async (request) => {
      const connection = await request.accept();
      try {
        for (;;) {
          const message = await connection.receiveText();
          connection.send(`Echo: ${message}`);
        }
      } catch (error) {
        if (error instanceof DisconnectError) expectTypeOf(error.info.code).toEqualTypeOf<number>();
        else throw error;
      }
    });
    vel.websocket("/ws/json", async (request) => {
      const connection = await request.accept();
      while (connection.isOpen) {
        try {
          const data = await connection.receiveJson();
          expectTypeOf(data).toEqualTypeOf<unknown>();
          const message = typeof data === "object" && data !== null && "message" in data ? String(data.message) : "";
          connection.sendJson({
            type: "response",
            message: `Received: ${message}`,
            timestamp: new Date().toISOString(),
          });
        } catch (error) {
          if (error instanceof InvalidMessageError) connection.sendJson({ type: "error", code: error.code });
          else throw error;
        }
      }
    });
    vel.websocket("/ws/api-key", async (request) => {
      if (!validate(request.headers.get("x-api-key"))) return request.close(4003, "Invalid API key");
      const connection = await request.accept();
      connection.send("hello");
      return;
    });
    vel.websocket(
      "/ws/optimized",
      { maxPayload: 1024 * 1024, compression: "auto", protocols: ["chat"] },
      async (request) => {
        const connection = await request.accept({ protocol: "chat", headers: { "X-Custom": "value" } });
        for await (const bytes of connection.bytes()) connection.send(bytes, { compress: false });
      },
    );
    vel.websocket("/ws/authenticated", async (request) => {
      const token = request.query.get("token");
      if (!token) return request.close(4001, "Missing authentication token");
      const claims = await verify(token).catch(() => undefined);
      if (!claims?.sub) return request.close(4001, "Invalid token");
      const userId = claims.sub;
      const connection = await request.accept({ data: { userId } });
      for await (const text of connection.texts()) {
        connection.send(`Authenticated user ${connection.data.userId}: ${text}`);
      }
      return;
    });
    expect(vel.accepting).toBe(true);
  });

  it("knows the path's parameters and the data that accept() adds", async () => {
    const vel = createVel();
    vel.websocket("/ws/:room/files/:file", async (request) => {
      expectTypeOf(request.params).toEqualTypeOf<{ readonly room: string; readonly file: string }>();
      // @ts-expect-error no such parameter
      void request.params.rooom;
      const connection = await request.accept({ data: { started: Date.now() } });
      expectTypeOf(connection.params.file).toEqualTypeOf<string>();
      expectTypeOf(connection.data.started).toEqualTypeOf<number>();
      // @ts-expect-error nobody gave it
      void connection.data.ended;
      connection.send(`${request.params.room} ${connection.params.file} ${typeof connection.data.started}`);
    });
    expect(await (await connect(vel, "/ws/a/files/b")).receiveText()).toBe("a b number");
    const dynamic: string = "/x/:y";
    vel.websocket(dynamic, async (request) => {
      expectTypeOf(request.params).toEqualTypeOf<AnyParams>();
      expectTypeOf(request.params["y"]).toEqualTypeOf<string | undefined>();
      await request.accept();
    });
  });

  it("may be plain, async, or return a refusal, and nothing else", () => {
    const vel = createVel();
    vel.websocket("/a", () => undefined);
    vel.websocket("/b", async () => {
      await Promise.resolve();
    });
    vel.websocket("/c", (request) => request.reject(401));
    vel.websocket("/d", (request) => {
      if (request.query.has("x")) throw request.reject(401);
    });
    // @ts-expect-error a connection is no answer
    vel.websocket("/e", (request: PendingRequest) => request.accept());
    // @ts-expect-error only accept() admits in this form
    vel.websocket("/f", () => ({ data: {} }) as Admission);
    expectTypeOf<PendingRequest>().toExtend<UpgradeRequest>();
  });
});

describe("A Connection", () => {
  it("takes what it can send", () => {
    const vel = createVel();
    vel.websocket("/misuse", async (request) => {
      const connection = await request.accept();
      // @ts-expect-error a promise is not a message
      connection.sendJson(Promise.resolve({ a: 1 }));
      // @ts-expect-error an object needs sendJson
      connection.send({ a: 1 });
      // @ts-expect-error undefined has no JSON form
      connection.sendJson(undefined);
      interface Typed {
        a: number;
      }
      const typed: Typed = { a: 1 };
      expectTypeOf(connection.sendJson(typed)).toEqualTypeOf<SendStatus>();
      connection.sendJson([1, "a", null]);
      const b = await connection.receiveBytes();
      await crypto.subtle.digest("SHA-256", b);
      void new Blob([b]);
    });
    expectTypeOf<string[]>().toExtend<Json>();
    expectTypeOf<Promise<string>>().not.toExtend<Json>();
  });

  it("gives JSON the type of its schema", () => {
    const vel = createVel();
    const Message = z.object({ n: z.string().transform(Number) });
    vel.websocket("/ws", async (request) => {
      const connection = await request.accept();
      expectTypeOf(await connection.receiveJson(Message)).toEqualTypeOf<{ n: number }>();
      expectTypeOf(await connection.receiveJson(Message, { timeout: 5 })).toEqualTypeOf<{ n: number }>();
      expectTypeOf(await connection.receiveJson({ timeout: 5 })).toEqualTypeOf<unknown>();
      for await (const message of connection.jsons(Message)) expectTypeOf(message).toEqualTypeOf<{ n: number }>();
      for await (const message of connection.jsons()) expectTypeOf(message).toEqualTypeOf<unknown>();
    });
    expectTypeOf(Message).toExtend<StandardSchemaV1<unknown, { n: number }>>();
  });

  it("is one of unknown data wherever any connection will do", () => {
    function anyConnection(connection: Connection): void {
      connection.send("x");
    }
    createVel()
      .with(() => ({ data: { key: "k" } }))
      .websocket("/ws/:x", {
        open(c) {
          anyConnection(c);
        },
      });
    expectTypeOf<Connection<{ a: number }, { readonly x: string }>>().toExtend<Connection>();
    expectTypeOf<Connection>().not.toExtend<Connection<{ a: number }>>();
  });
});

describe("Hooks", () => {
  it("get received messages, and data of guards and upgrade", () => {
    const vel = createVel();
    vel.websocket("/ws/binary", {
      message(connection, message) {
        expectTypeOf(message).toEqualTypeOf<Received>();
        if (typeof message !== "string") connection.send(processBinaryData(message));
      },
    });
    vel
      .with(() => ({ data: { userId: "ada" } }))
      .websocket("/ws/b/:room", {
        upgrade(request) {
          expectTypeOf(request.params).toEqualTypeOf<{ readonly room: string }>();
          if (request.params.room === "secret") return request.reject(403);
          return { data: { joined: Date.now(), who: request.data.userId } };
        },
        open(connection) {
          connection.send(`${connection.data.userId} ${connection.data.joined.toFixed()} ${connection.params.room}`);
        },
        message(connection, message) {
          expectTypeOf(connection.data.who).toEqualTypeOf<string>();
          expectTypeOf(message).toEqualTypeOf<Received>();
        },
        close(connection, { code, reason }) {
          expectTypeOf(connection.data.userId).toEqualTypeOf<string>();
          expectTypeOf(code).toEqualTypeOf<number>();
          expectTypeOf(reason).toEqualTypeOf<string>();
        },
      });
  });

  it("may return anything, so that short ones stay short", () => {
    createVel().websocket("/ws", {
      open: (c) => c.send("hi"),
      message: (c, m) => c.send(m),
      close: async () => Promise.resolve(5),
    });
  });

  it("get messages of the schema's type", () => {
    createVel().websocket("/ws", {
      schema: z.object({ n: z.number() }),
      message(_connection, message) {
        expectTypeOf(message).toEqualTypeOf<{ n: number }>();
      },
      invalid(_connection, error) {
        expectTypeOf(error).toEqualTypeOf<InvalidMessageError>();
      },
    });
  });

  it("cannot leave the data open", () => {
    const vel = createVel();
    vel.websocket("/hole", {
      // @ts-expect-error a path that neither refuses nor gives the data
      upgrade(request) {
        if (request.query.has("a")) return { data: { a: 1 } };
        return undefined;
      },
    });
    // @ts-expect-error upgrade cannot accept
    vel.websocket("/accept", { upgrade: (request) => request.accept() });
  });
});

describe("Guards", () => {
  it("refuse by return and by throw, and type what they find, in chains and in both forms", async () => {
    const vel = createVel();
    const released: string[] = [];
    const own = vel
      .with(async (request) => {
        await Promise.resolve();
        const key = request.headers.get("x-key");
        if (!key) throw reject(401);
        if (key === "no") return request.reject(403, { retryAfter: 1000 });
        request.defer(() => released.push("released"));
        return { data: { key } };
      })
      .with((request) => ({ data: { upper: request.data.key.toUpperCase() } }));
    expectTypeOf(own).toExtend<Routes<{ key: string } & { upper: string }>>();
    own.websocket("/ws/own", {
      open(c) {
        c.send(c.data.key.trim() + c.data.upper.trim());
      },
    });
    own.websocket("/ws/pull/:x", async (request) => {
      expectTypeOf(request.data.upper).toEqualTypeOf<string>();
      const connection = await request.accept({ data: { tab: 1 } });
      expectTypeOf(connection.data.key).toEqualTypeOf<string>();
      expectTypeOf(connection.data.tab).toEqualTypeOf<number>();
      expectTypeOf(connection.params.x).toEqualTypeOf<string>();
    });
    await expect(connect(vel, "/ws/own")).rejects.toMatchObject({ status: 401 });
    const refused = await connect(vel, "/ws/own", { headers: { "x-key": "no" } }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 403 });
    expect((refused as { headers: Headers }).headers.get("retry-after")).toBe("1");
    const client = await connect(vel, "/ws/own", { headers: { "x-key": "k" } });
    expect(await client.receiveText()).toBe("kK");
    client.close(1000);
    await client.closed;
    expect(released).toEqual(["released"]);
  });

  it("provide on every path or only check", () => {
    const vel = createVel();
    // @ts-expect-error a path that neither refuses nor gives the data
    vel.with((request) => {
      if (request.query.has("a")) return { data: { a: 1 } };
      return undefined;
    });
    vel
      .with((request) => {
        if (!request.query.has("a")) return request.reject(401);
        return undefined;
      })
      .with((request) => {
        if (!request.query.has("a")) throw request.reject(401);
      })
      .with(async (request) => {
        await Promise.resolve();
        if (!request.query.has("a")) throw request.reject(401);
      });
    // @ts-expect-error guards cannot accept
    vel.with((request) => void request.accept());
  });

  it("of all routes give a server back, whose data is theirs too", () => {
    const vel = createVel()
      .use(() => ({ data: { a: 1 } }))
      .use((request) => {
        expectTypeOf(request.data.a).toEqualTypeOf<number>();
      })
      .use(() => ({ data: { b: "x" } }));
    expectTypeOf(vel).toExtend<Vel<{ a: number } & { b: string }>>();
    vel.websocket("/", {
      open(c) {
        expectTypeOf(c.data.a).toEqualTypeOf<number>();
        expectTypeOf(c.data.b).toEqualTypeOf<string>();
      },
    });
    expectTypeOf<ReturnType<typeof reject>>().toEqualTypeOf<Refusal>();
  });

  it("may add to the connection's data in prepare, in both forms", () => {
    const login = async (connection: Connection) => ({ user: await connection.receiveText() });
    const vel = createVel()
      .use(() => ({ prepare: login }))
      .use(({ path }) => ({ data: { a: path.length }, prepare: (connection) => void connection.send("hi") }))
      .use((request) => (request.query.has("a") ? { prepare: () => ({ b: true }) } : request.reject(401)));
    vel.websocket("/hooks", {
      upgrade: () => ({ prepare: () => Promise.resolve({ c: 1n }) }),
      open({ data }) {
        expectTypeOf(data.user).toEqualTypeOf<string>();
        expectTypeOf(data.a).toEqualTypeOf<number>();
        expectTypeOf(data.b).toEqualTypeOf<boolean>();
        expectTypeOf(data.c).toEqualTypeOf<bigint>();
      },
    });
    vel.websocket("/pull", async (request) => {
      const { data } = await request.accept({ data: { tab: 1 }, prepare: () => ({ tab: 2 }) });
      expectTypeOf(data.user).toEqualTypeOf<string>();
      expectTypeOf(data.tab).toEqualTypeOf<number>();
      // @ts-expect-error what prepare adds must be of the data's type
      await request.accept({ data: { tab: 1 }, prepare: () => ({ tab: "2" }) });
    });
  });
});

describe("Inspectors", () => {
  it("change no type, and answer with a boolean", () => {
    const vel = createVel()
      .use(() => ({ data: { a: 1 } }))
      .use({ inspect: ({ id }, payload, size) => id !== "" && payload.length <= size });
    expectTypeOf(vel).toExtend<Vel<{ a: number }>>();
    // @ts-expect-error nothing is no answer
    vel.use({ inspect: () => undefined });
    // @ts-expect-error a promise is none: messages do not wait
    vel.use({ inspect: () => Promise.resolve(true) });
  });
});

describe("Connection.renew()", () => {
  it("takes some of the data, of its types", () => {
    createVel().websocket("/", {
      upgrade: () => ({ data: { role: "guest", age: 1 } }),
      open(connection) {
        void connection.renew({ role: "member" });
        // @ts-expect-error another type
        void connection.renew({ role: 1 });
        // @ts-expect-error no such data
        void connection.renew({ name: "ada" });
      },
    });
  });
});

describe("Vel.on()", () => {
  it("types each event's arguments", () => {
    const vel = createVel();
    vel.on("close", (connection, info) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>();
      expectTypeOf(info).toEqualTypeOf<CloseInfo>();
    });
    vel.on("refuse", (request, code) => {
      expectTypeOf(request).toEqualTypeOf<UpgradeRequest>();
      expectTypeOf(code).toEqualTypeOf<number>();
    });
    // @ts-expect-error no such event
    vel.on("closed", () => undefined);
  });
});
