/** Pages of others: RFC 6455, section 10.2. */
import { expect, test } from "vitest";
import { ask, frame, handshake, Wire } from "../kit.ts";
import { ending, serveTarget } from "./target.ts";

let accepted = 0;
const target = serveTarget({ origins: ["https://app.example.com"] }, (vel) => {
  vel.websocket("/app", {
    open() {
      accepted++;
    },
  });
});

type Headers = Parameters<typeof handshake>[1];

test.each<[entry: string, headers: Headers]>([
  ["null", { Origin: "null" }],
  ["https://app.example.com.evil.com", { Origin: "https://app.example.com.evil.com" }],
  ["https://evilapp.example.com", { Origin: "https://evilapp.example.com" }],
  ["http://app.example.com", { Origin: "http://app.example.com" }],
  ["https://app.example.com:8443", { Origin: "https://app.example.com:8443" }],
  ["https://app.example.com@evil.com", { Origin: "https://app.example.com@evil.com" }],
  ["https://evil.com@app.example.com", { Origin: "https://evil.com@app.example.com" }],
  ["trailing dot", { Origin: "https://app.example.com." }],
  ["two Origin headers", { Origin: ["https://app.example.com", "https://evil.com"] }],
  ["two Origin headers, both good", { Origin: ["https://app.example.com", "https://app.example.com"] }],
  ["https://app.example.com, https://evil.com", { Origin: "https://app.example.com, https://evil.com" }],
  ["https://app.example.com https://evil.com", { Origin: "https://app.example.com https://evil.com" }],
  ["xn-- twin", { Origin: "https://xn--pp-7ia.example.com" }],
  ["a twin in UTF-8", { Origin: Buffer.from("https://\u0430pp.example.com").toString("latin1") }],
  ["file://", { Origin: "file://" }],
  ["Sec-WebSocket-Origin", { "Sec-WebSocket-Origin": "https://app.example.com" }],
  ["an empty Origin", { Origin: "" }],
  ["a path", { Origin: "https://app.example.com/" }],
  ["a backslash", { Origin: "https://app.example.com\\@evil.com" }],
  ["another scheme", { Origin: "wss://app.example.com" }],
  ["its own host, which is not in the list", { Origin: "http://127.0.0.1" }],
  ["none, with a cookie", { Cookie: "session=1" }],
])("CVE row 12: an allowlist refuses %s", async (_, headers) => {
  accepted = 0;
  expect(await ask(target.port, handshake("/app", headers))).toMatch(/^HTTP\/1\.1 403 /);
  expect(accepted).toBe(0);
});

test.each<[entry: string, headers: Headers]>([
  ["https://app.example.com", { Origin: "https://app.example.com" }],
  ["https://APP.example.com", { Origin: "https://APP.example.com" }],
  ["the scheme's own port", { Origin: "https://app.example.com:443" }],
  ["none: no browser, and no cookie that one would have sent", {}],
])("CVE row 12: an allowlist lets in %s", async (_, headers) => {
  accepted = 0;
  const wire = await Wire.open(target.port);
  wire.write(handshake("/app", headers), frame(8, ""));
  expect((await ending(wire)).code).toBe(1005);
  expect(accepted).toBe(1);
});
