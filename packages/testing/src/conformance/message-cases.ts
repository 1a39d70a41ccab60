/**
 * That messages arrive as they were sent, in order, and whole.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { Audience, type Connection } from "@vel/core";
import { frame, opcodes } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";

const ascending = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Cases about messages. */
export const messageCases: readonly ConformanceCase[] = [
  {
    name: "message: text and bytes of every size come back as they were",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.open("/echo");
      const texts = ["hello", "", "Grüße 👋 \0 \u{10ffff}", "\u{feff}with a mark", "x".repeat(125), "x".repeat(126)];
      const sizes = [0, 1, 125, 126, 65_535, 65_536, 200_000];
      const messages = [
        ...texts,
        ...sizes.map((size) => "é".repeat(size / 2)),
        ...sizes.map((size) => Uint8Array.from({ length: size }, (_, i) => i * 7)),
      ];
      for (const message of messages) client.send(message);
      for (const message of messages) {
        const got = await client.next();
        if (typeof message === "string") assert.equal(got, message);
        else assert.deepEqual(Buffer.from(got as Uint8Array), Buffer.from(message));
      }
    },
  },
  {
    name: "message: the largest that is allowed is let in, one byte more closes with 1009",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/small", { maxPayload: 1_000, message: (connection, message) => connection.send(message) });
        vel.websocket("/medium", { maxPayload: 100_000, message: (connection, message) => connection.send(message) });
      });
      for (const [path, limit] of [
        ["/small", 1_000],
        ["/medium", 100_000],
      ] as const) {
        const { client, info } = await target.pair(path);
        const largest = "x".repeat(limit);
        client.send(largest);
        assert.equal(await client.next(), largest);
        client.send(new Uint8Array(limit + 1));
        assert.equal((await client.closed).code, 1009, path);
        assert.equal((await info).code, 1009, path);
      }
    },
  },
  {
    name: "message: who sends one that is far too large learns it from the close code",
    needs: { freeMaxPayload: true },
    otherwise: "message: a limit of the transport's own is what it declares, and is not below core's default",
    async run(trial) {
      const target = await trial.serve();
      const { client, info } = await target.pair("/echo");
      client.send(new Uint8Array(2 ** 22));
      assert.equal((await info).code, 1009);
      assert.equal((await client.closed).code, 1009);
    },
  },
  {
    name: "message: the limit holds for the sum of fragments",
    needs: { sockets: true },
    otherwise: "message: the largest that is allowed is let in, one byte more closes with 1009",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/small", { maxPayload: 1_000, message: (connection, message) => connection.send(message) });
      });
      const opened = target.opened();
      const client = await target.openRaw("/small");
      const { info } = await opened;
      const part = "x".repeat(500);
      client.write(frame(opcodes.text, part, false), frame(opcodes.continuation, part));
      assert.equal(await client.next(), part + part);
      client.write(frame(opcodes.text, part, false), frame(opcodes.continuation, part, false));
      client.write(frame(opcodes.continuation, "x"));
      assert.equal((await client.ended).code, 1009);
      assert.equal((await info).code, 1009);
    },
  },
  {
    name: "message: a limit of the transport's own is what it declares, and is not below core's default",
    needs: { freeMaxPayload: false },
    otherwise: "message: the largest that is allowed is let in, one byte more closes with 1009",
    run({ capabilities }) {
      assert((capabilities.maxPayload ?? 0) >= 2 ** 20);
      return Promise.resolve();
    },
  },
  {
    name: "message: fragments are joined, with pings answered between them",
    needs: { sockets: true },
    otherwise: "message: text and bytes of every size come back as they were",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.openRaw("/echo");
      client.write(
        frame(opcodes.text, "Gr", false),
        frame(opcodes.ping, "between"),
        frame(opcodes.continuation, Buffer.from([0xc3]), false),
        frame(opcodes.continuation, Buffer.from([0xbc, 0xc3]), false),
        frame(opcodes.continuation, "", false),
        frame(opcodes.continuation, Buffer.from([0x9f])),
        frame(opcodes.binary, "", false),
        frame(opcodes.continuation, Buffer.from([1, 2])),
      );
      assert.equal(await client.next(), "Grüß");
      assert.deepEqual(await client.next(), new Uint8Array([1, 2]));
      assert.equal(Buffer.from(await client.pong()).toString(), "between");
    },
  },
  {
    name: "message: frames that arrive byte by byte are whole messages",
    needs: { sockets: true },
    otherwise: "message: text and bytes of every size come back as they were",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.openRaw("/echo");
      for (const byte of Buffer.concat([frame(opcodes.text, "slowly"), frame(opcodes.binary, "x".repeat(126))])) {
        await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
      }
      assert.equal(await client.next(), "slowly");
      assert.equal((await client.next()).length, 126);
    },
  },
  {
    name: "message: 5,000 in one write come in order, and their answers too",
    needs: { sockets: true },
    otherwise: "message: what one turn sends arrives in order, whoever sends it",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.openRaw("/echo");
      client.write(...ascending(5_000).map((text) => frame(opcodes.text, text)));
      for (const text of ascending(5_000)) assert.equal(await client.next(), text);
    },
  },
  {
    name: "message: what one turn sends arrives in order, whoever sends it",
    async run(trial) {
      const target = await trial.serve();
      const room = new Audience();
      const pairs = [await target.pair("/echo"), await target.pair("/echo"), await target.pair("/echo")];
      for (const { connection } of pairs) room.add(connection);
      const [first] = pairs;
      for (let i = 0; i < 300; i += 3) {
        first?.connection.send(String(i));
        room.broadcast(String(i + 1));
        if (i % 30 === 0 && trial.capabilities.ping) first?.connection.ping();
        first?.connection.send(new TextEncoder().encode(String(i + 2)));
      }
      first?.connection.close(4000, "done");
      for (const text of ascending(300)) assert.equal(String(Buffer.from((await first?.client.next()) ?? "")), text);
      assert.deepEqual(await first?.client.closed, { code: 4000, reason: "done" });
      for (const { client } of pairs.slice(1)) {
        for (let i = 1; i < 300; i += 3) assert.equal(await client.next(), String(i));
      }
    },
  },
  {
    name: "message: all that was sent before a close arrives, and nothing after it",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/bye", {
          open(connection) {
            for (const text of ascending(1_000)) connection.send(text);
            connection.close(4001, "bye");
            assert.equal(connection.send("late"), "closed");
          },
        });
      });
      const client = await target.open("/bye");
      for (const text of ascending(1_000)) assert.equal(await client.next(), text);
      assert.deepEqual(await client.closed, { code: 4001, reason: "bye" });
      assert.deepEqual(client.received, []);
    },
  },
  {
    name: "message: the answer to the last one arrives before the answer to the close",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.open("/echo");
      for (const text of ascending(100)) client.send(text);
      client.close(1000);
      for (const text of ascending(100)) assert.equal(await client.next(), text);
      assert.equal((await client.closed).code, 1000);
    },
  },
  ...[0, 5].map((turns): ConformanceCase => ({
    name: `message: those that come with the request wait for ${turns > 0 ? "a guard that thinks" : "the handler"}`,
    needs: { sockets: true },
    otherwise: "message: those that come while the open hook runs wait for it",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/later", {
          async upgrade() {
            for (let turn = 0; turn < turns; turn++) await setImmediate();
            return {};
          },
          message: (connection, message) => connection.send(message),
        });
      });
      const early = Buffer.concat(ascending(200).map((text) => frame(opcodes.text, text)));
      const client = await target.openRaw("/later", { early });
      for (const text of ascending(200)) assert.equal(await client.next(), text);
    },
  })),
  {
    name: "message: those that come while the open hook runs wait for it",
    async run(trial) {
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      const target = await trial.serve((vel) => {
        vel.websocket("/later", {
          async open(connection) {
            await released;
            connection.send("ready");
          },
          message: (connection, message) => connection.send(message),
        });
      });
      const { client, connection } = await target.pair("/later");
      for (const text of ascending(200)) client.send(text);
      while (connection.messagesReceived < 200) await setImmediate();
      release();
      for (const text of ["ready", ...ascending(200)]) assert.equal(await client.next(), text);
    },
  },
  {
    name: "message: bytes are the receiver's own, and those that are sent stay the sender's",
    async run(trial) {
      const received: Uint8Array[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/mine", {
          message(connection, message) {
            assert(message instanceof Uint8Array);
            assert.equal(Object.getPrototypeOf(message), Uint8Array.prototype);
            received.push(message);
            const around = new Uint8Array(message.byteLength + 20).fill(255);
            around.set(message, 10);
            connection.send(around.subarray(10, 10 + message.byteLength));
            around.fill(0);
          },
        });
      });
      const client = await target.open("/mine");
      const sizes = [1, 100, 1_000, 70_000];
      for (const [i, size] of sizes.entries()) client.send(new Uint8Array(size).fill(i + 1));
      for (const [i, size] of sizes.entries()) {
        assert.deepEqual(Buffer.from((await client.next()) as Uint8Array), Buffer.alloc(size, i + 1));
      }
      for (const [i, bytes] of received.entries()) {
        assert(
          bytes.every((byte) => byte === i + 1),
          "another message changed this one",
        );
        bytes.fill(0);
      }
    },
  },
  {
    name: "message: a lone surrogate leaves as U+FFFD",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.pair("/echo");
      connection.send("a\ud800b");
      connection.send("\udc00".repeat(3));
      assert.equal(await client.next(), "a\ufffdb");
      assert.equal(await client.next(), "\ufffd\ufffd\ufffd");
    },
  },
  {
    name: "message: a broadcast reaches all, but for those who are excepted or have left",
    async run(trial) {
      const target = await trial.serve();
      const room = new Audience();
      const pairs: Pair[] = [];
      for (let i = 0; i < 20; i++) {
        const pair = await target.pair("/echo");
        room.add(pair.connection);
        pairs.push(pair);
      }
      const [first, second, ...others] = pairs as [Pair, Pair, ...Pair[]];
      first.client.drop();
      await first.info;
      room.broadcast({ hello: "all" }, { except: second.connection });
      room.broadcast("next");
      for (const { client } of others) {
        assert.equal(await client.next(), '{"hello":"all"}');
        assert.equal(await client.next(), "next");
      }
      assert.equal(await second.client.next(), "next");
      assert.equal(room.size, 19);
    },
  },
  {
    name: "inspect: what is swallowed reaches nobody and counts, and the rest is in order",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.use({ inspect: (_, payload, size) => size === Buffer.byteLength(payload) && payload !== "swallow" });
      });
      const { client, connection } = await target.pair("/echo");
      const bytes = Uint8Array.of(1, 2, 3);
      for (const message of ["é", "swallow", bytes, "swallow", "last"]) client.send(message);
      assert.equal(await client.next(), "é");
      assert.deepEqual(new Uint8Array((await client.next()) as Uint8Array), bytes);
      assert.equal(await client.next(), "last");
      assert.equal(connection.messagesReceived, 5);
      client.ping(Uint8Array.of(9));
      assert.deepEqual(new Uint8Array(await client.pong()), Uint8Array.of(9));
    },
  },
  {
    name: "inspect: a close is what the client sees, and what came with the message reaches nobody",
    async run(trial) {
      const asked: string[] = [];
      const target = await trial.serve((vel) => {
        vel.use({
          inspect(connection, payload) {
            asked.push(String(payload));
            if (payload === "flood") connection.close(4429, "zu viele Nachrichten ✋");
            return true;
          },
        });
      });
      const client = await target.open("/echo");
      for (const text of ["good", "flood", "late"]) client.send(text);
      assert.deepEqual(await client.closed, { code: 4429, reason: "zu viele Nachrichten ✋" });
      assert.deepEqual(client.received, ["good"]);
      assert.deepEqual(asked, ["good", "flood"]);
    },
  },
  {
    name: "inspect: a failure ends its own connection with 1011 and tells nothing",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.use({
          inspect(_, payload) {
            if (payload === "fail") throw new Error("secret");
            return true;
          },
        });
      });
      const other = await target.open("/echo");
      const client = await target.open("/echo");
      for (const text of ["fail", "late"]) client.send(text);
      assert.deepEqual(await client.closed, { code: 1011, reason: "internal error" });
      assert.deepEqual(client.received, []);
      assert.deepEqual(await target.told(1), ["inspect: secret"]);
      other.send("served");
      assert.equal(await other.next(), "served");
    },
  },
  {
    name: "message: both directions are counted",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.pair("/echo");
      client.send("hello");
      client.send(new Uint8Array(3));
      client.send("é");
      for (let i = 0; i < 3; i++) await client.next();
      assert.equal(connection.messagesReceived, 3);
      assert.equal(connection.bytesReceived, 10);
      assert.equal(connection.messagesSent, 3);
      assert.equal(connection.bytesSent, 10);
      assert.equal(connection.messagesDropped, 0);
      assert.equal(connection.framesReceived, 3);
    },
  },
];

interface Pair {
  readonly client: { next(): Promise<unknown>; drop(): void };
  readonly connection: Connection;
  readonly info: Promise<unknown>;
}
