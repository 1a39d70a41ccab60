/** Compressed messages that no proper client sends: RFC 7692, and RFC 6455, section 9. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { Audience, type Connection } from "@vel/core";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { ask, frame, handshake, type Wire } from "../kit.ts";
import { build, ending, openPair, openWire, serveTarget, type ServerFrame } from "./target.ts";

const limit = 100_000;
const audience = new Audience();

const target = serveTarget({ compression: true, maxPayload: limit }, (vel) => {
  const message = (connection: Connection, { length }: string | Uint8Array): unknown => connection.send(String(length));
  vel.websocket("/length", { message });
  vel.websocket("/listen", { open: (connection) => void audience.add(connection) });
  vel.websocket("/large", { message, maxPayload: 2 ** 20 });
  vel.websocket("/scarce", { message, compression: { memoryLimit: 100_000 } });
});

const offer = { "Sec-WebSocket-Extensions": "permessage-deflate" };
const end = frame(8, "");

/** Compresses a message's payload (RFC 7692, section 7.2.1). */
function deflate(payload: string | Buffer): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

/** Makes a text message of a compressed payload. */
const text = (payload: Buffer): Buffer => build({ opcode: 1, rsv: 4 }, payload);

/** Gives the payload of a frame of the server, inflated if it is compressed. */
function read({ rsv, payload }: ServerFrame, windowBits = 15): string {
  return rsv === 4
    ? inflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).toString()
    : payload.toString();
}

/** Watches the memory that messages are in until a promise settles, and gives how much more of it there was. */
async function growth(work: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().arrayBuffers;
  let isDone = false;
  void work.then(() => (isDone = true));
  let most = before;
  while (!isDone) {
    most = Math.max(most, process.memoryUsage().arrayBuffers);
    await setImmediate();
  }
  return most - before;
}

const bomb = deflate(Buffer.alloc(2 ** 27)); // 128 MiB in 128 KiB
const garbage = Buffer.alloc(500, 0xff);

test("CVE row 13: a bomb is 1009 with flat memory", async () => {
  const { wire, connection, ended } = await openPair(target, "/large", offer);
  const message = text(bomb);
  wire.write(message);
  expect(await growth(ended)).toBeLessThan(2 ** 23);
  expect((await ending(wire)).code).toBe(1009);
  expect(await ended).toEqual({ code: 1009, reason: "", wasClean: false, by: "local" });
  expect(connection.messagesReceived).toBe(0);
});

test("CVE row 13: a bomb in fragments is 1009 with flat memory", async () => {
  const { wire, ended } = await openPair(target, "/large", offer);
  for (let at = 0; at < bomb.byteLength; at += 1_000) {
    const piece = bomb.subarray(at, at + 1_000);
    wire.write(build({ opcode: at === 0 ? 1 : 0, rsv: at === 0 ? 4 : 0, fin: at + 1_000 >= bomb.byteLength }, piece));
  }
  expect(await growth(ended)).toBeLessThan(2 ** 23);
  expect((await ending(wire)).code).toBe(1009);
});

test("CVE row 13: twenty bombs at once are 1009 with flat memory", async () => {
  const pairs = [];
  for (let i = 0; i < 20; i++) pairs.push(await openPair(target, "/large", offer));
  const message = text(bomb.subarray(0, 20_000));
  for (const { wire } of pairs) wire.write(message);
  expect(await growth(Promise.all(pairs.map(({ ended }) => ended)))).toBeLessThan(2 ** 25);
  for (const { wire } of pairs) expect((await ending(wire)).code).toBe(1009);
});

test.each<[name: string, code: number, ...bytes: Buffer[]]>([
  ["CVE row 13: bytes that are no deflate", 1007, text(garbage)],
  ["CVE row 13: a deflate stream that breaks", 1007, text(Buffer.concat([deflate("x".repeat(1_000)), garbage]))],
  [
    "CVE row 13: a bomb that turns malformed after the limit",
    1009,
    text(Buffer.concat([bomb.subarray(0, 9_000), garbage])),
  ],
  ["CVE row 13: a block type that is none", 1007, text(Buffer.from([0x07]))],
  ["CVE row 13: a stored block with a wrong length", 1007, text(Buffer.from([0x01, 5, 0, 0, 0, 1, 2]))],
  ["CVE row 13: a distance beyond the window", 1007, text(Buffer.from([0x4b, 0x04, 0xc1, 0x00, 0xff, 0xff, 0x00]))],
  [
    "CVE row 13: garbage in a fragment",
    1007,
    build({ opcode: 1, rsv: 4, fin: false }, deflate("a")),
    frame(0, garbage.subarray(0, 125)),
  ],
  ["8.1: a compressed text that is no UTF-8", 1007, text(deflate(Buffer.from([0xff])))],
  ["CVE row 16: a message that inflates to one byte over the limit", 1009, text(deflate("x".repeat(limit + 1)))],
  ["RFC 7692, 6.1: a compressed ping", 1002, build({ opcode: 9, rsv: 4 })],
  ["RFC 7692, 6.1: a compressed close", 1002, build({ opcode: 8, rsv: 4 })],
  ["RFC 7692, 6.1: RSV1 on a later fragment", 1002, frame(1, "a", false), build({ opcode: 0, rsv: 4 })],
  ["RFC 7692, 6.1: RSV2 beside RSV1", 1002, build({ opcode: 1, rsv: 6 }, deflate("a"))],
])("closes on %s", async (_, code, ...bytes) => {
  const { wire, connection, ended } = await openPair(target, "/length", offer);
  wire.write(...bytes);
  expect((await ending(wire)).code).toBe(code);
  expect(await ended).toEqual({ code, reason: "", wasClean: false, by: "local" });
  expect(connection.messagesReceived).toBe(0);
});

test.each<[name: string, size: number, ...bytes: Buffer[]]>([
  ["a message that inflates to the limit", limit, text(deflate("x".repeat(limit)))],
  ["a message that does not get smaller", 1_000, build({ opcode: 2, rsv: 4 }, deflate(randomBytes(1_000)))],
  ["an empty compressed message", 0, text(deflate(""))],
  ["an empty message of one empty block", 0, text(Buffer.from([0x00]))],
  ["a message that is not compressed", 5, frame(1, "plain")],
  [
    "a message of several deflate blocks",
    10,
    text(Buffer.concat([deflate("hello"), Buffer.from([0, 0, 255, 255]), deflate("world")])),
  ],
])("CVE row 16: lets in %s", async (_, size, ...bytes) => {
  const wire = await openWire(target, "/length", offer);
  wire.write(...bytes);
  await wire.until(build({ opcode: 1, masked: false }, String(size)).toString("latin1"));
  wire.write(end);
  expect((await ending(wire)).texts).toEqual([String(size)]);
});

test("CVE row 16: the limit counts what fragments inflate to together", async () => {
  const { wire, ended } = await openPair(target, "/length", offer);
  const whole = deflate("x".repeat(limit + 1));
  wire.write(build({ opcode: 1, rsv: 4, fin: false }, whole.subarray(0, 20)), frame(0, whole.subarray(20, 60), false));
  wire.write(build({ opcode: 0 }, whole.subarray(60)));
  expect((await ending(wire)).code).toBe(1009);
  expect((await ended).code).toBe(1009);
});

test.each(["7", "16", "0", "-8", "15x", "4294967304", "", '"8"x'])(
  "CVE row 13: a window of %j bits is refused",
  async (bits) => {
    for (const side of ["server", "client"]) {
      const value = `permessage-deflate; ${side}_max_window_bits=${bits}`;
      const response = await ask(target.port, handshake("/length", { "Sec-WebSocket-Extensions": value }));
      expect(response).toMatch(/^HTTP\/1\.1 400 /);
    }
  },
);

test.each([8, 9, 10, 11, 12, 13, 14, 15])("RFC 7692, 7.1.2.1: a window of %i bits is kept to", async (bits) => {
  const value = `permessage-deflate; server_max_window_bits=${String(bits)}; client_max_window_bits=${String(bits)}`;
  const { wire, connection } = await openPair(target, "/listen", { "Sec-WebSocket-Extensions": value });
  const messages = [5_000, 70_000].map((size) => Array.from({ length: size / 5 }, (_, i) => (i * 7_919) % 997).join());
  for (const message of messages) connection.send(message);
  connection.close(4000);
  wire.write(frame(8, Buffer.from([15, 160])));
  const { frames } = await ending(wire);
  // A window of 8 bits is one that zlib cannot make: then nothing is compressed.
  expect(frames.slice(0, 2).map(({ rsv }) => rsv)).toEqual(bits === 8 ? [0, 0] : [4, 4]);
  expect(frames.slice(0, 2).map((each) => read(each, bits))).toEqual(messages);
});

test("Audience.broadcast() of mixed sizes is what every client reads, whatever it negotiated", async () => {
  const offers = [
    true,
    { serverMaxWindowBits: 9 },
    { serverMaxWindowBits: 15 },
    { serverNoContextTakeover: true },
    false,
  ];
  const sizes = [0, 1, 125, 126, 1_023, 1_024, 1_025, 65_535, 65_536, 300_000, 600_000];
  const messages = sizes.flatMap((size) => ["x".repeat(size), Buffer.alloc(size, "é🙂")]);
  const clients = offers.map((perMessageDeflate) => {
    const client = new WebSocket(`${target.url}/listen`, { perMessageDeflate });
    const received: (string | Buffer)[] = [];
    const all = new Promise<(string | Buffer)[]>((resolve) => {
      client.on("message", (data: Buffer, isBinary) => {
        if (received.push(isBinary ? data : data.toString()) === messages.length) resolve(received);
      });
    });
    return { client, all, opened: once(client, "open") };
  });
  await Promise.all(clients.map(({ opened }) => opened));
  while (audience.size < clients.length) await setImmediate();
  for (const message of messages) audience.broadcast(message);
  for (const { client, all } of clients) {
    const received = await all;
    received.forEach((message, i) => {
      expect(message.length).toBe(messages[i]?.length);
      expect(Buffer.from(message).equals(Buffer.from(messages[i] ?? ""))).toBe(true);
    });
    const closed = once(client, "close");
    client.close();
    await closed;
  }
});

test("CompressionOptions.memoryLimit: the next connection is not offered compression, and lives without", async () => {
  const heads: boolean[] = [];
  const wires: Wire[] = [];
  for (let i = 0; i < 4; i++) {
    const wire = await openWire(target, "/scarce", offer);
    heads.push((await wire.until("\r\n\r\n")).includes("permessage-deflate"));
    wires.push(wire);
  }
  expect(heads).toEqual([true, true, false, false]);
  const last = wires.pop();
  last?.write(text(deflate("x".repeat(100)))); // as if it had been
  expect(last && (await ending(last)).code).toBe(1002);
  for (const wire of wires) {
    wire.write(frame(1, "hello"), end);
    expect((await ending(wire)).texts).toEqual(["5"]);
  }
});

test("7.1.1: a reset while a message inflates ends the connection once, and nothing is thrown", async () => {
  for (let i = 0; i < 20; i++) {
    const { wire, ended } = await openPair(target, "/large", offer);
    const message = text(i % 2 === 0 ? bomb.subarray(0, 20_000) : deflate(randomBytes(100_000)));
    wire.socket.write(message.subarray(0, message.byteLength - (i % 3)), () => wire.socket.resetAndDestroy());
    expect([1006, 1009]).toContain((await ended).code);
    await wire.ended;
  }
});

test("5.5.1: a close frame behind compressed messages is answered after them", async () => {
  const { wire, connection, ended } = await openPair(target, "/length", offer);
  wire.write(...Array.from({ length: 50 }, (_, i) => text(deflate("x".repeat(i * 100)))), end);
  const { texts, code } = await ending(wire);
  expect(code).toBe(1005);
  expect(texts).toEqual(Array.from({ length: 50 }, (_, i) => String(i * 100)));
  await ended;
  expect(connection.messagesReceived).toBe(50);
});
