import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { InvalidMessageError, type Connection, type StandardSchemaV1 } from "@vel/core";
import { Room, RoomManager, type HandlerTable, type RoomClass, type RoomUser } from "@vel/rooms";
import { ManualClock, settle } from "@vel/testing";
import { gate, peers, type Gate } from "./kit.ts";

const system = { by: "system" } as const;
/** What has no handler here, and would have one in a table that is an object. */
const crafted = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "", "SAY", "say\u0000", "sаy"];

class ChatRoom extends Room {
  readonly log: unknown[] = [];
  protected override readonly messages: HandlerTable = this.handlers(
    {
      say: z.object({ type: z.literal("say"), text: z.string().max(5).toUpperCase() }),
      move: z.object({ type: z.literal("move"), x: z.coerce.number() }),
    },
    {
      say: (user, { text }) => {
        expectTypeOf(text).toBeString();
        this.log.push(`${user.id} says ${text}`);
      },
      move: (user, message, connection) => {
        expectTypeOf(user).toEqualTypeOf<RoomUser>();
        expectTypeOf(message).toEqualTypeOf<{ type: "move"; x: number }>();
        expectTypeOf(connection).toEqualTypeOf<Connection>();
        this.log.push(message.x);
        return this.log.length; // whatever a handler gives back that is no promise
      },
    },
  );
  override onMessage(_user: RoomUser, message: unknown): void {
    this.log.push(["other", message]);
  }
}

async function enter<R extends Room>(room: RoomClass<R>, clock = new ManualClock()) {
  const { peer } = peers();
  const rooms = new RoomManager({ room, clock, defaults: { validateTimeout: 1_000 } });
  const { client, connection } = await peer();
  return {
    rooms,
    clock,
    client,
    connection,
    room: await rooms.join("lobby", connection as Connection<never>, { userId: "ada" }),
  };
}

/** A schema that is as slow as its gates, in the order in which it is asked. */
function slowSchema(gates: Gate[]): StandardSchemaV1<unknown, { type: string; n: number }> {
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        const door = gate();
        gates.push(door);
        await door.promise;
        const { type, n } = value as { type: string; n?: number };
        return typeof n === "number" ? { value: { type, n } } : { issues: [{ message: "n is missing" }] };
      },
    },
  };
}

describe("Room.messages", () => {
  it("hands a typed message to its handler as the schema made it, at once", async () => {
    const { room, connection } = await enter(ChatRoom);
    expect(room.receive(connection, { type: "say", text: "hi" })).toBeUndefined();
    expect(room.receive(connection, { type: "move", x: "7" })).toBeUndefined();
    expect(room.log).toEqual(["ada says HI", 7]);
  });

  it("hands every other message to onMessage, whatever its type is called", async () => {
    const { room, connection } = await enter(ChatRoom);
    const inherited = Object.create({ type: "say", text: "hi" }) as object;
    const others: unknown[] = [
      ...crafted.map((type) => ({ type, text: "hi" })),
      ...crafted.map((name) => JSON.parse(`{${JSON.stringify(name)}:{"type":"say"}}`) as unknown),
      inherited,
      { type: ["say"], text: "hi" },
      { type: { toString: () => "say" } },
      { type: 1 },
      { type: null },
      ["say"],
      "say",
      null,
      undefined,
      7,
      {},
    ];
    for (const other of others) void room.receive(connection, other);
    expect(room.log).toEqual(others.map((other) => ["other", other]));
  });

  it("rejects a message that does not fit with an InvalidMessageError, and calls nobody", async () => {
    const { room, connection } = await enter(ChatRoom);
    for (const message of [{ type: "say" }, { type: "say", text: "too long" }, { type: "move", x: "seven" }]) {
      expect(() => room.receive(connection, message)).toThrow(InvalidMessageError);
    }
    expect(room.log).toEqual([]);
    expect(room.userCount).toBe(1);
  });

  it("refuses at construction what does not match: a schema without a handler, a handler without a schema", () => {
    const say = z.object({ type: z.literal("say") });
    const make = (schemas: object, handlers: object): (() => unknown) => {
      class OddRoom extends Room {
        protected override readonly messages: HandlerTable = this.handlers(schemas as never, handlers as never);
      }
      return () => new RoomManager().getOrCreate("lobby", OddRoom);
    };
    expect(make({ say }, {})).toThrow(new TypeError('Messages of type "say" have no handler'));
    expect(make({ say }, { say: 1 })).toThrow(TypeError);
    expect(make({ toString: say }, {})).toThrow(new TypeError('Messages of type "toString" have no handler'));
    expect(make({}, { say: () => 1 })).toThrow(new TypeError('Messages of type "say" have no schema'));
  });

  it("may have a type of any name", async () => {
    const seen: unknown[] = [];
    const schemas = JSON.parse('{"__proto__":0,"constructor":0}') as Record<string, StandardSchemaV1>;
    const any: StandardSchemaV1 = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
    const handlers = JSON.parse('{"__proto__":0,"constructor":0}') as Record<string, () => void>;
    for (const name of ["__proto__", "constructor"]) {
      Object.defineProperty(schemas, name, { value: any, enumerable: true });
      Object.defineProperty(handlers, name, { value: () => seen.push(name), enumerable: true });
    }
    class OddRoom extends Room {
      protected override readonly messages: HandlerTable = this.handlers(schemas, handlers);
    }
    const { room, connection } = await enter(OddRoom);
    for (const type of ["__proto__", "constructor", "toString"]) void room.receive(connection, { type });
    expect(seen).toEqual(["__proto__", "constructor"]);
  });

  it("passes on what a handler throws or rejects with, and what a schema throws", async () => {
    const any = z.looseObject({ type: z.string() });
    const broken: StandardSchemaV1 = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => {
          throw new Error("schema");
        },
      },
    };
    class BadRoom extends Room {
      protected override readonly messages: HandlerTable = this.handlers(
        { sync: any, async: any, broken },
        {
          sync: () => {
            throw new Error("sync");
          },
          async: () => Promise.reject(new Error("async")),
          broken: () => undefined,
        },
      );
    }
    const { room, connection } = await enter(BadRoom);
    expect(() => room.receive(connection, { type: "sync" })).toThrow("sync");
    await expect(room.receive(connection, { type: "async" })).rejects.toThrow("async");
    expect(() => room.receive(connection, { type: "broken" })).toThrow("schema");
  });
});

describe("an asynchronous schema", () => {
  const setup = async () => {
    const gates: Gate[] = [];
    class SlowRoom extends Room {
      readonly log: unknown[] = [];
      protected override readonly messages: HandlerTable = this.handlers(
        { slow: slowSchema(gates), quick: z.object({ type: z.string(), n: z.number() }) },
        { slow: (_user, { n }) => this.log.push(n), quick: (_user, { n }) => this.log.push(n) },
      );
      override onMessage(_user: RoomUser, message: unknown): void {
        this.log.push(message);
      }
    }
    return { gates, ...(await enter(SlowRoom)) };
  };

  it("is waited for, and what comes after it keeps its place", async () => {
    const { gates, room, connection, clock } = await setup();
    const messages = [
      { type: "slow", n: 1 },
      { type: "quick", n: 2 },
      "three",
      { type: "slow", n: 4 },
      { type: "quick", n: 5 },
    ];
    const received = messages.map(async (message) => room.receive(connection, message));
    await settle();
    expect(room.log).toEqual([]);
    gates[0]?.open();
    await settle();
    expect(room.log).toEqual([1, 2, "three"]);
    gates[1]?.open();
    await Promise.all(received);
    expect(room.log).toEqual([1, 2, "three", 4, 5]);
    expect(clock.pending).toBe(0);
    expect(room.receive(connection, { type: "quick", n: 6 })).toBeUndefined();
    expect(room.log.at(-1)).toBe(6);
  });

  it("delays nobody else", async () => {
    const { rooms, room, connection } = await setup();
    const other = (await peers().peer()).connection;
    await rooms.join("lobby", other, { userId: "bob" });
    void room.receive(connection, { type: "slow", n: 1 });
    expect(room.receive(other, { type: "quick", n: 2 })).toBeUndefined();
    expect(room.log).toEqual([2]);
  });

  it("rejects what does not fit, and the next comes all the same", async () => {
    const { gates, room, connection } = await setup();
    const bad = room.receive(connection, { type: "slow" });
    const good = room.receive(connection, { type: "quick", n: 2 });
    gates[0]?.open();
    await expect(bad).rejects.toBeInstanceOf(InvalidMessageError);
    await good;
    expect(room.log).toEqual([2]);
  });

  it("that never settles is ERR_VEL_TIMEOUT after validateTimeout; later messages come in order", async () => {
    const { gates, clock, room, connection } = await setup();
    const never = room.receive(connection, { type: "slow", n: 1 });
    const next = [2, 3].map(async (n) => room.receive(connection, { type: "quick", n }));
    const error = expect(never).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" });
    await clock.advance(999);
    expect(room.log).toEqual([]);
    await clock.advance(1);
    await error;
    await Promise.all(next);
    gates[0]?.open(); // too late
    await settle();
    expect(room.log).toEqual([2, 3]);
    expect(clock.pending).toBe(0);
  });

  it("does not let through who was put out or muted meanwhile", async () => {
    for (const act of ["kick", "ban", "mute"] as const) {
      const { gates, room, connection } = await setup();
      const received = [1, 2].map((n) => room.receive(connection, { type: "slow", n }));
      const errors = received.map((each) => expect(each).rejects.toMatchObject({ name: "VelError" }));
      room[act]("ada", system);
      gates[0]?.open();
      await settle();
      gates[1]?.open();
      await Promise.all(errors);
      expect(room.log).toEqual([]);
    }
  });

  it("takes what somebody sent who has hung up meanwhile", async () => {
    const { gates, room, connection, client } = await setup();
    const received = room.receive(connection, { type: "slow", n: 1 });
    client.close();
    await settle();
    gates[0]?.open();
    await received;
    expect(room.log).toEqual([1]);
  });
});
