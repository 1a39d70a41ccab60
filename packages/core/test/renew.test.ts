import { describe, expect, it } from "vitest";
import type { Connection } from "../src/index.ts";
import { handshake, scriptedTransport, ScriptedSocket, settled } from "./scripted-transport.ts";
import { expectNoRejections, setup as setupServer } from "./kit.ts";

expectNoRejections();

/** A connection with this data, if any. */
function setup<Data extends object>(data?: Data) {
  const { vel, errors, clock } = setupServer();
  const host = vel.bind(scriptedTransport());
  const connection = host.adopt<Data>(new ScriptedSocket(), handshake("/ws"), data === undefined ? {} : { data });
  return { vel, host, connection, errors, clock };
}

describe("Connection.renew()", () => {
  it("lays values over the data at once, which stays the same object", async () => {
    const data: { user: string; role?: string } = { user: "ada" };
    const { connection } = setup(data);
    const renewed = connection.renew({ role: "guest" });
    expect(connection.data).toBe(data);
    expect(data).toEqual({ user: "ada", role: "guest" });
    await renewed;
    await connection.renew({ user: "eve" });
    await connection.renew({});
    expect(data).toEqual({ user: "eve", role: "guest" });
  });

  it("takes names that mean something to objects for names, and symbols", async () => {
    const symbol = Symbol("mine");
    const { connection } = setup<Record<PropertyKey, unknown>>();
    await connection.renew(
      JSON.parse('{ "__proto__": { "admin": true }, "constructor": 1, "hasOwnProperty": 2 }') as object,
    );
    await connection.renew({ [symbol]: 3 });
    expect(Reflect.ownKeys(connection.data)).toEqual(["__proto__", "constructor", "hasOwnProperty", symbol]);
    expect(Object.getPrototypeOf(connection.data)).toBe(Object.prototype);
    expect(connection.data["admin"]).toBeUndefined();
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it("leaves frozen data to whoever froze it, and gives the connection a copy", async () => {
    for (const fix of [Object.freeze, Object.seal, Object.preventExtensions]) {
      const data = { user: "ada" };
      fix(data);
      const { connection } = setup<{ user: string; role?: string }>(data);
      const { connection: other } = setup<{ user: string; role?: string }>(data);
      await connection.renew({ user: "eve", role: "guest" });
      expect(connection.data).toEqual({ user: "eve", role: "guest" });
      expect(other.data).toEqual({ user: "ada" });
      const copy = connection.data;
      await connection.renew({ user: "bob" });
      expect(connection.data).toBe(copy);
    }
  });

  it("makes an object of data that is none", async () => {
    for (const data of [null, 7, true]) {
      const { connection } = setup<{ user: string }>(data as never);
      await connection.renew({ user: "ada" });
      expect(connection.data).toEqual({ user: "ada" });
    }
  });

  it("rejects, and tells nobody, where a property cannot be changed", async () => {
    const { connection, errors } = setup(Object.defineProperty({} as { user: string }, "user", { value: "ada" }));
    let told = 0;
    connection.onRenew(() => void told++);
    await expect(connection.renew({ user: "eve" })).rejects.toThrow(TypeError);
    expect([told, errors]).toEqual([0, []]);
  });

  it("tells listeners at once and in their order, who see the new data, and waits for all of them", async () => {
    const { connection } = setup({ role: "member" });
    const log: string[] = [];
    let pass = (): void => undefined;
    const passed = new Promise<void>((resolve) => (pass = resolve));
    connection.onRenew(async () => {
      log.push(`first ${connection.data.role}`);
      await passed;
      log.push("first is done");
    });
    connection.onRenew(() => void log.push(`second ${connection.data.role}`));
    const renewed = connection.renew({ role: "guest" }).then(() => log.push("renewed"));
    expect(log).toEqual(["first guest", "second guest"]);
    await settled();
    expect(log).toHaveLength(2);
    pass();
    await renewed;
    expect(log.slice(2)).toEqual(["first is done", "renewed"]);
    await connection.renew({ role: "member" });
    expect(log.slice(4)).toEqual(["first member", "second member", "first is done"]);
  });

  it("resolves when a listener throws or rejects, which is reported, and tells the others", async () => {
    const { connection, errors } = setup();
    const log: string[] = [];
    connection.onRenew(() => {
      throw new Error("sync");
    });
    connection.onRenew(() => Promise.reject(new Error("async")));
    connection.onRenew(() => void log.push("told"));
    await expect(connection.renew({})).resolves.toBeUndefined();
    expect(log).toEqual(["told"]);
    expect(errors).toEqual(["renew: Error: sync", "renew: Error: async"]);
    expect(connection.isOpen).toBe(true);
  });

  it("does not need to be awaited", async () => {
    const { connection, errors } = setup();
    connection.onRenew(() => Promise.reject(new Error("async")));
    void connection.renew({});
    await settled();
    expect(errors).toEqual(["renew: Error: async"]);
  });

  it("still tells those who listen once the connection is closing or has ended", async () => {
    const { host, connection } = setup<{ role?: string }>({});
    let told = 0;
    connection.onRenew(() => void told++);
    connection.close();
    await connection.renew({ role: "guest" });
    host.close(connection, 1000, "", true);
    await connection.renew({ role: "none" });
    expect([told, connection.data.role]).toEqual([2, "none"]);
  });
});

describe("Connection.onRenew()", () => {
  it("calls back until it is taken back; each registration is its own", async () => {
    const { connection } = setup();
    let told = 0;
    const listener = (): void => void told++;
    const offs = [connection.onRenew(listener), connection.onRenew(listener)];
    await connection.renew({});
    expect(told).toBe(2);
    offs[0]?.();
    offs[0]?.();
    await connection.renew({});
    expect(told).toBe(3);
    offs[1]?.();
    await connection.renew({});
    expect(told).toBe(3);
  });

  it("does not call back who was taken back by one before, nor who comes meanwhile, until the next time", async () => {
    const { connection } = setup();
    const log: string[] = [];
    connection.onRenew(() => {
      log.push("first");
      off();
      if (log.length === 1) connection.onRenew(() => void log.push("late"));
    });
    const off = connection.onRenew(() => void log.push("second"));
    await connection.renew({});
    expect(log.splice(0)).toEqual(["first"]);
    log.push("again");
    await connection.renew({});
    expect(log).toEqual(["again", "first", "late"]);
  });

  it("may renew again from within", async () => {
    const { connection } = setup<{ depth: number }>({ depth: 0 });
    const seen: number[] = [];
    connection.onRenew(async () => {
      seen.push(connection.data.depth);
      if (connection.data.depth < 3) await connection.renew({ depth: connection.data.depth + 1 });
    });
    await connection.renew({ depth: 1 });
    expect(seen).toEqual([1, 2, 3]);
  });

  it("hears of connections with any data", async () => {
    const { connection } = setup({ user: "ada" });
    const any: Connection = connection;
    await any.renew({ role: "guest" });
    expect(connection.data).toEqual({ user: "ada", role: "guest" });
  });
});
