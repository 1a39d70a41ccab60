/**
 * That a server survives what happens to it, goes away cleanly, and leaves nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../manual-clock.ts";
import { frame, handshake, opcodes } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";
import { RawClient } from "./raw-client.ts";

/** Whole numbers below a limit that are the same in every run (Lehmer's generator). */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}

/** Cases about a server's life. */
export const lifeCases: readonly ConformanceCase[] = [
  {
    name: "life: the server's end closes every connection, and waits for handlers",
    async run(trial) {
      let settled = 0;
      const target = await trial.serve((vel) => {
        vel.websocket("/pull", async (request) => {
          const connection = await request.accept();
          for await (const text of connection.texts()) connection.send(text);
          for (let turn = 0; turn < 10; turn++) await setImmediate();
          settled++;
        });
      });
      const clients = [];
      for (let i = 0; i < 50; i++) clients.push(await target.open(i % 2 ? "/pull" : "/echo"));
      await target.vel.close({ code: 1012, reason: "restart" });
      assert.equal(settled, 25);
      assert.equal(target.vel.connections.size, 0);
      for (const client of clients) assert.deepEqual(await client.closed, { code: 1012, reason: "restart" });
      assert.equal((await target.refused("/echo")).status, 503);
    },
  },
  {
    name: "life: a client that does not answer does not keep the server",
    async run(trial) {
      const clock = new ManualClock();
      const target = await trial.serve(() => undefined, { clock, closeTimeout: 3_000 });
      const { client, info } = await target.pair("/echo");
      client.silence();
      const closed = target.vel.close();
      await clock.advance(3_000);
      await closed;
      assert.deepEqual(await info, { code: 1001, reason: "", wasClean: false, by: "local" });
      client.drop();
    },
  },
  {
    name: "life: requests that are being decided on when the server ends are refused with 503",
    async run(trial) {
      let asked: () => void = () => undefined;
      const isAsked = new Promise<void>((resolve) => (asked = resolve));
      const target = await trial.serve((vel) => {
        vel.websocket("/never", {
          upgrade() {
            asked();
            return new Promise<never>(() => undefined);
          },
        });
      });
      const refused = target.refused("/never");
      await isAsked;
      const closed = target.vel.close();
      assert.equal((await refused).status, 503);
      await closed;
    },
  },
  {
    name: "life: nothing can be sent when it is over, and nothing throws",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/quiet", async (request) => {
          const connection = await request.accept();
          await new Promise((resolve) => connection.onClose(resolve));
        });
      });
      const { client, connection, info } = await target.pair("/quiet");
      client.close(1000);
      await info;
      assert.equal(connection.send("late"), "closed");
      assert.equal(connection.sendJson({}), "closed");
      connection.close();
      connection.terminate();
      if (trial.capabilities.ping) connection.ping();
      await connection.drained();
      await assert.rejects(connection.receiveText(), { code: "ERR_VEL_DISCONNECTED" });
      for await (const _ of connection.texts()) assert.fail("a message after the end");
    },
  },
  {
    name: "life: 300 resets at random moments throw nothing and leave nothing",
    needs: { sockets: true },
    otherwise: "close: a client that drops is 1006",
    async run(trial) {
      const random = randomNumbers(8);
      const target = await trial.serve((vel) => {
        vel.websocket("/thinking", {
          async upgrade() {
            for (let turn = 0; turn < 5; turn++) await setImmediate();
            return {};
          },
          message: (connection, message) => connection.send(message),
        });
        vel.websocket("/leaving", { open: (connection) => connection.close(4000) });
      });
      const frames = [
        frame(opcodes.text, "a", false),
        frame(opcodes.ping, "b"),
        frame(opcodes.continuation, "c"),
        frame(opcodes.binary, Buffer.alloc(3_000)),
        frame(opcodes.close),
      ];
      const attack = async (): Promise<void> => {
        const path = ["/echo", "/thinking", "/leaving", "/nowhere"][random(4)] ?? "";
        const bytes = Buffer.concat([Buffer.from(handshake(path)), ...frames]);
        const client = await target.dial();
        const rest = bytes.subarray(0, random(bytes.byteLength + 1));
        await new Promise((resolve) => client.socket.write(rest, resolve));
        for (let turns = random(5); turns > 0; turns--) await setImmediate();
        client.reset();
      };
      for (let i = 0; i < 300; i += 20) await Promise.all(Array.from({ length: 20 }, attack));
      await target.everyoneLeft();
    },
  },
  {
    name: "life: garbage instead of a request harms nobody",
    needs: { sockets: true },
    otherwise: "memory: messages pass without bytes",
    async run(trial) {
      const random = randomNumbers(9);
      const target = await trial.serve();
      const proper = Buffer.from(handshake("/echo"));
      const garbage: readonly Uint8Array[] = [
        Buffer.alloc(1_000, 0),
        Buffer.alloc(1_000, 255),
        Buffer.from("\r\n".repeat(500)),
        Buffer.from("GET /echo\r\n\r\n"),
        Buffer.from("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "latin1"), // TLS
        frame(opcodes.text, "no request came before"),
        ...Array.from({ length: 50 }, () => Uint8Array.from({ length: 200 }, () => random(256))),
        ...Array.from({ length: 100 }, () => {
          const mutated = Buffer.from(proper);
          for (let i = 0; i < 3; i++) mutated[random(mutated.byteLength)] = random(256);
          return mutated;
        }),
      ];
      for (const bytes of garbage) {
        const client = await RawClient.dial(target.port);
        client.write(bytes);
        // Some of it is a request after all, or the beginning of one, which the server waits for.
        const answered = Promise.race([client.answer().catch(() => undefined), client.ended]);
        client.socket.end();
        await Promise.race([answered, turns(50)]);
        client.drop();
      }
      await target.everyoneLeft();
    },
  },
  {
    name: "life: a server that has ended can be followed by another",
    async run(trial) {
      for (let i = 0; i < 5; i++) {
        const target = await trial.serve();
        const client = await target.open("/echo");
        client.send(String(i));
        assert.equal(await client.next(), String(i));
        await target.end();
      }
    },
  },
];

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate();
}
