/** Who is here, as those hear it who are here. */
import { describe, expect, it } from "vitest";
import type { Json } from "@vel/core";
import { Room, RoomManager, RoomPresence, type Join, type RoomPresenceOptions, type RoomUser } from "@vel/rooms";
import { ManualClock, settle } from "@vel/testing";
import { ghostLimit, PresenceGhosts } from "../src/presence-ghosts.ts";
import { noMeta, presenceMeta } from "../src/presence-meta.ts";
import { gate, peers, take, type Gate, type Peer } from "./kit.ts";

/** A room with presence, time, and people that come and go. */
function lobby(options: RoomPresenceOptions = {}, onJoin: (user: RoomUser, join: Join) => unknown = () => undefined) {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  class Lobby extends Room {
    readonly presence = new RoomPresence(this, { clock, ...options });
    override async onJoin(user: RoomUser, join: Join): Promise<void> {
      await onJoin(user, join);
    }
  }
  const rooms = new RoomManager({ room: Lobby, clock, onError });
  const { peer } = peers();
  const enter = async (userId: string, meta?: Json, who?: Peer): Promise<Peer> => {
    const entering = who ?? (await peer());
    await rooms.join("lobby", entering.connection, { userId, meta });
    return entering;
  };
  const hear = async ({ client }: Peer): Promise<unknown[]> => {
    await clock.advance(0);
    await settle();
    return take(client);
  };
  const hush = async (...all: Peer[]): Promise<void> => {
    for (const each of all) await hear(each);
  };
  return { clock, errors, rooms, room: rooms.getOrCreate("lobby"), peer, enter, hear, hush };
}

function state(users: Record<string, unknown[]>): unknown {
  return { type: "presence_state", room: "lobby", users };
}

function diff(joins: Record<string, unknown[]>, leaves: Record<string, unknown[]> = {}): unknown {
  return { type: "presence_diff", room: "lobby", joins, leaves };
}

function count(users: number, connections: number): unknown {
  return { type: "presence_count", room: "lobby", users, connections };
}

describe("RoomPresence", () => {
  it("tells who enters the state, and the others what changed", async () => {
    const { rooms, room, enter, hear } = lobby();
    const ada = await enter("ada", { name: "Ada" });
    expect(await hear(ada)).toEqual([state({ ada: [{ name: "Ada" }] })]);
    const bob = await enter("bob");
    expect(await hear(bob)).toEqual([state({ ada: [{ name: "Ada" }], bob: [null] })]);
    expect(await hear(ada)).toEqual([diff({ bob: [null] })]);
    rooms.leave("lobby", bob.connection);
    expect(await hear(ada)).toEqual([diff({}, { bob: [null] })]);
    expect(await hear(bob)).toEqual([]);
    expect(room.presence.users).toEqual(new Map([["ada", [{ name: "Ada" }]]]));
  });

  it("keeps a meta for each connection of a user", async () => {
    const { rooms, room, enter, hear } = lobby();
    const phone = await enter("ada", "phone");
    await hear(phone);
    const laptop = await enter("ada", "laptop");
    expect(await hear(laptop)).toEqual([state({ ada: ["phone", "laptop"] })]);
    expect(await hear(phone)).toEqual([diff({ ada: ["laptop"] })]);
    expect([room.presence.userCount, room.presence.connectionCount]).toEqual([1, 2]);
    rooms.leave("lobby", phone.connection);
    expect(await hear(laptop)).toEqual([diff({}, { ada: ["phone"] })]);
  });

  it("asks metaOf() for what others see", async () => {
    const { enter, hear } = lobby({ metaOf: (user, { id }) => ({ role: user.role, hasId: id !== "" }) });
    expect(await hear(await enter("ada", "hidden"))).toEqual([state({ ada: [{ role: "member", hasId: true }] })]);
  });

  it("sends what happened within the interval as one diff, without what cancelled out", async () => {
    const { clock, rooms, enter, hear, hush } = lobby({ interval: 100 });
    const ada = await enter("ada");
    await hush(ada);
    await clock.advance(100);
    const bob = await enter("bob");
    await enter("cleo");
    const dan = await enter("dan");
    rooms.leave("lobby", dan.connection);
    await clock.advance(99);
    expect(await hear(ada)).toEqual([]);
    await clock.advance(1);
    expect(await hear(ada)).toEqual([diff({ bob: [null], cleo: [null] })]);
    // What came before bob's state is not told again, what came after is.
    expect(await hear(bob)).toEqual([state({ ada: [null], bob: [null] }), diff({ cleo: [null] })]);
    rooms.leave("lobby", bob.connection);
    await enter("bob", undefined, bob);
    await clock.advance(100);
    expect(await hear(ada)).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("tells a changed meta as a leave and a join", async () => {
    const { rooms, enter, hear, hush } = lobby();
    const ada = await enter("ada");
    const bob = await enter("bob", 1);
    await hush(ada, bob);
    rooms.leave("lobby", bob.connection);
    await enter("bob", 2, bob);
    expect(await hear(ada)).toEqual([diff({ bob: [2] }, { bob: [1] })]);
  });

  it("shows a meta as it was, whatever is done to it later", async () => {
    const { enter, hear } = lobby();
    const meta = { name: "Ada" };
    await enter("ada", meta);
    meta.name = "Eve";
    expect(await hear(await enter("bob"))).toEqual([state({ ada: [{ name: "Ada" }], bob: [null] })]);
  });

  it("tells whoever is still coming in nothing before the state", async () => {
    const doors = new Map<string, Gate>([["bob", gate()]]);
    const { rooms, peer, enter, hear } = lobby({}, ({ id }) => doors.get(id)?.promise);
    const ada = await enter("ada");
    const bob = await peer();
    const joining = rooms.join("lobby", bob.connection, { userId: "bob" });
    await enter("cleo");
    expect(await hear(bob)).toEqual([]);
    doors.get("bob")?.open();
    await joining;
    expect(await hear(bob)).toEqual([state({ ada: [null], cleo: [null], bob: [null] })]);
    expect(await hear(ada)).toEqual([state({ ada: [null] }), diff({ cleo: [null] }), diff({ bob: [null] })]);
  });

  // A stay of which the join is told late must not end one that the same connection has begun since.
  it("outlives a stay that ended while onJoin ran, also when the next one is there already", async () => {
    const doors: Gate[] = [];
    const { rooms, room, peer, enter, hear, hush } = lobby({}, ({ id }) => {
      if (id !== "bob") return undefined;
      doors.push(gate());
      return doors.at(-1)?.promise;
    });
    const ada = await enter("ada");
    const bob = await peer();
    const first = rooms.join("lobby", bob.connection, { userId: "bob" });
    rooms.leave("lobby", bob.connection);
    const second = rooms.join("lobby", bob.connection, { userId: "bob" });
    doors[1]?.open();
    await second;
    await hush(ada, bob);
    doors[0]?.open();
    await first;
    expect(room.presence.users.get("bob")).toEqual([null]);
    expect(await hear(ada)).toEqual([]);
    rooms.leave("lobby", bob.connection);
    expect(await hear(ada)).toEqual([diff({}, { bob: [null] })]);
  });

  it("is bounded within a batch: after too many changes everybody gets the state", async () => {
    const { clock, rooms, enter, hear, hush } = lobby({ interval: 100 });
    const ada = await enter("ada");
    await hush(ada);
    const bob = await enter("bob", 1);
    for (let i = 0; i < 6_000; i++) {
      rooms.leave("lobby", bob.connection);
      await enter("bob", i, bob);
    }
    await hush(bob);
    await clock.advance(100);
    expect(await hear(ada)).toEqual([state({ ada: [null], bob: [5_999] })]);
    expect(await hear(bob)).toEqual([state({ ada: [null], bob: [5_999] })]);
    await enter("cleo");
    await clock.advance(100);
    expect(await hear(ada)).toEqual([diff({ cleo: [null] })]);
    expect(await hear(bob)).toEqual([diff({ cleo: [null] })]);
  });

  it("makes names such as __proto__ safe", async () => {
    const { room, enter, hear, hush } = lobby();
    const ada = await enter("ada");
    await hush(ada);
    for (const id of ["__proto__", "constructor", "toString"]) await enter(id, { id });
    const [told] = (await hear(ada)) as [{ joins: object }];
    expect(Object.entries(told.joins)).toEqual([
      ["__proto__", [{ id: "__proto__" }]],
      ["constructor", [{ id: "constructor" }]],
      ["toString", [{ id: "toString" }]],
    ]);
    const [entered] = (await hear(await enter("bob"))) as [{ users: object }];
    expect(Object.keys(entered.users)).toEqual(["ada", "__proto__", "constructor", "toString", "bob"]);
    expect(room.presence.users.get("__proto__")).toEqual([{ id: "__proto__" }]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it("goes neither into the room's history nor through its frames", async () => {
    const { clock, enter, hear } = lobby();
    const rooms = new RoomManager({ clock, defaults: { history: { limit: 9 } }, frame: () => "framed" });
    const room = rooms.getOrCreate("lobby");
    const presence = new RoomPresence(room, { clock });
    const ada = await enter("ada");
    await hear(ada);
    await rooms.join("lobby", ada.connection, { userId: "ada" });
    expect(await hear(ada)).toEqual([state({ ada: [null] })]);
    expect(room.history?.size).toBe(0);
    presence.close();
  });

  it("uses the encoding that it is given", async () => {
    const { enter } = lobby({ encode: ({ type }) => `<${type}>` });
    const { client } = await enter("ada");
    await settle();
    expect(client.received).toEqual(["<presence_state>"]);
  });
});

describe("RoomPresence with grace", () => {
  it("says nothing of a user who drops and is back in time", async () => {
    const { clock, room, enter, hear, hush } = lobby({ grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob", "b");
    await hush(ada);
    bob.client.drop();
    await clock.advance(999);
    expect(room.presence.users.get("bob")).toEqual(["b"]);
    expect(await hear(await enter("cleo"))).toEqual([state({ ada: [null], cleo: [null], bob: ["b"] })]);
    expect(await hear(ada)).toEqual([diff({ cleo: [null] })]);
    const back = await enter("bob", "b");
    expect(await hear(back)).toEqual([state({ ada: [null], cleo: [null], bob: ["b"] })]);
    await clock.advance(2_000);
    expect(await hear(ada)).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("tells who comes back as another, and who comes back too late", async () => {
    const { clock, enter, hear, hush } = lobby({ grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob", "old");
    await hush(ada);
    bob.client.drop();
    await clock.advance(999);
    const back = await enter("bob", "new");
    expect(await hear(ada)).toEqual([diff({ bob: ["new"] }, { bob: ["old"] })]);
    back.client.drop();
    await clock.advance(1_000);
    expect(await hear(ada)).toEqual([diff({}, { bob: ["new"] })]);
    await enter("bob", "new");
    expect(await hear(ada)).toEqual([diff({ bob: ["new"] })]);
  });

  it("has no grace for who leaves, is put out, or has another connection", async () => {
    const { clock, rooms, room, enter, hear, hush } = lobby({ grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob", "b");
    await enter("cleo", "c");
    const first = await enter("dan", 1);
    await enter("dan", 2);
    await hush(ada);
    rooms.leave("lobby", bob.connection);
    room.kick("cleo", { by: "system" });
    first.client.drop();
    await settle();
    expect(await hear(ada)).toEqual([diff({}, { bob: ["b"], cleo: ["c"], dan: [1] })]);
    expect(clock.pending).toBe(0);
  });

  it("waits for each with one timer", async () => {
    const { clock, enter, hear, hush } = lobby({ grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob");
    const cleo = await enter("cleo");
    await hush(ada);
    bob.client.drop();
    await clock.advance(400);
    cleo.client.drop();
    await settle();
    expect(clock.pending).toBe(1);
    await clock.advance(600);
    expect(await hear(ada)).toEqual([diff({}, { bob: [null] })]);
    await clock.advance(400);
    expect(await hear(ada)).toEqual([diff({}, { cleo: [null] })]);
    expect(clock.pending).toBe(0);
  });

  it("leaves no timer when the room is empty, and forgets who was in grace", async () => {
    const { clock, room, enter, hear } = lobby({ grace: 1_000, interval: 100 });
    const ada = await enter("ada");
    const bob = await enter("bob");
    ada.client.drop();
    await settle();
    expect(clock.pending).toBe(2);
    bob.client.drop();
    await settle();
    expect(clock.pending).toBe(0);
    expect(room.presence.users).toEqual(new Map());
    expect(await hear(await enter("cleo"))).toEqual([state({ cleo: [null] })]);
  });

  it("keeps 10,000 users at most who may be back, under ever new names", () => {
    const clock = new ManualClock();
    const gone: string[] = [];
    const ghosts = new PresenceGhosts(1_000, clock, (userId) => gone.push(userId));
    for (let i = 0; i < ghostLimit + 2; i++) ghosts.add(`u${String(i)}`, noMeta);
    expect(ghosts.size).toBe(10_000);
    expect(gone).toEqual(["u0", "u1"]);
    expect(clock.pending).toBe(1);
    ghosts.clear();
    expect(clock.pending).toBe(0);
  });

  it("keeps 256 Ki characters of their metas at most: newcomers are sent them all", () => {
    const gone: string[] = [];
    const ghosts = new PresenceGhosts(1_000, new ManualClock(), (userId) => gone.push(userId));
    const large = presenceMeta("x".repeat(4_000), 5_000);
    for (let i = 0; i < 66; i++) ghosts.add(`u${String(i)}`, large);
    expect([ghosts.size, gone]).toEqual([65, ["u0"]]); // 65 times 4,002
    expect(ghosts.take("u1")).toBe(large);
    ghosts.add("u66", large);
    expect([ghosts.size, gone]).toEqual([65, ["u0"]]);
  });
});

describe("RoomPresence in count mode", () => {
  it("tells how many there are, on entering and after changes", async () => {
    const { rooms, clock, enter, hear, hush } = lobby({ mode: "count", interval: 100 });
    const ada = await enter("ada", "secret");
    expect(await hear(ada)).toEqual([count(1, 1)]);
    const bob = await enter("bob");
    expect(await hear(bob)).toEqual([count(2, 2)]);
    const again = await enter("bob");
    await clock.advance(100);
    expect(await hear(ada)).toEqual([count(2, 3)]);
    expect(await hear(bob)).toEqual([count(2, 3)]);
    expect(await hear(again)).toEqual([count(2, 3)]);
    rooms.leave("lobby", bob.connection);
    await enter("cleo", undefined, bob);
    await clock.advance(100);
    expect(await hear(ada)).toEqual([count(3, 3)]);
    rooms.leave("lobby", bob.connection);
    await enter("dan", undefined, bob);
    await hush(bob);
    await clock.advance(100);
    expect(await hear(ada)).toEqual([]);
  });

  it("counts who is in grace", async () => {
    const { clock, enter, hear, hush } = lobby({ mode: "count", grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob");
    await hush(ada);
    bob.client.drop();
    await clock.advance(999);
    expect(await hear(ada)).toEqual([]);
    await clock.advance(1);
    expect(await hear(ada)).toEqual([count(1, 1)]);
  });
});

describe("RoomPresence.assertMeta()", () => {
  const big = "x".repeat(2 ** 20);

  it("keeps a connection out whose meta is too large", async () => {
    const holder: { presence?: RoomPresence } = {};
    const { room, enter, hear, hush } = lobby({}, ({ meta }) => holder.presence?.assertMeta(meta));
    holder.presence = room.presence;
    const ada = await enter("ada", "x".repeat(4_094));
    await hush(ada);
    await expect(enter("bob", "x".repeat(4_095))).rejects.toMatchObject({ code: "ERR_VEL_LIMIT" });
    await expect(enter("bob", big)).rejects.toMatchObject({ code: "ERR_VEL_LIMIT" });
    expect(await hear(ada)).toEqual([]);
    expect([...room.users.keys()]).toEqual(["ada"]);
  });

  it("is not needed for the others to be safe: a refused meta is told as null", async () => {
    const { errors, enter, hear, hush } = lobby();
    const ada = await enter("ada");
    await hush(ada);
    const bob = await enter("bob", big);
    expect(await hear(ada)).toEqual([diff({ bob: [null] })]);
    expect(await hear(bob)).toEqual([state({ ada: [null], bob: [null] })]);
    await enter("cleo", "é".repeat(2_048));
    expect(await hear(ada)).toEqual([diff({ cleo: [null] })]);
    expect(errors).toMatchObject([{ code: "ERR_VEL_LIMIT" }, { code: "ERR_VEL_LIMIT" }]);
  });

  it("refuses what has no JSON form", () => {
    const { presence } = lobby().room;
    expect(() => {
      presence.assertMeta(() => undefined);
    }).toThrow(TypeError);
    expect(() => {
      presence.assertMeta(1n);
    }).toThrow(TypeError);
  });
});

describe("RoomPresence.close()", () => {
  it("stops telling, without a timer left", async () => {
    const { clock, room, enter, hear } = lobby({ interval: 100, grace: 1_000 });
    const ada = await enter("ada");
    const bob = await enter("bob");
    bob.client.drop();
    await settle();
    await hear(ada);
    room.presence.close();
    room.presence.close();
    expect(clock.pending).toBe(0);
    await enter("cleo");
    await clock.advance(1_000);
    expect(await hear(ada)).toEqual([]);
    expect([room.presence.userCount, room.presence.connectionCount]).toEqual([0, 0]);
  });

  it("is not needed when the manager is closed", async () => {
    const { clock, rooms, enter, hear } = lobby({ grace: 1_000 });
    const ada = await enter("ada");
    await enter("bob");
    await hear(ada);
    await rooms.close();
    expect(clock.pending).toBe(0);
    expect(await hear(ada)).toEqual([]);
  });
});

describe("new RoomPresence()", () => {
  it("refuses options that are none", () => {
    const room = new RoomManager().getOrCreate("lobby");
    for (const options of [{ interval: -1 }, { interval: Infinity }, { grace: NaN }, { metaLimit: -1 }]) {
      expect(() => new RoomPresence(room, options)).toThrow(RangeError);
    }
    expect(() => new RoomPresence(room, { mode: "all" as "users" })).toThrow(TypeError);
  });

  it("refuses a room that somebody is in: it would not know who", async () => {
    const { room, enter } = lobby();
    await enter("ada");
    expect(() => new RoomPresence(room)).toThrow(TypeError);
  });
});
