/**
 * More than a server can take, and more than it should: RFC 6455, section 10.4.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { frame, handshake, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import type { RawPair, Target } from "../trial.ts";
import { attack, end, failure, heldBytes, progress } from "./attack.ts";

const { continuation, text, binary, ping, pong } = opcodes;

const ascending = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));
const repeated = (count: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => bytes));

const canPause = [
  { pause: true },
  "pause: a handler that is behind ends the connection with 1008, where the socket cannot be stopped",
] as const;

/** Something to wait for. */
interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

function gate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/**
 * Writes the same chunk so many times, until all of it has been read, the server has ended the connection, or it does
 * not read any further.
 */
async function flood(
  target: Target,
  { client: { socket }, connection }: RawPair,
  chunk: Buffer,
  times: number,
): Promise<"read" | "ended" | "stuck"> {
  let count = 0;
  let before = -1;
  while (!connection.closeInfo) {
    const left = socket.writableLength;
    if (count < times && left <= 2 ** 20) {
      socket.write(chunk);
      count++;
    } else if (left === 0) {
      return "read";
    } else if (left === before) {
      return "stuck"; // since a good client got 50 answers
    } else {
      before = left;
      await progress(target);
    }
    await setImmediate();
  }
  return "ended";
}

/** What fragments are made of that cost their sender next to nothing. */
const crumbs = ["", "x"];

/** Cases about floods. */
export const floodAttacks: readonly ConformanceCase[] = [
  attack(
    "flood: 10.4: 50,000 frames of seven bytes in one write all arrive in order at an async hook",
    async (trial) => {
      const count = 50_000;
      const seen: number[] = [];
      const target = await trial.serve(
        (vel) => {
          vel.websocket("/ordered", {
            async message(_, message) {
              if (seen.length % 100 === 0) await setImmediate();
              else await Promise.resolve();
              seen.push(Number(message[0]));
            },
          });
        },
        { receiveBuffer: { limit: 1_024 } },
      );
      const { client, connection, info } = await target.rawPair("/ordered");
      client.write(...Array.from({ length: count }, (_, i) => frame(binary, Uint8Array.of(i % 251))));
      while (seen.length < count && connection.isOpen) await setImmediate();
      client.write(end);
      await info;
      assert(
        seen.every((value, i) => value === i % 251),
        "they came out of order",
      );
      assert.equal(connection.messagesReceived, count);
    },
    ...canPause,
  ),
  attack(
    "flood: 10.4: 5,000 messages of one write all arrive in order after a wait, though the buffer holds 16 of them",
    async (trial) => {
      const { opened, open } = gate();
      const seen: string[] = [];
      const target = await trial.serve(
        (vel) => {
          vel.websocket("/gated", async (request) => {
            const connection = await request.accept();
            await opened;
            for await (const message of connection.texts()) seen.push(message);
          });
        },
        { receiveBuffer: { limit: 1_024 } },
      );
      const { client, connection, info } = await target.rawPair("/gated");
      client.write(...ascending(5_000).map((message) => frame(text, message)));
      await progress(target);
      assert.deepEqual(seen, []);
      open();
      while (seen.length < 5_000 && connection.isOpen) await setImmediate();
      client.write(end);
      assert.equal((await info).code, 1005);
      assert.deepEqual(seen, ascending(5_000));
    },
    ...canPause,
  ),
  attack(
    "flood: 10.4: 20 MB that come while the open hook waits are not read meanwhile, and all taken later",
    async (trial) => {
      const { opened, open } = gate();
      const target = await trial.serve(
        (vel) => {
          vel.websocket("/waiting", { open: () => opened });
        },
        { receiveBuffer: { limit: 1_024 } },
      );
      const { client, connection, info } = await target.rawPair("/waiting");
      const chunk = frame(binary, Buffer.alloc(10_000));
      for (let i = 0; i < 2_000; i++) client.socket.write(chunk);
      await progress(target);
      assert(connection.bytesReceived < 2 ** 18, `${String(connection.bytesReceived)} bytes were taken`);
      assert(client.socket.writableLength > 0, "the socket is read on");
      open();
      client.write(end);
      await info;
      assert.equal(connection.messagesReceived, 2_000);
    },
    ...canPause,
  ),
  attack("flood: 10.4: 10,000 messages that are not waited for are answered in order", async (trial) => {
    const target = await trial.serve((vel) => {
      vel.websocket("/unordered", {
        serial: false,
        async message(connection, message) {
          await Promise.resolve();
          connection.send(message);
        },
      });
    });
    const client = await target.openRaw("/unordered");
    client.write(...ascending(10_000).map((message) => frame(text, message)));
    for (const message of ascending(10_000)) assert.equal(await client.next(), message);
  }),
  attack("flood: 10.4: 50,000 messages beside which a good client gets its answers", async (trial) => {
    const target = await trial.serve();
    const { client } = await target.rawPair("/echo");
    const good = await target.openRaw("/echo");
    const chunk = repeated(1_000, frame(text, ""));
    for (const message of ascending(50)) {
      client.write(chunk);
      good.send(message);
      assert.equal(await good.next(), message);
    }
    client.write(end);
    assert.equal((await client.ended).texts.length, 50_000);
  }),
  attack("flood: CVE row 6: 400,000 fragments of no byte or one take no memory", async (trial) => {
    const target = await trial.serve();
    for (const crumb of crumbs) {
      const pair = await target.rawPair("/echo");
      const before = process.memoryUsage();
      pair.client.write(frame(text, "", false));
      await flood(target, pair, repeated(10_000, frame(continuation, crumb, false)), 40);
      const after = process.memoryUsage();
      assert(after.rss - before.rss < 2 ** 26, `${String(after.rss - before.rss)} bytes more are resident`);
      assert(after.arrayBuffers - before.arrayBuffers < 2 ** 24);
      assert.equal(pair.connection.messagesReceived, 0);
      pair.client.drop();
    }
  }),
  attack("flood: CVE row 6: 400,000 fragments of no byte or one are cut off with 1008", async (trial) => {
    const target = await trial.serve();
    for (const crumb of crumbs) {
      const pair = await target.rawPair("/echo");
      pair.client.write(frame(text, "", false));
      await flood(target, pair, repeated(10_000, frame(continuation, crumb, false)), 40);
      pair.client.write(end);
      assert.deepEqual(await pair.info, failure(1008));
      assert.equal((await pair.client.ended).code, 1008);
    }
  }),
  attack("flood: CVE row 6: a message in chunks of one byte is one message", async (trial) => {
    const client = await (await trial.serve()).openRaw("/echo");
    const message = "é".repeat(1_000);
    for (const byte of frame(text, message)) {
      await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
      await setImmediate();
    }
    assert.equal(await client.next(), message);
  }),
  attack("flood: CVE row 7: pings whose pongs are never read are cut off, or read no further", async (trial) => {
    const target = await trial.serve();
    const pair = await target.rawPair("/echo");
    pair.client.pause();
    const before = heldBytes();
    const outcome = await flood(target, pair, repeated(1_000, frame(ping, "x".repeat(125))), 500);
    assert.notEqual(outcome, "read");
    assert(heldBytes() - before < 2 ** 24, `${String(heldBytes() - before)} bytes are held`);
    pair.client.drop();
    assert.equal((await pair.info).wasClean, false);
  }),
  attack("flood: CVE row 7: a few pings while a large message is on its way harm nobody", async (trial) => {
    const target = await trial.serve();
    const { client, connection } = await target.rawPair("/echo");
    client.pause(); // so that it is on its way for as long as it takes
    const large = new Uint8Array(2 ** 24);
    connection.send(large);
    client.write(repeated(10, frame(ping, "x")));
    await progress(target);
    client.resume();
    assert.equal((await client.next()).length, large.length);
    for (let i = 0; i < 10; i++) assert.equal(String(await client.pong()), "x");
  }),
  attack("flood: CVE row 7: pings of a client that reads are all answered, in order", async (trial) => {
    const client = await (await trial.serve()).openRaw("/echo");
    for (let round = 0; round < 50; round++) {
      const data = ascending(50).map((each) => `${String(round)}.${each}`);
      client.write(...data.map((each) => frame(ping, each)));
      for (const each of data) assert.equal(String(await client.pong()), each);
    }
  }),
  attack("flood: 10.4: 20,000 pongs that nobody asked for are passed over", async (trial) => {
    const { client } = await (await trial.serve()).rawPair("/echo");
    client.write(repeated(20_000, frame(pong, "x")), frame(text, "still here"), end);
    assert.deepEqual((await client.ended).texts, ["still here"]);
  }),
  attack(
    "flood: 10.4: a client that never reads its echoes is closed with 1013, and holds no more than the send buffer",
    async (trial) => {
      const target = await trial.serve();
      const { client, connection, info } = await target.rawPair("/echo");
      client.pause();
      let most = 0;
      target.vel.on("drop", () => {
        most = Math.max(most, connection.bufferedAmount ?? 0);
      });
      const chunk = frame(binary, Buffer.alloc(60_000));
      for (let count = 0; connection.isOpen && count < 2_000;) {
        if (client.socket.writableLength <= 2 ** 20) {
          client.socket.write(chunk);
          count++;
        }
        await setImmediate();
      }
      assert(most > 2 ** 20 && most < 2 ** 20 + 200_000, `${String(most)} bytes waited`);
      client.drop();
      const { code, by } = await info;
      assert.deepEqual([code, by], [1013, "local"]);
    },
    { buffered: true },
    "buffered: is undefined where the transport cannot tell",
  ),
  attack(
    "flood: 10.4: 200 connections that send nothing, half a request or a whole one keep nobody out",
    async (trial) => {
      const target = await trial.serve();
      const clients = await Promise.all(Array.from({ length: 200 }, () => target.dial()));
      for (const [i, client] of clients.entries()) {
        if (i % 3 === 1) client.write(handshake("/echo").slice(0, i));
        if (i % 3 === 2) client.write(handshake("/echo"));
      }
      await progress(target);
      for (const client of clients) client.reset();
    },
  ),
];
