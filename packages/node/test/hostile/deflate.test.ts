/**
 * What compression costs here, and what exactly is negotiated. What every runtime that compresses must refuse is in the
 * conformance kit.
 */
import { setImmediate } from "node:timers/promises";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { Audience, type Connection } from "@vel/core";
import { expect, test } from "vitest";
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
