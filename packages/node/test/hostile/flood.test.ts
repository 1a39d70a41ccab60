/** More than a server can take, and more than it should: RFC 6455, section 10.4. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Connection } from "@vel/core";
import { expect, test } from "vitest";
import { Client, deferred, frame, handshake, Wire } from "../kit.ts";
import { build, ending, openPair, openWire, serveTarget, type Pair } from "./target.ts";

/** What `/ordered` and `/gated` got, in order. */
const received: number[] = [];
let gate = deferred();
let stalled: Connection | undefined;

const target = serveTarget({ receiveBuffer: { limit: 1_024 } }, (vel) => {
  vel.websocket("/ordered", {
    async message(_, message) {
      if (received.length % 100 === 0) await setImmediate();
      else await Promise.resolve();
      received.push(Number(message[0]));
    },
  });
  vel.websocket("/unordered", {
    serial: false,
    async message(connection, message) {
      await Promise.resolve();
      connection.send(message);
    },
  });
  vel.websocket("/gated", async (request) => {
    const connection = await request.accept();
    await gate.promise;
    for await (const text of connection.texts()) received.push(Number(text));
  });
  vel.websocket("/stalled", {
    open(connection) {
      stalled = connection;
      return gate.promise;
    },
  });
});

const end = frame(8, "");

/** Opens a raw connection, and gives the server's TCP socket too. */
async function openCounted(path: string): Promise<Pair & { socket: Socket }> {
  const accepted = once(target.server.server, "connection");
  const pair = await openPair(target, path);
  const [socket] = (await accepted) as [Socket];
  return { ...pair, socket };
}

/** Writes the same chunk until the server has ended the connection, or so many bytes are on their way. */
async function writeUntilEnd({ wire, ended }: Pair, chunk: Buffer, most: number): Promise<number> {
  let isOver = false;
  const over = ended.then(() => (isOver = true));
  let written = 0;
  while (!isOver && written < most) {
    written += chunk.byteLength;
    if (!wire.socket.write(chunk)) await Promise.race([once(wire.socket, "drain").catch(() => undefined), over]);
  }
  await over;
  return written;
}

test("50,000 frames of seven bytes in one write all arrive in order at an async hook", async () => {
  received.length = 0;
  const count = 50_000;
  const { wire, connection, ended } = await openPair(target, "/ordered");
  const frames = Array.from({ length: count }, (_, i) => frame(2, Buffer.from([i % 251])));
  expect(frames[0]?.byteLength).toBe(7);
  wire.write(...frames);
  while (received.length < count) await setImmediate();
  wire.write(end);
  await wire.ended;
  await ended;
  expect(received.every((value, i) => value === i % 251)).toBe(true);
  expect(received.length).toBe(count);
  expect(connection.messagesReceived).toBe(count);
});

test("5,000 messages of one chunk all arrive in order after a pause, though the buffer holds 16 of them", async () => {
  received.length = 0;
  gate = deferred();
  const { wire } = await openPair(target, "/gated");
  wire.write(...Array.from({ length: 5_000 }, (_, i) => frame(1, String(i))));
  await progress();
  expect(received).toEqual([]);
  gate.resolve();
  while (received.length < 5_000) await setImmediate();
  wire.write(end);
  expect((await ending(wire)).code).toBe(1005);
  expect(received).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
});

test("Messages that come while the open hook waits are bounded: the socket is not read any more", async () => {
  gate = deferred();
  const { wire, connection, socket } = await openCounted("/stalled");
  expect(stalled).toBe(connection);
  const chunk = build({ opcode: 2 }, Buffer.alloc(10_000));
  for (let i = 0; i < 2_000; i++) wire.socket.write(chunk); // 20 MB
  await progress();
  expect(connection.bytesReceived).toBeLessThan(2 ** 18);
  expect(socket.bytesRead).toBeLessThan(2 ** 18);
  gate.resolve();
  wire.write(end);
  await wire.ended;
  expect(connection.messagesReceived).toBe(2_000);
});

test("A flood that is not waited for is answered in order", async () => {
  const wire = await openWire(target, "/unordered");
  wire.write(...Array.from({ length: 10_000 }, (_, i) => frame(1, String(i))));
  await wire.until("\x81\x049999");
  wire.write(end);
  expect((await ending(wire)).texts).toEqual(Array.from({ length: 10_000 }, (_, i) => String(i)));
});

test("A flood of messages beside which a good client gets its answers", async () => {
  const pair = await openPair(target, "/echo");
  const client = await Client.open(`${target.url}/echo`);
  const chunk = Buffer.concat(Array.from({ length: 1_000 }, () => frame(1, "")));
  for (let i = 0; i < 50; i++) {
    pair.wire.socket.write(chunk);
    client.ws.send(String(i));
    expect(await client.next()).toBe(String(i));
  }
  await client.close();
  pair.wire.write(end);
  expect((await ending(pair.wire)).texts.length).toBe(50_000);
});

test.each<[what: string, fragment: Buffer]>([
  ["empty", frame(0, "", false)],
  ["1-byte", frame(0, "x", false)],
])("CVE row 6: 400,000 %s fragments are cut off with 1008, and take no memory", async (_, fragment) => {
  const pair = await openPair(target);
  const before = process.memoryUsage();
  pair.wire.write(frame(1, "", false));
  const chunk = Buffer.concat(Array.from({ length: 10_000 }, () => fragment));
  const written = await writeUntilEnd(pair, chunk, 400_000 * fragment.byteLength);
  const after = process.memoryUsage();
  expect(written).toBeLessThanOrEqual(400_000 * fragment.byteLength);
  expect(await pair.ended).toMatchObject({ code: 1008, by: "local" });
  expect(pair.connection.messagesReceived).toBe(0);
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(2 ** 24);
  expect((await ending(pair.wire)).code).toBe(1008);
});

test("CVE row 6: a message in chunks of one byte is one message", async () => {
  const wire = await openWire(target);
  wire.socket.setNoDelay(true);
  const text = "é".repeat(1_000);
  for (const byte of build({ opcode: 1 }, text)) {
    await new Promise((resolve) => wire.socket.write(Buffer.from([byte]), resolve));
    await setImmediate();
  }
  await wire.until(Buffer.from("é".repeat(1_000)).toString("latin1"));
  wire.write(end);
  expect((await ending(wire)).texts).toEqual([text]);
});

test("CVE row 7: a flood of pings whose pongs are never read is cut off", async () => {
  const pair = await openCounted("/echo");
  const before = process.memoryUsage().arrayBuffers;
  pair.wire.socket.pause();
  const chunk = Buffer.concat(Array.from({ length: 1_000 }, () => frame(9, "x".repeat(125))));
  await writeUntilEnd(pair, chunk, 2 ** 26);
  expect(pair.socket.bytesWritten).toBeLessThan(2 ** 20);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  expect((await pair.ended).wasClean).toBe(false);
  pair.wire.socket.destroy();
});

test("CVE row 7: pings of a client that reads are all answered, in order", async () => {
  const wire = await openWire(target);
  const all: string[] = [];
  for (let round = 0; round < 50; round++) {
    const data = Array.from({ length: 50 }, (_, i) => `${String(round)}.${String(i)}.`);
    wire.write(...data.map((each) => frame(9, each)));
    await wire.until(data.at(-1) ?? "");
    all.push(...data);
  }
  wire.write(end);
  expect(await ending(wire)).toMatchObject({ pongs: all, code: 1005 });
});

test("A flood of pongs that nobody asked for is passed over", async () => {
  const wire = await openWire(target);
  wire.write(...Array.from({ length: 20_000 }, () => frame(10, "x")), frame(1, "still here"), end);
  expect(await ending(wire)).toMatchObject({ texts: ["still here"], code: 1005 });
});

test("A client that never reads its echoes is closed with 1013, and holds no more than the send buffer", async () => {
  const pair = await openPair(target);
  pair.wire.socket.pause();
  let most = 0;
  const chunk = build({ opcode: 2 }, Buffer.alloc(60_000));
  const off = target.vel.on("drop", (connection) => {
    most = Math.max(most, connection.bufferedAmount ?? 0);
  });
  // The peer does not see the close: it stays open until it is cut off, so the close itself is what is waited for.
  const closing = new Promise<void>((resolve) => pair.connection.onClosing(resolve));
  let isClosing = false;
  void closing.then(() => (isClosing = true));
  while (!isClosing) {
    if (!pair.wire.socket.write(chunk)) await Promise.race([once(pair.wire.socket, "drain"), closing]);
    await setImmediate();
  }
  off();
  expect(most).toBeGreaterThan(2 ** 20);
  expect(most).toBeLessThan(2 ** 20 + 200_000);
  pair.wire.socket.destroy();
  expect(await pair.ended).toMatchObject({ code: 1013, by: "local" });
});

test("Connections that send nothing, half a request or a whole one at once do not keep others out", async () => {
  const wires = await Promise.all(Array.from({ length: 200 }, () => Wire.open(target.port)));
  wires.forEach((wire, i) => {
    if (i % 3 === 1) wire.write(handshake("/echo").slice(0, i));
    if (i % 3 === 2) wire.write(handshake("/echo"));
  });
  await progress();
  for (const wire of wires) wire.socket.resetAndDestroy();
  await Promise.all(wires.map((wire) => wire.ended));
});

/** Lets the server take 50 more turns, each of which reads: a good client gets 50 answers. */
async function progress(): Promise<void> {
  const client = await Client.open(`${target.url}/echo`);
  for (let i = 0; i < 50; i++) {
    client.ws.send("turn");
    await client.next();
  }
  await client.close();
}
