/**
 * What a room keeps and sends again, against a list.
 *
 * Beside each property stands a fault that it finds: a change of the sources with which it fails.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "@vel/core";
import { Room, RoomManager, type HistoryFill, type Join, type MessagePlace, type RoomUser } from "@vel/rooms";
import { settle } from "@vel/testing";
import { peers, type Peer } from "./kit.ts";

const numRuns = 1_000;
const { peer } = peers();

const said = fc.array(fc.record({ text: fc.string(), record: fc.boolean() }), { maxLength: 20 });
const limit = fc.integer({ min: 1, max: 8 });

let visitor: Peer | undefined;
/** One connection for all runs, and how many messages it has been sent since it was asked for. */
async function guest() {
  visitor ??= await peer();
  const { client, connection } = visitor;
  const before = connection.messagesSent;
  return { client, connection, sent: () => connection.messagesSent - before };
}

class MissRoom extends Room {
  missed: HistoryFill<Message> | undefined;
  override onJoin(_user: RoomUser, { missed }: Join): void {
    this.missed = missed;
  }
}

describe("the history of a room", () => {
  // Fails when Membership's #catchUp() replays in place of what it cannot fill: with `missed?.complete ?` for `missed ?`.
  it("fills are all or nothing: everything after the position is sent and told, or nothing is", async () => {
    await fc.assert(
      fc.asyncProperty(
        limit,
        said,
        fc.integer({ min: -2, max: 22 }),
        fc.boolean(),
        async (limit, messages, seq, isOurs) => {
          const rooms = new RoomManager({ room: MissRoom, defaults: { history: { limit, replay: 3 } } });
          const room = rooms.getOrCreate("lobby");
          for (const { text, record } of messages) room.broadcast({ text }, { record });
          const kept = messages.filter(({ record }) => record).map(({ text }, i) => ({ seq: i + 1, entry: { text } }));
          const isKnown = isOurs && seq >= Math.max(0, kept.length - limit) && seq <= kept.length;
          const { connection, sent } = await guest();
          const epoch = isOurs ? room.history!.epoch : "another";
          await rooms.join("lobby", connection, { since: { epoch, seq } });
          const entries = isKnown ? kept.slice(seq) : [];
          expect(room.missed).toEqual({ entries, complete: isKnown });
          expect(sent()).toBe(entries.length);
          await rooms.close();
        },
      ),
      { numRuns },
    );
  }, 60_000);

  // Fails when Membership.broadcast() keeps what is not to be kept: without `isKept ?`.
  it("replays the last messages that were kept, in their order, and nothing else", async () => {
    await guest().then(settle); // what other properties have sent is there now
    await fc.assert(
      fc.asyncProperty(limit, fc.nat(9), said, async (limit, replay, messages) => {
        const rooms = new RoomManager({ defaults: { history: { limit, replay } } });
        const room = rooms.getOrCreate("lobby");
        for (const { text, record } of messages) room.broadcast(text, { record });
        const { client, connection } = await guest();
        (client.received as unknown[]).length = 0;
        await rooms.join("lobby", connection);
        await settle();
        const kept = messages.filter(({ record }) => record).map(({ text }) => text);
        const count = Math.min(limit, replay, kept.length);
        expect((client.received as unknown[]).splice(0)).toEqual(count === 0 ? [] : kept.slice(-count));
        await rooms.close();
      }),
      { numRuns },
    );
  }, 60_000);

  // Fails when the frame is told the number before: with `history.seq` in place of `history.seq + 1` in broadcast().
  it("frames each broadcast once, whoever is in, with numbers that have no gap", async () => {
    await fc.assert(
      fc.asyncProperty(limit, said, fc.nat(3), async (limit, messages, members) => {
        const places: [unknown, MessagePlace][] = [];
        const rooms = new RoomManager({
          defaults: { history: { limit } },
          frame: (message, place) => {
            places.push([message, place]);
            return "framed";
          },
        });
        const room = rooms.getOrCreate("lobby");
        const { connection, sent } = await guest();
        if (members > 0) await rooms.join("lobby", connection);
        let seq = 0;
        const expected = messages.map(({ text, record }): [string, MessagePlace] => [
          text,
          {
            room: "lobby",
            seq: record ? ++seq : undefined,
            epoch: record ? room.history!.epoch : undefined,
          },
        ]);
        for (const { text, record } of messages) room.broadcast(text, { record });
        expect(places).toEqual(expected);
        expect(sent()).toBe(members > 0 ? messages.length : 0);
        expect(room.history?.last().map(({ entry }) => entry)).toEqual(
          messages
            .filter(({ record }) => record)
            .map(({ text }) => text)
            .slice(-limit),
        );
        await rooms.close();
      }),
      { numRuns },
    );
  }, 60_000);
});
