/**
 * JSON that is no harmless JSON, to a hook with a schema and to the pull form.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StandardSchemaV1, Vel } from "@vel/core";
import type { ConformanceCase } from "../case.ts";
import type { Target, Trial } from "../trial.ts";

/** Lets everything through, so that the limits alone decide. */
const anything: StandardSchemaV1<unknown, object> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as object }) },
};

interface Attack {
  /** What is wrong with them all, after the RFC's section. */
  readonly what: string;
  readonly payloads: readonly string[];
}

const attacks: readonly Attack[] = [
  { what: "RFC 8259, 2: what is no JSON", payloads: ["hello", "", "{} {}", "{/* */}", "NaN", '{"a":'] },
  {
    what: "RFC 8259, 9: more than 64 KiB",
    payloads: [
      JSON.stringify("x".repeat(2 ** 16 - 1)),
      JSON.stringify("é".repeat(2 ** 15)),
      " ".repeat(2 ** 16) + "{}",
    ],
  },
  {
    what: "RFC 8259, 9: more than 64 levels",
    payloads: [
      "[".repeat(65) + "]".repeat(65),
      '{"a":'.repeat(65) + "1" + "}".repeat(65),
      "[".repeat(2 ** 20),
      "[".repeat(60_000),
      "{".repeat(60_000),
    ],
  },
  {
    what: "RFC 8259, 4: more than 1,000 keys",
    payloads: [
      JSON.stringify(Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [i, 0]))),
      JSON.stringify(Array.from({ length: 1_001 }, () => ({ a: 1 }))),
    ],
  },
  {
    what: "CVE row 9: a key that reaches for prototypes, however it is written",
    payloads: [
      '{"__proto__":{"polluted":1}}',
      '[[{"a":{"__proto__":{"polluted":1}}}]]',
      '{"__proto__":null}',
      '{"\\u005f_proto__":{"polluted":1}}',
      '{"\\u005f\\u005F\\u0070\\u0072\\u006f\\u0074\\u006F\\u005f\\u005f":{"polluted":1}}',
      '{"constructor":{"prototype":{"polluted":1}}}',
      '{"c\\u006fnstructor":{"prototyp\\u0065":{"polluted":1}}}',
      '{"__proto__":1,"a":1,"__proto__":{"polluted":1}}',
    ],
  },
];

/** What looks like one of the attacks, and is none. */
const harmless: Readonly<Record<string, string>> = {
  "64 KiB exactly": JSON.stringify("x".repeat(2 ** 16 - 2)),
  "64 arrays in each other": "[".repeat(64) + "]".repeat(64),
  "1,000 keys": JSON.stringify(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [i, 0]))),
  "brackets and colons within a string": JSON.stringify(`${"[{:".repeat(2_000)}\\"[[`),
  "brackets within strings that close nothing": JSON.stringify(["]".repeat(100), [["}"]]]),
  "a key constructor without a prototype": '{"constructor":{"name":"a"}}',
  "a key prototype": '{"prototype":{"a":1}}',
  "__proto__ as a value": '{"a":"__proto__"}',
  "a key __PROTO__": '{"__PROTO__":{"a":1}}',
  "keys that objects have by themselves": '{"toString":1,"hasOwnProperty":2,"valueOf":3}',
};

/** Runs a server whose routes keep what they get. */
async function serve(trial: Trial): Promise<{ target: Target; received: unknown[] }> {
  const received: unknown[] = [];
  const take = (value: object): void => {
    received.push(value);
    merge({}, value as Record<string, unknown>);
  };
  const hooks = {
    schema: anything,
    message: (_: unknown, value: object): void => {
      take(value);
    },
  };
  const routes = (vel: Vel): void => {
    vel.websocket("/closing", hooks);
    vel.websocket("/told", { ...hooks, invalid: (connection, { code }) => connection.send(code) });
    vel.websocket("/strict", {
      ...hooks,
      json: { size: 200, depth: 3, keys: 5 },
      invalid: (connection, { message }) => connection.send(message),
    });
    vel.websocket("/pull", async (request) => {
      const connection = await request.accept();
      for await (const value of connection.jsons()) take(value as object);
    });
  };
  return { target: await trial.serve(routes, { maxPayload: 2 ** 22 }), received };
}

/** What careless code does with what it gets. */
function merge(into: Record<string, unknown>, from: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(from)) {
    const there = into[key];
    if (typeof there === "object" && typeof value === "object") {
      merge(there as Record<string, unknown>, value as Record<string, unknown>);
    } else into[key] = value;
  }
}

/** Shows a payload in the message of a failure. */
const shown = (payload: string): string => JSON.stringify(payload.slice(0, 80));

/** A route that must close on each payload. */
function closes(path: string, payloads: readonly string[]): ConformanceCase["run"] {
  return async (trial) => {
    const { target, received } = await serve(trial);
    for (const payload of payloads) {
      const { client, info } = await target.pair(path);
      client.send(payload);
      assert.equal((await client.closed).code, 1007, shown(payload));
      const { code, by } = await info;
      assert.deepEqual({ code, by }, { code: 1007, by: "local" }, shown(payload));
    }
    assert.deepEqual(received, []);
  };
}

/** Cases about JSON. */
export const jsonAttacks: readonly ConformanceCase[] = [
  ...attacks.flatMap(({ what, payloads }): ConformanceCase[] => [
    { name: `json: ${what} closes with 1007, where a schema is`, run: closes("/closing", payloads) },
    { name: `json: ${what} closes with 1007, where jsons() reads`, run: closes("/pull", payloads) },
    {
      name: `json: ${what} is told to the invalid hook, and the connection lives on`,
      async run(trial) {
        const { target, received } = await serve(trial);
        const client = await target.open("/told");
        for (const payload of payloads) {
          client.send(payload);
          assert.equal(await client.next(), "ERR_VEL_INVALID_MESSAGE", shown(payload));
        }
        client.send('{"good":1}');
        client.close(1000);
        await client.closed;
        assert.deepEqual(received, [{ good: 1 }]);
        assert.deepEqual(client.received, []);
      },
    },
  ]),
  {
    name: "json: RFC 8259: what only looks like an attack is let in as it is",
    async run(trial) {
      const { target, received } = await serve(trial);
      const client = await target.open("/told");
      for (const payload of Object.values(harmless)) client.send(payload);
      client.close(1000);
      await client.closed;
      assert.deepEqual(client.received, []);
      assert.deepEqual(
        received,
        Object.values(harmless).map((payload): unknown => JSON.parse(payload)),
      );
    },
  },
  {
    name: "json: RFC 8259, 9: a route's own limits decide, and the answer says which was passed",
    async run(trial) {
      const { target, received } = await serve(trial);
      const client = await target.open("/strict");
      for (const [payload, answer] of [
        [JSON.stringify("x".repeat(199)), /more than 200 bytes/],
        ["[[[[]]]]", /deeper than 3/],
        ['{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}', /more than 5 keys/],
      ] as const) {
        client.send(payload);
        assert.match(String(await client.next()), answer);
      }
      assert.deepEqual(received, []);
    },
  },
  {
    name: "json: RFC 8259, 8.1: a binary message is refused where a schema is, whatever it holds",
    async run(trial) {
      const { target, received } = await serve(trial);
      const client = await target.open("/told");
      client.send(new TextEncoder().encode('{"good":1}'));
      assert.equal(await client.next(), "ERR_VEL_INVALID_MESSAGE");
      assert.deepEqual(received, []);
    },
  },
  {
    name: "json: RFC 8259, 9: what is over a limit is not parsed",
    async run(trial) {
      const { target } = await serve(trial);
      const client = await target.open("/told");
      const { parse } = JSON;
      const parsed: string[] = [];
      JSON.parse = (...args: Parameters<typeof parse>): unknown => {
        parsed.push(args[0]);
        return parse(...args);
      };
      try {
        for (const payload of ["[".repeat(2 ** 20), "[".repeat(65), '{"a":'.repeat(1_001), '{"good":1}']) {
          client.send(payload);
        }
        for (let i = 0; i < 3; i++) assert.equal(await client.next(), "ERR_VEL_INVALID_MESSAGE");
        client.close(1000);
        await client.closed;
      } finally {
        JSON.parse = parse;
      }
      assert.deepEqual(parsed, ['{"good":1}']);
    },
  },
];
