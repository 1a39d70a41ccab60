/** Messages that are too large, and values that are no messages: RFC 6455, section 10.4. */
import { once } from "node:events";
import type { Connection } from "@vel/core";
import { expect, test } from "vitest";
import { frame } from "../kit.ts";
import { build, ending, header, openPair, openWire, serveTarget } from "./target.ts";

const target = serveTarget({ maxPayload: 1_000 }, (vel) => {
  const message = (connection: Connection, { length }: string | Uint8Array): unknown => connection.send(String(length));
  vel.websocket("/server", { message });
  vel.websocket("/less", { message, maxPayload: 100 });
  vel.websocket("/more", { message, maxPayload: 100_000 });
  vel.websocket("/pull", { maxPayload: 100 }, async (request) => {
    const connection = await request.accept();
    for await (const { length } of connection.texts()) connection.send(String(length));
  });
  vel.websocket("/idle", { maxPayload: 2 ** 20 });
});

const limits: [path: string, limit: number][] = [
  ["/server", 1_000],
  ["/less", 100],
  ["/more", 100_000],
  ["/pull", 100],
];

const end = frame(8, "");
const part = (opcode: number, size: number, fin: boolean): Buffer => build({ opcode, fin }, Buffer.alloc(size, "x"));
/** How the answer to a message of this length looks on the wire. */
const answer = (length: number): string => build({ opcode: 1, masked: false }, String(length)).toString("latin1");

test.each(limits)("10.4: %s lets in a message of its limit, %i bytes", async (path, limit) => {
  const wire = await openWire(target, path);
  wire.write(part(1, limit, true));
  await wire.until(answer(limit));
  wire.write(end);
  expect((await ending(wire)).texts).toEqual([String(limit)]);
});

test.each(limits)("10.4: %s lets in fragments of %i bytes together", async (path, limit) => {
  const wire = await openWire(target, path);
  wire.write(part(1, limit - 20, false), part(0, 0, false), frame(9, "x".repeat(125)), part(0, 20, true));
  await wire.until(answer(limit));
  wire.write(end);
  expect((await ending(wire)).texts).toEqual([String(limit)]);
});

test.each(limits)("10.4: %s closes with 1009 on the header of a message over %i bytes", async (path, limit) => {
  const { wire, connection, ended } = await openPair(target, path);
  wire.write(header({ opcode: 1, length: limit + 1 }));
  expect((await ending(wire)).code).toBe(1009);
  expect(await ended).toEqual({ code: 1009, reason: "", wasClean: false, by: "local" });
  expect(connection.messagesReceived).toBe(0);
});

test.each(limits)("10.4: %s closes with 1009 on the header of a fragment that passes %i bytes", async (path, limit) => {
  const { wire, connection } = await openPair(target, path);
  wire.write(part(1, limit, false), part(0, 0, false), header({ opcode: 0, length: 1, fin: false }));
  expect((await ending(wire)).code).toBe(1009);
  expect(connection.messagesReceived).toBe(0);
});

test.each<[name: string, opcode: number, length: bigint]>([
  ["a text of 2 MiB", 1, 2n ** 21n],
  ["bytes of 1 GiB", 2, 2n ** 30n],
  ["bytes of 4 GiB", 2, 2n ** 32n],
  ["bytes of 2^53 - 1", 2, 2n ** 53n - 1n],
])("CVE row 2: %s are 1009 from the header alone, and no memory for them", async (_, opcode, length) => {
  const wires = await Promise.all(Array.from({ length: 20 }, () => openWire(target, "/idle")));
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const look = (): void => {
    most = Math.max(most, process.memoryUsage().arrayBuffers);
  };
  target.vel.on("close", look);
  for (const wire of wires) wire.write(header({ opcode, length }));
  for (const wire of wires) expect((await ending(wire)).code).toBe(1009);
  expect(most - before).toBeLessThan(2 ** 21);
});

test("CVE row 2: a message that is announced and does not come costs nothing yet", async () => {
  const pairs = await Promise.all(Array.from({ length: 50 }, () => openWire(target, "/idle")));
  const before = process.memoryUsage().arrayBuffers;
  const pongs = pairs.map((wire) => {
    // The answered ping tells that what stands before it was read.
    wire.write(frame(2, "", false), frame(9, "read"), header({ opcode: 0, length: 2 ** 20 }), "begin");
    return wire.until("read");
  });
  await Promise.all(pongs);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 2 ** 18);
  for (const wire of pairs) wire.socket.destroy();
  await Promise.all(pairs.map((wire) => wire.ended));
});

test.each<[name: string, misuse: (connection: Connection) => unknown]>([
  ["a number as a message", (connection) => connection.send(64 as never)],
  ["a Float64Array as a message", (connection) => connection.send(new Float64Array(64) as never)],
  ["an ArrayBuffer as a message", (connection) => connection.send(new ArrayBuffer(64) as never)],
  ["an array as a message", (connection) => connection.send([1, 2, 3] as never)],
  ["an object with a length as a message", (connection) => connection.send({ length: 64 } as never)],
  ["a function as JSON", (connection) => connection.sendJson(() => 1)],
  ["a number as a ping's data", (connection) => connection.ping(64 as never)],
  ["a text as a ping's data", (connection) => connection.ping("data" as never)],
  ["a Uint16Array as a ping's data", (connection) => connection.ping(new Uint16Array(8) as never)],
  ["a number as a close reason", (connection) => connection.close(1000, 64 as never)],
  ["a Uint8Array as a close reason", (connection) => connection.close(1000, new Uint8Array(64) as never)],
  ["a text as a close code", (connection) => connection.close("1000" as never)],
  ["an array as a close code", (connection) => connection.close([1000] as never)],
])("CVE row 1: %s is an error, and nothing leaves", async (_, misuse) => {
  const { wire, connection } = await openPair(target);
  expect(() => misuse(connection)).toThrow(/must|Cannot/);
  connection.close(4000);
  wire.write(frame(8, Buffer.from([15, 160])));
  const { frames, code } = await ending(wire);
  expect(code).toBe(4000);
  expect(frames.length).toBe(1);
});

test("CVE row 1: a view of a larger buffer leaves as the bytes that it shows, in messages and pings", async () => {
  const { wire, connection } = await openPair(target);
  const large = Buffer.from("secret|shown|secret");
  const view = new Uint8Array(large.buffer, large.byteOffset + 7, 5);
  connection.send(view);
  connection.ping(view);
  connection.send(large.subarray(7, 12));
  const ponged = new Promise<Uint8Array>((resolve) => connection.onPong(resolve));
  wire.write(frame(10, "back"));
  const pong = await ponged;
  expect(pong.buffer.byteLength).toBe(4); // nobody else's memory behind it
  wire.write(end);
  const { frames } = await ending(wire);
  expect(frames.slice(0, 3).map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual([
    [2, "shown"],
    [9, "shown"],
    [2, "shown"],
  ]);
});

test("10.4: a message over the limit does not stop at the limit of what was sent with it", async () => {
  const { wire, connection, ended } = await openPair(target, "/less");
  wire.write(part(1, 100, true), part(1, 101, true), part(1, 1, true));
  expect(await ending(wire)).toMatchObject({ texts: ["100"], code: 1009 });
  await ended;
  expect(connection.messagesReceived).toBe(1);
});

test("10.4: megabytes behind a refused header are read and thrown away, so that 1009 arrives", async () => {
  const { wire } = await openPair(target, "/less");
  const done = once(wire.socket, "close");
  wire.write(header({ opcode: 2, length: 2 ** 22 }), Buffer.alloc(2 ** 22));
  await done;
  expect((await ending(wire)).code).toBe(1009);
});
