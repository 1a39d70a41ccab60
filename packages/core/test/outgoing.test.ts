import { connect, memoryTransport, settle, type TestClient } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Audience, createVel, type Connection, type Host, type Vel, type VelOptions } from "../src/index.ts";
import { Batch, Outgoing } from "../src/outgoing.ts";
import { BatchingSocket, batchingTransport, type BatchingTransport } from "./batching-transport.ts";
import { handshake } from "./scripted-transport.ts";

interface Member {
  readonly socket: BatchingSocket;
  readonly connection: Connection;
}

interface Setup {
  readonly vel: Vel;
  readonly transport: BatchingTransport;
  readonly host: Host<BatchingSocket>;
  readonly errors: { error: unknown; stage: string; connection: Connection | undefined }[];
  /** Lets connections in, in no turn. */
  join(count: number, groupOf?: (index: number) => unknown): Promise<Member[]>;
}

function setup(options: VelOptions = {}): Setup {
  const transport = batchingTransport();
  const errors: Setup["errors"] = [];
  const vel = createVel({
    onError: (error, { stage, connection }) => errors.push({ error, stage, connection }),
    ...options,
  });
  vel.websocket("/ws", {});
  const host = vel.bind(transport);
  const join = async (count: number, groupOf: (index: number) => unknown = () => undefined): Promise<Member[]> => {
    const members: Member[] = [];
    for (let index = 0; index < count; index++) {
      const answer = await host.upgrade(handshake("/ws"));
      if (!answer.accept) throw new Error("refused");
      const socket = new BatchingSocket();
      socket.group = groupOf(index);
      members.push({ socket, connection: host.open(socket, answer) });
    }
    return members;
  };
  return { vel, transport, host, errors, join };
}

async function one(options?: VelOptions): Promise<Setup & Member> {
  const made = setup(options);
  const [member] = await made.join(1);
  return { ...made, ...(member as Member) };
}

function audienceOf(members: readonly Member[]): Audience {
  const audience = new Audience();
  for (const { connection } of members) audience.add(connection);
  return audience;
}

describe("One turn's frames", () => {
  it("are built once for all connections that got the same, and are the same object for each", async () => {
    const { transport, join } = setup();
    const members = await join(50);
    const audience = audienceOf(members);
    for (const text of ["a", "b", "c"]) audience.broadcast(text);
    expect(members.flatMap(({ socket }) => socket.frames)).toEqual([]);
    transport.endTurn();
    expect(transport.built).toEqual([{ frame: ["a", "b", "c"], group: undefined }]);
    for (const { socket } of members) {
      expect(socket.frames).toHaveLength(1);
      expect(socket.frames[0]).toBe(transport.built[0]?.frame);
    }
  });

  it("are shared by those who got the same through different audiences, and by nobody else", async () => {
    const { transport, join } = setup();
    const members = await join(9);
    const all = audienceOf(members);
    const odd = audienceOf(members.filter((_, index) => index % 2 === 1));
    const few = audienceOf(members.slice(6));
    all.broadcast("1");
    odd.broadcast("2");
    few.broadcast("3");
    all.broadcast("4");
    transport.endTurn();
    expect(members.map(({ socket }) => socket.wire.join(""))).toEqual([
      "14",
      "124",
      "14",
      "124",
      "14",
      "124",
      "134",
      "1234",
      "134",
    ]);
    expect(transport.built).toHaveLength(4);
  });

  // A node once remembered the frame of the last group that asked: with members of two groups in turn, which is what a
  // room is when some clients compress, every one of them had its frame built, and deflated, anew.
  it("are built once for each group of sockets, however the members of groups alternate", async () => {
    const { transport, join } = setup();
    const groups = [undefined, { bits: 13 }, { bits: 9 }];
    const members = await join(30, (index) => groups[index % 3]);
    audienceOf(members).broadcast("a");
    transport.endTurn();
    expect(transport.built.map(({ group }) => group)).toEqual(groups);
    expect(members.map(({ socket }) => socket.wire)).toEqual(members.map(() => ["a"]));
  });

  it("are of their turn alone: the next turn starts anew", async () => {
    const { transport, join } = setup();
    const members = await join(3);
    const audience = audienceOf(members);
    audience.broadcast("a");
    transport.endTurn();
    expect(transport.turns).toBe(0);
    audience.broadcast("b");
    transport.endTurn();
    transport.endTurn();
    expect(transport.built.map(({ frame }) => frame)).toEqual([["a"], ["b"]]);
    expect(members.map(({ socket }) => socket.frames)).toEqual(members.map(() => [["a"], ["b"]]));
  });
});

describe("The order of one turn", () => {
  it("is kept per connection: direct sends, broadcasts of two audiences, pings and the close", async () => {
    const { transport, join } = setup();
    const members = await join(2);
    const [a, b] = members as [Member, Member];
    const both = audienceOf(members);
    const first = audienceOf([a]);
    a.connection.send("direct 1");
    both.broadcast("both 1");
    a.connection.ping(new Uint8Array([1]));
    first.broadcast("first 1");
    b.connection.sendJson({ b: 1 });
    both.broadcast(new Uint8Array([7, 8]));
    b.connection.ping();
    a.connection.send("direct 2");
    a.connection.close(4000, "bye");
    both.broadcast("both 2");
    expect(a.connection.send("late")).toBe("closed");
    a.connection.ping();
    expect(a.socket.wire, "a close does not wait, and leaves after what came before it").toEqual([
      "direct 1",
      "both 1",
      "ping <1>",
      "first 1",
      "<7,8>",
      "direct 2",
      "close 4000",
    ]);
    expect(a.socket.frames, "a ping does not wait either").toHaveLength(2);
    expect(b.socket.wire).toEqual(["both 1", '{"b":1}', "<7,8>", "ping <>"]);
    transport.endTurn();
    expect(a.socket.frames).toHaveLength(2);
    expect(b.socket.wire).toEqual(["both 1", '{"b":1}', "<7,8>", "ping <>", "both 2"]);
  });

  it("costs one call for the turn's end, whoever and how many were sent to", async () => {
    const { transport, join } = setup();
    const members = await join(5);
    const audience = audienceOf(members);
    for (let count = 0; count < 20; count++) audience.broadcast("x");
    members[0]?.connection.send("y");
    expect(transport.turns).toBe(1);
  });

  it("is kept when a flush makes its listeners send again", async () => {
    const { transport, socket, connection } = await one();
    socket.onFrame = () => {
      if (socket.frames.length === 0) connection.send("from within");
    };
    connection.send("first");
    transport.endTurn();
    expect(socket.wire).toEqual(["first"]);
    expect(transport.turns).toBe(1);
    transport.endTurn();
    expect(socket.wire).toEqual(["first", "from within"]);
  });
});

describe("Bytes that were handed in", () => {
  it("may be changed after the call: by send, broadcast and ping", async () => {
    const { transport, join } = setup();
    const members = await join(2);
    const [a] = members as [Member, Member];
    const bytes = new Uint8Array([1, 2, 3]);
    a.connection.send(bytes);
    bytes.fill(4);
    audienceOf(members).broadcast(bytes);
    bytes.fill(5);
    a.connection.ping(bytes);
    bytes.fill(6);
    transport.endTurn();
    expect(members.map(({ socket }) => socket.wire)).toEqual([["<1,2,3>", "<4,4,4>", "ping <5,5,5>"], ["<4,4,4>"]]);
  });

  it("may be changed although one member was flushed at once and the others were not", async () => {
    const { transport, join } = setup();
    const members = await join(3);
    const [a] = members as [Member];
    a.connection.send("x".repeat(2 ** 18));
    const bytes = new Uint8Array([1]);
    audienceOf(members).broadcast(bytes);
    bytes[0] = 9;
    expect(a.socket.wire.at(-1)).toBe("<1>");
    transport.endTurn();
    expect(members.map(({ socket }) => socket.wire.at(-1))).toEqual(["<1>", "<1>", "<1>"]);
  });
});

describe("A turn that produces much", () => {
  it("leaves early, each time that more than 256 KiB wait, and in order", async () => {
    const { transport, socket, connection } = await one();
    const chunk = "x".repeat(2 ** 16);
    for (let count = 0; count < 4; count++) connection.send(chunk);
    expect(socket.frames, "256 KiB are not more than 256 KiB").toHaveLength(0);
    connection.send("a");
    expect(socket.frames).toHaveLength(1);
    connection.send("b");
    connection.send(new Uint8Array(2 ** 18));
    connection.send("c");
    transport.endTurn();
    expect(socket.frames.map((frame) => frame.length)).toEqual([5, 2, 1]);
    expect(socket.wire.filter((text) => text.length === 1)).toEqual(["a", "b", "c"]);
    transport.endTurn();
    expect(socket.frames).toHaveLength(3);
  });

  it("is still built once for all: a flush on the way is shared too", async () => {
    const { transport, join } = setup();
    const members = await join(10);
    const audience = audienceOf(members);
    audience.broadcast("x".repeat(2 ** 18));
    audience.broadcast("y");
    audience.broadcast("z");
    transport.endTurn();
    expect(transport.built.map(({ frame }) => frame.length)).toEqual([2, 1]);
    expect(members.every(({ socket }) => socket.frames.length === 2)).toBe(true);
  });
});

describe("A socket that is gone when the turn ends", () => {
  it("takes nothing, and every message that was taken for it is counted as dropped; a ping is none", async () => {
    const { transport, socket, connection, errors } = await one();
    socket.isGone = true;
    connection.send("a");
    connection.ping();
    connection.send("b");
    transport.endTurn();
    expect(socket.wire).toEqual([]);
    expect(connection.messagesDropped).toBe(2);
    connection.send("c");
    connection.ping();
    connection.terminate();
    expect(connection.messagesDropped).toBe(3);
    expect(errors).toEqual([]);
  });
});

describe("A transport that throws", () => {
  it("in sendFrame touches one connection only and is reported", async () => {
    const { transport, errors, join } = setup();
    const members = await join(3);
    const [, b] = members as [Member, Member];
    b.socket.onFrame = () => {
      throw new Error("runtime");
    };
    audienceOf(members).broadcast("a");
    transport.endTurn();
    expect(members.map(({ socket }) => socket.wire)).toEqual([["a"], [], ["a"]]);
    expect(members.map(({ connection }) => connection.messagesDropped)).toEqual([0, 1, 0]);
    expect(errors).toMatchObject([{ error: { message: "runtime" }, stage: "transport", connection: b.connection }]);
    b.socket.onFrame = undefined;
    b.connection.send("b");
    transport.endTurn();
    expect(b.socket.wire).toEqual(["b"]);
  });

  it("in frame is reported for each that was to get it, and others get theirs", async () => {
    const { transport, errors, join } = setup();
    const [a, b] = (await join(2)) as [Member, Member];
    let builds = 0;
    transport.onBuild = () => {
      if (++builds === 1) throw new Error("runtime");
    };
    a.connection.send("a");
    b.connection.send("b");
    transport.endTurn();
    expect(errors).toMatchObject([{ stage: "transport", connection: a.connection }]);
    expect([a.socket.wire, b.socket.wire]).toEqual([[], ["b"]]);
  });

  it("within close() does not keep the connection from closing", async () => {
    const { transport, errors, socket, connection } = await one();
    socket.onFrame = () => {
      throw new Error("runtime");
    };
    connection.send("a");
    connection.close(4000);
    expect(socket.closes).toEqual([{ code: 4000, reason: "" }]);
    expect(errors).toHaveLength(1);
    transport.endTurn();
    expect(errors).toHaveLength(1);
  });
});

describe("What waits for the end of a turn", () => {
  it("is dropped by terminate() and by the connection's end", async () => {
    const { transport, host, join } = setup();
    const [a, b] = (await join(2)) as [Member, Member];
    a.connection.send("a");
    a.connection.terminate();
    b.connection.send("b");
    host.close(b.connection, 1006, "", false);
    transport.endTurn();
    expect([a.socket.wire, b.socket.wire]).toEqual([["terminate"], []]);
    expect(transport.built).toEqual([]);
  });

  it("counts in bufferedAmount, beside what waits in the transport", async () => {
    const { transport, socket, connection } = await one();
    socket.buffered = 10;
    connection.send("é");
    expect(connection.bufferedAmount).toBe(12);
    transport.endTurn();
    socket.buffered = 20;
    expect(connection.bufferedAmount).toBe(20);
    connection.send("x");
    connection.terminate();
    expect(connection.bufferedAmount).toBe(20);
  });

  it("counts against the send buffer's limit: sent, queued over half of it, dropped over all of it", async () => {
    const { transport, socket, connection } = await one({ sendBuffer: { limit: 100, onFull: "drop" } });
    const drops: number[] = [];
    expect(connection.send("x".repeat(50))).toBe("sent");
    expect(connection.send("x")).toBe("queued");
    expect(connection.send("x".repeat(50)), "the last one that fits may pass the limit").toBe("queued");
    for (let count = 0; count < 3; count++) drops.push(connection.send("y") === "dropped" ? 1 : 0);
    expect(drops).toEqual([1, 1, 1]);
    expect(connection).toMatchObject({
      messagesSent: 3,
      bytesSent: 101,
      messagesDropped: 3,
      bufferedAmount: 101,
      isOpen: true,
    });
    transport.endTurn();
    expect(socket.wire.join("")).toBe("x".repeat(101));
  });

  it("counts together with what already waited when the turn began", async () => {
    const { host, transport, socket, connection } = await one({ sendBuffer: { limit: 100, onFull: "drop" } });
    socket.buffered = 60;
    expect(connection.send("x".repeat(41))).toBe("queued");
    expect(connection.send("x")).toBe("dropped");
    transport.endTurn();
    socket.buffered = 101;
    expect(connection.send("x")).toBe("dropped");
    let isDrained = false;
    const drained = connection.drained().then(() => (isDrained = true));
    host.drain(connection);
    await Promise.resolve();
    expect(isDrained).toBe(false);
    socket.buffered = 50;
    host.drain(connection);
    await drained;
    expect(connection.send("x"), "over half again").toBe("queued");
    transport.endTurn();
    socket.buffered = 0;
    host.drain(connection);
    expect(connection.send("x")).toBe("sent");
  });

  // A ping began its turn without looking at the transport: what had waited in some turn before counted again.
  it("counts what waits now, also where a ping comes first in its turn", async () => {
    const { transport, socket, connection } = await one({ sendBuffer: { limit: 100, onFull: "drop" } });
    socket.buffered = 100;
    expect(connection.send("x")).toBe("queued");
    transport.endTurn();
    socket.buffered = 0;
    connection.ping();
    expect(connection.send("x".repeat(2))).not.toBe("dropped");
    expect(connection.send("x")).not.toBe("dropped");
    transport.endTurn();
    socket.buffered = 101;
    connection.ping();
    expect(connection.send("x")).toBe("dropped");
  });

  it("is closed with 1013 after what was let in, by the first message over the limit", async () => {
    const { vel, socket, connection } = await one({ sendBuffer: { limit: 100 } });
    const dropped: number[] = [];
    vel.on("drop", (_connection, size) => dropped.push(size));
    connection.send("x".repeat(101));
    expect(connection.send("yy")).toBe("dropped");
    expect(connection.send("zz")).toBe("closed");
    expect(connection.isOpen).toBe(false);
    expect(socket.wire).toEqual(["x".repeat(101), "close 1013"]);
    expect(dropped).toEqual([2]);
  });
});

describe("Batch.with()", () => {
  it("gives the same batch to all who add the same", () => {
    const root = new Batch();
    const a = new Outgoing("a", 1, true);
    const b = new Outgoing("b", 1, true);
    expect(root.with(a)).toBe(root.with(a));
    expect(root.with(a).with(b)).toMatchObject({ size: 2, length: 2 });
    expect(root.with(b)).not.toBe(root.with(a));
    expect(root).toMatchObject({ size: 0, length: 0 });
  });
});

describe("memoryTransport({ batches: true })", () => {
  it("carries an echo, a broadcast, a ping and a close end to end", async () => {
    const vel = createVel();
    const audience = new Audience();
    let pongs = 0;
    vel.websocket("/ws", {
      open(connection) {
        audience.add(connection);
        connection.onPong(() => pongs++);
        connection.send("hello");
      },
      message(connection, message) {
        connection.ping();
        audience.broadcast(message);
        if (message === "bye") connection.close(4000, "bye");
      },
    });
    const transport = memoryTransport({ batches: true });
    const a = await connect(vel, "/ws", { transport });
    const b = await connect(vel, "/ws", { transport });
    a.send("one");
    a.send(new Uint8Array([1]));
    a.send("bye");
    await expect(a.closed).resolves.toMatchObject({ code: 4000, reason: "bye", wasClean: true });
    await settle();
    const expected = ["hello", "one", new Uint8Array([1]), "bye"];
    expect(a.received).toEqual(expected);
    expect(b.received).toEqual(expected);
    expect(pongs, "the last one is answered after the close, and nobody is told").toBeGreaterThanOrEqual(2);
    await vel.close();
  });

  it("gives each client exactly its messages, in order, as a transport without batches does", async () => {
    const clients = 4;
    const someone = fc.nat(clients - 1);
    const payload = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.uint8Array({ maxLength: 8 }),
      fc.constantFrom("x".repeat(2 ** 17), "é".repeat(2 ** 17)),
    );
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), to: someone, payload }) },
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant("broadcast" as const),
          audience: fc.nat(2),
          except: fc.option(someone, { nil: undefined }),
          payload,
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("ping" as const), to: someone }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("turn" as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const), to: someone }) },
    );
    const membership = fc.array(fc.uniqueArray(someone), { minLength: 3, maxLength: 3 });

    const run = async (
      batches: boolean,
      acts: readonly (typeof act extends fc.Arbitrary<infer T> ? T : never)[],
      members: number[][],
    ) => {
      const vel = createVel();
      const connections: Connection[] = [];
      vel.websocket("/ws", { open: (connection) => connections.push(connection) });
      const transport = memoryTransport({ batches });
      const ends: TestClient[] = [];
      for (let count = 0; count < clients; count++) ends.push(await connect(vel, "/ws", { transport }));
      const audiences = members.map((indexes) => {
        const audience = new Audience();
        for (const index of indexes) audience.add(connections[index] as Connection);
        return audience;
      });
      const pongs = connections.map(() => 0);
      connections.forEach((connection, index) => {
        connection.onPong(() => (pongs[index] = (pongs[index] ?? 0) + 1));
      });
      for (const step of acts) {
        if (step.kind === "turn") {
          await settle();
        } else if (step.kind === "broadcast") {
          const bytes = typeof step.payload === "string" ? step.payload : step.payload.slice();
          const except = step.except === undefined ? undefined : connections[step.except];
          audiences[step.audience]?.broadcast(bytes, { except });
          if (typeof bytes !== "string") bytes.fill(0);
        } else {
          const connection = connections[step.to] as Connection;
          if (step.kind === "ping") connection.ping();
          else if (step.kind === "close") connection.close(4000);
          else connection.send(step.payload);
        }
      }
      await settle();
      const seen = ends.map(({ received, closeInfo }) => ({ received, closeInfo }));
      const counts = connections.map(({ messagesSent, bytesSent, messagesDropped, isOpen }) => ({
        messagesSent,
        bytesSent,
        messagesDropped,
        isOpen,
      }));
      await vel.close();
      return { seen, counts, pongs };
    };

    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 25 }), membership, async (acts, members) => {
        expect(await run(true, acts, members)).toEqual(await run(false, acts, members));
      }),
      { numRuns: 60 },
    );
  });
});
