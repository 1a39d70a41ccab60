/**
 * That every connection ends once, and both sides learn how.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { CloseInfo } from "@vel/core";
import { ManualClock } from "../manual-clock.ts";
import { closePayload, frame, opcodes } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";

/** What a close may say (RFC 6455, section 7.4): the code and the reason. */
const closes: readonly (readonly [code?: number, reason?: string])[] = [
  [],
  [1000],
  [1001, "going"],
  [1008, "policy"],
  [1011, ""],
  [3000, "r".repeat(123)],
  [4000, "Grüße 👋"],
  [4999, "last"],
];

/** Cases about the end of connections. */
export const closeCases: readonly ConformanceCase[] = [
  {
    name: "close: the client's code and reason reach the server, and are answered",
    async run(trial) {
      const target = await trial.serve();
      for (const [code, reason] of closes) {
        const { client, info } = await target.pair("/echo");
        client.close(code, reason);
        const said = { code: code ?? 1005, reason: reason ?? "" };
        assert.deepEqual(await info, { ...said, wasClean: true, by: "remote" });
        assert.equal((await client.closed).code, said.code);
      }
    },
  },
  {
    name: "close: the server's code and reason reach the client",
    async run(trial) {
      const target = await trial.serve();
      for (const [code, reason] of closes) {
        const { client, connection, info } = await target.pair("/echo");
        connection.close(code, reason);
        const said = { code: code ?? 1000, reason: reason ?? "" };
        assert.equal(connection.isOpen, false);
        assert.deepEqual(await client.closed, said);
        assert.deepEqual(await info, { ...said, wasClean: true, by: "local" });
      }
    },
  },
  {
    name: "close: a reason that is too long is cut at a character",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.pair("/echo");
      connection.close(4000, "ü".repeat(100));
      assert.deepEqual(await client.closed, { code: 4000, reason: "ü".repeat(61) });
    },
  },
  {
    name: "close: codes that may not be sent are refused before anything happens",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.pair("/echo");
      for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_536, 1000.5, NaN]) {
        assert.throws(() => {
          connection.close(code);
        }, RangeError);
      }
      client.send("still open");
      assert.equal(await client.next(), "still open");
    },
  },
  {
    name: "close: is told of once, to every listener, whoever closes and how often",
    async run(trial) {
      const told: string[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/watched", {
          open(connection) {
            connection.onClosing(() => told.push("closing"));
            connection.onClose(({ code }) => told.push(`close ${String(code)}`));
          },
          close: (_, { code }) => void told.push(`hook ${String(code)}`),
        });
        vel.on("close", (_, { code }) => told.push(`event ${String(code)}`));
      });
      const ends: readonly ((pair: Awaited<ReturnType<typeof target.pair>>) => void)[] = [
        ({ connection }) => {
          connection.close(4001);
          connection.close(4002);
          connection.terminate();
          connection.terminate();
        },
        ({ client, connection }) => {
          client.close(4001);
          connection.close(4001);
          connection.close(4002);
        },
        ({ client, connection }) => {
          client.drop();
          connection.close(4001);
        },
        ({ client }) => {
          client.close(4001);
        },
      ];
      for (const end of ends) {
        const pair = await target.pair("/watched");
        end(pair);
        const { code } = await pair.info;
        for (let turn = 0; turn < 20; turn++) await setImmediate();
        assert.deepEqual(told.splice(0).sort(), [
          `close ${String(code)}`,
          "closing",
          `event ${String(code)}`,
          `hook ${String(code)}`,
        ]);
        pair.client.drop();
      }
    },
  },
  {
    name: "close: listeners run after close() has returned, and late ones at once",
    async run(trial) {
      const target = await trial.serve();
      const { connection, info } = await target.pair("/echo");
      let isReturned = false;
      const seen = new Promise<boolean>((resolve) => {
        connection.onClose(() => {
          resolve(isReturned);
        });
      });
      connection.close(4000);
      isReturned = true;
      assert.equal(await seen, true);
      const late: CloseInfo[] = [];
      connection.onClose((info) => late.push(info));
      connection.onClosing(() => late.push({ ...connection.closeInfo } as CloseInfo));
      assert.deepEqual(late, [await info, await info]);
      assert.equal(connection.signal.aborted, true);
    },
  },
  {
    name: "close: a client that drops is 1006",
    async run(trial) {
      const target = await trial.serve();
      const { client, info } = await target.pair("/echo");
      client.drop();
      assert.deepEqual(await info, { code: 1006, reason: "", wasClean: false, by: "remote" });
    },
  },
  {
    name: "close: a reset is 1006 and no error, and so is an end within a frame",
    needs: { sockets: true },
    otherwise: "close: a client that drops is 1006",
    async run(trial) {
      const target = await trial.serve();
      for (const rest of [frame(opcodes.text, "").subarray(0, 0), frame(opcodes.text, "half").subarray(0, 7)]) {
        for (const how of ["reset", "drop"] as const) {
          const { client, info } = await target.rawPair("/echo");
          await new Promise((resolve) => client.socket.write(rest, resolve));
          client[how]();
          assert.deepEqual(await info, { code: 1006, reason: "", wasClean: false, by: "remote" });
        }
      }
    },
  },
  {
    name: "close: codes that only stand for something are never echoed",
    needs: { sockets: true },
    otherwise: "close: the client's code and reason reach the server, and are answered",
    async run(trial) {
      const target = await trial.serve();
      const { client, info } = await target.rawPair("/echo");
      client.write(frame(opcodes.close));
      const { frames } = await client.ended;
      assert.deepEqual(
        frames.map(({ opcode, payload }) => [opcode, payload.byteLength]),
        [[opcodes.close, 0]],
      );
      assert.equal((await info).code, 1005);
    },
  },
  {
    name: "close: the server ends the TCP connection, and does not wait for the client to do so",
    needs: { sockets: true },
    otherwise: "close: the client's code and reason reach the server, and are answered",
    async run(trial) {
      const target = await trial.serve();
      const first = await target.rawPair("/echo");
      first.client.write(frame(opcodes.close, closePayload(1000)));
      assert.equal((await first.client.ended).code, 1000);
      const second = await target.rawPair("/echo");
      second.connection.close(4000);
      await second.client.frame(0);
      second.client.write(frame(opcodes.close, closePayload(4000)));
      assert.equal((await second.client.ended).code, 4000);
    },
  },
  {
    name: "close: a client that is still sending learns the code",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/enough", { message: (connection) => connection.close(4000, "enough") });
      });
      const { client, connection } = await target.pair("/enough");
      for (let i = 0; i < 100; i++) client.send("x".repeat(500));
      assert.deepEqual(await client.closed, { code: 4000, reason: "enough" });
      assert(connection.messagesReceived <= 100);
    },
  },
  {
    name: "close: a client that does not answer is forgotten when the time is up",
    async run(trial) {
      const clock = new ManualClock();
      const target = await trial.serve(() => undefined, { clock, closeTimeout: 3_000 });
      const { client, connection, info } = await target.pair("/echo");
      client.silence();
      connection.close(4000, "go");
      assert.equal(connection.isOpen, false);
      await clock.advance(2_999);
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      assert.equal(connection.closeInfo, undefined);
      await clock.advance(1);
      assert.deepEqual(await info, { code: 4000, reason: "go", wasClean: false, by: "local" });
      assert.equal(target.vel.connections.size, 0);
      client.drop();
    },
  },
  {
    name: "close: what comes after it reaches no handler",
    async run(trial) {
      const seen: unknown[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/enough", {
          message(connection, message) {
            seen.push(message);
            connection.close(4000);
          },
        });
      });
      const { client, info } = await target.pair("/enough");
      for (const text of ["1", "2", "3"]) client.send(text);
      await info;
      assert.deepEqual(seen, ["1"]);
    },
  },
];
