/** What a manager counts, for whoever collects it. */
import type { Measurable } from "@vel/core";
import { ManualClock } from "@vel/testing";
import { Room, RoomManager } from "@vel/rooms";
import { expect, it } from "vitest";
import { peers } from "./kit.ts";

class Door extends Room {
  isShut = this.name === "shut";
  override canJoin(): boolean {
    return !this.isShut;
  }
  override onJoin(): void {
    if (this.name === "broken") throw new Error("no");
  }
}

/** The readings as `name{label}: value`. */
function read(rooms: Measurable): Record<string, unknown> {
  const entries = [...rooms.measure()].map(({ name, value, labels }) => [
    [name, ...Object.values(labels ?? {})].join(" "),
    value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

it("RoomManager.measure() counts rooms, who is in, joins, and leaves by reason", async () => {
  const clock = new ManualClock();
  const { vel, peer } = peers({ clock });
  const rooms = new RoomManager({ room: Door, clock });
  const none = { vel_rooms: 0, vel_room_users: 0, vel_room_connections: 0, vel_room_joins_total: 0 };
  const stayed = { left: 0, disconnected: 0, kicked: 0, banned: 0, forbidden: 0, closed: 0 };
  const leaves = (changed: Partial<typeof stayed>): Record<string, number> =>
    Object.fromEntries(
      Object.entries({ ...stayed, ...changed }).map(([reason, count]) => [`vel_room_leaves_total ${reason}`, count]),
    );
  expect(read(rooms)).toEqual({ ...none, ...leaves({}) });

  const all = [];
  for (let index = 0; index < 6; index++) all.push(await peer());
  const [ada, tab, bob, eve, mallory, last] = all.map(({ connection }) => connection);
  await rooms.join("one", ada!, { userId: "ada" });
  await rooms.join("one", tab!, { userId: "ada" });
  await rooms.join("two", ada!, { userId: "ada" });
  for (const [connection, userId] of [
    [bob, "bob"],
    [eve, "eve"],
    [mallory, "mallory"],
    [last, "last"],
  ] as const) {
    await rooms.join("one", connection!, { userId });
  }
  // Who is not let in has neither joined nor left.
  await expect(rooms.join("shut", bob!)).rejects.toThrow();
  await expect(rooms.join("broken", bob!)).rejects.toThrow("no");
  const full = { vel_rooms: 2, vel_room_users: 6, vel_room_connections: 7, vel_room_joins_total: 7 };
  expect(read(rooms)).toEqual({ ...full, ...leaves({}) });

  rooms.leave("one", tab!);
  rooms.leave("one", tab!);
  all[2]!.client.close();
  rooms.get("one")?.kick("eve", { by: "system" });
  rooms.get("one")?.ban("mallory", { by: "system" });
  rooms.getOrCreate("two").isShut = true;
  await ada!.renew({});
  await clock.advance(0);
  const left = { ...full, vel_room_users: 2, vel_room_connections: 2 };
  const gone = { left: 1, disconnected: 1, kicked: 1, banned: 1, forbidden: 1 };
  expect(read(rooms)).toEqual({ ...left, ...leaves(gone) });

  await rooms.close();
  expect(read(rooms)).toEqual({ ...none, vel_room_joins_total: 7, ...leaves({ ...gone, closed: 2 }) });
  await Promise.all([vel.close(), clock.advance(60_000)]);
  expect(vel.connections.size).toBe(0);
  expect(clock.pending).toBe(0);
});

it("RoomManager.measure() does not count rooms that have been empty for too long", async () => {
  const clock = new ManualClock();
  const rooms = new RoomManager({ clock, emptyTtl: 1_000 });
  rooms.getOrCreate("waiting");
  expect(read(rooms)["vel_rooms"]).toBe(1);
  await clock.advance(60_001);
  expect(read(rooms)["vel_rooms"]).toBe(0);
});
