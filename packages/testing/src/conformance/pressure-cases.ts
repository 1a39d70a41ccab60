/**
 * That a client which reads slowly costs no more than its limit, and that nothing is lost without being told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { SendStatus } from "@vel/core";
import type { ConformanceCase } from "./case.ts";

const limit = 2 ** 17;
const kilo = "x".repeat(1_000);
/** More than kernels take for a socket that is not read, and then some. */
const enough = 20_000;

/** Numbers a message of a kilobyte. */
const numbered = (i: number): string => `${String(i)} ${kilo}`;
const numberOf = (message: string | Uint8Array): number => Number.parseInt(String(message));

/** Cases about backpressure. */
export const pressureCases: readonly ConformanceCase[] = [
  {
    name: "pressure: close is the default: what is too much is dropped, told of, and ends the connection with 1013",
    needs: { buffered: true },
    otherwise: "buffered: is undefined where the transport cannot tell",
    async run(trial) {
      const drops: number[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/push", { sendBuffer: { limit } });
        vel.on("drop", (_, size) => drops.push(size));
      });
      const { client, connection, info } = await target.pair("/push");
      client.pause();
      const statuses: SendStatus[] = [];
      let most = 0;
      for (let i = 0; i < enough && connection.isOpen; i++) {
        statuses.push(connection.send(numbered(i)));
        most = Math.max(most, connection.bufferedAmount ?? 0);
        if (i % 20 === 0) await setImmediate();
      }
      assert.equal(statuses.pop(), "dropped");
      assert(!statuses.includes("dropped"), "something was dropped before the last");
      assert.equal(connection.messagesDropped, 1);
      assert.equal(drops.length, 1);
      assert(most < limit + 10_000, `${String(most)} bytes waited`);
      assert.equal(connection.isOpen, false);
      assert.equal(connection.send("late"), "closed");
      client.resume();
      // All that was taken arrives, in order, and then the close.
      for (let i = 0; i < statuses.length; i++) assert.equal(numberOf(await client.next()), i);
      assert.deepEqual(await client.closed, { code: 1013, reason: "send buffer full" });
      assert.deepEqual(await info.then(({ code, by }) => [code, by]), [1013, "local"]);
    },
  },
  {
    name: "pressure: drop keeps the connection, counts what is lost, and goes on when there is room",
    needs: { buffered: true },
    otherwise: "buffered: is undefined where the transport cannot tell",
    async run(trial) {
      let drained = 0;
      const target = await trial.serve((vel) => {
        vel.websocket("/push", { sendBuffer: { limit, onFull: "drop" }, drain: () => void drained++ });
      });
      const { client, connection } = await target.pair("/push");
      client.pause();
      const taken: number[] = [];
      let dropped = 0;
      for (let i = 0; dropped < 100; i++) {
        if (connection.send(numbered(i)) === "dropped") dropped++;
        else taken.push(i);
        if (i % 20 === 0) await setImmediate();
      }
      assert.equal(connection.messagesDropped, dropped);
      assert.equal(connection.isOpen, true);
      const isDrained = connection.drained();
      client.resume();
      for (const i of taken) assert.equal(numberOf(await client.next()), i);
      await isDrained;
      assert.equal(drained, 1);
      assert((connection.bufferedAmount ?? 0) < limit / 2);
      assert.notEqual(connection.send("again"), "dropped");
      assert.equal(await client.next(), "again");
    },
  },
  {
    name: "pressure: a slow client harms nobody else",
    needs: { buffered: true },
    otherwise: "buffered: is undefined where the transport cannot tell",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/push", { sendBuffer: { limit } });
      });
      const slow = await target.pair("/push");
      const good = await target.pair("/push");
      slow.client.pause();
      for (let i = 0; i < enough && slow.connection.isOpen; i++) {
        slow.connection.send(numbered(i));
        good.connection.send(String(i));
        assert.equal(await good.client.next(), String(i));
      }
      assert.equal(slow.connection.isOpen, false);
      assert.equal(good.connection.messagesDropped, 0);
      slow.client.drop();
    },
  },
  {
    name: "pressure: drained() paces a sender, and nothing is dropped",
    needs: { buffered: true },
    otherwise: "buffered: is undefined where the transport cannot tell",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/paced", {
          sendBuffer: { limit },
          async message(connection) {
            for (let i = 0; i < 5_000; i++) {
              connection.send(numbered(i));
              if ((connection.bufferedAmount ?? 0) > limit / 2) await connection.drained();
            }
          },
        });
      });
      const { client, connection } = await target.pair("/paced");
      client.send("go");
      for (let i = 0; i < 5_000; i++) {
        assert.equal(numberOf(await client.next()), i);
        if (i % 1_000 === 0) {
          client.pause();
          for (let turn = 0; turn < 20; turn++) await setImmediate();
          client.resume();
        }
      }
      assert.equal(connection.messagesDropped, 0);
    },
  },
  {
    name: "pressure: drained() resolves at once where nothing waits, and when the connection ends",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/push", { sendBuffer: { limit, onFull: "drop" } });
      });
      const { client, connection, info } = await target.pair("/push");
      await connection.drained();
      client.pause();
      for (let i = 0; i < enough && connection.send(numbered(i)) !== "dropped"; i++)
        if (i % 20 === 0) await setImmediate();
      const isDrained = connection.drained();
      client.drop();
      connection.terminate();
      await isDrained;
      await info;
      await connection.drained();
    },
  },
];
