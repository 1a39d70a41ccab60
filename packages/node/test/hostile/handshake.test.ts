/** Requests that no proper client sends: RFC 6455, section 4, and what HTTP (RFC 9112) makes possible below it. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { ask, frame, handshake, Wire } from "../kit.ts";
import { ending, serveTarget } from "./target.ts";

/** The paths and parameters that handlers got to see. */
const seen: string[] = [];

const target = serveTarget({ origins: "any" }, (vel) => {
  vel.websocket("/named/:name", {
    upgrade(request) {
      seen.push(request.params.name);
      return {};
    },
    message: (connection, message) => connection.send(message),
  });
  vel.websocket("/chat", { protocols: ["chat.v2", "chat.v1"] });
  vel.websocket("/deflate", { compression: true, message: (connection, message) => connection.send(message) });
  vel.websocket("/denied", { upgrade: (request) => request.reject(401, { body: "Who are you?" }) });
  vel.websocket("/guarded", {
    async upgrade(request) {
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      return request.query.has("key") ? {} : request.reject(401);
    },
    message(connection, message) {
      seen.push(String(message));
      connection.send(message);
    },
  });
  vel.websocket("/failing", {
    upgrade() {
      throw new Error("secret");
    },
  });
  vel.websocket("/reflecting", {
    upgrade: (request) => ({ headers: { "X-Said": request.query.get("say") ?? "" } }),
  });
});

/** Sends a request, and gives the status of the answer. The server must end the connection by itself. */
async function statusOf(request: string): Promise<number> {
  const response = await ask(target.port, request);
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(response)?.[1]);
}

/** Opens a TCP connection, and gives the server's side of it too. */
async function openTcp(options?: Parameters<typeof Wire.open>[1]): Promise<{ wire: Wire; closed: Promise<Socket> }> {
  const accepted = once(target.server.server, "connection");
  const wire = await Wire.open(target.port, options);
  const [socket] = (await accepted) as [Socket];
  return {
    wire,
    closed: new Promise((resolve) =>
      socket.once("close", () => {
        resolve(socket);
      }),
    ),
  };
}

/** Sends a request that must be let in, exchanges a message, and gives the head of the response. */
async function admitted(request: string): Promise<string> {
  const wire = await Wire.open(target.port);
  wire.write(request, frame(1, "hello"), frame(8, Buffer.from([3, 232])));
  const [head = ""] = (await wire.ended).split("\r\n\r\n");
  expect(head).toMatch(/^HTTP\/1\.1 101 /);
  expect((await ending(wire)).code).toBe(1000);
  return head;
}

const key = "AAAAAAAAAAAAAAAAAAAAAA==";
/** A good request line and headers without the empty line, for what has to follow them. */
const open = handshake("/echo").slice(0, -2);

test.each<[name: string, status: number, request: string]>([
  ["4.1: POST", 405, handshake("", {}, "POST /echo HTTP/1.1")],
  ["4.1: PUT", 405, handshake("", {}, "PUT /echo HTTP/1.1")],
  ["4.1: OPTIONS", 405, handshake("", {}, "OPTIONS /echo HTTP/1.1")],
  ["4.1: a method in small letters", 400, handshake("", {}, "get /echo HTTP/1.1")],
  ["4.1: a method that is none", 400, handshake("", {}, "VEL /echo HTTP/1.1")],
  ["4.1: HTTP 1.0", 400, handshake("", {}, "GET /echo HTTP/1.0")],
  ["4.1: HTTP 1.2", 400, handshake("", {}, "GET /echo HTTP/1.2")],
  ["4.1: HTTP 0.9", 426, "GET /echo\r\n\r\n"],
  ["4.1: the preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["4.1: a TLS client's hello", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["4.1: a frame instead of a request", 400, frame(1, "hello").toString("latin1")],
  ["4.2.1: no Host", 400, handshake("/echo", { Host: undefined })],
  ["4.2.1: no Upgrade", 426, handshake("/echo", { Upgrade: undefined })],
  ["4.2.1: an empty Upgrade", 426, handshake("/echo", { Upgrade: "" })],
  ["4.2.1: an upgrade to h2c", 426, handshake("/echo", { Upgrade: "h2c" })],
  ["4.2.1: a choice of upgrades", 426, handshake("/echo", { Upgrade: "websocket, h2c" })],
  ["4.2.1: Upgrade twice", 426, handshake("/echo", { Upgrade: ["websocket", "websocket"] })],
  ["4.2.1: an upgrade to websockets", 426, handshake("/echo", { Upgrade: "websockets" })],
  ["4.2.1: no Connection", 426, handshake("/echo", { Connection: undefined })],
  ["4.2.1: Connection: close", 426, handshake("/echo", { Connection: "close" })],
  ["4.2.1: no key", 400, handshake("/echo", { "Sec-WebSocket-Key": undefined })],
  ["4.2.1: an empty key", 400, handshake("/echo", { "Sec-WebSocket-Key": "" })],
  ["4.2.1: a key of 15 bytes", 400, handshake("/echo", { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA" })],
  ["4.2.1: a key of 17 bytes", 400, handshake("/echo", { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA=" })],
  ["4.2.1: a key without its padding", 400, handshake("/echo", { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA" })],
  ["4.2.1: a key that is no base64", 400, handshake("/echo", { "Sec-WebSocket-Key": "AAAAAAAAAA!AAAAAAAAAAA==" })],
  ["4.2.1: a key with a comma and another", 400, handshake("/echo", { "Sec-WebSocket-Key": `${key}, ${key}` })],
  ["4.1: the key twice", 400, handshake("/echo", { "Sec-WebSocket-Key": [key, key] })],
  ["4.2.1: no version", 426, handshake("/echo", { "Sec-WebSocket-Version": undefined })],
  ["4.4: version 0", 426, handshake("/echo", { "Sec-WebSocket-Version": "0" })],
  ["4.4: version 8", 426, handshake("/echo", { "Sec-WebSocket-Version": "8" })],
  ["4.4: version 14", 426, handshake("/echo", { "Sec-WebSocket-Version": "14" })],
  ["4.3: version 013", 426, handshake("/echo", { "Sec-WebSocket-Version": "013" })],
  ["4.3: version 13.0", 426, handshake("/echo", { "Sec-WebSocket-Version": "13.0" })],
  ["4.4: a choice of versions", 426, handshake("/echo", { "Sec-WebSocket-Version": "13, 8" })],
  ["4.1: the version twice", 426, handshake("/echo", { "Sec-WebSocket-Version": ["13", "13"] })],
  ["4.1: subprotocols with a space", 400, handshake("/chat", { "Sec-WebSocket-Protocol": "chat v1" })],
  ["4.1: subprotocols with nothing between commas", 400, handshake("/chat", { "Sec-WebSocket-Protocol": "a,,b" })],
  ["4.1: subprotocols that begin with a comma", 400, handshake("/chat", { "Sec-WebSocket-Protocol": ",a" })],
  ["4.1: a subprotocol in quotes", 400, handshake("/chat", { "Sec-WebSocket-Protocol": '"chat.v1"' })],
  ["4.1: a subprotocol twice", 400, handshake("/chat", { "Sec-WebSocket-Protocol": ["chat.v1", "chat.v1"] })],
  ["4.1: a subprotocol that is no ASCII", 400, handshake("/chat", { "Sec-WebSocket-Protocol": "ch\xe4t" })],
  ["9.1: no extension at all", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": "" })],
  ["9.1: an extension without a name", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": "; a=1" })],
  ["9.1: extensions that end in a comma", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": "a," })],
  ["9.1: a parameter without a value", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": "a; b=" })],
  ["9.1: a quote without an end", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": 'a; b="c' })],
  ["RFC 9112: a body", 400, handshake("/echo", { "Content-Length": "5" }) + "hello"],
  ["RFC 9112: a body that is announced and never comes", 400, handshake("/echo", { "Content-Length": "1000000" })],
  ["RFC 9112: a chunked body", 400, handshake("/echo", { "Transfer-Encoding": "chunked" }) + "0\r\n\r\n"],
  ["RFC 9112: a negative length", 400, handshake("/echo", { "Content-Length": "-1" })],
  ["RFC 9112: two lengths", 400, handshake("/echo", { "Content-Length": ["0", "1"] })],
  ["RFC 9112: a CR in a header", 400, handshake("/echo", { "X-A": "a\rb" })],
  ["RFC 9112: an LF in a header", 400, handshake("/echo", { "X-A": "a\nX-B: b" })],
  ["RFC 9112: a NUL in a header", 400, handshake("/echo", { "X-A": "a\0b" })],
  ["RFC 9112: a folded header", 400, handshake("/echo", { "X-A": "a\r\n b" })],
  ["RFC 9112: a header without a name", 400, handshake("/echo", { "": "a" })],
  ["RFC 9112: a space behind a header's name", 400, handshake("/echo", { "X-A ": "a" })],
  ["RFC 9112: a space in front of a header's name", 400, handshake("/echo", { " X-A": "a" })],
  ["RFC 9112: a header without a colon", 400, `${open}X-A\r\n\r\n`],
  ["RFC 9112: lines that end in LF alone", 400, handshake("/echo").replaceAll("\r\n", "\n")],
  ["RFC 9112: tabs in the request line", 400, handshake("", {}, "GET\t/echo\tHTTP/1.1")],
  ["RFC 9112: two targets", 400, handshake("", {}, "GET /echo /echo HTTP/1.1")],
  ["RFC 9112: a target of Latin-1", 400, handshake("/named/\xe9")],
  ["3: a target without a slash", 400, handshake("", {}, "GET echo HTTP/1.1")],
  ["3: a target of *", 404, handshake("", {}, "GET * HTTP/1.1")],
  ["3: a fragment in the target", 404, handshake("/echo#a")],
  ["3: an absolute target of another scheme", 404, handshake("", {}, "GET ftp://127.0.0.1/echo HTTP/1.1")],
  ["3: an absolute target without a path", 404, handshake("", {}, "GET http://127.0.0.1 HTTP/1.1")],
  ["3: a network path", 404, handshake("//echo")],
  ["3: dots in the path", 404, handshake("/named/../echo")],
  ["3: escaped letters of a route", 404, handshake("/%65cho")],
  ["3: another case of a route", 404, handshake("/ECHO")],
  ["3: a cut percent escape", 400, handshake("/named/%")],
  ["3: a percent escape of no digits", 400, handshake("/named/%zz")],
  ["3: a percent escape of an overlong slash", 400, handshake("/named/%c0%af")],
  ["3: a percent escape of a surrogate", 400, handshake("/named/%ed%a0%80")],
  ["CVE row 5: 3,000 headers", 431, `${open}${"a:\r\n".repeat(3_000)}\r\n`],
  [
    "CVE row 5: 3,000 headers before those of the handshake",
    431,
    open.replace("\r\n", `\r\n${"a:\r\n".repeat(3_000)}`),
  ],
])("refuses %s", async (_, status, request) => {
  seen.length = 0;
  const { size } = target.vel.connections;
  expect(await statusOf(request)).toBe(status);
  expect(target.vel.connections.size).toBe(size);
  expect(seen).toEqual([]);
});

// The server ends the connection in the middle of what it is sent, so its answer does not always arrive.
test.each<[name: string, request: string]>([
  ["a header of 8 MiB", handshake("/echo", { "X-A": "a".repeat(2 ** 23) })],
  ["a header's name of 8 MiB", handshake("/echo", { ["a".repeat(2 ** 23)]: "a" })],
  ["a target of 8 MiB", handshake(`/named/${"a".repeat(2 ** 23)}`)],
  ["8 MB of headers", `${open}${`X-A: ${"a".repeat(1_000)}\r\n`.repeat(8_000)}\r\n`],
])("CVE row 5: %s is not read to its end", async (_, request) => {
  const { wire, closed } = await openTcp();
  wire.write(request);
  expect((await closed).bytesRead).toBeLessThan(2 ** 20);
  await wire.ended.catch(() => undefined); // a reset
});

test.each<[name: string, request: string]>([
  ["4.2.1: Upgrade in any case", handshake("/echo", { Upgrade: "WebSocket" })],
  ["4.2.1: Upgrade among other options", handshake("/echo", { Connection: "keep-alive, Upgrade" })],
  ["4.2.1: Connection twice", handshake("/echo", { Connection: ["keep-alive", "upgrade"] })],
  [
    "4.2.1: names of headers in any case",
    handshake("/echo").replaceAll(/^[A-Z][\w-]+:/gm, (name) => name.toUpperCase()),
  ],
  ["3: an absolute target", handshake("", {}, "GET http://127.0.0.1/echo HTTP/1.1")],
  ["3: an absolute target of another authority", handshake("", {}, "GET http://user@evil.example:99/echo HTTP/1.1")],
  ["3: an absolute target in capitals", handshake("", {}, "GET HTTP://127.0.0.1/echo HTTP/1.1")],
  ["3: a query", handshake("/echo?a=%zz&__proto__=1&constructor.prototype.a=1")],
  ["5: headers of Latin-1", handshake("/echo", { "X-A": "\xe9\xff" })],
  ["RFC 9112: an empty body", handshake("/echo", { "Content-Length": "0" })],
  ["RFC 9112: empty lines before the request", `\r\n\r\n${handshake("/echo")}`],
])("lets in %s", async (_, request) => {
  await admitted(request);
});

test.each([
  ["%00", "\0"],
  ["%0d%0aX-A:%20b", "\r\nX-A: b"],
  ["%2e%2e%2fetc", "../etc"],
  ["__proto__", "__proto__"],
  ["constructor", "constructor"],
  ["%F0%9F%99%82", "🙂"],
])("3: a parameter of %s is data", async (escaped, name) => {
  seen.length = 0;
  await admitted(handshake(`/named/${escaped}`));
  expect(seen).toEqual([name]);
});

test.each([
  ["constructor"],
  ["__proto__"],
  ["toString, hasOwnProperty, __proto__"],
  ["constructor; constructor=constructor"],
  ["__proto__; __proto__=1; __proto__=2, __proto__"],
  ["permessage-deflate; client_max_window_bits, __proto__"],
])("CVE row 3: an offer of the extension %s is passed over", async (offer) => {
  for (const path of ["/echo", "/deflate"]) {
    const head = await admitted(handshake(path, { "Sec-WebSocket-Extensions": offer }));
    const accepted = /^Sec-WebSocket-Extensions: ([^;\r]*)/im.exec(head)?.[1];
    expect(accepted).toBe(path === "/deflate" && offer.startsWith("permessage") ? "permessage-deflate" : undefined);
  }
});

test.each([
  ["permessage-deflate; constructor"],
  ["permessage-deflate; __proto__"],
  ["permessage-deflate; __proto__=1"],
  ["permessage-deflate; toString"],
  ["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
])("CVE row 3: an offer of %s is refused where it is looked at", async (offer) => {
  expect(await statusOf(handshake("/deflate", { "Sec-WebSocket-Extensions": offer }))).toBe(400);
  await admitted(handshake("/echo", { "Sec-WebSocket-Extensions": offer }));
});

// As long as the limit on headers lets them be. Backtracking on them would not end before the test's time does.
test.each([
  ["Sec-WebSocket-Protocol", "spaces", `a${" ".repeat(14_000)}b`, 400],
  ["Sec-WebSocket-Protocol", "tabs and commas", `a${"\t,".repeat(7_000)}b`, 400],
  ["Sec-WebSocket-Protocol", "a long name", `${"a".repeat(14_000)} `.repeat(1) + "=", 400],
  ["Sec-WebSocket-Protocol", "many names", Array.from({ length: 2_500 }, (_, i) => `p${String(i)}`).join(","), 101],
  ["Sec-WebSocket-Extensions", "spaces", `a${" ".repeat(14_000)}b`, 400],
  ["Sec-WebSocket-Extensions", "a quote of backslashes", `a; b="${"\\".repeat(14_000)}`, 400],
  ["Sec-WebSocket-Extensions", "many parameters", `a${"; b".repeat(4_000)}`, 101],
  ["Sec-WebSocket-Extensions", "many offers", Array.from({ length: 4_000 }, () => "a").join(", "), 101],
])("CVE row 4: a %s of %s is read in one go", async (name, _, value, status) => {
  const request = handshake("/deflate", { [name]: value });
  if (status === 101) await admitted(request);
  else expect(await statusOf(request)).toBe(status);
});

test("4.2.2: a subprotocol is one that both sides named, whatever else is offered", async () => {
  const offer = "constructor, __proto__, toString, CHAT.V2, chat.v1";
  expect(await admitted(handshake("/chat", { "Sec-WebSocket-Protocol": offer }))).toMatch(
    /^Sec-WebSocket-Protocol: chat\.v1$/m,
  );
  const none = await admitted(handshake("/chat", { "Sec-WebSocket-Protocol": "constructor, __proto__" }));
  expect(none).not.toMatch(/Sec-WebSocket-Protocol/i);
});

test.each([
  ["a CR and an LF", "%0d%0aSet-Cookie:%20a=1"],
  ["an LF", "%0aSet-Cookie:%20a=1"],
  ["a CR", "%0dSet-Cookie:%20a=1"],
  ["a NUL", "%00"],
])("4.2.2: %s that a handler reflects into a header is a 500, not a header", async (_, said) => {
  const response = await ask(target.port, handshake(`/reflecting?say=${said}`));
  expect(response).toMatch(/^HTTP\/1\.1 500 /);
  expect(response).not.toMatch(/set-cookie/i);
  expect(target.errors.splice(0)).toEqual([expect.any(TypeError)]);
});

test("4.2.1: what follows the handshake in its packet waits until the request was let in", async () => {
  const wire = await Wire.open(target.port);
  wire.write(handshake("/echo"), ...Array.from({ length: 1_000 }, (_, i) => frame(1, String(i))), frame(8, ""));
  const { texts } = await ending(wire);
  expect(texts).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)));
});

test.each([
  ["none of them reaches the handler of a request that is refused", "/guarded", [401, 0]],
  ["all of them reach, in order, the handler of one that is let in", "/guarded?key=1", [101, 2_000]],
] as const)("10.5: 2,000 messages come before a guard has answered: %s", async (_, path, [status, count]) => {
  seen.length = 0;
  const wire = await Wire.open(target.port);
  wire.write(handshake(path), ...Array.from({ length: 2_000 }, (__, i) => frame(1, String(i))), frame(8, ""));
  expect(await wire.ended).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
  expect(seen).toEqual(Array.from({ length: count }, (__, i) => String(i)));
});

test("4.1: a second request behind the handshake is a violation, not a request", async () => {
  const wire = await Wire.open(target.port);
  wire.write(handshake("/echo"), handshake("/echo"));
  expect((await ending(wire)).code).toBe(1002);
});

// A refused request must not leave its connection to a client that keeps its own side open for ever.
test.each<[name: string, status: number, request: string]>([
  ["of a path that no route has", 404, handshake("/nowhere")],
  ["of a handler", 401, handshake("/denied")],
  ["for an error", 500, handshake("/failing")],
  ["of a method", 405, handshake("", {}, "POST /echo HTTP/1.1")],
  ["of a version", 426, handshake("/echo", { "Sec-WebSocket-Version": "8" })],
  ["of another upgrade", 426, handshake("/echo", { Upgrade: "h2c" })],
  ["of a key", 400, handshake("/echo", { "Sec-WebSocket-Key": "" })],
  ["of an extension's parameter", 400, handshake("/deflate", { "Sec-WebSocket-Extensions": "permessage-deflate; a" })],
  ["of a malformed path", 400, handshake("/named/%")],
  ["of a malformed request", 400, handshake("/echo", { "X-A": "\0" })],
  ["of a body", 400, handshake("/echo", { "Content-Length": "1000000" })],
  ["of its headers' size", 431, handshake("/echo", { "X-A": "a".repeat(20_000) })],
])("CVE row 11: a refusal %s ends the socket, though the client does not", async (_, status, request) => {
  const { wire, closed } = await openTcp({ allowHalfOpen: true });
  wire.write(request);
  await wire.until(`HTTP/1.1 ${String(status)} `);
  await closed;
  wire.socket.destroy();
  await wire.ended;
  target.errors.length = 0;
});
