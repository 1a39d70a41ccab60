/** Ends that no proper client makes: RFC 6455, sections 5.5.1 and 7. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "@vel/core";
import { afterEach, expect, test } from "vitest";
import { frame, handshake, Wire } from "../kit.ts";
import { build, ending, openPair, serveTarget } from "./target.ts";

/** Times that were set and not cleared. They are up when a test says so. */
const alarms = new Map<unknown, { callback: () => void; delay: number }>();

const clock: Clock = {
  now: () => 0,
  wall: () => 0,
  setTimeout(callback, delay) {
    const key = Symbol("alarm");
    alarms.set(key, { callback, delay });
    return key;
  },
  clearTimeout: (key) => void alarms.delete(key),
};

const closeTimeout = 1_234;
const target = serveTarget({ clock, closeTimeout }, (vel) => {
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

afterEach(async () => {
  // A guard that was thinking when its client left has a turn to come to its end.
  for (let turn = 0; turn < 10 && alarms.size > 0; turn++) await setImmediate();
  expect([...alarms.values()]).toEqual([]);
});

/** Lets the time be up that closing handshakes are waited for. */
function timeIsUp(): void {
  for (const { callback, delay } of [...alarms.values()]) if (delay === closeTimeout) callback();
}

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

test.each<[what: string, ...bytes: Buffer[]]>([
  ["nothing"],
  ["messages and pings", frame(1, "never mind"), frame(9, "alive")],
  ["half a close frame", frame(8, closing(4000)).subarray(0, 5)],
  ["half a message", build({ opcode: 1 }, "x".repeat(500)).subarray(0, 100)],
])("7.1.1: a client that answers the server's close with %s is cut off when the time is up", async (_, ...bytes) => {
  const { wire, connection, ended } = await openPair(target, "/echo", {}, { allowHalfOpen: true });
  connection.close(4000, "go");
  await wire.until("go");
  wire.write(...bytes);
  expect(connection.closeInfo).toBeUndefined();
  timeIsUp();
  expect(await ended).toEqual({ code: 4000, reason: "go", wasClean: false, by: "local" });
  wire.socket.destroy();
  await wire.ended.catch(() => undefined); // a reset
});

test("CVE row 8: 300 resets at random moments throw nothing and leave nothing", async () => {
  const random = randomNumbers(8);
  const paths = ["/echo", "/thinking", "/leaving", "/nowhere"];
  const frames = [frame(1, "a", false), frame(9, "b"), frame(0, "c"), build({ opcode: 2 }, Buffer.alloc(3_000))];
  const talk = (path: string): Buffer =>
    Buffer.concat([Buffer.from(handshake(path)), ...frames, ...frames, frame(8, closing(1000))]);
  const attack = async (): Promise<void> => {
    const bytes = talk(paths[random(paths.length)] ?? "");
    const wire = await Wire.open(target.port);
    const isAnswered = random(2) === 0;
    const end = random(bytes.byteLength + 1);
    const written = new Promise((resolve) => wire.socket.write(bytes.subarray(0, end), resolve));
    const answered = isAnswered && end > handshake("/echo").length + 10 ? once(wire.socket, "data") : undefined;
    await Promise.race([answered ?? written, wire.ended]);
    for (let turns = random(4); turns > 0; turns--) await setImmediate();
    wire.socket.resetAndDestroy();
    await wire.ended;
  };
  const sockets = new Set<Socket>();
  const onConnection = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  target.server.server.on("connection", onConnection);
  for (let i = 0; i < 300; i += 20) await Promise.all(Array.from({ length: 20 }, attack));
  while (sockets.size > 0) await setImmediate();
  target.server.server.off("connection", onConnection);
});

/** Whole numbers below a limit that are the same in every run (Lehmer's generator). */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}
