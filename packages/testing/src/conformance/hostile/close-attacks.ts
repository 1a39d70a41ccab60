/**
 * Ends that no proper client makes: RFC 6455, sections 5.5.1 and 7.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../manual-clock.ts";
import { closePayload, frame, handshake, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import { attack, refusals, type Violation } from "./attack.ts";

const closing = (code: number, reason: string | Uint8Array = ""): Buffer =>
  frame(opcodes.close, Buffer.concat([closePayload(code), Buffer.from(reason as string)]));

const malformed: readonly Violation[] = [
  ["5.5.1: a payload of one byte", frame(opcodes.close, Buffer.from([3]))],
  ["7.4.1: a code that is never sent", ...[1004, 1005, 1006, 1015].map((code) => closing(code))],
  ["7.4.2: a code of no range", ...[0, 999, 5000, 65_535].map((code) => closing(code))],
  ["7.4.2: a code that nobody has assigned", ...[1016, 1100, 2000, 2999].map((code) => closing(code))],
];

const unreadable: readonly Violation[] = [
  ["5.5.1: a reason that is not UTF-8", closing(1000, Buffer.from([0xff]))],
  ["5.5.1: a reason that ends within a character", closing(1000, Buffer.from([0xe2, 0x82]))],
  ["5.5.1: a surrogate as a reason", closing(1000, Buffer.from([0xed, 0xa0, 0x80]))],
];

/** Codes that may be sent. */
const good: Readonly<Record<string, readonly number[]>> = {
  "of RFC 6455 and of applications": [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999],
  "that was registered later": [1012, 1013, 1014],
};

/** What may come behind a close frame. */
const late: Readonly<Record<string, Buffer>> = {
  "a text": frame(opcodes.text, "late"),
  "a ping": frame(opcodes.ping, "late"),
  "another close": closing(4002),
  "a violation": frame(3),
  "a megabyte": frame(opcodes.binary, Buffer.alloc(2 ** 20)),
};

/** What a client has sent before it resets the connection. */
const untilReset: Readonly<Record<string, readonly Buffer[]>> = {
  "at rest": [],
  "within a header": [Buffer.from([0x81])],
  "within a fragmented message": [frame(opcodes.text, "a", false)],
  "after its close frame": [closing(1000)],
  "after a violation": [frame(3)],
  "while it is answered": Array.from({ length: 100 }, () => frame(opcodes.text, "x".repeat(1_000))),
};

/** Answers to the server's close that are no close frame. */
const evasions: Readonly<Record<string, readonly Buffer[]>> = {
  "messages and pings": [frame(opcodes.text, "never mind"), frame(opcodes.ping, "alive")],
  "half a close frame": [closing(4000).subarray(0, 5)],
  "half a message": [frame(opcodes.text, "x".repeat(500)).subarray(0, 100)],
};

/** Cases about ends. */
export const closeAttacks: readonly ConformanceCase[] = [
  ...refusals("close", "malformed closes", 1002, malformed),
  ...refusals("close", "unreadable reasons", 1007, unreadable),
  ...Object.entries(good).map(([which, codes]) =>
    attack(`close: 7.4: a code ${which} is answered in kind`, async (trial) => {
      const target = await trial.serve();
      for (const code of codes) {
        const { client, info } = await target.rawPair("/echo");
        client.write(closing(code, "because"));
        assert.equal((await client.ended).code, code);
        assert.deepEqual(await info, { code, reason: "because", wasClean: true, by: "remote" });
      }
    }),
  ),
  attack("close: 5.5.1: an empty close is answered by an empty one, and is 1005 to the application", async (trial) => {
    const { client, info } = await (await trial.serve()).rawPair("/echo");
    client.write(frame(opcodes.close));
    assert.equal((await client.ended).code, 1005);
    assert.deepEqual(await info, { code: 1005, reason: "", wasClean: true, by: "remote" });
  }),
  attack("close: 5.5.1: a reason may fill a control frame, and reaches the application whole", async (trial) => {
    const { client, info } = await (await trial.serve()).rawPair("/echo");
    const reason = `${"é".repeat(61)}x`;
    client.write(closing(4001, reason));
    await client.ended;
    assert.deepEqual(await info, { code: 4001, reason, wasClean: true, by: "remote" });
  }),
  ...Object.entries(late).map(([what, bytes]) =>
    attack(`close: 5.5.1: ${what} behind a close frame is not looked at`, async (trial) => {
      const { client, connection, info } = await (await trial.serve()).rawPair("/echo");
      client.write(frame(opcodes.text, "in time"), closing(4001), bytes);
      // An answer to what came in time goes out before the close frame.
      const { texts, pongs, code } = await client.ended;
      assert.deepEqual({ texts, pongs, code }, { texts: ["in time"], pongs: [], code: 4001 });
      assert.deepEqual(await info, { code: 4001, reason: "", wasClean: true, by: "remote" });
      assert.equal(connection.messagesReceived, 1);
    }),
  ),
  attack("close: 7.1.2: messages between the server's close and the client's answer reach nobody", async (trial) => {
    const { client, connection, info } = await (await trial.serve()).rawPair("/echo");
    connection.close(4003, "enough");
    client.write(frame(opcodes.text, "late"), frame(opcodes.ping, "late"), closing(4003));
    const { texts, code } = await client.ended;
    // A runtime that cannot be told to cut a connection may do so by itself when it finds a message behind its close.
    const isCut = !connection.capabilities.terminate && code === 1006;
    assert.deepEqual({ texts, code }, { texts: [], code: isCut ? 1006 : 4003 });
    assert.deepEqual(await info, { code: 4003, reason: "enough", wasClean: !isCut, by: "local" });
    assert.equal(connection.messagesReceived, 0);
  }),
  attack(
    "close: 7.1.2: a client that answers the server's close with a violation does not change its code",
    async (trial) => {
      const { client, connection, info } = await (await trial.serve()).rawPair("/echo");
      connection.close(4003);
      client.write(frame(3));
      assert.equal((await client.ended).code, 4003);
      const { code, by } = await info;
      assert.deepEqual({ code, by }, { code: 4003, by: "local" });
    },
  ),
  attack("close: 7.1.1: a client that ends TCP without a close frame is 1006, and is not waited for", async (trial) => {
    const { client, info } = await (await trial.serve()).rawPair("/echo", { allowHalfOpen: true });
    client.socket.end();
    assert.deepEqual(await info, { code: 1006, reason: "", wasClean: false, by: "remote" });
  }),
  attack(
    "close: 7.1.1: a client that keeps its side of TCP open after the closing handshake is let go of",
    async (trial) => {
      const { client, info } = await (await trial.serve()).rawPair("/echo", { allowHalfOpen: true });
      client.socket.once("end", () => {
        client.write(frame(opcodes.text, "still here"));
        client.socket.end();
      });
      client.write(closing(1000));
      assert.equal((await client.ended).code, 1000);
      assert.deepEqual(await info, { code: 1000, reason: "", wasClean: true, by: "remote" });
    },
  ),
  ...Object.entries(untilReset).map(([when, frames]) =>
    attack(`close: CVE row 8: a reset ${when} ends the connection once, and no timer is left`, async (trial) => {
      const clock = new ManualClock();
      const target = await trial.serve(undefined, { clock });
      const { client, connection, info } = await target.rawPair("/echo");
      let ends = 0;
      connection.onClose(() => ends++);
      client.socket.write(Buffer.concat(frames), () => {
        client.reset();
      });
      const { code, wasClean } = await info;
      assert([1000, 1002, 1006].includes(code), String(code));
      assert(code !== 1006 || !wasClean, "a reset counts as a clean end");
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      assert.equal(ends, 1);
      assert.equal(connection.isOpen, false);
      assert.equal(clock.pending, 0);
    }),
  ),
  ...Object.entries(evasions).map(([what, frames]) =>
    attack(
      `close: 7.1.1: a client that answers the server's close with ${what} is cut off when the time is up`,
      async (trial) => {
        const clock = new ManualClock();
        const target = await trial.serve(undefined, { clock, closeTimeout: 1_234 });
        const { client, connection, info } = await target.rawPair("/echo", { allowHalfOpen: true });
        connection.close(4000, "go");
        await client.until("go");
        client.write(...frames);
        await clock.advance(1_233);
        assert.equal(connection.closeInfo, undefined);
        await clock.advance(1);
        assert.deepEqual(await info, { code: 4000, reason: "go", wasClean: false, by: "local" });
        assert.equal(clock.pending, 0);
      },
    ),
  ),
  attack("close: CVE row 8: 300 resets at random moments throw nothing and leave nothing", async (trial) => {
    const random = randomNumbers(8);
    const target = await trial.serve((vel) => {
      vel.websocket("/thinking", {
        async upgrade() {
          await setImmediate();
          return {};
        },
        message: (connection, message) => connection.send(message),
      });
      vel.websocket("/leaving", {
        open(connection) {
          connection.send("bye");
          connection.close(4000);
        },
      });
    });
    const paths = ["/echo", "/thinking", "/leaving", "/nowhere"];
    const parts = [
      frame(opcodes.text, "a", false),
      frame(opcodes.ping, "b"),
      frame(opcodes.continuation, "c"),
      frame(opcodes.binary, Buffer.alloc(3_000)),
    ];
    const attack = async (): Promise<void> => {
      const head = handshake(paths[random(paths.length)] ?? "");
      const bytes = Buffer.concat([Buffer.from(head), ...parts, ...parts, closing(1000)]);
      const end = random(bytes.byteLength + 1);
      const client = await target.dial();
      client.write(bytes.subarray(0, end));
      if (random(2) === 0 && end > head.length) await Promise.race([client.until("HTTP/1.1 "), client.ended]);
      for (let turns = random(4); turns > 0; turns--) await setImmediate();
      client.reset();
      await client.ended.catch(() => undefined);
    };
    for (let i = 0; i < 300; i += 20) await Promise.all(Array.from({ length: 20 }, attack));
  }),
];

/** Whole numbers below a limit that are the same in every run (Lehmer's generator). */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}
