/**
 * Requests that no proper client sends: RFC 6455, section 4, and what HTTP (RFC 9112) makes possible below it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Connection, Received, Vel } from "@vel/core";
import { closePayload, frame, handshake, opcodes } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";
import type { Target, Trial } from "../trial.ts";
import { attack, progress } from "./attack.ts";

const passedOver = "handshake: CVE row 3: offers of extensions with names that objects have are passed over";

const key = "AAAAAAAAAAAAAAAAAAAAAA==";
/** A good request without the empty line at its end, for what has to follow its headers. */
const open = handshake("/echo").slice(0, -2);

const get = (headers: Parameters<typeof handshake>[1], path = "/echo"): string => handshake(path, headers);
const line = (start: string): string => handshake("", {}, start);
const ascending = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Requests that are refused alike. */
interface Refused {
  readonly what: string;
  /** What Vel answers; left out where the runtime's HTTP parser decides, which may cut the connection instead. */
  readonly status?: number;
  readonly requests: readonly string[];
  /** Whether it takes a route that compresses. */
  readonly needsCompression?: true;
}

const refused: readonly Refused[] = [
  {
    what: "4.1: a method that is not GET",
    status: 405,
    requests: [line("POST /echo HTTP/1.1"), line("PUT /echo HTTP/1.1"), line("OPTIONS /echo HTTP/1.1")],
  },
  { what: "4.1: a method that is none", requests: [line("get /echo HTTP/1.1"), line("VEL /echo HTTP/1.1")] },
  { what: "4.1: HTTP 1.0", requests: [line("GET /echo HTTP/1.0")] },
  { what: "4.1: HTTP 1.2", requests: [line("GET /echo HTTP/1.2")] },
  { what: "4.1: HTTP 0.9", requests: ["GET /echo\r\n\r\n"] },
  {
    what: "4.1: a TLS client's hello, and a frame",
    requests: ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", frame(opcodes.text, "hello").toString("latin1")],
  },
  { what: "4.2.1: no Host", status: 400, requests: [get({ Host: undefined })] },
  { what: "4.2.1: no Upgrade", status: 426, requests: [get({ Upgrade: undefined }), get({ Upgrade: "" })] },
  {
    what: "4.2.1: another Upgrade",
    status: 426,
    requests: ["h2c", "websocket, h2c", "websockets", ["websocket", "websocket"]].map((Upgrade) => get({ Upgrade })),
  },
  {
    what: "4.2.1: a Connection that is no upgrade",
    status: 426,
    requests: [get({ Connection: undefined }), get({ Connection: "close" })],
  },
  {
    what: "4.2.1: a key that is not 16 bytes in base64, once",
    status: 400,
    requests: [
      undefined,
      "",
      "AAAAAAAAAAAAAAAAAAAA",
      "AAAAAAAAAAAAAAAAAAAAAAA=",
      "AAAAAAAAAAAAAAAAAAAAAA",
      "AAAAAAAAAA!AAAAAAAAAAA==",
      `${key}, ${key}`,
      [key, key],
    ].map((value) => get({ "Sec-WebSocket-Key": value })),
  },
  {
    what: "4.4: a version that is not 13, once",
    status: 426,
    requests: [undefined, "0", "8", "14", "013", "13.0", "13, 8", ["13", "13"]].map((value) =>
      get({ "Sec-WebSocket-Version": value }),
    ),
  },
  {
    what: "4.1: a malformed list of subprotocols",
    status: 400,
    requests: ["chat v1", "a,,b", ",a", '"chat.v1"', "ch\xe4t"].map((value) =>
      get({ "Sec-WebSocket-Protocol": value }, "/chat"),
    ),
  },
  {
    what: "4.1: a subprotocol twice",
    status: 400,
    requests: [get({ "Sec-WebSocket-Protocol": ["chat.v1", "chat.v1"] }, "/chat")],
  },
  {
    what: "9.1: a malformed list of extensions, where it is looked at",
    status: 400,
    requests: ["", "; a=1", "a,", "a; b=", 'a; b="c'].map((value) =>
      get({ "Sec-WebSocket-Extensions": value }, "/deflate"),
    ),
    needsCompression: true,
  },
  {
    what: "RFC 9112: a body",
    status: 400,
    requests: [
      get({ "Content-Length": "5" }) + "hello",
      get({ "Content-Length": "1000000" }),
      get({ "Transfer-Encoding": "chunked" }) + "0\r\n\r\n",
    ],
  },
  {
    what: "RFC 9112: lengths that are none",
    requests: [get({ "Content-Length": "-1" }), get({ "Content-Length": ["0", "1"] })],
  },
  {
    what: "RFC 9112: a malformed header",
    requests: [
      get({ "X-A": "a\rb" }),
      get({ "X-A": "a\0b" }),
      get({ "X-A": "a\r\n b" }),
      get({ "": "a" }),
      get({ "X-A ": "a" }),
      get({ " X-A": "a" }),
      `${open}X-A\r\n\r\n`,
    ],
  },
  {
    what: "RFC 9112: lines that end in LF alone",
    requests: [get({ "X-A": "a\nX-B: b" }), get({}).replaceAll("\r\n", "\n")],
  },
  {
    what: "RFC 9112: a malformed request line",
    requests: [line("GET\t/echo\tHTTP/1.1"), line("GET /echo /echo HTTP/1.1"), line("GET echo HTTP/1.1")],
  },
  { what: "3: a target of Latin-1", requests: [handshake("/named/\xe9")] },
  { what: "3: a target of *", requests: [line("GET * HTTP/1.1")] },
  { what: "3: a fragment in the target", requests: [handshake("/echo#a")] },
  { what: "3: dots in the path", requests: [handshake("/named/../echo")] },
  { what: "3: an absolute target of another scheme", requests: [line("GET ftp://127.0.0.1/echo HTTP/1.1")] },
  {
    what: "3: a path that is not quite a route's",
    status: 404,
    requests: [line("GET http://127.0.0.1 HTTP/1.1"), ...["//echo", "/%65cho", "/ECHO"].map((path) => get({}, path))],
  },
  {
    what: "3: a percent escape that is none",
    status: 400,
    requests: ["%", "%zz", "%c0%af", "%ed%a0%80"].map((name) => get({}, `/named/${name}`)),
  },
  {
    what: "CVE row 5: 3,000 headers",
    requests: [
      `${open}${"a: bcdef\r\n".repeat(3_000)}\r\n`,
      get({}).replace("\r\n", `\r\n${"a: bcdef\r\n".repeat(3_000)}`),
    ],
  },
];

/** Requests without an end. */
const endless: Readonly<Record<string, readonly [start: string, more: string]>> = {
  "a header": ["GET /echo HTTP/1.1\r\nX-A: ", "a".repeat(2 ** 16)],
  "a header's name": ["GET /echo HTTP/1.1\r\n", "a".repeat(2 ** 16)],
  "a target": ["GET /named/", "a".repeat(2 ** 16)],
  headers: [open, `X-A: ${"a".repeat(1_000)}\r\n`.repeat(64)],
};

/** Unusual requests that are let in. */
const admitted: Readonly<Record<string, readonly string[]>> = {
  "4.2.1: names and options in any case and order": [
    get({ Upgrade: "WebSocket" }),
    get({ Connection: "keep-alive, Upgrade" }),
    get({ Connection: ["keep-alive", "upgrade"] }),
    get({}).replaceAll(/^[A-Z][\w-]+:/gm, (name) => name.toUpperCase()),
  ],
  "3: an absolute target, whatever its authority": [
    line("GET http://127.0.0.1/echo HTTP/1.1"),
    line("GET http://user@evil.example:99/echo HTTP/1.1"),
    line("GET HTTP://127.0.0.1/echo HTTP/1.1"),
  ],
  "3: a query that is no proper one": [get({}, "/echo?a=%zz&__proto__=1&constructor.prototype.a=1")],
  "RFC 9110, 5.5: headers of Latin-1": [get({ "X-A": "\xe9\xff" })],
  "RFC 9112: a body of no bytes": [get({ "Content-Length": "0" })],
  "RFC 9112: empty lines before the request": [`\r\n\r\n${get({})}`],
};

/** Lists that are as long as every runtime lets a header be. Backtracking on them would not end in time. */
const lists: readonly (readonly [header: string, what: string, statuses: readonly number[], value: string])[] = [
  ["Sec-WebSocket-Protocol", "spaces", [400], `a${" ".repeat(14_000)}b`],
  ["Sec-WebSocket-Protocol", "tabs and commas", [400], `a${"\t,".repeat(7_000)}b`],
  ["Sec-WebSocket-Protocol", "a long name", [400], `${"a".repeat(14_000)} =`],
  ["Sec-WebSocket-Protocol", "many names", [101], `${ascending(2_500).join(",")},chat.v1`],
  // Refused where extensions are looked at.
  ["Sec-WebSocket-Extensions", "spaces", [101, 400], `a${" ".repeat(14_000)}b`],
  ["Sec-WebSocket-Extensions", "a quote of backslashes", [101, 400], `a; b="${"\\".repeat(14_000)}`],
  ["Sec-WebSocket-Extensions", "many parameters", [101], `a${"; b".repeat(4_000)}`],
  ["Sec-WebSocket-Extensions", "many offers", [101], Array.from({ length: 4_000 }, () => "a").join(", ")],
];

/** Parameters of permessage-deflate that make an offer invalid. */
const parameters = [
  "constructor",
  "__proto__",
  "__proto__=1",
  "toString",
  "server_no_context_takeover; server_no_context_takeover",
  ...["7", "16", "0", "-8", "15x", "4294967304", "", '"8"x'].flatMap((bits) => [
    `server_max_window_bits=${bits}`,
    `client_max_window_bits=${bits}`,
  ]),
];

/** A refused request must not leave its connection to a client that keeps its own side open for ever. */
const ends: readonly (readonly [what: string, ...requests: (readonly [status: number, request: string])[]])[] = [
  ["of a guard", [401, get({}, "/denied")], [500, get({}, "/failing")]],
  ["of a path", [404, get({}, "/nowhere")]],
  [
    "of a handshake's faults",
    [405, line("POST /echo HTTP/1.1")],
    [426, get({ "Sec-WebSocket-Version": "8" })],
    [400, get({ "Sec-WebSocket-Key": "" })],
    [400, get({}, "/named/%")],
    [400, get({ "Content-Length": "1000000" })],
  ],
  ["of another upgrade", [426, get({ Upgrade: "h2c" })]],
  ["of a malformed request", [400, get({ "X-A": "\0" })]],
];

const echo = (connection: Connection, message: Received): unknown => connection.send(message);

const hostile = (vel: Vel): void => {
  vel.websocket("/named/:name", {
    upgrade: (request) => ({ headers: { "X-Name": encodeURIComponent(request.params.name) } }),
    message: echo,
  });
  vel.websocket("/chat", { protocols: ["chat.v2", "chat.v1"], message: echo });
  vel.websocket("/denied", { upgrade: (request) => request.reject(401, { body: "Who are you?" }) });
  vel.websocket("/failing", {
    upgrade() {
      throw new Error("secret");
    },
  });
  vel.websocket("/reflecting", { upgrade: (request) => ({ headers: { "X-Said": request.query.get("say") ?? "" } }) });
};

/** Adds a route that compresses where that can be: apart from the others, since on Bun all compress if one does. */
const compressing = (vel: Vel): void => {
  hostile(vel);
  vel.websocket("/deflate", { compression: "auto", message: echo });
};

const serve = (trial: Trial, routes: (vel: Vel) => void = hostile): Promise<Target> =>
  trial.serve(routes, { origins: "any" });

/** Sends a request, and gives the status of the answer; 0 where the connection was cut instead. */
async function statusOf(target: Target, request: string): Promise<number> {
  const client = await target.dial();
  client.write(request);
  const { status } = await client.answer().catch(() => ({ status: 0 }));
  client.drop();
  return status;
}

/** Sends a request that must be let in, exchanges a message, and gives the response's headers. */
async function admit(target: Target, request: string): Promise<Headers> {
  const client = await target.dial();
  client.write(request);
  assert.equal((await client.answer()).status, 101, shown(request));
  client.write(frame(opcodes.text, "hello"), frame(opcodes.close, closePayload(1000)));
  assert.equal((await client.ended).code, 1000, shown(request));
  assert.deepEqual(client.received, ["hello"], shown(request));
  return client.headers;
}

/** Shows the beginning of a request in the message of a failure. */
const shown = (request: string): string => JSON.stringify(request.slice(0, 300));

/** Cases about handshakes. */
export const handshakeAttacks: readonly ConformanceCase[] = [
  ...refused.map(({ what, status, requests, needsCompression = false }) =>
    attack(
      `handshake: ${what} is refused`,
      async (trial) => {
        const target = await serve(trial, needsCompression ? compressing : hostile);
        let opened = 0;
        const off = target.vel.on("open", () => void opened++);
        for (const request of requests) {
          const got = await statusOf(target, request);
          if (status !== undefined) assert.equal(got, status, shown(request));
          else assert(got === 0 || got >= 400, `${String(got)} ${shown(request)}`);
        }
        assert.equal(opened, 0);
        off();
      },
      needsCompression ? { compression: true } : {},
      needsCompression ? passedOver : undefined,
    ),
  ),
  ...Object.entries(endless).map(([what, [start, more]]) =>
    attack(`handshake: CVE row 5: ${what} without an end is not read to it`, async (trial) => {
      const client = await (await serve(trial)).dial();
      client.write(start);
      // More than all buffers on the way hold.
      for (let sent = 0; !client.socket.destroyed; sent += more.length) {
        assert(sent < 2 ** 26, "took 64 MiB");
        if (client.socket.write(more)) await setImmediate();
        else await Promise.race([new Promise((resolve) => client.socket.once("drain", resolve)), client.ended]);
      }
    }),
  ),
  ...Object.entries(admitted).map(([what, requests]) =>
    attack(`handshake: ${what} is let in`, async (trial) => {
      const target = await serve(trial);
      for (const request of requests) await admit(target, request);
    }),
  ),
  attack("handshake: 3: a parameter of the path is data, whatever it holds", async (trial) => {
    const target = await serve(trial);
    for (const [escaped, name] of [
      ["%00", "\0"],
      ["%0d%0aX-A:%20b", "\r\nX-A: b"],
      ["%2e%2e%2fetc", "../etc"],
      ["__proto__", "__proto__"],
      ["constructor", "constructor"],
      ["%F0%9F%99%82", "🙂"],
    ] as const) {
      const headers = await admit(target, get({}, `/named/${escaped}`));
      assert.equal(decodeURIComponent(headers.get("x-name") ?? ""), name);
    }
  }),
  attack(passedOver, async (trial) => {
    const { compression } = trial.capabilities;
    for (const offer of [
      "constructor",
      "__proto__",
      "toString, hasOwnProperty, __proto__",
      "constructor; constructor=constructor",
      "__proto__; __proto__=1; __proto__=2, __proto__",
      "permessage-deflate; client_max_window_bits, __proto__",
    ]) {
      for (const [path, routes] of [
        ["/echo", hostile],
        ["/deflate", compressing],
      ] as const) {
        const target = await serve(trial, routes);
        const headers = await admit(target, get({ "Sec-WebSocket-Extensions": offer }, path));
        const accepted = headers.get("sec-websocket-extensions")?.split(";")[0];
        const expected = compression && path === "/deflate" && offer.startsWith("permessage");
        assert.equal(accepted, expected ? "permessage-deflate" : undefined, offer);
      }
    }
  }),
  attack(
    "handshake: CVE row 13: an offer of permessage-deflate with a parameter that is none is declined, or refused",
    async (trial) => {
      const target = await serve(trial, compressing);
      for (const parameter of parameters) {
        const value = `permessage-deflate; ${parameter}`;
        const { status, headers } = await target.ask(get({ "Sec-WebSocket-Extensions": value }, "/deflate"));
        assert([101, 400].includes(status), `${String(status)} ${value}`);
        assert(!headers.some(([name]) => name.toLowerCase() === "sec-websocket-extensions"), value);
      }
    },
    { compression: true },
    passedOver,
  ),
  ...lists.map(([header, what, statuses, value]) =>
    attack(`handshake: CVE row 4: a ${header} of ${what} is read in one go`, async (trial) => {
      const target = await serve(trial, compressing);
      const path = header === "Sec-WebSocket-Protocol" ? "/chat" : "/deflate";
      const status = await statusOf(target, get({ [header]: value }, path));
      assert(statuses.includes(status), String(status));
    }),
  ),
  attack("handshake: 4.2.2: a subprotocol is one that both sides named, whatever else is offered", async (trial) => {
    const target = await serve(trial);
    const offer = "constructor, __proto__, toString, CHAT.V2, chat.v1";
    const headers = await admit(target, get({ "Sec-WebSocket-Protocol": offer }, "/chat"));
    assert.equal(headers.get("sec-websocket-protocol"), "chat.v1");
    const { status, headers: answered } = await target.ask(
      get({ "Sec-WebSocket-Protocol": "constructor, __proto__" }, "/chat"),
    );
    // Not every runtime can let in a client whose offers are all refused.
    assert(status === 101 || status === 400, String(status));
    assert(!answered.some(([name]) => name.toLowerCase() === "sec-websocket-protocol"));
  }),
  attack(
    "handshake: 4.2.2: a line break that a handler reflects into a header is a 500, not a header",
    async (trial) => {
      const target = await serve(trial);
      for (const said of ["%0d%0aSet-Cookie:%20a=1", "%0aSet-Cookie:%20a=1", "%0dSet-Cookie:%20a=1", "%00"]) {
        const { status, headers } = await target.ask(get({}, `/reflecting?say=${said}`));
        assert.equal(status, 500);
        assert(!headers.some(([name]) => name.toLowerCase() === "set-cookie"), "a cookie was set");
        assert.match((await target.told(1)).join(), /^upgrade: /);
      }
    },
  ),
  attack(
    "handshake: 4.2.1: what follows the handshake in its packet waits until the request was let in",
    async (trial) => {
      const client = await (await serve(trial)).dial();
      const frames = ascending(1_000).map((text) => frame(opcodes.text, text));
      client.write(get({}), ...frames, frame(opcodes.close));
      assert.deepEqual((await client.ended).texts, ascending(1_000));
    },
  ),
  ...(
    [
      ["none of them reaches the handler of a request that is refused", "/guarded", false, 0],
      ["all of them reach, in order, the handler of one that is let in", "/guarded?key=1", true, 2_000],
    ] as const
  ).map(([what, path, isAdmitted, count]) =>
    attack(`handshake: 10.5: 2,000 messages come before a guard has answered: ${what}`, async (trial) => {
      const seen: unknown[] = [];
      const target = await trial.serve((vel) => {
        vel.websocket("/guarded", {
          async upgrade(request) {
            for (let turn = 0; turn < 20; turn++) await setImmediate();
            return request.query.has("key") ? {} : request.reject(401);
          },
          message: (_, message) => void seen.push(message),
        });
      });
      const client = await target.dial();
      client.write(get({}, path), ...ascending(2_000).map((text) => frame(opcodes.text, text)), frame(opcodes.close));
      const { status } = await client.answer();
      assert(isAdmitted ? status === 101 : status >= 400, String(status));
      if (isAdmitted) await client.ended;
      else await progress(target);
      assert.deepEqual(seen, ascending(count));
    }),
  ),
  attack("handshake: 4.1: a second request behind the handshake is a violation, not a request", async (trial) => {
    const client = await (await serve(trial)).dial();
    client.write(get({}), get({}));
    assert.equal((await client.ended).code, 1002);
  }),
  attack("handshake: CVE row 11: a refusal of a guard ends the connection", async (trial) => {
    const target = await serve(trial);
    for (const [path, status] of [
      ["/denied", 401],
      ["/failing", 500],
    ] as const) {
      const client = await target.dial();
      client.write(get({}, path));
      assert.equal((await client.answer()).status, status);
      await client.ended;
    }
    assert.deepEqual(await target.told(1), ["upgrade: secret"]);
  }),
  ...ends.map(([what, ...requests]) =>
    attack(`handshake: CVE row 11: a refusal ${what} ends the socket, though the client does not`, async (trial) => {
      const target = await serve(trial);
      for (const [status, request] of requests) {
        const client = await target.dial({ allowHalfOpen: true });
        const isLeft = new Promise((resolve) => client.socket.once("end", resolve).once("close", resolve));
        client.write(request);
        await client.until(`HTTP/1.1 ${String(status)} `);
        await isLeft;
        // A socket that was let go of answers bytes with a reset, one of which only a half has ended takes them.
        while (!client.socket.destroyed) {
          client.socket.write("x");
          await setImmediate();
        }
      }
      target.errors.splice(0); // what "/failing" threw
    }),
  ),
];
