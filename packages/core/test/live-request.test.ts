import { connect } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LiveRequest, splitTarget } from "../src/live-request.ts";
import { Refusal } from "../src/refusal.ts";
import { setup } from "./kit.ts";
import { handshake } from "./scripted-transport.ts";

function request(url = "/ws", headers: Record<string, string> = {}): LiveRequest {
  return new LiveRequest(handshake(url, { headers }), {
    route: "/ws",
    params: {},
    remote: undefined,
    isOriginChecked: true,
  });
}

describe("UpgradeRequest.cookies", () => {
  it("holds each name with its decoded value, the first of a name", () => {
    const name = fc.stringMatching(/^[\w!#$%&'*+.^`|~-]{1,8}$/);
    const value = fc.string({ unit: "grapheme", maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), fc.boolean(), (pairs, quoted) => {
        const header = pairs
          .map(([key, text]) =>
            quoted ? `${key}="${encodeURIComponent(text)}"` : `${key}=${encodeURIComponent(text)}`,
          )
          .join("; ");
        const expected = new Map<string, string>();
        for (const [key, text] of pairs) if (!expected.has(key)) expected.set(key, text);
        expect(new Map(request("/ws", { cookie: header }).cookies)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it("reads anything without throwing, and forgets nothing that has a name and a value", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab=;"% ,\\\t%E0') }), (header) => {
        const { cookies } = request("/ws", { cookie: header });
        for (const pair of header.split(";")) {
          const at = pair.indexOf("=");
          if (at >= 0) expect(cookies.has(pair.slice(0, at).trim())).toBe(true);
        }
      }),
    );
    const { cookies } = request("/ws", { cookie: "a=%E0%A4; __proto__=x; b==c=; d" });
    expect([...cookies]).toEqual([
      ["a", "%E0%A4"],
      ["__proto__", "x"],
      ["b", "=c="],
    ]);
    expect(request().cookies.size).toBe(0);
  });
});

describe("UpgradeRequest.query, path, protocols", () => {
  it("split the target at its first question mark and decode the query only", () => {
    const { query, path } = request("/ws/a%20b?room=a%26b&room=2&q=?x&plus=a+b");
    expect(path).toBe("/ws/a%20b");
    expect(query.getAll("room")).toEqual(["a&b", "2"]);
    expect(query.get("q")).toBe("?x");
    expect(query.get("plus")).toBe("a b");
    expect(request("/ws").query.size).toBe(0);
    expect(splitTarget("/a?")).toEqual({ path: "/a", search: "" });
    expect(splitTarget("?")).toEqual({ path: "", search: "" });
  });

  it("list the offered subprotocols in order, without empty ones", () => {
    expect(request("/ws", { "sec-websocket-protocol": "b, a ,,c" }).protocols).toEqual(["b", "a", "c"]);
    expect(request().protocols).toEqual([]);
  });
});

describe("UpgradeRequest.data", () => {
  it("merges own properties, later ones win, and an own `__proto__` stays a property", () => {
    const live = request();
    live.admit({ data: { a: 1, b: 1 } });
    live.admit({});
    live.admit({ data: JSON.parse('{"b":2,"__proto__":{"admin":true}}') as object });
    expect(live.data).toMatchObject({ a: 1, b: 2 });
    expect((live.data as { admin?: boolean }).admin).toBeUndefined();
    expect(Object.getPrototypeOf(live.data)).toBe(Object.prototype);
  });
});

describe("UpgradeRequest.reject(), close()", () => {
  it("make the refusal that was made first, whatever is asked for later", () => {
    const live = request();
    const first = live.reject(401);
    expect(live.close(4001)).toBe(first);
    expect(live.reject(403)).toBe(first);
    expect(live.refusal).toBe(first);
    expect(first).toBeInstanceOf(Refusal);
    expect(first.status).toBe(401);
  });

  it("throw for an answer that cannot be given, and have then refused nothing", () => {
    const live = request();
    expect(() => live.reject(200)).toThrow(RangeError);
    expect(() => live.close(1006)).toThrow(RangeError);
    expect(() => live.reject(401, { headers: { "x-a": "\n" } })).toThrow(TypeError);
    expect(live.refusal).toBeUndefined();
  });
});

describe("UpgradeRequest.isOriginChecked", () => {
  it("is false only where anybody's pages may connect", async () => {
    for (const [origins, isChecked] of [
      [undefined, true],
      ["same", true],
      ["any", false],
      [["https://app.example.com"], true],
      [["same", "https://app.example.com"], true],
      [[], true],
    ] as const) {
      const { vel } = setup(origins === undefined ? {} : { origins });
      const seen: boolean[] = [];
      vel.use(({ isOriginChecked }) => void seen.push(isOriginChecked));
      vel.websocket("/hooks", { upgrade: ({ isOriginChecked }) => (seen.push(isOriginChecked), {}) });
      vel.websocket("/pull", (request) => (seen.push(request.isOriginChecked), request.reject(401)));
      await connect(vel, "/hooks");
      await expect(connect(vel, "/pull")).rejects.toMatchObject({ status: 401 });
      expect(seen).toEqual(Array<boolean>(4).fill(isChecked));
    }
  });
});
