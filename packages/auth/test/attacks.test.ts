/**
 * Tokens that must not get in. Each is one change away from a token that does, and all are refused in the same words.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { VelError } from "@vel/core";
import { ManualClock } from "@vel/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Algorithm } from "../src/algorithm.ts";
import { parseToken } from "../src/compact-token.ts";
import type { JwtOptions } from "../src/jwt-options.ts";
import { JwtVerifier } from "../src/jwt-verifier.ts";
import {
  algorithms,
  encode,
  goodClaims,
  hmac,
  keyPairOf,
  makeKeyPair,
  makeToken,
  now,
  secret,
  signer,
  signerOf,
  type Signer,
} from "./tokens.ts";

const clock = new ManualClock();
/** What `onError` was told: a token that is not valid is nothing to tell of. */
const errors: unknown[] = [];
/** What the server got that no token may have fetched from: the paths. */
const requests: string[] = [];
let server: Server;
/** Where that server is. */
let url: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(String(request.url));
    response.end(JSON.stringify({ keys: [{ ...thief.publicJwk, kid: "thief" }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  expect({ errors, requests, pending: clock.pending }).toEqual({ errors: [], requests: [], pending: 0 });
  expect(Object.keys(Object.prototype)).toEqual([]);
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const rules = {
  issuer: "https://issuer.test",
  audience: ["api", "chat"],
  type: "at+jwt",
  clock,
  onError: (error: unknown) => errors.push(error),
} as const;

/** The servers that are attacked, by what they know. */
const doors = {
  secret: new JwtVerifier({ ...rules, algorithms: ["HS256"], secret }),
  rsa: new JwtVerifier({ ...rules, algorithms: ["RS256"], key: keyPairOf("RS256").publicKey }),
  ec: new JwtVerifier({ ...rules, algorithms: ["ES256"], key: keyPairOf("ES256").publicJwk }),
  ed: new JwtVerifier({ ...rules, algorithms: ["EdDSA"], key: keyPairOf("EdDSA").publicJwk }),
  set: new JwtVerifier({
    ...rules,
    algorithms: ["RS256", "ES256"],
    jwks: {
      keys: [
        { ...keyPairOf("RS256").publicJwk, kid: "rsa" },
        { ...keyPairOf("ES256").publicJwk, kid: "ec", use: "sig" },
        { ...makeKeyPair("ES256").publicJwk, kid: "for encryption", use: "enc" },
        { kty: "oct", k: encode(secret), kid: "secret" },
      ],
    },
  }),
} as const;
type Door = keyof typeof doors;

const header = { typ: "at+jwt" };
const claims = { ...goodClaims, iss: "https://issuer.test", aud: "api", jti: "1" };
/** The algorithm, the header and the key of a good token for each server. */
const good: Record<Door, readonly [Algorithm, object]> = {
  secret: ["HS256", {}],
  rsa: ["RS256", {}],
  ec: ["ES256", {}],
  ed: ["EdDSA", {}],
  set: ["RS256", { kid: "rsa" }],
};

/** Makes a token that a server takes, but for what is changed. A text instead of claims is what is signed. */
function token(door: Door, change: { header?: object; claims?: object | string; sign?: Signer } = {}): string {
  const [alg, own] = good[door];
  const payload = typeof change.claims === "string" ? change.claims : { ...claims, ...change.claims };
  return makeToken({ alg, ...header, ...own, ...change.header }, payload, change.sign ?? signerOf(alg));
}
const signer0 = signerOf("HS256");
const [goodHeader, goodPayload, goodSignature] = token("secret").split(".") as [string, string, string];
/** Somebody's own keys. */
const thief = makeKeyPair("RS256");
const unsigned = (): Buffer => Buffer.alloc(0);
const rsaPem = keyPairOf("RS256").publicKey.export({ format: "pem", type: "spki" }) as string;
const rsaPkcs1 = keyPairOf("RS256").publicKey.export({ format: "pem", type: "pkcs1" }) as string;
const rsaDer = keyPairOf("RS256").publicKey.export({ format: "der", type: "spki" });

/** Who expects a server to say how a token is wrong waits in vain. */
async function expectRefusal(verifier: JwtVerifier, attack: unknown): Promise<void> {
  const error: unknown = await verifier.verify(attack as string).then(
    () => "let in",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VelError);
  expect({ ...(error as object), ...describeError(error as Error) }).toEqual({
    name: "VelError",
    code: "ERR_VEL_TOKEN",
    message: "Token is not valid",
    retryAfter: undefined,
    hasCause: false,
    stack: stackOfRefusal,
  });
  const seen = inspect(error, { depth: Infinity, showHidden: true });
  const parts = typeof attack === "string" ? attack.split(".").filter((part) => part.length > 8) : [];
  for (const part of parts) expect(seen).not.toContain(part);
}

function describeError(error: Error): object {
  // The first frame is where it was made: the same place for all, or the stack would tell what a text does not.
  return { message: error.message, hasCause: "cause" in error, stack: error.stack?.split("\n")[2]?.trim() };
}
let stackOfRefusal: string | undefined;
beforeAll(async () => {
  const error: unknown = await doors.secret.verify("").catch((reason: unknown) => reason);
  stackOfRefusal = (error as Error).stack?.split("\n")[2]?.trim();
  expect(stackOfRefusal).toContain("JwtVerifier.verify");
});

type Attack = readonly [title: string, door: Door, attack: () => unknown];

describe("JwtVerifier.verify() takes", () => {
  it.each(Object.keys(doors) as Door[])("the good token of the server that knows %s", async (door) => {
    expect(await doors[door].verify(token(door))).toEqual({
      claims,
      issuer: "https://issuer.test",
      subject: "ada",
      tokenId: "1",
      issuedAt: now * 1_000,
      expiresAt: (now + 60) * 1_000,
    });
  });

  it.each(algorithms)("the good token of %s, and with another last byte it does not", async (algorithm) => {
    const keys = algorithm.startsWith("HS") ? { secret } : { key: keyPairOf(algorithm).publicJwk };
    const verifier = new JwtVerifier({ ...rules, algorithms: [algorithm], ...keys });
    const text = makeToken({ ...header, alg: algorithm }, claims, signerOf(algorithm));
    expect((await verifier.verify(text)).subject).toBe("ada");
    const signature = Buffer.from(text.split(".")[2]!, "base64url");
    signature[signature.length - 1]! ^= 1;
    await expectRefusal(
      verifier,
      makeToken({ ...header, alg: algorithm }, claims, () => signature),
    );
  });
});

const algorithmAttacks: Attack[] = [
  ...["none", "None", "NONE", "nOnE", ""].flatMap((alg): Attack[] => [
    [
      `CVE row 17: alg ${JSON.stringify(alg)} and no signature`,
      "rsa",
      () => token("rsa", { header: { alg }, sign: unsigned }),
    ],
    [`CVE row 17: alg ${JSON.stringify(alg)} and a good signature`, "rsa", () => token("rsa", { header: { alg } })],
  ]),
  ["CVE row 17: no alg", "rsa", () => token("rsa", { header: { alg: undefined } })],
  ["CVE row 17: alg in a list", "rsa", () => token("rsa", { header: { alg: ["RS256"] } })],
  ["CVE row 17: alg in lower case", "rsa", () => token("rsa", { header: { alg: "rs256" } })],
  ["CVE row 17: alg with a blank", "rsa", () => token("rsa", { header: { alg: "RS256 " } })],
  ["CVE row 17: alg that objects have", "rsa", () => token("rsa", { header: { alg: "constructor" } })],
  [
    "CVE row 17: alg twice",
    "rsa",
    () => makeToken(`{"alg":"none","typ":"at+jwt","alg":"RS256"}`, claims, signer("RS256")),
  ],
  [
    "an algorithm of the same key that is not allowed",
    "rsa",
    () => token("rsa", { header: { alg: "RS512" }, sign: signer("RS512") }),
  ],
  ...(
    [
      ["the PEM of the public key", rsaPem],
      ["the PEM of the public key without its last newline", rsaPem.trimEnd()],
      ["the PKCS #1 PEM of the public key", rsaPkcs1],
      ["the DER of the public key", rsaDer],
      ["the JWK of the public key", JSON.stringify(keyPairOf("RS256").publicJwk)],
      ["the modulus of the public key", Buffer.from(keyPairOf("RS256").publicJwk.n!, "base64url")],
      ["an empty text", ""],
      ["the word undefined", "undefined"],
    ] as const
  ).flatMap(([what, key]): Attack[] =>
    (["rsa", "set"] as const).map((door) => [
      `CVE row 17: HMAC with ${what} as its secret, where ${door} is known`,
      door,
      () => token(door, { header: { alg: "HS256" }, sign: hmac("HS256", key) }),
    ]),
  ),
  ["a signature of another algorithm of the same key", "rsa", () => token("rsa", { sign: signer("PS256") })],
  ["a signature with another hash", "rsa", () => token("rsa", { sign: signer("RS512") })],
  ["a signature of somebody else", "rsa", () => token("rsa", { sign: signer("RS256", thief.privateKey) })],
  ["a signature of another curve", "ec", () => token("ec", { sign: signer("ES384") })],
  ["a secret of somebody else", "secret", () => token("secret", { sign: hmac("HS256", "guess") })],
  ["another hash with the right secret", "secret", () => token("secret", { sign: hmac("HS512") })],
  [
    "another header",
    "secret",
    () => [encode({ alg: "HS256", typ: "at+jwt", a: 1 }), goodPayload, goodSignature].join("."),
  ],
  ["other claims", "secret", () => [goodHeader, encode({ ...claims, sub: "root" }), goodSignature].join(".")],
  ["another signature", "secret", () => [goodHeader, goodPayload, encode(Buffer.alloc(32, 7))].join(".")],
  [
    "the parts of two tokens",
    "secret",
    () => [goodHeader, token("secret", { claims: { sub: "root" } }).split(".")[1], goodSignature].join("."),
  ],
];

const headerAttacks: Attack[] = [
  ["CVE row 18: an unknown crit", "secret", () => token("secret", { header: { crit: ["exp2"], exp2: 1 } })],
  ["CVE row 18: a crit of a known name", "secret", () => token("secret", { header: { crit: ["exp"], exp: 1 } })],
  ["CVE row 18: an empty crit", "secret", () => token("secret", { header: { crit: [] } })],
  ["CVE row 18: a crit that is no list", "secret", () => token("secret", { header: { crit: "exp" } })],
  ["CVE row 18: b64 true, with its crit", "secret", () => token("secret", { header: { crit: ["b64"], b64: true } })],
  ["CVE row 18: b64 false, without its crit", "secret", () => token("secret", { header: { b64: false } })],
  [
    "CVE row 18: b64 false, the claims signed as they are",
    "secret",
    () => {
      const start = encode({ alg: "HS256", ...header, crit: ["b64"], b64: false });
      const payload = JSON.stringify(claims);
      return `${start}.${encode(payload)}.${encode(signer0(`${start}.${payload}`))}`;
    },
  ],
  [
    "a key of its own",
    "rsa",
    () => token("rsa", { header: { jwk: thief.publicJwk }, sign: signer("RS256", thief.privateKey) }),
  ],
  [
    "a key of its own, where a set is known",
    "set",
    () => token("set", { header: { kid: undefined, jwk: thief.publicJwk }, sign: signer("RS256", thief.privateKey) }),
  ],
  ...["jku", "x5u"].map((name): Attack => [
    `${name} to a key set of its own`,
    "set",
    () => token("set", { header: { kid: "thief", [name]: url }, sign: signer("RS256", thief.privateKey) }),
  ]),
  [
    "a certificate of its own",
    "rsa",
    () => token("rsa", { header: { x5c: [rsaDer.toString("base64")] }, sign: signer("RS256", thief.privateKey) }),
  ],
  ["typ of a refresh token", "secret", () => token("secret", { header: { typ: "refresh+jwt" } })],
  ["typ of any token", "secret", () => token("secret", { header: { typ: "JWT" } })],
  ["no typ", "secret", () => token("secret", { header: { typ: undefined } })],
  ["typ in a list", "secret", () => token("secret", { header: { typ: ["at+jwt"] } })],
  ["typ of a part", "secret", () => token("secret", { header: { typ: "application/x/at+jwt" } })],
  ["a header that is a list", "secret", () => makeToken([{ alg: "HS256" }], claims, signer0)],
  ["a header that is null", "secret", () => makeToken("null", claims, signer0)],
  ["a header that is no JSON", "secret", () => makeToken("{alg:HS256}", claims, signer0)],
  ["a header with something after it", "secret", () => makeToken('{"alg":"HS256","typ":"at+jwt"}{}', claims, signer0)],
  [
    "a header with a prototype",
    "secret",
    () => makeToken('{"typ":"at+jwt","__proto__":{"alg":"HS256"}}', claims, signer0),
  ],
];

const kids: unknown[] = [
  "../../../dev/null",
  "/proc/self/environ",
  "' UNION SELECT 'key' --",
  "http://127.0.0.1/keys",
  "__proto__",
  "constructor",
  "toString",
  "0",
  "",
  "rsa\u0000",
  " rsa",
  "RSA",
  "secret",
  "for encryption",
  "k".repeat(5_000),
  0,
  null,
  true,
  {},
  ["rsa"],
  { toString: "rsa" },
];

const keyAttacks: Attack[] = [
  ...kids.map((kid): Attack => [
    `CVE row 19: kid ${JSON.stringify(kid).slice(0, 40)}`,
    "set",
    () => token("set", { header: { kid } }),
  ]),
  ...["", "\0", "undefined", "null"].map((key): Attack => [
    `CVE row 19: HMAC with ${JSON.stringify(key)}, what a search for an unknown kid may come back with`,
    "set",
    () => token("set", { header: { alg: "HS256", kid: "nobody" }, sign: hmac("HS256", key) }),
  ]),
  [
    "CVE row 19: HMAC with an empty secret, which an RSA key has as its `k`",
    "set",
    () => token("set", { header: { alg: "HS256", kid: "rsa" }, sign: hmac("HS256", "") }),
  ],
  [
    "CVE row 19: HMAC with the secret of the set, which has no business in it",
    "set",
    () => token("set", { header: { alg: "HS256", kid: "secret" }, sign: signer0 }),
  ],
  ["CVE row 19: an empty secret", "secret", () => token("secret", { sign: hmac("HS256", "") })],
  ["kid of a key of another type", "set", () => token("set", { header: { kid: "ec" } })],
  ["kid in a list where a secret is known", "secret", () => token("secret", { header: { kid: ["a"] } })],
  [
    "kid of 257 characters where a secret is known",
    "secret",
    () => token("secret", { header: { kid: "k".repeat(257) } }),
  ],
  ...(
    [
      ["r and s of 0", () => Buffer.alloc(64)],
      ["r of 0", () => Buffer.concat([Buffer.alloc(32), Buffer.alloc(32, 1)])],
      ["s of 0", () => Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(32)])],
      ["r and s of the order of the curve", () => Buffer.concat([order, order])],
      ["one byte", () => Buffer.from([1])],
      ["a byte too many", (text: string) => Buffer.concat([signer("ES256")(text), Buffer.alloc(1)])],
      ["the wrong half first", (text: string) => swap(signer("ES256")(text))],
    ] as const
  ).map(([what, sign]): Attack => [`an ECDSA signature with ${what}`, "ec", () => token("ec", { sign })]),
  ["an EdDSA signature of 0", "ed", () => token("ed", { sign: () => Buffer.alloc(64) })],
];
const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
function swap(signature: Buffer): Buffer {
  return Buffer.concat([signature.subarray(32), signature.subarray(0, 32)]);
}

/** Five parts, as JWE has; nothing in them has to be right to cost something who believes the header. */
function jwe(header: object, key = 40, text: string = "a"): string {
  return [header, Buffer.alloc(key, 1), Buffer.alloc(12, 1), text, Buffer.alloc(16, 1)].map(encode).join(".");
}
const bomb = { alg: "PBES2-HS512+A256KW", enc: "A256GCM", p2s: "c2FsdHNhbHQ", p2c: 2 ** 31 - 1, cty: "JWT" };

const encryptionAttacks: Attack[] = [
  ["CVE row 20: a key derivation that takes for ever", "set", () => jwe(bomb)],
  [
    "CVE row 20: the same in three parts, signed",
    "secret",
    () => token("secret", { header: { ...bomb, alg: "HS256" } }),
  ],
  ["CVE row 20: the same with its own alg", "secret", () => token("secret", { header: bomb })],
  ["CVE row 20: a zip bomb", "set", () => jwe({ alg: "dir", enc: "A256GCM", zip: "DEF" }, 0, "x".repeat(4_000))],
  ["CVE row 20: zip in a signed token", "secret", () => token("secret", { header: { zip: "DEF" } })],
  ["CVE row 20: encrypted with the secret", "secret", () => jwe({ alg: "dir", enc: "A256GCM" }, 0)],
  ["CVE row 20: encrypted with the public key", "rsa", () => jwe({ alg: "RSA-OAEP", enc: "A256GCM" }, 256)],
];

const spellingAttacks: Attack[] = [
  ["nothing", "secret", () => ""],
  ["dots", "secret", () => ".."],
  ["8,192 dots", "secret", () => ".".repeat(8_192)],
  ["more than 8,192 bytes", "secret", () => token("secret", { claims: { fill: "x".repeat(6_000) } })],
  ["20 MB", "secret", () => "a".repeat(20_000_000)],
  ["a newline after it", "secret", () => `${token("secret")}\n`],
  ["CR LF after it", "secret", () => `${token("secret")}\r\n`],
  ["a blank after it", "secret", () => `${token("secret")} `],
  ["a blank before it", "secret", () => ` ${token("secret")}`],
  ["a NUL after it", "secret", () => `${token("secret")}\0`],
  ["a dot after it", "secret", () => `${token("secret")}.`],
  ["a dot before it", "secret", () => `.${token("secret")}`],
  ["its scheme before it", "secret", () => `Bearer ${token("secret")}`],
  ["quotes around it", "secret", () => JSON.stringify(token("secret"))],
  [
    "a tab in the claims",
    "secret",
    () => `${goodHeader}.${goodPayload.slice(0, 9)}\t${goodPayload.slice(9)}.${goodSignature}`,
  ],
  ["padding", "secret", () => `${token("secret")}=`],
  ["padding of the claims, signed", "secret", () => resign(`${goodHeader}.${pad(goodPayload)}`)],
  ["padding of the header, signed", "secret", () => resign(`${pad(goodHeader)}.${goodPayload}`)],
  ["base64 instead of base64url", "secret", () => withOddSignature().replaceAll("-", "+").replaceAll("_", "/")],
  ["a signature with an unused bit set", "secret", () => token("secret").slice(0, -1) + nextLetter(goodSignature)],
  ["a signature with one letter less", "secret", () => token("secret").slice(0, -1)],
  ["an empty signature", "secret", () => `${goodHeader}.${goodPayload}.`],
  ["two parts", "secret", () => `${goodHeader}.${goodPayload}`],
  ["detached claims", "secret", () => `${goodHeader}..${goodSignature}`],
  ["no header", "secret", () => resign(`.${goodPayload}`)],
  ["letters that look like others", "secret", () => token("secret").replace("e", "\u0435")],
  ["full-width dots", "secret", () => token("secret").replaceAll(".", "\uff0e")],
  ["percent signs", "secret", () => token("secret").replaceAll(".", "%2E")],
  [
    "flattened JSON",
    "secret",
    () => JSON.stringify({ protected: goodHeader, payload: goodPayload, signature: goodSignature }),
  ],
  [
    "general JSON",
    "secret",
    () => JSON.stringify({ payload: goodPayload, signatures: [{ protected: goodHeader, signature: goodSignature }] }),
  ],
  ...[undefined, null, 0, {}, [], Buffer.from("a.b.c"), Symbol("token")].map((odd): Attack => [
    `${inspect(odd)} for a text`,
    "secret",
    () => odd,
  ]),
  [
    "an object that looks like a token when it is asked",
    "secret",
    () => ({ toString: () => token("secret"), length: 3 }),
  ],
  ["a token in a list", "secret", () => [token("secret")]],
  ["a token in a String object", "secret", () => new String(token("secret"))],
];

/** Signs what the first two parts of a token are, however they are spelled. */
function resign(text: string): string {
  return `${text}.${encode(signer0(text))}`;
}
/** Pads base64url; the part has to need it. */
function pad(part: string): string {
  return part.padEnd(Math.ceil((part.length + 1) / 4) * 4, "=");
}
/** A good token whose signature has a letter that base64 writes in another way. */
function withOddSignature(): string {
  for (let jti = 0; ; jti++) {
    const text = token("secret", { claims: { jti: String(jti) } });
    if (/[-_]/.test(text)) return text;
  }
}
/** The letter after the last one: 32 bytes end with 4 bits that count and 2 that do not. */
function nextLetter(part: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return alphabet[alphabet.indexOf(part.at(-1)!) + 1]!;
}

/** Claims in which one is replaced, as JSON that JSON.stringify would not write. */
function raw(name: string, value: string): string {
  return JSON.stringify({ ...claims, [name]: "REPLACED" }).replace('"REPLACED"', value);
}

const claimAttacks: Attack[] = [
  ...["sub", "exp", "iss", "aud"].map((name): Attack => [
    `no ${name}`,
    "secret",
    () => token("secret", { claims: { [name]: undefined } }),
  ]),
  ...["sub", "exp", "iss", "aud", "iat", "nbf", "jti"].map((name): Attack => [
    `${name} null`,
    "secret",
    () => token("secret", { claims: { [name]: null } }),
  ]),
  ...(["exp", "nbf", "iat"] as const).flatMap((name): Attack[] => [
    [
      `${name} in a text`,
      "secret",
      () => token("secret", { claims: { [name]: String(name === "exp" ? now + 60 : now) } }),
    ],
    [`${name} in a list`, "secret", () => token("secret", { claims: { [name]: [now] } })],
    [`${name} true`, "secret", () => token("secret", { claims: { [name]: true } })],
    [`${name} NaN`, "secret", () => token("secret", { claims: raw(name, "NaN") })],
    [`${name} Infinity`, "secret", () => token("secret", { claims: raw(name, "Infinity") })],
    [`${name} 1e999`, "secret", () => token("secret", { claims: raw(name, "1e999") })],
    [`${name} -1e999`, "secret", () => token("secret", { claims: raw(name, "-1e999") })],
    [`${name} past all dates`, "secret", () => token("secret", { claims: { [name]: 8.64e12 + 1 } })],
  ]),
  ["exp 9999999999 in a text", "secret", () => token("secret", { claims: { exp: "9999999999" } })],
  ["exp 0", "secret", () => token("secret", { claims: { exp: 0 } })],
  ["exp below 0", "secret", () => token("secret", { claims: { exp: -1 } })],
  ["exp in the past", "secret", () => token("secret", { claims: { exp: now - 5 } })],
  ["nbf in the future", "secret", () => token("secret", { claims: { nbf: now + 6 } })],
  ["nbf in milliseconds", "secret", () => token("secret", { claims: { nbf: now * 1_000 } })],
  ["iat in the future", "secret", () => token("secret", { claims: { iat: now + 6 } })],
  ...[
    "",
    "https://issuer.test/",
    "https://ISSUER.test",
    "https://issuer.tes",
    ["https://issuer.test"],
    { toString: 1 },
    0,
  ].map((iss): Attack => [`iss ${JSON.stringify(iss)}`, "secret", () => token("secret", { claims: { iss } })]),
  ...["", "ap", "api2", "API", "api chat", ["web", "admin"], [], [["api"]], ["api", 1], { api: 1 }, 0, true].map(
    (aud): Attack => [`aud ${JSON.stringify(aud)}`, "secret", () => token("secret", { claims: { aud } })],
  ),
  ...["", 0, 1, true, [], ["ada"], {}].flatMap((value): Attack[] => [
    [`sub ${JSON.stringify(value)}`, "secret", () => token("secret", { claims: { sub: value } })],
    [`jti ${JSON.stringify(value)}`, "secret", () => token("secret", { claims: { jti: value } })],
  ]),
  ...[
    "[]",
    "null",
    '"text"',
    "1",
    "",
    "{",
    "{}{}",
    `${JSON.stringify(claims)}\0`,
    `\ufeff${JSON.stringify(claims)}`,
  ].map((text): Attack => [
    `claims that are ${JSON.stringify(text).slice(0, 30)}`,
    "secret",
    () => makeToken({ alg: "HS256", ...header }, text, signer0),
  ]),
  [
    "claims that are no UTF-8",
    "secret",
    () =>
      makeToken({ alg: "HS256", ...header }, Buffer.from(JSON.stringify({ ...claims, a: "\xff" }), "latin1"), signer0),
  ],
  ["a claim twice", "secret", () => token("secret", { claims: JSON.stringify(claims).replace("{", '{"sub":"root",') })],
  [
    "a claim twice, written differently",
    "secret",
    () => token("secret", { claims: JSON.stringify(claims).replace("{", '{"s\\u0075b":"root",') }),
  ],
  ["a claim twice, further in", "secret", () => token("secret", { claims: raw("a", '[{"b":{"c":1,"d":":","c":2}}]') })],
  ["a claim __proto__", "secret", () => token("secret", { claims: raw("a", '{"__proto__":{"isAdmin":true}}') })],
  ["all claims in __proto__", "secret", () => token("secret", { claims: `{"__proto__":${JSON.stringify(claims)}}` })],
  [
    "a claim constructor",
    "secret",
    () => token("secret", { claims: raw("a", '{"constructor":{"prototype":{"isAdmin":true}}}') }),
  ],
  [
    "claims a thousand deep",
    "secret",
    () => token("secret", { claims: raw("a", "[".repeat(1_000) + "]".repeat(1_000)) }),
  ],
  [
    "an access token of another issuer of the same key",
    "set",
    () => token("set", { claims: { iss: "https://other.test" } }),
  ],
];

describe("JwtVerifier.verify() refuses, and says nothing of why,", () => {
  const attacks = [
    ...algorithmAttacks,
    ...headerAttacks,
    ...keyAttacks,
    ...encryptionAttacks,
    ...spellingAttacks,
    ...claimAttacks,
  ];

  it.each(attacks)("%s", async (_, door, attack) => {
    await expectRefusal(doors[door], attack());
  });

  it("and there are no two attacks of one name", () => {
    expect(attacks.length).toBeGreaterThanOrEqual(65);
    expect(new Set(attacks.map(([title]) => title)).size).toBe(attacks.length);
  });
});

describe("JwtVerifier.verify() refuses by what a token looks like, without a key or any work of cryptography,", () => {
  const verifier = (): JwtVerifier => new JwtVerifier({ ...rules, algorithms: ["RS256"], jwks: url });
  const spies = (["importKey", "verify", "decrypt", "deriveBits", "deriveKey", "unwrapKey", "digest"] as const).map(
    (method) => vi.spyOn(crypto.subtle, method),
  );
  beforeEach(() => spies.forEach((spy) => spy.mockClear()));
  afterAll(() => spies.forEach((spy) => spy.mockRestore()));

  const byLooks = [
    ...encryptionAttacks,
    ...spellingAttacks,
    ...headerAttacks.filter(([title]) => title.startsWith("CVE")),
  ];

  it.each(byLooks)("%s", async (_, __, attack) => {
    // A server that would first have to fetch its keys: it would be asked, see `requests`.
    const text = attack();
    expect(parseToken(text)).toBe(undefined);
    await expectRefusal(verifier(), text);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  it("but what looks like a token has the server asked for its keys", async () => {
    await expectRefusal(verifier(), token("rsa"));
    expect(requests.splice(0)).toEqual(["/"]);
  });
});

describe("JwtVerifier cannot be made", () => {
  const rsa = keyPairOf("RS256");
  const made = (options: object) => () => new JwtVerifier(options as JwtOptions);

  it.each<[string, object]>([
    ["CVE row 17: with none", { algorithms: ["none"], secret }],
    ["CVE row 17: with none among others", { algorithms: ["HS256", "None"], secret }],
    ["CVE row 17: without algorithms", { secret }],
    ["CVE row 17: with no algorithm at all", { algorithms: [], secret }],
    ["CVE row 17: with HMAC and a public key", { algorithms: ["RS256", "HS256"], key: rsa.publicJwk }],
    ["CVE row 17: with HMAC and a key set", { algorithms: ["RS256", "HS256"], jwks: { keys: [rsa.publicJwk] } }],
    ["CVE row 17: with HMAC and a key set that is fetched", { algorithms: ["HS256"], jwks: "https://issuer.test" }],
    ["CVE row 17: with RSA and a secret", { algorithms: ["RS256"], secret }],
    ["CVE row 17: without a key", { algorithms: ["RS256"] }],
    ["CVE row 17: with an undefined key", { algorithms: ["RS256"], key: undefined }],
    ["CVE row 17: with an undefined secret", { algorithms: ["HS256"], secret: undefined }],
    ["CVE row 18: with a PEM for a secret", { algorithms: ["HS256"], secret: rsaPem }],
    ["CVE row 18: with a PEM of PKCS #1 for a secret", { algorithms: ["HS256"], secret: rsaPkcs1 }],
    ["CVE row 18: with a PEM after a blank for a secret", { algorithms: ["HS256"], secret: ` \n${rsaPkcs1}` }],
    ["CVE row 18: with the bytes of a PEM for a secret", { algorithms: ["HS256"], secret: Buffer.from(`\t${rsaPem}`) }],
    ["CVE row 19: with an RSA key for a secret", { algorithms: ["HS256"], secret: rsa.publicJwk }],
    ["CVE row 19: with an RSA key for HMAC", { algorithms: ["HS256"], key: rsa.publicJwk }],
    ["CVE row 19: with a secret in a key for HMAC", { algorithms: ["HS256"], key: { kty: "oct", k: encode(secret) } }],
    [
      "CVE row 19: with a secret in a key set",
      { algorithms: ["RS256"], jwks: { keys: [{ kty: "oct", k: encode(secret) }] } },
    ],
  ])("%s", (_, options) => {
    expect(made(options)).toThrow(TypeError);
    expect(made(options)).toThrow(/^Options? "/);
  });

  it("CVE row 19: with an empty secret", () => {
    expect(made({ algorithms: ["HS256"], secret: "" })).toThrow(RangeError);
    expect(made({ algorithms: ["HS256"], secret: new Uint8Array() })).toThrow(RangeError);
  });
});

it("CVE row 18: JwtVerifier.verify() never takes one token for another, however alike they are", async () => {
  const verifier = doors.secret;
  const users = Array.from({ length: 100 }, (_, i) => `user${String(i % 50).padStart(2, "0")}`);
  const tokens = users.map((sub) => token("secret", { claims: { sub } }));
  const verified = await Promise.all(tokens.map((text) => verifier.verify(text)));
  expect(verified.map(({ subject }) => subject)).toEqual(users);
  await Promise.all(
    tokens.map((text, i) => {
      const [start, , signature] = text.split(".");
      const [, other] = tokens[(i + 1) % 50]!.split(".");
      return expectRefusal(verifier, `${start}.${other}.${signature}`);
    }),
  );
});
