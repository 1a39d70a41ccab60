/**
 * Pages of others: RFC 6455, section 10.2.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { RequestHeaders } from "../bytes.ts";
import type { ConformanceCase } from "../case.ts";

type Row = readonly [what: string, headers: RequestHeaders];

const origins = ["https://app.example.com"];

const refused: readonly Row[] = [
  ["null", { Origin: "null" }],
  ["one that begins like it", { Origin: "https://app.example.com.evil.com" }],
  ["one that ends like it", { Origin: "https://evilapp.example.com" }],
  ["its page without TLS", { Origin: "http://app.example.com" }],
  ["another port", { Origin: "https://app.example.com:8443" }],
  ["it as the user of another", { Origin: "https://app.example.com@evil.com" }],
  ["it with a user", { Origin: "https://evil.com@app.example.com" }],
  ["a trailing dot", { Origin: "https://app.example.com." }],
  ["two headers", { Origin: ["https://app.example.com", "https://evil.com"] }],
  ["two headers, both good", { Origin: ["https://app.example.com", "https://app.example.com"] }],
  ["two with a comma", { Origin: "https://app.example.com, https://evil.com" }],
  ["two with a space", { Origin: "https://app.example.com https://evil.com" }],
  ["a twin in xn--", { Origin: "https://xn--pp-7ia.example.com" }],
  ["a twin in UTF-8", { Origin: Buffer.from("https://\u0430pp.example.com").toString("latin1") }],
  ["file://", { Origin: "file://" }],
  ["the header of a draft", { "Sec-WebSocket-Origin": "https://app.example.com" }],
  ["an empty one", { Origin: "" }],
  ["a path", { Origin: "https://app.example.com/" }],
  ["a backslash", { Origin: "https://app.example.com\\@evil.com" }],
  ["the scheme wss", { Origin: "wss://app.example.com" }],
  ["the server's own host, which is not in it", { Host: "127.0.0.1", Origin: "http://127.0.0.1" }],
  ["none, with a cookie", { Cookie: "session=1" }],
];

const admitted: readonly Row[] = [
  ["itself", { Origin: "https://app.example.com" }],
  ["itself in capitals", { Origin: "https://APP.example.com" }],
  ["the scheme's own port", { Origin: "https://app.example.com:443" }],
  ["none: no browser, and no cookie that one would have sent", {}],
];

/** Cases about whose pages may connect. */
export const originAttacks: readonly ConformanceCase[] = [
  ...refused.map(([what, headers]): ConformanceCase => ({
    name: `origin: CVE row 12: a list refuses ${what}`,
    async run(trial) {
      const target = await trial.serve(undefined, { origins });
      let opened = 0;
      const off = target.vel.on("open", () => void opened++);
      assert.equal((await target.refused("/echo", { headers })).status, 403);
      assert.equal(opened, 0);
      off();
    },
  })),
  ...admitted.map(([what, headers]): ConformanceCase => ({
    name: `origin: CVE row 12: a list lets in ${what}`,
    async run(trial) {
      const target = await trial.serve(undefined, { origins });
      const { client } = await target.pair("/echo", { headers });
      client.send("hello");
      assert.equal(await client.next(), "hello");
    },
  })),
];
