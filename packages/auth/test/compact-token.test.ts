import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maxTokenSize, parseToken } from "../src/compact-token.ts";
import { JwtVerifier } from "../src/jwt-verifier.ts";
import { encode, goodToken, secret } from "./tokens.ts";

const runs = { numRuns: 1_000 };
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A token of any header and claims; nobody looks at the signature. */
function tokenOf(header: unknown, claims: unknown, signature: unknown = "signature"): string {
  return [header, claims, signature].map(encode).join(".");
}

describe("parseToken()", () => {
  it("reads the header and the claims, and of the header only what is used", () => {
    const header = {
      alg: "HS256",
      kid: "1",
      typ: "JWT",
      jwk: { kty: "oct", k: "AA" },
      jku: "https://eve.test",
      x5c: ["AA"],
    };
    expect(parseToken(tokenOf(header, { sub: "ada" }))).toEqual({
      header: { alg: "HS256", kid: "1", typ: "JWT" },
      claims: { sub: "ada" },
    });
    expect(parseToken(tokenOf({ alg: "x" }, {}))).toEqual({
      header: { alg: "x", kid: undefined, typ: undefined },
      claims: {},
    });
  });

  it("reads no header and no claims that are no object", () => {
    for (const text of ["[]", "null", "1", "true", '"text"', '[{"alg":"x"}]', "", "{"]) {
      expect(parseToken(tokenOf({ alg: "x" }, text))).toBe(undefined);
      expect(parseToken(tokenOf(text, {}))).toBe(undefined);
    }
  });

  it("reads no header whose alg is no text", () => {
    for (const alg of [undefined, null, 1, ["x"], {}]) expect(parseToken(tokenOf({ alg }, {}))).toBe(undefined);
  });

  it("reads a kid of 256 characters, and no longer one", () => {
    expect(parseToken(tokenOf({ alg: "x", kid: "k".repeat(256) }, {}))?.header.kid?.length).toBe(256);
    expect(parseToken(tokenOf({ alg: "x", kid: "k".repeat(257) }, {}))).toBe(undefined);
  });

  it("Limit 1: reads 8,192 bytes, and not one more", () => {
    const start = `${encode({ alg: "x" })}.${encode({})}.`;
    const fill = (size: number): string => start + "A".repeat(size - start.length);
    expect(maxTokenSize).toBe(8_192);
    expect([8_189, 8_190, 8_191, 8_192, 8_193].map((size) => parseToken(fill(size)) !== undefined)).toEqual(
      // A part of base64 cannot have 4n + 1 letters.
      [8_189, 8_190, 8_191, 8_192, 8_193].map((size) => size <= 8_192 && (size - start.length) % 4 !== 1),
    );
    expect(parseToken(fill(8_192))).toBeDefined();
  });

  it("counts members of objects at all depths, and no colon of a text", () => {
    const claims = {
      ":": ':"a":',
      'a"b:': ["\\", '"', ':\\"', { c: { d: "{}:[]\u2028" } }, [[{ e: 1 }]]],
      f: "\\u003a",
    };
    expect(parseToken(tokenOf({ alg: "x" }, claims))?.claims).toEqual(claims);
    const twins = [
      '{"a":1,"a":1}',
      '{"a":{"b":1,"b":2}}',
      '{"a":[{"b":1,"\\u0062":2}]}',
      '{"":1,"":2}',
      '{"a\\":":1,"a\\":":2}',
    ];
    for (const text of twins) expect(parseToken(tokenOf({ alg: "x" }, text))).toBe(undefined);
    for (const text of twins) expect(parseToken(tokenOf(text.replace("{", '{"alg":"x",'), {}))).toBe(undefined);
  });

  it("reads whatever JSON says, as JSON.parse does", () => {
    const json = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 }), { maxKeys: 10 });
    fc.assert(
      fc.property(json, (claims) => {
        const text = JSON.stringify(claims);
        // What core refuses, and what cannot be written in UTF-8: half a pair.
        fc.pre(!/__proto__|constructor/.test(text) && text.length < 5_000 && !/\\ud[89a-f]/i.test(text));
        expect(parseToken(tokenOf({ alg: "x" }, text))?.claims).toEqual(JSON.parse(text));
      }),
      runs,
    );
  });

  it("throws at nothing, and takes only what is spelled in the one way", () => {
    const part = fc.oneof(
      fc.constantFrom(encode({ alg: "x" }), encode({}), "e30", "e31", "e30=", "", "AA"),
      fc.string({ unit: fc.constantFrom(..."Aa09-_+/= \n.") }),
      fc.string(),
      fc.json().map(encode),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const text = parts.join(".");
        if (!parseToken(text)) return;
        const read = text.split(".");
        expect(read.length).toBe(3);
        expect(read.map((each) => Buffer.from(each, "base64url").toString("base64url"))).toEqual(read);
      }),
      runs,
    );
  });
});

describe("JwtVerifier.verify()", () => {
  const verifier = new JwtVerifier({ algorithms: ["HS256"], secret, clock: new ManualClock() });
  const good = goodToken("HS256", { jti: "1" });
  const isIn = (token: string): Promise<boolean> =>
    verifier.verify(token).then(
      () => true,
      () => false,
    );

  it("takes a token, and none of the texts that are one letter away from it", async () => {
    expect(await isIn(good)).toBe(true);
    const letters = [...base64url, ".", "=", "+", "/", " ", "\n", "\0", "é", "\ud800"];
    const near = Array.from(good).flatMap((_, at) => [
      good.slice(0, at) + good.slice(at + 1),
      ...[letters[at % letters.length]!, letters[(7 * at + 3) % letters.length]!, "=", "\n"].flatMap((letter) => [
        good.slice(0, at) + letter + good.slice(at),
        good.slice(0, at) + letter + good.slice(at + 1),
      ]),
    ]);
    const others = [...new Set(near)].filter((text) => text !== good);
    expect(others.length).toBeGreaterThan(1_000);
    for (const text of others) if (await isIn(text)) expect.fail(`Let in: ${text}`);
  });

  it("takes none with another last letter, though base64 has four for the same bytes", async () => {
    const outcomes = await Promise.all([...base64url].map((letter) => isIn(good.slice(0, -1) + letter)));
    expect(outcomes.filter(Boolean).length).toBe(1);
  });

  it("takes nothing that was put together of the parts of tokens", async () => {
    const tokens = ["ada", "bob"].map((sub) => goodToken("HS256", { sub }));
    const part = fc.constantFrom(...tokens.flatMap((token) => token.split(".")), encode({ alg: "none" }), "");
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
        const text = parts.join(".");
        expect(await isIn(text)).toBe(tokens.includes(text));
      }),
      runs,
    );
  });
});
