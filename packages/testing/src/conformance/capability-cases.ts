/**
 * That an adapter can do what it says, and does not pretend to more.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { deflateRawSync, constants } from "node:zlib";
import type { Capabilities, Vel } from "@vel/core";
import { frame, opcodes } from "./bytes.ts";
import type { ConformanceCase } from "./case.ts";
import type { Trial } from "./trial.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** What compresses well. */
const story = "once upon a time ".repeat(1_000);

/** What a proper client sends to offer compression (RFC 7692, section 7). */
const offer = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };

/** Fails unless starting a server says that the transport lacks something, and what to do then. */
async function refusesToStart(trial: Trial, routes: (vel: Vel) => void): Promise<void> {
  await assert.rejects(trial.serve(routes), (error: { code: string; message: string }) => {
    assert.equal(error.code, "ERR_VEL_UNSUPPORTED");
    assert.match(error.message, /way out|"auto"/);
    return true;
  });
}

/** Cases about `Capabilities`. */
export const capabilityCases: readonly ConformanceCase[] = [
  {
    name: "capabilities: are what was declared, and frozen",
    async run(trial) {
      const target = await trial.serve();
      const { connection } = await target.pair("/echo");
      assert.deepEqual(connection.capabilities, trial.capabilities);
      assert(Object.isFrozen(connection.capabilities), "capabilities can be changed");
    },
  },
  {
    name: "capabilities: what a feature requires and the transport lacks is told when the server starts",
    async run(trial) {
      const names = ["ping", "terminate", "compression", "pause", "buffered"] as const;
      for (const name of names satisfies readonly (keyof Capabilities)[]) {
        const routes = (vel: Vel): void => {
          vel.require(name, "take the way out");
        };
        if (trial.capabilities[name]) await trial.serve(routes);
        else await refusesToStart(trial, routes);
      }
    },
  },
  {
    name: "memory: messages pass without bytes",
    needs: { sockets: false },
    otherwise: "message: text and bytes of every size come back as they were",
    async run(trial) {
      const target = await trial.serve();
      assert.throws(() => target.port);
      const client = await target.open("/echo");
      client.send("hello");
      assert.equal(await client.next(), "hello");
    },
  },
  {
    name: "ping: is a frame on the wire, and its pong comes back",
    needs: { ping: true, sockets: true },
    otherwise: "ping: goes out and comes back, or is refused where it cannot",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.rawPair("/echo");
      const pongs: string[] = [];
      const heard = new Promise<void>((resolve) => {
        connection.onPong((data) => {
          if (pongs.push(Buffer.from(data).toString()) === 2) resolve();
        });
      });
      connection.ping(bytes("are you there"));
      connection.ping();
      assert.equal(Buffer.from(await client.pinged()).toString(), "are you there");
      assert.equal((await client.pinged()).byteLength, 0);
      assert.deepEqual(
        client.frames.map(({ opcode }) => opcode),
        [opcodes.ping, opcodes.ping],
      );
      client.write(frame(opcodes.pong, "are you there"), frame(opcodes.pong));
      await heard;
      assert.deepEqual(pongs, ["are you there", ""]);
      assert.equal(connection.framesReceived, 2);
    },
  },
  {
    name: "ping: goes out and comes back, or is refused where it cannot",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.pair("/echo");
      if (trial.capabilities.ping) {
        const heard = new Promise((resolve) => connection.onPong(resolve));
        connection.ping(bytes("hello"));
        assert.deepEqual(new Uint8Array((await heard) as Uint8Array), bytes("hello"));
      } else {
        assert.throws(
          () => {
            connection.ping();
          },
          { code: "ERR_VEL_UNSUPPORTED" },
        );
        // Nothing is on the wire but what is sent.
        connection.send("next");
        assert.equal(await client.next(), "next");
      }
    },
  },
  {
    name: "ping: that of the client is answered with its data",
    async run(trial) {
      const target = await trial.serve();
      const { client } = await target.pair("/echo");
      for (const data of [bytes("one"), bytes(""), bytes("x".repeat(125))]) {
        client.ping(data);
        assert.deepEqual(new Uint8Array(await client.pong()), data);
      }
    },
  },
  {
    name: "terminate: cuts the connection without a close frame",
    needs: { terminate: true },
    otherwise: "terminate: closes with 1001 and forgets the connection, where it cannot cut",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection, info } = await target.pair("/echo");
      connection.terminate();
      assert.equal(connection.isOpen, false);
      assert.deepEqual(await info, { code: 1006, reason: "", wasClean: false, by: "local" });
      assert.equal((await client.closed).code, 1006);
    },
  },
  {
    name: "terminate: closes with 1001 and forgets the connection, where it cannot cut",
    needs: { terminate: false },
    otherwise: "terminate: cuts the connection without a close frame",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection, info } = await target.pair("/echo");
      client.silence();
      connection.terminate();
      assert.equal(connection.isOpen, false);
      // At once, not when the peer answers: it may be dead.
      assert.deepEqual(await info, { code: 1006, reason: "", wasClean: false, by: "local" });
      assert.equal(target.vel.connections.size, 0);
      client.close(1001);
      assert.equal((await client.closed).code, 1001);
    },
  },
  {
    name: "terminate: nothing that was sent before arrives late, and nothing can be sent after",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection, info } = await target.pair("/echo");
      connection.terminate();
      assert.equal(connection.send("late"), "closed");
      await info;
      await client.closed;
      assert.deepEqual(client.received, []);
    },
  },
  {
    name: "compression: is negotiated, and messages are inflated and deflated",
    needs: { compression: true, sockets: true },
    otherwise: "compression: is not negotiated where it cannot be, and insisting on it refuses to start",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/deflate", { compression: true, message: (connection, message) => connection.send(message) });
      });
      const client = await target.openRaw("/deflate", { headers: offer });
      assert.match(client.headers.get("sec-websocket-extensions") ?? "", /^permessage-deflate/);
      const deflated = deflateRawSync(story, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
      client.write(frame({ opcode: opcodes.text, rsv: 4 }, deflated));
      assert.equal(await client.next(), story);
      const answer = client.frames[0];
      assert.equal(answer?.rsv, 4, "the answer is not compressed");
      assert(answer.payload.byteLength < story.length / 10, "the answer is hardly smaller");
      client.send("not compressed");
      assert.equal(await client.next(), "not compressed");
    },
  },
  {
    name: "compression: is not negotiated where it cannot be, and insisting on it refuses to start",
    needs: { compression: false },
    otherwise: "compression: is negotiated, and messages are inflated and deflated",
    async run(trial) {
      await refusesToStart(trial, (vel) => vel.websocket("/deflate", { compression: true }));
      const target = await trial.serve((vel) => {
        vel.websocket("/auto", { compression: "auto", message: (connection, message) => connection.send(message) });
      });
      const client = await target.open("/auto", { headers: offer });
      assert.equal(client.headers.get("sec-websocket-extensions"), null);
      client.send(story);
      assert.equal(await client.next(), story);
    },
  },
  {
    name: "compression: is off unless a route wants it",
    needs: { sockets: true },
    otherwise: "compression: is not negotiated where it cannot be, and insisting on it refuses to start",
    async run(trial) {
      const target = await trial.serve();
      const client = await target.openRaw("/echo", { headers: offer });
      assert.equal(client.headers.get("sec-websocket-extensions"), null);
      client.send(story);
      assert.equal(await client.next(), story);
      assert.equal(client.frames[0]?.rsv, 0);
    },
  },
  {
    name: "pause: a handler that is behind stops the socket, and nothing is lost",
    needs: { pause: true },
    otherwise: "pause: a handler that is behind ends the connection with 1008, where the socket cannot be stopped",
    async run(trial) {
      const { message, release, seen } = stalled();
      const target = await trial.serve((vel) => {
        vel.websocket("/slow", { receiveBuffer: { limit: 10_000 }, message });
      });
      const { client, connection } = await target.pair("/slow");
      const texts = Array.from({ length: 20_000 }, (_, i) => `${String(i)} ${"x".repeat(500)}`);
      for (const text of texts) client.send(text);
      for (let quiet = 0, before = -1; quiet < 50;) {
        quiet = connection.bytesReceived === before ? quiet + 1 : 0;
        before = connection.bytesReceived;
        await setImmediate();
      }
      assert(connection.bytesReceived < 2_000_000, `took ${String(connection.bytesReceived)} bytes that nobody reads`);
      release();
      while (seen.length < texts.length) await setImmediate();
      assert.deepEqual(seen, texts);
    },
  },
  {
    name: "pause: a handler that is behind ends the connection with 1008, where the socket cannot be stopped",
    needs: { pause: false },
    otherwise: "pause: a handler that is behind stops the socket, and nothing is lost",
    async run(trial) {
      const { message, release } = stalled();
      const target = await trial.serve((vel) => {
        vel.websocket("/slow", { receiveBuffer: { limit: 10_000 }, message });
      });
      const { client, info } = await target.pair("/slow");
      for (let i = 0; i < 100; i++) client.send("x".repeat(500));
      assert.deepEqual(await info.then(({ code, by }) => [code, by]), [1008, "local"]);
      release();
    },
  },
  {
    name: "buffered: what waits for a client that does not read is counted",
    needs: { buffered: true },
    otherwise: "buffered: is undefined where the transport cannot tell",
    async run(trial) {
      const target = await trial.serve((vel) => {
        vel.websocket("/push", { sendBuffer: { limit: 2 ** 26 } });
      });
      const { client, connection } = await target.pair("/push");
      const waiting = (): number => connection.bufferedAmount ?? NaN;
      assert.equal(waiting(), 0);
      client.pause();
      const mega = new Uint8Array(2 ** 20);
      // More than kernels take for a socket that is not read.
      for (let i = 0; i < 32; i++) connection.send(mega);
      await setImmediate();
      assert(waiting() > 2 ** 22, `${String(waiting())} bytes are said to wait`);
      client.resume();
      for (let i = 0; i < 32; i++) assert.equal((await client.next()).length, mega.length);
      while (waiting() !== 0) await setImmediate();
    },
  },
  {
    name: "buffered: is undefined where the transport cannot tell",
    needs: { buffered: false },
    otherwise: "buffered: what waits for a client that does not read is counted",
    async run(trial) {
      const target = await trial.serve();
      const { connection } = await target.pair("/echo");
      assert.equal(connection.bufferedAmount, undefined);
    },
  },
];

/** A hook that does not come back before `release()`. */
function stalled(): { message: (_: unknown, text: unknown) => Promise<void>; release: () => void; seen: unknown[] } {
  const seen: unknown[] = [];
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  return {
    seen,
    release,
    async message(_, text) {
      await released;
      seen.push(text);
    },
  };
}
