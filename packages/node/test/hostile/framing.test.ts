/** Frames that no proper client sends: RFC 6455, section 5. */
import { expect, test } from "vitest";
import { frame, handshake, Wire } from "../kit.ts";
import { build, ending, header, openPair, serveTarget } from "./target.ts";

const target = serveTarget();

const big = 2 ** 20 + 1;

test.each<[name: string, code: number, ...bytes: Buffer[]]>([
  ["5.2: RSV1 without an extension", 1002, build({ rsv: 4, opcode: 1 }, "a")],
  ["5.2: RSV2", 1002, build({ rsv: 2, opcode: 1 }, "a")],
  ["5.2: RSV3", 1002, build({ rsv: 1, opcode: 1 }, "a")],
  ["5.2: all reserved bits on a ping", 1002, build({ rsv: 7, opcode: 9 })],
  ["5.2: reserved data opcode 3", 1002, build({ opcode: 3 }, "a")],
  ["5.2: reserved data opcode 4", 1002, build({ opcode: 4 }, "a")],
  ["5.2: reserved data opcode 5", 1002, build({ opcode: 5 }, "a")],
  ["5.2: reserved data opcode 6", 1002, build({ opcode: 6 }, "a")],
  ["5.2: reserved data opcode 7", 1002, build({ opcode: 7 }, "a")],
  ["5.2: reserved control opcode 11", 1002, build({ opcode: 11 })],
  ["5.2: reserved control opcode 12", 1002, build({ opcode: 12 })],
  ["5.2: reserved control opcode 13", 1002, build({ opcode: 13 })],
  ["5.2: reserved control opcode 14", 1002, build({ opcode: 14 })],
  ["5.2: reserved control opcode 15", 1002, build({ opcode: 15 })],
  ["5.1: a text that is not masked", 1002, build({ opcode: 1, masked: false }, "a")],
  ["5.1: bytes that are not masked", 1002, build({ opcode: 2, masked: false }, "a")],
  ["5.1: an empty text that is not masked", 1002, build({ opcode: 1, masked: false })],
  ["5.1: a ping that is not masked", 1002, build({ opcode: 9, masked: false })],
  ["5.1: a close that is not masked", 1002, build({ opcode: 8, masked: false }, Buffer.from([3, 232]))],
  ["5.1: a second fragment that is not masked", 1002, frame(1, "a", false), build({ opcode: 0, masked: false }, "b")],
  ["5.5: a ping of 126 bytes", 1002, build({ opcode: 9 }, "x".repeat(126))],
  ["5.5: a pong of 65,536 bytes", 1002, build({ opcode: 10 }, "x".repeat(65_536))],
  ["5.5: a close of 126 bytes", 1002, build({ opcode: 8 }, Buffer.concat([Buffer.from([3, 232]), Buffer.alloc(124)]))],
  ["5.5: a fragmented ping", 1002, frame(9, "a", false), frame(0, "b")],
  ["5.5: a fragmented close", 1002, frame(8, Buffer.from([3, 232]), false)],
  ["5.4: a continuation without a start", 1002, frame(0, "a")],
  ["5.4: a continuation after a whole message", 1002, frame(1, ""), frame(0, "b")],
  ["5.4: a text within a fragmented text", 1002, frame(1, "a", false), frame(1, "b")],
  ["5.4: bytes within a fragmented text", 1002, frame(1, "a", false), frame(2, "b")],
  ["CVE row 15: a length of 2^53", 1009, header({ opcode: 2, length: 2n ** 53n })],
  ["CVE row 15: a length of 2^53 + 1", 1009, header({ opcode: 2, length: 2n ** 53n + 1n })],
  ["CVE row 15: a length of 2^63 (5.2: the highest bit must be 0)", 1009, header({ opcode: 2, length: 2n ** 63n })],
  ["CVE row 15: a length of 2^64 - 1", 1009, header({ opcode: 1, length: 2n ** 64n - 1n })],
  ["CVE row 15: 2^63 in a fragment", 1009, frame(2, "", false), header({ opcode: 0, length: 2n ** 63n })],
  ["10.4: a length of one byte over the limit", 1009, header({ opcode: 2, length: big })],
])("closes on %s", async (_, code, ...bytes) => {
  const { wire, ended } = await openPair(target);
  wire.write(...bytes);
  expect(await ending(wire)).toMatchObject({ code, pongs: [] });
  expect(await ended).toMatchObject({ code, by: "local" });
});

test.each<[name: string, received: string[], ...bytes: Buffer[]]>([
  [
    "5.2: a length of 1 in 16 bits",
    ["a"],
    Buffer.concat([header({ opcode: 1, length: 1, bits: 16 }), Buffer.from("a")]),
  ],
  [
    "5.2: a length of 1 in 64 bits",
    ["a"],
    Buffer.concat([header({ opcode: 1, length: 1, bits: 64 }), Buffer.from("a")]),
  ],
  ["5.2: a length of 0 in 64 bits", [""], header({ opcode: 1, length: 0, bits: 64 })],
  ["5.4: an empty first and last fragment", ["a"], frame(1, "", false), frame(0, "a", false), frame(0, "")],
  ["5.4: only empty fragments", [""], frame(1, "", false), frame(0, "", false), frame(0, "")],
  ["5.4: pings between fragments", ["ab"], frame(1, "a", false), frame(9, "1"), frame(0, "b")],
  ["5.5.3: a pong that nobody asked for", ["a"], frame(10, "x"), frame(1, "a")],
  ["5.5.2: a ping of 125 bytes", ["a"], frame(9, "x".repeat(125)), frame(1, "a")],
])("lives on after %s", async (_, received, ...bytes) => {
  const { wire, ended } = await openPair(target);
  wire.write(...bytes, frame(8, Buffer.from([3, 232])));
  expect(await ending(wire)).toMatchObject({ texts: received, code: 1000 });
  expect(await ended).toMatchObject({ code: 1000, by: "remote", wasClean: true });
});

test("5.5.2: pings between fragments are answered before the message, in order, with their data", async () => {
  const { wire } = await openPair(target);
  wire.write(frame(1, "a", false), frame(9, "1"), frame(0, "b", false), frame(9, ""), frame(0, "c"), frame(9, "3"));
  wire.write(frame(8, ""));
  const { frames } = await ending(wire);
  const sent = frames.map(({ opcode, payload }) => [opcode, payload.toString()]);
  // A pong leaves when its ping is read, an echo at the end of the turn.
  expect(sent.filter(([opcode]) => opcode === 10)).toEqual([
    [10, "1"],
    [10, ""],
    [10, "3"],
  ]);
  expect(sent.filter(([opcode]) => opcode === 1)).toEqual([[1, "abc"]]);
});

test("5.2: a masked payload is unmasked, whatever the key and however long", async () => {
  const { wire } = await openPair(target);
  const key = Buffer.from([0x01, 0xff, 0x80, 0x37]);
  const sizes = [1, 2, 3, 4, 5, 47, 48, 49, 125, 126, 65_535, 65_536];
  for (const size of sizes) {
    const masked = Buffer.alloc(size, "vel");
    for (let i = 0; i < size; i++) masked[i] = masked.readUInt8(i) ^ key.readUInt8(i % 4);
    const start = header({ opcode: 1, length: size });
    key.copy(start, start.byteLength - 4);
    wire.write(start, masked);
  }
  wire.write(frame(8, ""));
  const { texts } = await ending(wire);
  expect(texts.map(({ length }) => length)).toEqual(sizes);
  for (const text of texts) expect(text === Buffer.alloc(text.length, "vel").toString()).toBe(true);
});

test("5: a conversation that comes in chunks of one byte is the same conversation", async () => {
  const wire = await Wire.open(target.port);
  wire.socket.setNoDelay(true);
  const all = [
    Buffer.from(handshake("/echo")),
    frame(1, "a", false),
    frame(9, "ping"),
    frame(0, "\u00e9"),
    build({ opcode: 1 }, "x".repeat(300)),
    frame(8, Buffer.from([3, 232])),
  ];
  for (const byte of Buffer.concat(all)) await write(wire, Buffer.from([byte]));
  expect(await ending(wire)).toMatchObject({ texts: ["a\u00e9", "x".repeat(300)], pongs: ["ping"], code: 1000 });
});

test("7.1.7: nothing that follows a violation in the same packet reaches a handler", async () => {
  const { wire, connection, ended } = await openPair(target);
  wire.write(frame(1, "before"), build({ opcode: 3 }), frame(1, "after"), frame(9, "after"));
  expect(await ending(wire)).toMatchObject({ texts: ["before"], pongs: [], code: 1002 });
  await ended;
  expect(connection.messagesReceived).toBe(1);
});

test("5.1: an unmasked frame right behind the handshake opens and fails the connection", async () => {
  const wire = await Wire.open(target.port);
  wire.write(handshake("/echo"), build({ opcode: 1, masked: false }, "a"));
  expect((await ending(wire)).code).toBe(1002);
});

test.each(["header", "masking key", "payload"])("7.1.5: a connection that ends within a %s is 1006", async (where) => {
  const { wire, ended } = await openPair(target);
  const start = header({ opcode: 1, length: 300 });
  const end = where === "header" ? 3 : where === "masking key" ? 6 : start.byteLength;
  wire.write(start.subarray(0, end), where === "payload" ? "half" : "");
  wire.socket.end();
  expect(await ended).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
  await wire.ended;
});

/** Writes a chunk, and waits until it is on its way alone. */
function write(wire: Wire, chunk: Buffer): Promise<void> {
  return new Promise((resolve) =>
    wire.socket.write(chunk, () => {
      setImmediate(resolve);
    }),
  );
}
