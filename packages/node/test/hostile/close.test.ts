/** Ends that no proper client makes: RFC 6455, sections 5.5.1 and 7. */
import { expect, test } from "vitest";
import { frame } from "../kit.ts";
import { build, ending, openPair, serveTarget } from "./target.ts";

const target = serveTarget();

/** The payload of a close frame. */
function closing(code: number, reason: string | Buffer = ""): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

test.each<[name: string, code: number, payload: Buffer]>([
  ["5.5.1: a payload of one byte", 1002, Buffer.from([3])],
  ["7.4.1: code 0", 1002, closing(0)],
  ["7.4.2: code 999", 1002, closing(999)],
  ["7.4.1: code 1004, reserved", 1002, closing(1004)],
  ["7.4.1: code 1005, which is never sent", 1002, closing(1005)],
  ["7.4.1: code 1006, which is never sent", 1002, closing(1006)],
  ["7.4.1: code 1015, which is never sent", 1002, closing(1015)],
  ["7.4.2: code 1016, not assigned", 1002, closing(1016)],
  ["7.4.2: code 1100, not assigned", 1002, closing(1100)],
  ["7.4.2: code 2000, reserved for extensions", 1002, closing(2000)],
  ["7.4.2: code 2999, reserved for extensions", 1002, closing(2999)],
  ["7.4.2: code 5000", 1002, closing(5000)],
  ["7.4.2: code 65535", 1002, closing(65_535)],
  ["5.5.1: a reason that is not UTF-8", 1007, closing(1000, Buffer.from([0xff]))],
  ["5.5.1: a reason that ends within a code point", 1007, closing(1000, Buffer.from([0xe2, 0x82]))],
  ["5.5.1: a surrogate as a reason", 1007, closing(1000, Buffer.from([0xed, 0xa0, 0x80]))],
])("fails the connection on %s", async (_, code, payload) => {
  const { wire, ended } = await openPair(target);
  wire.write(frame(8, payload));
  expect(await ending(wire)).toMatchObject({ code });
  expect(await ended).toEqual({ code, reason: "", wasClean: false, by: "local" });
});

test.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])(
  "7.4: code %i is answered in kind",
  async (code) => {
    const { wire, ended } = await openPair(target);
    wire.write(frame(8, closing(code, "because")));
    expect((await ending(wire)).code).toBe(code);
    expect(await ended).toEqual({ code, reason: "because", wasClean: true, by: "remote" });
  },
);

test("5.5.1: an empty close is answered, and is 1005 to the application", async () => {
  const { wire, ended } = await openPair(target);
  wire.write(frame(8, ""));
  expect((await ending(wire)).code).toBe(1005);
  expect(await ended).toEqual({ code: 1005, reason: "", wasClean: true, by: "remote" });
});

test("5.5.1: a reason may fill a control frame, and reaches the application whole", async () => {
  const { wire, ended } = await openPair(target);
  wire.write(frame(8, closing(4001, "é".repeat(61) + "x")));
  await wire.ended;
  expect(await ended).toMatchObject({ code: 4001, reason: "é".repeat(61) + "x" });
});

test.each<[what: string, ...bytes: Buffer[]]>([
  ["a text", frame(1, "late")],
  ["a ping", frame(9, "late")],
  ["another close", frame(8, closing(4002))],
  ["a violation", build({ opcode: 3 })],
  ["a megabyte", build({ opcode: 2 }, Buffer.alloc(2 ** 20))],
])("5.5.1: %s behind a close frame is not looked at", async (_, ...bytes) => {
  const { wire, connection, ended } = await openPair(target);
  wire.write(frame(1, "in time"), frame(8, closing(4001)), ...bytes);
  // An answer to what came in time goes out before the close frame.
  expect(await ending(wire)).toMatchObject({ texts: ["in time"], pongs: [], code: 4001 });
  expect(await ended).toEqual({ code: 4001, reason: "", wasClean: true, by: "remote" });
  expect(connection.messagesReceived).toBe(1);
});

test("7.1.2: messages between the server's close and the client's answer reach nobody", async () => {
  const { wire, connection, ended } = await openPair(target);
  connection.close(4003, "enough");
  wire.write(frame(1, "late"), frame(9, "late"), frame(8, closing(4003)));
  expect(await ending(wire)).toMatchObject({ texts: [], code: 4003 });
  expect(await ended).toEqual({ code: 4003, reason: "enough", wasClean: true, by: "local" });
  expect(connection.messagesReceived).toBe(0);
});

test("7.1.2: a client that answers the server's close with a violation does not change its code", async () => {
  const { wire, connection, ended } = await openPair(target);
  connection.close(4003);
  wire.write(build({ opcode: 3 }));
  expect((await ending(wire)).code).toBe(4003);
  expect(await ended).toMatchObject({ code: 4003, by: "local" });
});

test("7.1.1: a client that ends TCP without a close frame is 1006, and is not waited for", async () => {
  const { wire, ended } = await openPair(target, "/echo", {}, { allowHalfOpen: true });
  wire.socket.end();
  expect(await ended).toEqual({ code: 1006, reason: "", wasClean: false, by: "remote" });
  wire.socket.destroy();
  await wire.ended;
});

test("7.1.1: a client that keeps its side of TCP open after the closing handshake is let go of", async () => {
  const { wire, ended } = await openPair(target, "/echo", {}, { allowHalfOpen: true });
  wire.write(frame(8, closing(1000)));
  wire.socket.once("end", () => {
    wire.socket.write(frame(1, "still here"));
    wire.socket.end();
  });
  expect((await ending(wire)).code).toBe(1000);
  expect(await ended).toMatchObject({ code: 1000, wasClean: true });
});

test.each<[when: string, ...bytes: Buffer[]]>([
  ["at rest"],
  ["within a header", Buffer.from([0x81])],
  ["within a fragmented message", frame(1, "a", false)],
  ["after its close frame", frame(8, closing(1000))],
  ["after a violation", build({ opcode: 3 })],
  ["while it is answered", ...Array.from({ length: 100 }, () => build({ opcode: 1 }, "x".repeat(1_000)))],
])("7.1.1: a reset %s ends the connection once", async (_, ...bytes) => {
  const { wire, connection, ended } = await openPair(target);
  let ends = 0;
  connection.onClose(() => ends++);
  wire.socket.write(Buffer.concat(bytes), () => wire.socket.resetAndDestroy());
  const { code, wasClean } = await ended;
  await wire.ended;
  expect([1000, 1002, 1006]).toContain(code);
  if (code === 1006) expect(wasClean).toBe(false);
  expect(ends).toBe(1);
  expect(connection.isOpen).toBe(false);
});
