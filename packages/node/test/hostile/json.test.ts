/** JSON that is no harmless JSON, to a hook with a schema and to the pull form. */
import type { StandardSchemaV1 } from "@vel/core";
import { expect, test, vi } from "vitest";
import { build, ending, openPair, openWire, serveTarget } from "./target.ts";
import { frame } from "../kit.ts";

/** Lets everything through, so that the limits alone decide. */
const anything: StandardSchemaV1<unknown, object> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as object }) },
};

const received: unknown[] = [];
const take = (value: unknown): void => {
  received.push(value);
  if (typeof value === "object" && value !== null) merge({}, value as Record<string, unknown>);
};

/** What careless code does with what it gets. */
function merge(into: Record<string, unknown>, from: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(from)) {
    const there = into[key];
    if (typeof there === "object" && typeof value === "object") {
      merge(there as Record<string, unknown>, value as Record<string, unknown>);
    } else into[key] = value;
  }
}

const target = serveTarget({ maxPayload: 2 ** 22 }, (vel) => {
  const hooks = {
    schema: anything,
    message: (_: unknown, value: object) => {
      take(value);
    },
  };
  vel.websocket("/closing", hooks);
  vel.websocket("/told", { ...hooks, invalid: (connection, { code }) => void connection.send(code) });
  vel.websocket("/strict", {
    ...hooks,
    json: { size: 200, depth: 3, keys: 5 },
    invalid: (connection, { message }) => void connection.send(message),
  });
  vel.websocket("/pull", async (request) => {
    const connection = await request.accept();
    for await (const value of connection.jsons()) take(value);
  });
});

const end = frame(8, "");
const text = (payload: string | Buffer): Buffer => build({ opcode: 1 }, payload);

const refused: [name: string, payload: string][] = [
  ["no JSON at all", "hello"],
  ["an empty text", ""],
  ["JSON with something behind it", "{} {}"],
  ["a comment", "{/* */}"],
  ["NaN", "NaN"],
  ["a cut object", '{"a":'],
  ["64 KiB and a byte", JSON.stringify("x".repeat(2 ** 16 - 1))],
  ["64 KiB of characters of two bytes", JSON.stringify("é".repeat(2 ** 15))],
  ["spaces over 64 KiB", " ".repeat(2 ** 16) + "{}"],
  ["65 arrays in each other", "[".repeat(65) + "]".repeat(65)],
  ["65 objects in each other", '{"a":'.repeat(65) + "1" + "}".repeat(65)],
  ["a megabyte of [", "[".repeat(2 ** 20)],
  ["60,000 times [", "[".repeat(60_000)],
  ["60,000 times {", "{".repeat(60_000)],
  ["1,001 keys of one object", JSON.stringify(Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [i, 0])))],
  ["1,001 keys of many objects", JSON.stringify(Array.from({ length: 1_001 }, () => ({ a: 1 })))],
  ["a key __proto__", '{"__proto__":{"polluted":1}}'],
  ["a key __proto__ of a deep object", '[[{"a":{"__proto__":{"polluted":1}}}]]'],
  ["a key __proto__ of null", '{"__proto__":null}'],
  ["a key \\u005f_proto__", '{"\\u005f_proto__":{"polluted":1}}'],
  ["a key of escapes alone", '{"\\u005f\\u005F\\u0070\\u0072\\u006f\\u0074\\u006F\\u005f\\u005f":{"polluted":1}}'],
  ["a key constructor with a prototype", '{"constructor":{"prototype":{"polluted":1}}}'],
  ["a key c\\u006fnstructor with a prototyp\\u0065", '{"c\\u006fnstructor":{"prototyp\\u0065":{"polluted":1}}}'],
  ["a key __proto__ twice", '{"__proto__":1,"a":1,"__proto__":{"polluted":1}}'],
];

test.each(refused)("Hooks.schema closes with 1007 on %s", async (_, payload) => {
  received.length = 0;
  const { wire, ended } = await openPair(target, "/closing");
  wire.write(text(payload));
  await wire.until("\x88"); // the server's close frame, which the client has to answer
  wire.write(frame(8, Buffer.from([3, 239])));
  expect((await ending(wire)).code).toBe(1007);
  expect(await ended).toMatchObject({ code: 1007, by: "local" });
  expect(received).toEqual([]);
});

test.each(refused)("Hooks.invalid gets %s, and the connection lives on", async (_, payload) => {
  received.length = 0;
  const wire = await openWire(target, "/told");
  wire.write(text(payload), text('{"good":1}'), end);
  expect((await ending(wire)).texts).toEqual(["ERR_VEL_INVALID_MESSAGE"]);
  expect(received).toEqual([{ good: 1 }]);
});

test.each(refused)("Connection.jsons() throws on %s, which closes with 1007", async (_, payload) => {
  received.length = 0;
  const { wire, ended } = await openPair(target, "/pull");
  wire.write(text(payload));
  await wire.until("\x88");
  wire.write(frame(8, Buffer.from([3, 239])));
  expect((await ending(wire)).code).toBe(1007);
  expect(await ended).toMatchObject({ code: 1007, by: "local" });
  expect(received).toEqual([]);
});

test.each<[name: string, payload: string]>([
  ["64 KiB exactly", JSON.stringify("x".repeat(2 ** 16 - 2))],
  ["64 arrays in each other", "[".repeat(64) + "]".repeat(64)],
  ["1,000 keys", JSON.stringify(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [i, 0])))],
  ["brackets and colons within a string", JSON.stringify(`${"[{:".repeat(2_000)}\\"[[`)],
  ["brackets that close what is not open within a string", JSON.stringify(["]".repeat(100), [["}"]]])],
  ["a key constructor without a prototype", '{"constructor":{"name":"a"}}'],
  ["a key prototype", '{"prototype":{"a":1}}'],
  ["__proto__ as a value", '{"a":"__proto__"}'],
  ["a key __PROTO__", '{"__PROTO__":{"a":1}}'],
  ["keys that objects have by themselves", '{"toString":1,"hasOwnProperty":2,"valueOf":3}'],
])("Hooks.schema lets in %s", async (_, payload) => {
  received.length = 0;
  const wire = await openWire(target, "/told");
  wire.write(text(payload), end);
  expect((await ending(wire)).texts).toEqual([]);
  expect(received).toEqual([JSON.parse(payload)]);
});

test.each<[name: string, payload: string, answer: RegExp]>([
  ["201 bytes", JSON.stringify("x".repeat(199)), /more than 200 bytes/],
  ["4 levels", "[[[[]]]]", /deeper than 3/],
  ["6 keys", '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}', /more than 5 keys/],
])("RouteOptions.json of the route decides about %s", async (_, payload, answer) => {
  const wire = await openWire(target, "/strict");
  wire.write(text(payload), end);
  expect((await ending(wire)).texts).toEqual([expect.stringMatching(answer)]);
});

test("Hooks.schema refuses a binary message, whatever it holds", async () => {
  received.length = 0;
  const wire = await openWire(target, "/told");
  wire.write(build({ opcode: 2 }, '{"good":1}'), end);
  expect((await ending(wire)).texts).toEqual(["ERR_VEL_INVALID_MESSAGE"]);
  expect(received).toEqual([]);
});

test("Hooks.schema does not parse what is over a limit", async () => {
  const parse = vi.spyOn(JSON, "parse");
  const wire = await openWire(target, "/told");
  wire.write(text("[".repeat(2 ** 20)), text("[".repeat(65)), text('{"a":'.repeat(1_001)), end);
  expect((await ending(wire)).texts.length).toBe(3);
  const parsed = parse.mock.calls.filter(([source]) => source.startsWith("[[") || source.startsWith('{"a"'));
  parse.mockRestore();
  expect(parsed).toEqual([]);
});
