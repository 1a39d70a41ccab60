import { describe, expect, it, vi } from "vitest";
import { Audience, createVel, type Connection, type Json } from "../src/index.ts";
import type { LiveConnection } from "../src/live-connection.ts";
import { open, settled, type Opened } from "./scripted-transport.ts";

async function setup(count: number, onFull: "close" | "drop" = "close") {
  const errors: unknown[] = [];
  const vel = createVel({ sendBuffer: { limit: 100, onFull }, onError: (error) => errors.push(error) });
  vel.websocket("/ws", { message: () => undefined });
  const members: Opened[] = [];
  const audience = new Audience();
  for (let i = 0; i < count; i++) {
    const member = await open(vel, "/ws");
    members.push(member);
    audience.add(member.connection);
  }
  const at = (index: number): Opened => members[index] as Opened;
  const got = (): unknown[][] => members.map(({ socket }) => socket.sent);
  return { vel, audience, at, got, errors };
}

describe("Audience.add(), delete(), has()", () => {
  it("keep each open connection once", async () => {
    const { audience, at } = await setup(2);
    expect(audience.size).toBe(2);
    expect(audience.add(at(0).connection)).toBe(false);
    expect([...audience]).toEqual([at(0).connection, at(1).connection]);
    expect(audience.has(at(0).connection)).toBe(true);
    expect(audience.delete(at(0).connection)).toBe(true);
    expect(audience.delete(at(0).connection)).toBe(false);
    expect(audience.has(at(0).connection)).toBe(false);
    expect(audience.size).toBe(1);
  });

  it("do not take who is not open any more, and let go of who closes at the first sign of it", async () => {
    const { audience, at } = await setup(3);
    at(0).connection.close();
    expect(audience.size).toBe(2);
    expect(audience.add(at(0).connection)).toBe(false);
    at(1).connection.terminate();
    expect(audience.size).toBe(1);
    at(2).host.close(at(2).connection, 1006, "", false);
    expect(audience.size).toBe(0);
  });

  it("forget a connection that was deleted and added again as one that was not", async () => {
    const { audience, at } = await setup(1);
    audience.delete(at(0).connection);
    audience.add(at(0).connection);
    at(0).connection.close();
    expect(audience.size).toBe(0);
  });
});

describe("new Audience(onLeave)", () => {
  it("tells of each connection that left by itself, once, and not of one that was deleted", async () => {
    const left: Connection[] = [];
    const { vel, at, errors } = await setup(3);
    const audience = new Audience((connection) => left.push(connection));
    const [a, b, c] = [at(0).connection, at(1).connection, at(2).connection];
    for (const connection of [a, b, c]) audience.add(connection);
    audience.delete(b);
    a.close();
    b.close();
    c.terminate();
    await vel.close();
    expect(left).toEqual([a, c]);
    expect(errors).toEqual([]);
  });

  it("knows a connection by what it was given as, also where somebody has wrapped it", async () => {
    const { at } = await setup(1);
    const { connection } = at(0);
    const wrapped = new Proxy(connection, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const left: Connection[] = [];
    const audience = new Audience((each) => left.push(each));
    audience.add(wrapped);
    expect([audience.has(wrapped), audience.has(connection)]).toEqual([true, false]);
    expect(audience.broadcast("hello")).toBe(1);
    expect(at(0).socket.sent).toEqual(["hello"]);
    connection.close();
    expect(left).toEqual([wrapped]);
    expect(audience.size).toBe(0);
  });

  it("leaves nothing on a connection that goes on", async () => {
    const { at } = await setup(1);
    const connection = at(0).connection as LiveConnection;
    const held = vi.spyOn(connection, "hold");
    const released = vi.spyOn(connection, "release");
    const audience = new Audience();
    for (let times = 0; times < 3; times++) {
      audience.add(connection);
      audience.delete(connection);
      audience.delete(connection);
    }
    expect(held).toHaveBeenCalledTimes(3);
    const [[listener] = []] = held.mock.calls;
    expect(released).toHaveBeenLastCalledWith(listener);
    connection.close();
    expect(audience.size).toBe(0);
  });
});

describe("Audience.broadcast()", () => {
  it("sends text and bytes as they are, the rest as JSON, encoded once for all", async () => {
    const { audience, got } = await setup(2);
    const bytes = new Uint8Array([1]);
    let encodings = 0;
    const value = { toJSON: () => ({ n: ++encodings }) };
    expect(audience.broadcast("text")).toBe(2);
    expect(audience.broadcast(bytes)).toBe(2);
    expect(audience.broadcast(value as Json)).toBe(2);
    expect(got()).toEqual([
      ["text", bytes, '{"n":1}'],
      ["text", bytes, '{"n":1}'],
    ]);
  });

  it("leaves out one connection or a set of them, and counts whom it was addressed to", async () => {
    const { audience, at, got } = await setup(3);
    expect(audience.broadcast("a", { except: at(1).connection })).toBe(2);
    expect(audience.broadcast("b", { except: new Set([at(0).connection, at(1).connection]) })).toBe(1);
    expect(audience.broadcast("c", { except: undefined })).toBe(3);
    expect(audience.broadcast("d", { except: new Set() })).toBe(3);
    expect(got()).toEqual([
      ["a", "c", "d"],
      ["c", "d"],
      ["a", "b", "c", "d"],
    ]);
  });

  it("throws for what has no JSON form before anybody has got it", async () => {
    const { audience, got } = await setup(2);
    expect(() => audience.broadcast(undefined as never)).toThrow(TypeError);
    expect(got()).toEqual([[], []]);
  });

  it("passes the wish to compress", async () => {
    const { audience, at } = await setup(1);
    audience.broadcast("a");
    audience.broadcast("b", { compress: false });
    expect(at(0).socket.compressed).toEqual([true, false]);
  });

  it("reaches everybody else when members close meanwhile, whoever they are", async () => {
    const { audience, at, got } = await setup(4);
    at(0).socket.buffered = 101; // full: closed with 1013 by the broadcast itself
    at(1).socket.onSend = () => {
      at(1).connection.terminate();
      at(2).connection.close();
    };
    expect(audience.broadcast("a")).toBeGreaterThanOrEqual(3);
    await settled();
    expect(got()).toEqual([[], ["a"], [], ["a"]]);
    expect(at(0).socket.closes).toMatchObject([{ code: 1013 }]);
    expect(at(0).connection.messagesDropped).toBe(1);
    expect([...audience]).toEqual([at(3).connection]);
    expect(audience.broadcast("b")).toBe(1);
  });

  it("drops for who is slow and tells of it, where the policy is to drop", async () => {
    const { audience, at, got, vel } = await setup(2, "drop");
    const drops: [Connection, number][] = [];
    vel.on("drop", (connection, size) => drops.push([connection, size]));
    at(0).socket.buffered = 101;
    expect(audience.broadcast("abc")).toBe(2);
    expect(got()).toEqual([[], ["abc"]]);
    expect(drops).toEqual([[at(0).connection, 3]]);
    expect(audience.size).toBe(2);
  });

  it("survives a transport that throws for one member", async () => {
    const { audience, at, got, errors } = await setup(3);
    at(1).socket.onSend = () => {
      throw new Error("runtime");
    };
    expect(audience.broadcast("a")).toBe(3);
    expect(got()).toEqual([["a"], [], ["a"]]);
    expect(errors).toEqual([new Error("runtime")]);
  });
});
