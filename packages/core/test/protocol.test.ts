import { readFileSync } from "node:fs";
import { decode, encode } from "@msgpack/msgpack"; // eslint-disable-line vel/arrows -- a codec as users write it
import { connect, ManualClock, memoryTransport, settle, type TestClient } from "@vel/testing";
import { describe, expect, it, vi } from "vitest";
import {
  closeCodes,
  createVel,
  errorFrame,
  InvalidMessageError,
  jsonCodec,
  Protocol,
  VelError,
  type Codec,
  type Connection,
  type Frame,
  type FrameHandlers,
  type Json,
  type ProtocolOptions,
  type VelOptions,
} from "../src/index.ts";
import { expectNoRejections } from "./kit.ts";

expectNoRejections();

interface Setup {
  readonly protocol: Protocol;
  readonly client: TestClient;
  /** The server's side of the client's connection. */
  readonly connection: Connection;
  readonly clock: ManualClock;
  /** What `onError` of the protocol was told: the stage and the error. */
  readonly errors: string[];
  /** What the client has got since it was asked last. */
  received(): Promise<unknown[]>;
}

async function setup(
  handlers: FrameHandlers = {},
  options: ProtocolOptions = {},
  {
    transport = memoryTransport(),
    ...velOptions
  }: VelOptions & { transport?: ReturnType<typeof memoryTransport> } = {},
): Promise<Setup> {
  const clock = new ManualClock();
  const errors: string[] = [];
  const protocol = new Protocol({
    clock,
    onError: (error, { stage }) => errors.push(`${stage}: ${String(error)}`),
    ...options,
  }).add(handlers);
  const vel = createVel({ onError: (error) => errors.push(`vel: ${String(error)}`), ...velOptions });
  vel.websocket("/ws", protocol.hooks());
  const client = await connect(vel, "/ws", { transport });
  const [connection] = vel.connections;
  const received = async (): Promise<unknown[]> => {
    await settle();
    const frames: unknown[] = [];
    while (client.received.length > 0) frames.push(await client.receiveJson());
    return frames;
  };
  return { protocol, client, connection: connection!, clock, errors, received };
}

/** What the test vectors take for granted: docs/protocol.md tells of it. */
const vectorHandlers: FrameHandlers = {
  double: (_, { value }) => ({ value: 2 * Number(value) }),
  quiet: () => undefined,
  fail: (_, { code, retryAfter }) => {
    if (code === undefined) throw new Error("A secret");
    throw new VelError(code as never, "A secret", typeof retryAfter === "number" ? { retryAfter } : {});
  },
};

interface Sent {
  readonly frame?: unknown;
  readonly text?: string;
  readonly bytes?: number[];
}

interface Vectors {
  readonly questions: readonly { name: string; client: readonly Sent[]; server: readonly Frame[] }[];
  readonly errors: Vectors["questions"];
  readonly answers: readonly { name: string; server: readonly Frame[]; client: readonly Frame[] }[];
}

const vectors = JSON.parse(readFileSync(new URL("protocol-vectors.json", import.meta.url), "utf8")) as Vectors;

describe("Test vectors", () => {
  const all = (["questions", "errors"] as const).flatMap((kind) => vectors[kind].map((each) => ({ kind, ...each })));

  it.each(all)("$kind: $name", async ({ client: sent, server, kind }) => {
    const { client, received, errors } = await setup(vectorHandlers);
    for (const { text, bytes, frame } of sent) {
      client.send(text ?? (bytes ? Uint8Array.from(bytes) : JSON.stringify(frame)));
    }
    expect(await received()).toEqual(server);
    // None of them has ended the connection, or keeps it from going on.
    client.sendJson({ type: "ping", id: "after" });
    expect(await received()).toEqual([{ type: "pong", id: "after" }]);
    expect(errors.length).toBe(server.filter(({ code }) => code === "internal").length);
    if (kind === "errors") expect(JSON.stringify(server)).not.toContain("secret");
    expect("polluted" in {}).toBe(false);
  });

  it.each(vectors.answers)("answers: $name: the server takes them without an answer", async ({ client: sent }) => {
    const { client, received, errors } = await setup();
    for (const frame of sent) client.sendJson(frame);
    expect(await received()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it("have names of their own", () => {
    for (const kind of Object.values(vectors)) {
      const names = kind.map(({ name }: { name: string }) => name);
      expect(new Set(names).size).toBe(names.length);
    }
  });
});

describe("docs/protocol.md", () => {
  const text = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| (\S+) +\| (.*?) +\| (.*?) +\|$/gm)].map(([, ...cells]) => cells);

  it("has the close codes of core, and what to do after each", () => {
    const words = { true: "yes", false: "no", "fresh-token": "once, with a new token" };
    const expected = Object.entries(closeCodes).map(([code, { name, reconnect }]) => [
      code,
      name,
      words[`${reconnect}`],
    ]);
    expect(rows.filter(([code]) => /^\d{4}$/.test(code!))).toEqual(expected);
  });

  it("has the codes of every error that the vectors tell of", () => {
    const codes = vectors.errors.flatMap(({ server }) => server.map(({ code }) => code as string));
    for (const code of codes) expect(rows.map(([cell]) => cell)).toContain(`\`${code}\``);
  });
});

describe("new Protocol()", () => {
  it("throws RangeError at a maxPending that is no positive number", () => {
    for (const maxPending of [0, -1, NaN]) {
      expect(() => new Protocol({ maxPending })).toThrow(
        new RangeError(`Option "maxPending" must be a positive number, got ${maxPending}`),
      );
    }
  });

  it("logs faults, without onError", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const protocol = new Protocol().add(vectorHandlers);
    const vel = createVel();
    vel.websocket("/ws", protocol.hooks());
    const client = await connect(vel, "/ws");
    client.sendJson({ type: "fail", id: 1 });
    expect(await client.receiveJson()).toEqual({ type: "error", id: 1, code: "internal" });
    expect(log.mock.calls.flat().join()).toContain("vel: frame of connection");
    log.mockRestore();
  });
});

describe("Protocol.add()", () => {
  it("throws TypeError at a type that is taken, by a feature or by core", () => {
    const protocol = new Protocol().add({ join: () => undefined });
    for (const type of ["join", "ping", "pong", "ok", "error"]) {
      expect(() => protocol.add({ [type]: () => undefined })).toThrow(
        new TypeError(`Frames of type "${type}" have a handler already`),
      );
    }
  });

  it("takes types that are names of objects' members", async () => {
    const handlers = Object.fromEntries(["toString", "constructor"].map((type) => [type, () => ({ is: type })]));
    const { client, received } = await setup(handlers);
    client.sendJson({ type: "toString", id: 1 });
    client.sendJson({ type: "constructor", id: 2 });
    client.sendJson({ type: "valueOf", id: 3 });
    expect(await received()).toEqual([
      { type: "ok", id: 1, is: "toString" },
      { type: "ok", id: 2, is: "constructor" },
      { type: "error", id: 3, code: "unknown_type" },
    ]);
  });
});

describe("Protocol.receive()", () => {
  it("gives handlers the connection and the frame, and waits for them in order", async () => {
    const seen: unknown[] = [];
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const { client, connection, received } = await setup({
      slow: async (from, frame) => {
        seen.push(from === connection, frame);
        await gate;
        return { value: 1 };
      },
      fast: () => ({ value: 2 }),
    });
    client.sendJson({ type: "slow", id: "a", list: [1] });
    client.sendJson({ type: "fast", id: "b" });
    expect(await received()).toEqual([]);
    open();
    expect(await received()).toEqual([
      { type: "ok", id: "a", value: 1 },
      { type: "ok", id: "b", value: 2 },
    ]);
    expect(seen).toEqual([true, { type: "slow", id: "a", list: [1] }]);
  });

  it("does not let a reply change the type and id of the answer", async () => {
    const { client, received } = await setup({ forge: () => ({ type: "error", id: 99, code: "internal" }) });
    client.sendJson({ type: "forge", id: 1 });
    expect(await received()).toEqual([{ type: "ok", id: 1, code: "internal" }]);
  });

  it("answers with an error where the reply has no JSON form", async () => {
    const { client, received, errors } = await setup({ big: () => ({ value: 1n }) });
    client.sendJson({ type: "big", id: 1 });
    expect(await received()).toEqual([{ type: "error", id: 1, code: "internal" }]);
    expect(errors).toEqual([expect.stringContaining("frame: TypeError")]);
  });

  it("tells onError of faults of the server, and of nothing that a client did", async () => {
    const { client, received, errors } = await setup(vectorHandlers);
    client.send("no JSON");
    client.sendJson({ type: "fail", code: "ERR_VEL_LIMIT" });
    client.sendJson({ type: "fail", code: "ERR_ROOMS_FULL" });
    client.sendJson({ type: "fail" });
    client.sendJson({ type: "fail", code: "ERR_VEL_STATE" });
    expect((await received()).map((frame) => (frame as { code: string }).code)).toEqual([
      "invalid_message",
      "limit",
      "rooms_full",
      "internal",
      "internal",
    ]);
    expect(errors).toEqual(["frame: Error: A secret", "frame: VelError: A secret"]);
  });

  it("never rejects, though onError throws or rejects, or the codec cannot encode an error", async () => {
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const fail = new Error("of onError");
    const throwing = (): never => {
      throw fail;
    };
    for (const onError of [throwing, () => Promise.reject(fail)]) {
      const { client, received } = await setup(vectorHandlers, { onError });
      client.sendJson({ type: "fail", id: 1 });
      expect(await received()).toEqual([{ type: "error", id: 1, code: "internal" }]);
      expect(log.mock.calls.flat().join("\n")).toMatch(/onError: Error: of onError[^]*frame of[^]*A secret/);
      log.mockClear();
    }
    const mute: Codec = { ...jsonCodec(), encode: throwing };
    const { client, connection, errors } = await setup(vectorHandlers, { codec: mute });
    client.sendJson({ type: "double", id: 1, value: 1 });
    await settle();
    expect(errors).toEqual(["frame: Error: of onError", "frame: Error: of onError"]);
    expect(connection.isOpen).toBe(true);
    log.mockRestore();
  });

  it("takes messages of a route of one's own", async () => {
    const { protocol, connection, received } = await setup();
    await protocol.receive(connection, '{"type":"ping","id":7}');
    expect(await received()).toEqual([{ type: "pong", id: 7 }]);
  });

  it("says nothing to a connection that is gone, whatever became of the handler", async () => {
    const { client, connection, errors } = await setup({
      leave: (from) => {
        from.terminate();
        return { value: 1 };
      },
    });
    client.sendJson({ type: "leave", id: 1 });
    await settle();
    expect([client.received, connection.isOpen, errors]).toEqual([[], false, []]);
  });
});

// socket.io-parser CVE-2022-2421, CVE-2023-32695, CVE-2026-33151, CVE-2026-69185, CVE-2020-36049: names and ids that are
// no strings reached handlers and listeners' tables, and a server waited for as many parts as a client announced.
describe("Hostile frames", () => {
  const odd: Json[] = [{}, [], ["ping"], { toString: "ping" }, { length: 1 }, null, true, 1e308, "", "\0".repeat(65)];

  it("CVE row 9: with an odd type are invalid, and reach no handler", async () => {
    const called = vi.fn();
    const names = ["", "[object Object]", "ping,", "toString", "constructor", "true", "null", "1"];
    const { client, received } = await setup(Object.fromEntries(names.map((name) => [name, called])));
    for (const type of odd) client.sendJson({ type, id: 1 });
    expect(await received()).toEqual(odd.map(() => ({ type: "error", id: 1, code: "invalid_message" })));
    expect(called).not.toHaveBeenCalled();
  });

  it("CVE row 9: with an odd id are invalid, reach no handler, and settle no question", async () => {
    const called = vi.fn();
    const { protocol, client, connection, clock, received } = await setup({ call: called });
    const answer = protocol.request(connection, { type: "ask" });
    const rejected = expect(answer).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" });
    for (const type of ["call", "ok", "error", "pong"]) for (const id of odd) client.sendJson({ type, id });
    const frames = (await received()).slice(1);
    // 1e308 is no safe integer; of every kind each id is refused.
    expect(frames).toEqual(Array.from({ length: 4 * odd.length }, () => ({ type: "error", code: "invalid_message" })));
    expect(called).not.toHaveBeenCalled();
    await clock.advance(10_000);
    await rejected;
  });

  it("of 1 MiB, or whose type or id has 1 MiB, are answered with an error", async () => {
    const { client, received } = await setup({}, { codec: jsonCodec({ size: 2 ** 21 }) }, { maxPayload: 2 ** 21 });
    const long = "x".repeat(2 ** 20);
    client.sendJson({ type: long, id: 1 });
    client.sendJson({ type: "ping", id: long });
    client.sendJson({ type: "ping", id: 2, text: long });
    expect(await received()).toEqual([
      { type: "error", id: 1, code: "invalid_message" },
      { type: "error", code: "invalid_message" },
      { type: "pong", id: 2 },
    ]);
    const small = await setup();
    small.client.sendJson({ type: "ping", id: 2, text: "x".repeat(2 ** 16) });
    expect(await small.received()).toEqual([{ type: "error", code: "invalid_message" }]);
  });

  it("CVE row 10: that announce parts are frames like others: nothing waits for any, and bytes are no part", async () => {
    const { client, connection, clock, received } = await setup(vectorHandlers);
    client.sendJson({ type: "double", id: 1, value: 1, attachments: 1e9, parts: [{ _placeholder: true, num: 0 }] });
    client.send('51-["double",{"_placeholder":true,"num":0}]');
    for (let i = 0; i < 1_000; i++) client.send(new Uint8Array(16));
    const [first, ...others] = await received();
    expect(first).toEqual({ type: "ok", id: 1, value: 2 });
    expect(others.length).toBe(1_001);
    expect(new Set(others.map((frame) => JSON.stringify(frame)))).toEqual(
      new Set(['{"type":"error","code":"invalid_message"}']),
    );
    expect([clock.pending, connection.isOpen]).toEqual([0, true]);
  });

  it("leave Object.prototype as it was", async () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const seen: object[] = [];
    const { client, received } = await setup({ echo: (_, frame) => void seen.push(frame) });
    client.send('{"type":"echo","__proto__":{"polluted":1}}');
    client.send('{"__proto__":{"type":"echo"}}');
    client.send('{"type":"echo","constructor":{"prototype":{"polluted":1}}}');
    client.send('{"type":"echo","id":1,"constructor":"harmless","prototype":{"polluted":1}}');
    expect(await received()).toHaveLength(4);
    expect(seen).toHaveLength(1);
    expect(Object.getPrototypeOf(seen[0])).toBe(Object.prototype);
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect("polluted" in {}).toBe(false);
  });
});

describe("Protocol.request()", () => {
  it("sends the frame with an id, and resolves with the answer", async () => {
    const { protocol, client, connection, clock } = await setup();
    const answer = protocol.request(connection, { type: "ask", what: "name" });
    expect(await client.receiveJson()).toEqual({ type: "ask", what: "name", id: 1 });
    client.sendJson({ type: "ok", id: 1, name: "Ada" });
    expect(await answer).toEqual({ type: "ok", id: 1, name: "Ada" });
    expect(clock.pending).toBe(0);
  });

  it("lets a ping be answered by a pong", async () => {
    const { protocol, client, connection } = await setup();
    const answer = protocol.request(connection, { type: "ping" });
    client.sendJson({ type: "pong", id: (await client.receiveJson<{ id: number }>()).id });
    expect(await answer).toEqual({ type: "pong", id: 1 });
  });

  it("numbers the questions of each connection by themselves, and takes answers in any order", async () => {
    const { protocol, client, connection } = await setup();
    const answers = [1, 2, 3].map(() => protocol.request(connection, { type: "ask" }));
    const other = await setup();
    const another = other.protocol.request(other.connection, { type: "ask" });
    other.client.sendJson({ type: "ok", id: 1, of: "other" });
    for (const id of [3, 1, 2]) client.sendJson({ type: "ok", id, value: id });
    expect((await Promise.all(answers)).map(({ value }) => value)).toEqual([1, 2, 3]);
    expect(await another).toMatchObject({ of: "other" });
  });

  it("rejects with ERR_VEL_REPLY at an error, whose frame is the cause", async () => {
    const { protocol, client, connection, clock } = await setup();
    const answer = protocol.request(connection, { type: "ask" });
    client.sendJson({ type: "error", id: 1, code: "busy" });
    await expect(answer).rejects.toMatchObject({
      code: "ERR_VEL_REPLY",
      cause: { type: "error", id: 1, code: "busy" },
    });
    expect(clock.pending).toBe(0);
  });

  it("takes the first answer; what is unknown, late, or of another form of the id is ignored without a word", async () => {
    const { protocol, client, connection, received, errors } = await setup();
    const answer = protocol.request(connection, { type: "ask" });
    await client.receiveJson();
    for (const type of ["ok", "error", "pong"]) {
      client.sendJson({ type });
      for (const id of ["1", 0, 2, "toString", "constructor", "__proto__"]) client.sendJson({ type, id });
    }
    client.sendJson({ type: "ok", id: 1, value: "first" });
    client.sendJson({ type: "ok", id: 1, value: "second" });
    client.sendJson({ type: "error", id: 1, code: "third" });
    expect(await answer).toMatchObject({ value: "first" });
    expect(await received()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it("rejects with ERR_VEL_TIMEOUT at its timeout, 10 s by default, and ignores the late answer", async () => {
    const { protocol, client, connection, clock, received } = await setup();
    const answers = [undefined, 500].map((timeout) =>
      protocol.request(connection, { type: "ask" }, timeout === undefined ? {} : { timeout }),
    );
    const settled: string[] = [];
    answers.forEach(
      (answer, i) => void answer.catch((error: unknown) => settled.push(`${i} ${(error as VelError).code}`)),
    );
    await clock.advance(499);
    expect(settled).toEqual([]);
    await clock.advance(1);
    expect(settled).toEqual(["1 ERR_VEL_TIMEOUT"]);
    await clock.advance(9_499);
    expect(settled.length).toBe(1);
    await clock.advance(1);
    expect(settled).toEqual(["1 ERR_VEL_TIMEOUT", "0 ERR_VEL_TIMEOUT"]);
    await received();
    client.sendJson({ type: "ok", id: 1 });
    expect(await received()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("rejects with ERR_VEL_LIMIT when maxPending questions are open, until one is settled", async () => {
    const { protocol, client, connection, clock, received } = await setup({}, { maxPending: 2 });
    const first = protocol.request(connection, { type: "ask" });
    const second = protocol.request(connection, { type: "ask" }, { timeout: 50 });
    const expired = expect(second).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" });
    await expect(protocol.request(connection, { type: "ask" })).rejects.toMatchObject({
      code: "ERR_VEL_LIMIT",
      message: "Cannot ask: 2 questions are open",
    });
    expect(await received()).toHaveLength(2);
    await clock.advance(50);
    await expired;
    const third = protocol.request(connection, { type: "ask" });
    for (const id of [1, 3]) client.sendJson({ type: "ok", id });
    expect([(await first).id, (await third).id]).toEqual([1, 3]);
    expect(clock.pending).toBe(0);
  });

  it("lets 64 questions be open by default", async () => {
    const { protocol, client, connection } = await setup();
    const answers = Array.from({ length: 64 }, () => protocol.request(connection, { type: "ask" }));
    await expect(protocol.request(connection, { type: "ask" })).rejects.toMatchObject({ code: "ERR_VEL_LIMIT" });
    client.drop();
    const outcomes = await Promise.allSettled(answers);
    expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
  });

  it.each([
    ["the client closes", ({ client }: Setup) => client.close(1000)],
    ["the client drops", ({ client }: Setup) => client.drop()],
    [
      "the server closes, though the client has not answered",
      ({ client, connection }: Setup) => {
        client.silence();
        connection.close(1000);
      },
    ],
    ["the server terminates", ({ connection }: Setup) => connection.terminate()],
  ])("rejects with ERR_VEL_DISCONNECTED when %s, and at once from then on", async (_, end) => {
    const made = await setup();
    const { protocol, connection, clock } = made;
    const answer = protocol.request(connection, { type: "ask" });
    const rejected = expect(answer).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    end(made);
    await rejected;
    await expect(protocol.request(connection, { type: "ask" })).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
    expect(clock.pending).toBe(0);
  });

  it("rejects with the reason of its signal when that aborts, or has aborted", async () => {
    const { protocol, client, connection, clock, received } = await setup();
    const abort = new AbortController();
    const removed = vi.spyOn(abort.signal, "removeEventListener");
    const answered = protocol.request(connection, { type: "ask" }, { signal: abort.signal });
    client.sendJson({ type: "ok", id: 1 });
    await answered;
    expect(removed).toHaveBeenCalledTimes(1);
    const given = protocol.request(connection, { type: "ask" }, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    await received();
    await expect(protocol.request(connection, { type: "ask" }, { signal: abort.signal })).rejects.toThrow("enough");
    expect(await received()).toEqual([]);
    client.sendJson({ type: "ok", id: 2 });
    expect(await received()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("rejects with what the codec throws, and leaves nothing behind", async () => {
    const { protocol, connection, clock, received } = await setup({}, { maxPending: 1 });
    for (let i = 0; i < 3; i++) {
      await expect(protocol.request(connection, { type: "ask", value: 1n })).rejects.toThrow(TypeError);
    }
    expect(clock.pending).toBe(0);
    expect(await received()).toEqual([]);
  });

  it("leaves no timer and no listener of the connection, after thousands of questions", async () => {
    const { protocol, client, connection, clock } = await setup();
    const onClosing = connection.onClosing.bind(connection);
    const listeners = new Set<() => void>();
    vi.spyOn(connection, "onClosing").mockImplementation((listener) => {
      const off = onClosing(listener);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        off();
      };
    });
    for (let i = 0; i < 2_000; i++) {
      const answer = protocol.request(connection, { type: "ask" });
      expect(listeners.size).toBe(1);
      client.sendJson({ type: "ok", id: (await client.receiveJson<{ id: number }>()).id });
      await answer;
    }
    expect([listeners.size, clock.pending]).toEqual([0, 0]);
  });

  it("may be asked within a handler that does not wait for it; one that does keeps its own answer waiting", async () => {
    const answers: Frame[] = [];
    const { protocol, client, clock, received } = await setup({
      tell: (connection) => void protocol.request(connection, { type: "ask" }).then((answer) => answers.push(answer)),
      wait: async (connection) => void (await protocol.request(connection, { type: "ask" })),
    });
    client.sendJson({ type: "tell", id: "a" });
    expect(await received()).toEqual([
      { type: "ask", id: 1 },
      { type: "ok", id: "a" },
    ]);
    client.sendJson({ type: "ok", id: 1 });
    await settle();
    expect(answers).toHaveLength(1);
    // A route hands in one message after the other, and the answer is the next one.
    client.sendJson({ type: "wait", id: "b" });
    client.sendJson({ type: "ok", id: 2 });
    expect(await received()).toEqual([{ type: "ask", id: 2 }]);
    await clock.advance(10_000);
    expect(await received()).toEqual([{ type: "error", id: "b", code: "timeout" }]);
  });
});

describe("Protocol.send() and encode()", () => {
  it("sends a frame, and makes one payload for many", async () => {
    const { protocol, client, connection } = await setup();
    expect(protocol.send(connection, { type: "event", value: 1 })).toBe("sent");
    expect(await client.receiveJson()).toEqual({ type: "event", value: 1 });
    expect(protocol.encode({ type: "event", value: 1 })).toBe('{"type":"event","value":1}');
    client.drop();
    await settle();
    expect(protocol.send(connection, { type: "event" })).toBe("closed");
  });
});

describe("errorFrame()", () => {
  it("gives codes and nothing of the text", () => {
    expect(errorFrame(new VelError("ERR_VEL_ROOM_FULL", "Room of ada"))).toEqual({ type: "error", code: "room_full" });
    expect(errorFrame(new InvalidMessageError("no"), "a")).toEqual({ type: "error", id: "a", code: "invalid_message" });
    expect(errorFrame(new VelError("ERR_OTHER", ""), 0)).toEqual({ type: "error", id: 0, code: "other" });
    expect(errorFrame(new VelError("ERR_VEL_LIMIT", "", { retryAfter: 0 }))).toMatchObject({ retryAfter: 0 });
    for (const error of [new Error("secret"), "secret", undefined, new VelError("ERR_VEL_STATE", "secret")]) {
      expect(errorFrame(error)).toEqual({ type: "error", code: "internal" });
    }
  });
});

describe("A codec of one's own", () => {
  /** MessagePack in binary frames. */
  const packed: Codec = {
    encode: (frame) => encode(frame, { ignoreUndefined: true }),
    decode(payload) {
      if (typeof payload === "string") throw new InvalidMessageError("Expected a binary message, got a text one");
      try {
        return decode(payload, { maxStrLength: 2 ** 16, maxArrayLength: 1_000, maxMapLength: 1_000 });
      } catch (cause) {
        throw new InvalidMessageError("Message is not MessagePack", { cause });
      }
    },
  };

  it("carries frames in MessagePack, bytes in them included", async () => {
    const { client, protocol, connection } = await setup(
      { turn: (_, { data }) => ({ data: (data as Uint8Array).toReversed() }) },
      { codec: packed },
    );
    client.send(encode({ type: "turn", id: 1, data: Uint8Array.of(1, 2, 3) }));
    expect(decode(await client.receiveBytes())).toEqual({ type: "ok", id: 1, data: Uint8Array.of(3, 2, 1) });
    const answer = protocol.request(connection, { type: "ask" });
    expect(decode(await client.receiveBytes())).toEqual({ type: "ask", id: 1 });
    client.send(encode({ type: "ok", id: 1 }));
    expect(await answer).toEqual({ type: "ok", id: 1 });
  });

  it("meets the same checks: what is no frame is an error, and the connection stays open", async () => {
    const { client, connection, errors } = await setup({}, { codec: packed });
    const poisoned = encode({ type: "ping", proto: 1 });
    const wrong = [
      encode("ping"),
      encode([1]),
      encode({ type: ["ping"] }),
      encode({ type: "ping", id: { a: 1 } }),
      encode({ type: "ping", id: 2n ** 60n }, { useBigInt64: true }),
      Uint8Array.of(0xc1), // a byte that MessagePack never uses
      Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff), // an array of 4 billion, and nothing of it
      poisoned.subarray(0, poisoned.length - 3),
      Uint8Array.of(0x81, 0xa9, ...new TextEncoder().encode("__proto__"), 0x80),
    ];
    for (const payload of wrong) client.send(payload);
    client.send("text");
    await settle();
    expect(client.received.map((payload) => decode(payload as Uint8Array))).toEqual(
      Array.from({ length: wrong.length + 1 }, () => ({ type: "error", code: "invalid_message" })),
    );
    expect([connection.isOpen, errors]).toEqual([true, []]);
  });
});
