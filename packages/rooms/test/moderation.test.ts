import { describe, expect, it } from "vitest";
import {
  defaultCapabilities,
  RoomManager,
  roleRank,
  UserRole,
  type Capability,
  type RoomManagerOptions,
  type RoomUser,
} from "@vel/rooms";
import { ManualClock } from "@vel/testing";
import { codeOf, LogRoom, peers, refused, type Peer } from "./kit.ts";

const roles = Object.keys(UserRole) as UserRole[];
const system = { by: "system" } as const;

/** A lobby with one user of each role, named like it. */
async function lobby(options: RoomManagerOptions<LogRoom> = {}) {
  const clock = new ManualClock();
  const { peer, errors } = peers();
  const rooms = new RoomManager({ room: LogRoom, clock, onError: (error) => errors.push(error), ...options });
  const room = rooms.getOrCreate("lobby");
  const ends = new Map<string, Peer>();
  const enter = async (userId: string, role?: UserRole): Promise<Peer> => {
    const end = await peer();
    await rooms.join("lobby", end.connection, { userId, role });
    ends.set(userId, end);
    return end;
  };
  for (const role of roles) await enter(role, role);
  room.log.length = 0;
  const user = (id: string): RoomUser => room.users.get(id)!;
  const end = (id: string): Peer => ends.get(id)!;
  return { clock, rooms, room, enter, user, end, peer, errors };
}

describe("roleRank()", () => {
  it("orders the roles, and puts what is none below them", () => {
    expect(roles.map(roleRank)).toEqual([0, 1, 2, 3, 4]);
    for (const none of ["king", "__proto__", "toString", "", undefined]) expect(roleRank(none as UserRole)).toBe(-1);
  });
});

describe("Room.can()", () => {
  it("follows the table of capabilities", async () => {
    const { room, user } = await lobby();
    for (const [capability, least] of Object.entries(defaultCapabilities) as [Capability, UserRole][]) {
      for (const role of roles) {
        expect(room.can(user(role), capability), `${role} ${capability}`).toBe(roleRank(role) >= roleRank(least));
      }
    }
  });

  it("is changed by options, a capability at a time, over the manager's defaults", async () => {
    const { rooms, peer } = await lobby({ defaults: { capabilities: { kick: "owner", speak: "member" } } });
    const room = rooms.getOrCreate("vip", LogRoom, { capabilities: { speak: "admin" } });
    expect(room.options.capabilities).toEqual({ ...defaultCapabilities, kick: "owner", speak: "admin" });
    const { connection } = await peer();
    await rooms.join("vip", connection, { userId: "mo", role: "moderator" });
    const mo = room.users.get("mo")!;
    expect([room.can(mo, "kick"), room.can(mo, "speak"), room.can(mo, "ban")]).toEqual([false, false, true]);
  });

  it("is false for what is no capability, and for who is not in", async () => {
    const { rooms, room, user, end } = await lobby();
    for (const none of ["toString", "__proto__", "constructor", "fly", undefined]) {
      expect(room.can(user("owner"), none as Capability), String(none)).toBe(false);
    }
    const owner = user("owner");
    expect(room.can({ ...owner, id: "owner" }, "kick")).toBe(false);
    rooms.leave("lobby", end("owner").connection);
    expect(room.can(owner, "speak")).toBe(false);
  });
});

describe("who acts on whom", () => {
  const acts = {
    kick: (room: LogRoom, id: string, by: RoomUser) => room.kick(id, { by }),
    ban: (room: LogRoom, id: string, by: RoomUser) => room.ban(id, { by }),
    unban: (room: LogRoom, id: string, by: RoomUser) => room.unban(id, { by }),
    mute: (room: LogRoom, id: string, by: RoomUser) => room.mute(id, { by }),
    unmute: (room: LogRoom, id: string, by: RoomUser) => room.unmute(id, { by }),
    setRole: (room: LogRoom, id: string, by: RoomUser) => room.setRole(id, "guest", { by }),
  };
  const least = { kick: 2, ban: 2, unban: 2, mute: 2, unmute: 2, setRole: 3 };

  for (const act of Object.keys(acts) as (keyof typeof acts)[]) {
    it(`${act}() needs the capability and a higher rank, whoever it is`, async () => {
      for (const actor of roles) {
        for (const target of roles) {
          const { room, user } = await lobby();
          const may = roleRank(actor) >= least[act] && roleRank(actor) > roleRank(target);
          expect(
            codeOf(() => acts[act](room, target, user(actor))),
            `${actor} on ${target}`,
          ).toBe(may ? undefined : "ERR_VEL_ROOM_FORBIDDEN");
          if (!may) expect(room.userCount).toBe(5);
        }
      }
    });
  }

  it("says who may not do what, and where", async () => {
    const { room, user } = await lobby();
    expect(() => room.kick("owner", { by: user("member") })).toThrow(
      'Refused in room "lobby": "member" (member) may not kick "owner"',
    );
  });

  it("lets nobody give a role that is not below his own, nor promote himself", async () => {
    const { room, user } = await lobby();
    for (const role of roles) {
      expect(codeOf(() => room.setRole("guest", role, { by: user("guest") }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
      expect(codeOf(() => room.setRole("owner", role, { by: user("owner") }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
      expect(codeOf(() => room.setRole("member", role, { by: user("admin") }))).toBe(
        roleRank(role) < roleRank("admin") ? undefined : "ERR_VEL_ROOM_FORBIDDEN",
      );
    }
    expect(user("guest").role).toBe("guest");
  });

  it("lets the system do everything, and nobody else who is not in", async () => {
    const { rooms, room, user, end, peer } = await lobby();
    const there = (await peer()).connection;
    const other = await rooms.join("attic", there, { userId: "owner", role: "owner" });
    const gone = user("admin");
    rooms.leave("lobby", end("admin").connection);
    const impostors: unknown[] = [
      undefined,
      null,
      "",
      "owner",
      "System",
      {},
      { id: "owner", role: "owner", connections: new Set() },
      { ...user("owner") },
      Object.create(user("owner")),
      other.users.get("owner"),
      gone,
    ];
    for (const by of impostors) {
      for (const act of Object.values(acts)) {
        expect(codeOf(() => act(room, "guest", by as RoomUser))).toBe("ERR_VEL_ROOM_FORBIDDEN");
      }
    }
    expect(room.userCount).toBe(4);
    for (const act of Object.values(acts)) act(room, "owner", "system" as never);
    expect(() => room.kick("guest", undefined as never)).toThrow(TypeError);
  });

  it("takes somebody who came back for himself, not for whom he was", async () => {
    const { rooms, room, user, end } = await lobby();
    const before = user("owner");
    rooms.leave("lobby", end("owner").connection);
    await rooms.join("lobby", end("owner").connection, { userId: "owner", role: "owner" });
    expect(codeOf(() => room.kick("guest", { by: before }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    expect(room.kick("guest", { by: user("owner") })).toBe(true);
  });

  // Else a moderator would wait until the owner is out, and ban him.
  it("does not let anybody act behind the back of who stands above him", async () => {
    const { rooms, room, user, end } = await lobby();
    rooms.leave("lobby", end("owner").connection);
    for (const act of Object.values(acts)) {
      expect(codeOf(() => act(room, "owner", user("admin")))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    }
    room.ban("stranger", { by: user("moderator") });
    room.setRole("boss", "admin", system);
    expect(codeOf(() => room.ban("boss", { by: user("moderator") }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
  });

  it("goes by the roles of this moment", async () => {
    const { room, user } = await lobby();
    const admin = user("admin");
    room.setRole("admin", "guest", { by: user("owner") });
    expect(codeOf(() => room.kick("member", { by: admin }))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    room.setRole("guest", "moderator", { by: user("owner") });
    expect(room.kick("member", { by: user("guest") })).toBe(true);
  });

  it("checks what it is given before anything happens", async () => {
    const { room } = await lobby();
    for (const id of ["", "x".repeat(1_025), undefined, 1, null]) {
      for (const act of Object.values(acts)) {
        expect(() => act(room, id as string, "system" as never)).toThrow(TypeError);
      }
    }
    for (const duration of [0, -1, NaN, "60000", null]) {
      expect(() => room.ban("guest", { ...system, for: duration as number })).toThrow(RangeError);
      expect(() => room.mute("guest", { ...system, for: duration as number })).toThrow(RangeError);
    }
    for (const role of ["king", "__proto__", undefined, 1]) {
      expect(() => room.setRole("guest", role as UserRole, system)).toThrow(TypeError);
    }
    expect(() => room.kick("guest", { ...system, reason: 1 as never })).toThrow(TypeError);
    expect(() => room.ban("guest", { ...system, reason: {} as never })).toThrow(TypeError);
    expect(room.userCount).toBe(5);
  });
});

describe("Room.kick()", () => {
  it("puts all connections of a user out; they stay open and may come again", async () => {
    const { rooms, room, enter, user, end } = await lobby();
    const tab = await enter("guest");
    room.log.length = 0;
    expect(room.kick("guest", { by: user("moderator"), reason: "noise" })).toBe(true);
    expect(room.log).toEqual(["leave guest kicked 4/4", "leave guest last kicked 4/4"]);
    expect(end("guest").connection.isOpen && tab.connection.isOpen).toBe(true);
    expect(room.kick("guest", { by: user("moderator") })).toBe(false);
    expect(codeOf(() => room.receive(tab.connection, 1))).toBe("ERR_VEL_ROOM_NOT_MEMBER");
    await rooms.join("lobby", tab.connection, { userId: "guest" });
    expect(room.userCount).toBe(5);
  });

  it("tells of it after the hook that kicks, as of any other leave", async () => {
    const log: string[] = [];
    class StrictRoom extends LogRoom {
      override onMessage(user: RoomUser): void {
        this.kick(user.id, system);
        log.push(`kicked ${String(this.userCount)}`);
      }
      override onLeave(user: RoomUser): void {
        log.push(`left ${user.id}`);
        if (user.id === "a") this.kick("b", system);
      }
    }
    const { peer } = peers();
    const rooms = new RoomManager({ room: StrictRoom });
    const [a, b] = [await peer(), await peer()];
    const room = await rooms.join("lobby", a.connection, { userId: "a" });
    await rooms.join("lobby", b.connection, { userId: "b" });
    await room.receive(a.connection, 1);
    expect(log).toEqual(["left a", "left b", "kicked 0"]);
  });
});

describe("Room.ban()", () => {
  it("puts a user out and keeps him out, on a second connection too", async () => {
    const { rooms, room, user, end, peer } = await lobby();
    room.ban("guest", { by: user("moderator") });
    expect(room.log).toEqual(["leave guest last banned 4/4"]);
    const second = await peer();
    for (const { connection } of [end("guest"), second]) {
      await expect(rooms.join("lobby", connection, { userId: "guest" })).rejects.toMatchObject({
        code: "ERR_VEL_ROOM_BANNED",
        message: 'Refused in room "lobby": "guest" is banned',
        retryAfter: undefined,
      });
    }
    await rooms.join("attic", second.connection, { userId: "guest" });
    expect(room.unban("guest", { by: user("moderator") })).toBe(true);
    expect(room.unban("guest", { by: user("moderator") })).toBe(false);
    await rooms.join("lobby", second.connection, { userId: "guest" });
  });

  it("ends by itself, and says when", async () => {
    const { clock, rooms, room, user, end } = await lobby();
    const { connection } = end("guest");
    room.ban("guest", { by: user("owner"), for: 1_000 });
    await clock.advance(400);
    await expect(rooms.join("lobby", connection, { userId: "guest" })).rejects.toEqual(
      refused("ERR_VEL_ROOM_BANNED", 600),
    );
    await clock.advance(599.5);
    await expect(rooms.join("lobby", connection, { userId: "guest" })).rejects.toEqual(
      refused("ERR_VEL_ROOM_BANNED", 1),
    );
    await clock.advance(0.5);
    await rooms.join("lobby", connection, { userId: "guest" });
    expect(room.unban("guest", system)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it("is replaced by the next one, longer or shorter", async () => {
    const { clock, room, rooms, end } = await lobby();
    room.ban("guest", { ...system, for: 10 });
    room.ban("guest", system);
    await clock.advance(1e9);
    const { connection } = end("guest");
    await expect(rooms.join("lobby", connection, { userId: "guest" })).rejects.toEqual(refused("ERR_VEL_ROOM_BANNED"));
    room.ban("guest", { ...system, for: 10 });
    await clock.advance(10);
    await rooms.join("lobby", connection, { userId: "guest" });
  });

  it("keeps what a banned user sent before he hung up from being taken", async () => {
    const { room, end } = await lobby();
    const { client, connection } = end("guest");
    client.close();
    await client.closed;
    expect(connection.isOpen).toBe(false);
    await room.receive(connection, "late");
    room.ban("guest", system);
    expect(codeOf(() => room.receive(connection, "later"))).toBe("ERR_VEL_DISCONNECTED");
    expect(room.log.filter((line) => line.startsWith("message"))).toEqual(['message guest "late"']);
  });
});

describe("Room.mute()", () => {
  it("keeps a user's messages from being taken until it ends, and across leaving and joining", async () => {
    const { clock, rooms, room, user, end } = await lobby();
    const { connection } = end("guest");
    room.mute("guest", { by: user("moderator"), for: 1_000 });
    expect(() => room.receive(connection, 1)).toThrow(refused("ERR_VEL_ROOM_MUTED", 1_000));
    rooms.leave("lobby", connection);
    await clock.advance(250);
    await rooms.join("lobby", connection, { userId: "guest" });
    expect(() => room.receive(connection, 1)).toThrow(refused("ERR_VEL_ROOM_MUTED", 750));
    await clock.advance(750);
    void room.receive(connection, 2);
    expect(room.log.filter((line) => line.startsWith("message"))).toEqual(["message guest 2"]);
  });

  it("is taken back by unmute(), and holds for good without a time", async () => {
    const { clock, room, user, end } = await lobby();
    const { connection } = end("guest");
    room.mute("guest", { by: user("moderator") });
    await clock.advance(1e12);
    expect(() => room.receive(connection, 1)).toThrow(refused("ERR_VEL_ROOM_MUTED"));
    expect(room.unmute("guest", { by: user("admin") })).toBe(true);
    expect(room.unmute("guest", { by: user("admin") })).toBe(false);
    expect(room.receive(connection, 1)).toBeUndefined();
  });

  it("works for somebody who is not in", async () => {
    const { room, user, enter } = await lobby();
    room.mute("later", { by: user("moderator") });
    const { connection } = await enter("later");
    expect(() => room.receive(connection, 1)).toThrow(refused("ERR_VEL_ROOM_MUTED"));
  });
});

describe("Room.setRole()", () => {
  it("wins over what joins say, for as long as the room lives", async () => {
    const { rooms, room, user, end, enter } = await lobby();
    room.setRole("member", "moderator", { by: user("admin") });
    expect(user("member").role).toBe("moderator");
    await enter("member", "owner");
    expect(user("member").role).toBe("moderator");
    rooms.leave("lobby", end("member").connection);
    expect(room.info.users.find(({ id }) => id === "member")?.role).toBe("moderator");
    room.kick("member", system);
    await enter("member", "guest");
    expect(user("member").role).toBe("moderator");
  });

  it("works for somebody who is not in", async () => {
    const { room, enter, user } = await lobby();
    room.setRole("later", "admin", { by: user("owner") });
    await enter("later", "guest");
    expect(user("later").role).toBe("admin");
  });
});

describe("speaking", () => {
  it("needs the capability", async () => {
    const { rooms, room, enter, user, end } = await lobby({ defaults: { capabilities: { speak: "member" } } });
    expect(() => room.receive(end("guest").connection, 1)).toThrow(refused("ERR_VEL_ROOM_FORBIDDEN"));
    room.setRole("guest", "member", { by: user("owner") });
    void room.receive(end("guest").connection, 1);
    room.setRole("member", "guest", { by: user("owner") });
    expect(() => room.receive(end("member").connection, 1)).toThrow(refused("ERR_VEL_ROOM_FORBIDDEN"));
    await enter("x", "guest");
    expect(rooms.info("lobby")?.userCount).toBe(6);
  });

  it("is judged by the role of this moment, also for what somebody sent before he hung up", async () => {
    const { room, end } = await lobby({ defaults: { capabilities: { speak: "member" } } });
    const { client, connection } = end("member");
    client.close();
    await client.closed;
    room.setRole("member", "guest", system);
    expect(() => room.receive(connection, "late")).toThrow(refused("ERR_VEL_ROOM_FORBIDDEN"));
  });

  it("is checked in order: member, may speak, muted, slow mode", async () => {
    const { rooms, room, end } = await lobby({ defaults: { slowMode: 100, capabilities: { speak: "member" } } });
    const { connection } = end("guest");
    room.mute("guest", system);
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_FORBIDDEN");
    room.setRole("guest", "member", system);
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_MUTED");
    room.unmute("guest", system);
    expect(codeOf(() => room.receive(connection, 1))).toBeUndefined();
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_SLOW");
    room.mute("guest", system);
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_MUTED");
    rooms.leave("lobby", connection);
    expect(codeOf(() => room.receive(connection, 1))).toBe("ERR_VEL_ROOM_NOT_MEMBER");
  });

  it("waits in slow mode, whichever tab is used and however often one comes anew; moderators do not", async () => {
    const { clock, rooms, room, enter, end } = await lobby({ defaults: { slowMode: 1_000 } });
    const { connection } = end("guest");
    const tab = await enter("guest");
    void room.receive(connection, 1);
    await clock.advance(400);
    expect(() => room.receive(tab.connection, 2)).toThrow(refused("ERR_VEL_ROOM_SLOW", 600));
    for (const end of [connection, tab.connection]) rooms.leave("lobby", end);
    await rooms.join("lobby", connection, { userId: "guest" });
    await clock.advance(599);
    expect(() => room.receive(connection, 3)).toThrow(refused("ERR_VEL_ROOM_SLOW", 1));
    await clock.advance(1);
    void room.receive(connection, 4);
    for (const n of [5, 6]) void room.receive(end("moderator").connection, n);
    expect(room.log.filter((line) => line.startsWith("message"))).toEqual([
      "message guest 1",
      "message guest 4",
      "message moderator 5",
      "message moderator 6",
    ]);
    expect(clock.pending).toBe(0);
  });
});

describe("the tables of a room", () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `user-${String(i)}`);
  const full = refused("ERR_VEL_ROOM_LIMIT");

  it("hold 10,000 bans; ended ones go first, and nothing happens when there is no room", async () => {
    const { clock, room } = await lobby();
    names.forEach((name, i) => room.ban(name, { ...system, ...(i % 2 === 0 && { for: 1_000 }) }));
    expect(() => room.ban("guest", system)).toThrow(full);
    expect(room.users.has("guest")).toBe(true);
    room.ban("user-1", { ...system, for: 5 }); // one that is in can be changed
    await clock.advance(1_000);
    room.ban("guest", system);
    expect(room.users.has("guest")).toBe(false);
    expect(room.unban("user-0", system)).toBe(false);
    expect(room.unban("user-3", system)).toBe(true);
  });

  it("hold 10,000 mutes and 10,000 given roles", async () => {
    const { room } = await lobby();
    for (const name of names) room.mute(name, system);
    expect(() => room.mute("guest", system)).toThrow(full);
    expect(room.unmute("user-7", system)).toBe(true);
    room.mute("guest", system);
    for (const name of names) room.setRole(name, "moderator", system);
    expect(() => room.setRole("guest", "moderator", system)).toThrow(full);
    room.setRole("user-0", "guest", system);
  });

  it("hold 10,000 who wait in slow mode", async () => {
    const { clock, rooms, room, end } = await lobby({ defaults: { slowMode: 1_000 } });
    const { connection } = end("guest");
    for (const userId of names) {
      rooms.leave("lobby", connection);
      await rooms.join("lobby", connection, { userId });
      void room.receive(connection, 1);
    }
    rooms.leave("lobby", connection);
    await rooms.join("lobby", connection, { userId: "one more" });
    expect(() => room.receive(connection, 1)).toThrow(full);
    await clock.advance(1_000);
    expect(room.receive(connection, 1)).toBeUndefined();
  });

  it("are forgotten with the room", async () => {
    const { rooms, peer } = await lobby({ emptyTtl: 0 });
    const { connection } = await peer();
    const room = await rooms.join("attic", connection, { userId: "a" });
    room.mute("a", system);
    room.ban("a", system);
    await rooms.join("attic", connection, { userId: "a" });
    expect(rooms.get("attic")).not.toBe(room);
  });
});
