import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { InvalidMessageError, type Connection, type Inspector, type Received, type VelOptions } from "../src/index.ts";
import { handshake, open, scriptedTransport, ScriptedSocket, settled } from "./scripted-transport.ts";
import { expectNoRejections, setup as setupServer } from "./kit.ts";

expectNoRejections();

/** A connection whose messages are inspected by these, and the messages that its handler got. */
async function setup(inspect: Inspector["inspect"] | readonly Inspector["inspect"][], options: VelOptions = {}) {
  const context = setupServer(options);
  const all = typeof inspect === "function" ? [inspect] : inspect;
  for (const each of all) context.vel.use({ inspect: each });
  const got: Received[] = [];
  context.vel.websocket("/ws", { message: (_connection, message) => void got.push(message) });
  return { ...context, got, ...(await open(context.vel, "/ws")) };
}

describe("Inspector.inspect()", () => {
  it("is asked of each message before anybody else, and swallows it with false: it stays counted", async () => {
    const asked: unknown[] = [];
    const { host, connection, got } = await setup((_connection, payload, size) => {
      asked.push([payload, size, _connection.messagesReceived, got.length]);
      return payload !== "swallow";
    });
    const bytes = Uint8Array.of(1, 2, 3);
    for (const message of ["é", "swallow", bytes]) host.message(connection, message);
    host.message(connection, "known", 5);
    expect(asked).toEqual([
      ["é", 2, 1, 0],
      ["swallow", 7, 2, 1],
      [bytes, 3, 3, 1],
      ["known", 5, 4, 2],
    ]);
    expect(got).toEqual(["é", bytes, "known"]);
    expect(connection).toMatchObject({ messagesReceived: 4, bytesReceived: 17, messagesDropped: 0, framesReceived: 4 });
  });

  it("is asked in the order of registration, until one says no, as a method of what it stands in", async () => {
    class Counter implements Inspector {
      readonly #name: string;
      constructor(name: string) {
        this.#name = name;
      }
      inspect(_connection: Connection, payload: Received): boolean {
        log.push(`${this.#name} ${String(payload)}`);
        return payload !== this.#name;
      }
    }
    const log: string[] = [];
    const { vel } = setupServer();
    vel
      .use(new Counter("a"))
      .use(() => ({ data: { user: "ada" } }))
      .use(new Counter("b"))
      .use(new Counter("c"))
      .websocket("/ws", { message: ({ data }, message) => void log.push(`${data.user}: ${String(message)}`) });
    const { host, connection } = await open(vel, "/ws");
    for (const text of ["x", "b", "a"]) host.message(connection, text);
    expect(log).toEqual(["a x", "b x", "c x", "ada: x", "a b", "b b", "a a"]);
  });

  it("is asked before a message is decoded, as it comes: while another is handled or the connection prepared", async () => {
    const { vel } = setupServer();
    const asked: Received[] = [];
    const got: number[] = [];
    let pass = (): void => undefined;
    const passed = new Promise<void>((resolve) => (pass = resolve));
    vel
      .use({ inspect: (_connection, payload) => asked.push(payload) > 0 && payload !== "not JSON" })
      .use(() => ({ prepare: () => passed }))
      .websocket("/ws", {
        schema: z.number(),
        async message(_connection, value) {
          got.push(value);
          await settled();
        },
      });
    const { host, connection } = await open(vel, "/ws");
    for (const text of ["1", "not JSON", "2"]) host.message(connection, text);
    expect(asked).toEqual(["1", "not JSON", "2"]);
    pass();
    await settled();
    host.message(connection, "3");
    expect(asked).toHaveLength(4);
    for (let i = 0; i < 3; i++) await settled();
    expect(got).toEqual([1, 2, 3]);
    expect(connection.isOpen).toBe(true);
  });

  it("leaves nothing in the inbox of what it swallows", async () => {
    const { vel, errors } = setupServer({ receiveBuffer: { limit: 1_000 } });
    vel.use({ inspect: () => false }).websocket("/ws", { open: () => new Promise<never>(() => undefined) });
    const { host, connection } = await open(vel, "/ws");
    for (let i = 0; i < 10_000; i++) host.message(connection, "x".repeat(100));
    expect(connection.isOpen, "1008 is for who fills it").toBe(true);
    expect(errors).toEqual([]);
  });

  it.each([true, false])("may close the connection: with %s too, the message reaches nobody", async (answer) => {
    const { host, connection, socket, got, errors } = await setup((connection) => {
      connection.close(4429, "too many messages");
      return answer;
    });
    host.message(connection, "1");
    host.message(connection, "2");
    await settled();
    expect(socket.closes).toEqual([{ code: 4429, reason: "too many messages" }]);
    expect([got, errors, connection.messagesReceived, connection.framesReceived]).toEqual([[], [], 1, 2]);
  });

  it("may cut the connection", async () => {
    const { host, connection, socket, got, vel } = await setup((connection) => {
      connection.terminate();
      return true;
    });
    host.message(connection, "1");
    await settled();
    expect([socket.terminations, got, vel.connections.size]).toEqual([1, [], 0]);
  });

  it("ends its connection alone with 1011 when it throws, and tells onError", async () => {
    const { vel, host, connection, socket, got, errors } = await setup([
      (_connection, payload) => {
        if (payload === "bad") throw new Error("inspector");
        if (payload === "invalid") throw new InvalidMessageError("no");
        return true;
      },
      (_connection, payload) => payload === "good",
    ]);
    const others = await Promise.all(["other", "third"].map(() => open(vel, "/ws")));
    host.message(connection, "bad");
    host.message(connection, "good");
    expect(socket.closes).toEqual([{ code: 1011, reason: "internal error" }]);
    expect(errors).toEqual(["inspect: Error: inspector"]);
    const [other, third] = others as [(typeof others)[0], (typeof others)[0]];
    other.host.message(other.connection, "good");
    expect(got).toEqual(["good"]);
    third.host.message(third.connection, "invalid");
    expect(third.socket.closes).toEqual([{ code: 1007, reason: "invalid message" }]);
    expect(errors).toHaveLength(1);
  });

  it("is not asked of a message beyond maxPayload, of pings and pongs, or of what comes after the close", async () => {
    let asked = 0;
    const { host, connection, socket } = await setup(() => ++asked > 0, { maxPayload: 10 });
    host.ping(connection);
    host.pong(connection, new Uint8Array(0));
    host.message(connection, "x".repeat(10));
    host.message(connection, "x".repeat(11));
    expect(socket.closes).toEqual([{ code: 1009, reason: "message too big" }]);
    host.message(connection, "late");
    host.close(connection, 1009, "", true);
    host.message(connection, "later");
    expect([asked, connection.messagesReceived]).toEqual([1, 2]);
  });

  it("is asked in both forms of handlers, and of adopt()ed connections", async () => {
    const { vel } = setupServer();
    const asked: string[] = [];
    const got: string[] = [];
    vel.use({
      inspect: ({ route }, payload) => asked.push(`${route} ${String(payload)}`) > 0 && payload === "good",
    });
    vel.websocket("/pull", async (request) => {
      const connection = await request.accept();
      for await (const text of connection.texts()) got.push(text);
    });
    const client = await connect(vel, "/pull", { early: ["bad", "good"] });
    await settle();
    client.close();
    const host = vel.bind(scriptedTransport());
    const wire = handshake("/theirs");
    const adopted = host.adopt(new ScriptedSocket(), wire, {
      message: (_own, message) => void got.push(String(message)),
    });
    for (const text of ["bad", "good"]) host.message(adopted, text);
    expect(asked).toEqual(["/pull bad", "/pull good", "/theirs bad", "/theirs good"]);
    expect(got).toEqual(["good", "good"]);
  });
});

describe("Vel.use()", () => {
  it("takes an inspector only before a route exists, which would miss it", () => {
    const { vel } = setupServer();
    expect(vel.use({ inspect: () => true })).toBe(vel);
    vel.websocket("/ws", {});
    expect(() => vel.use({ inspect: () => true })).toThrow(expect.objectContaining({ code: "ERR_VEL_STATE" }) as Error);
  });

  it("throws for what is neither a guard nor an inspector", () => {
    const { vel } = setupServer();
    for (const value of [undefined, null, {}, { inspect: true }, "guard", [() => undefined]]) {
      expect(() => vel.use(value as unknown as Inspector)).toThrow(
        new TypeError("Vel.use() takes a guard, or an inspector with a method inspect()"),
      );
    }
  });
});
