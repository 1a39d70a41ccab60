import { createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { InvalidMessageError, type StandardSchemaV1, type VelError } from "@vel/core";
import { ManualClock } from "@vel/testing";
import { exportJWK, generateKeyPair } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import type { JwtOptions } from "../src/jwt-options.ts";
import { JwtVerifier } from "../src/jwt-verifier.ts";
import type { SignOptions } from "../src/sign-options.ts";
import type { JwtClaims } from "../src/verified-token.ts";
import {
  algorithms,
  goodClaims,
  goodToken,
  hmac,
  keyPairOf,
  makeKeyPair,
  makeToken,
  now,
  secret,
  signer,
} from "./tokens.ts";

let clock: ManualClock;
/** What `onError` was told: the stage and the error. */
let errors: string[];
const onError = (error: unknown, { stage }: { stage: string }): void => void errors.push(`${stage}: ${String(error)}`);

beforeEach(() => {
  clock = new ManualClock();
  errors = [];
});
afterEach(() => {
  expect(clock.pending).toBe(0);
});

/** A verifier with a secret; anything may be given that no caller should. */
function makeVerifier<Claims = JwtClaims>(options: object = {}): JwtVerifier<Claims> {
  const all = { algorithms: ["HS256"], secret, clock, onError, ...options };
  if (!("secret" in options) && ["key", "jwks"].some((name) => name in all)) Reflect.deleteProperty(all, "secret");
  return new JwtVerifier<Claims>(all as JwtOptions<Claims>);
}

/** What becomes of a token: whose it is, or the code. */
function outcome(verifier: JwtVerifier<unknown>, token: string): Promise<unknown> {
  return verifier.verify(token).then(
    ({ subject }) => subject,
    (error: unknown) => (error as VelError).code,
  );
}

/** What becomes of a token with these claims, and a header if one is given. */
function outcomeOf(options: object, claims: object, header: object = {}): Promise<unknown> {
  return outcome(makeVerifier(options), goodToken("HS256", claims, header));
}

/** Makes a key of Web Crypto of one of `node:crypto`. */
function cryptoKey(key: KeyObject, algorithm: object, isExtractable: boolean, usages: string[]): unknown {
  return (key as unknown as { toCryptoKey(...how: unknown[]): unknown }).toCryptoKey(algorithm, isExtractable, usages);
}

describe("JwtVerifier.verify()", () => {
  it("resolves to the claims, with times in milliseconds", async () => {
    const claims = { ...goodClaims, jti: "1", aud: ["a", "b"], iat: now + 0.25, exp: now + 1.5, more: { of: ["it"] } };
    expect(await makeVerifier({ audience: "b" }).verify(goodToken("HS256", claims))).toEqual({
      claims,
      subject: "ada",
      tokenId: "1",
      issuedAt: now * 1_000 + 250,
      expiresAt: now * 1_000 + 1_500,
    });
  });

  it("resolves to what is there when nothing is required", async () => {
    const token = makeToken({ alg: "HS256" }, {}, hmac("HS256"));
    expect(await outcome(makeVerifier(), token)).toBe("ERR_VEL_TOKEN");
    expect(await makeVerifier({ requiredClaims: [] }).verify(token)).toEqual({
      claims: {},
      subject: undefined,
      tokenId: undefined,
      issuedAt: undefined,
      expiresAt: Infinity,
    });
  });

  it("wants the claims that are required, instead of sub and exp", async () => {
    const required = { requiredClaims: ["tenant", "toString"] };
    expect(await outcomeOf(required, { tenant: 0, toString: false, sub: undefined, exp: undefined })).toBe(undefined);
    expect(await outcomeOf(required, { tenant: "" })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf(required, { tenant: null, toString: 1 })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf(required, { toString: 1 })).toBe("ERR_VEL_TOKEN");
  });

  it("takes a token until exp and the tolerance, to the millisecond, by the clock on the wall", async () => {
    const token = goodToken("HS256", { exp: now + 60 });
    for (const [verifier, tolerance] of [
      [makeVerifier(), 5_000],
      [makeVerifier({ clockTolerance: 0 }), 0],
      [makeVerifier({ clockTolerance: 1_234.5 }), 1_234.5],
    ] as const) {
      const untilEnd = now * 1_000 + 60_000 + tolerance - clock.wall();
      clock.shiftWall(untilEnd - 0.5);
      expect(await outcome(verifier, token)).toBe("ada");
      clock.shiftWall(0.5);
      expect(await outcome(verifier, token)).toBe("ERR_VEL_TOKEN");
    }
    clock.shiftWall(-3_600_000);
    expect(await outcome(makeVerifier({ clockTolerance: 7_200_000 }), token)).toBe("ada");
  });

  it.each(["nbf", "iat"])("takes a token from %s less the tolerance on, to the millisecond", async (name) => {
    for (const [options, tolerance] of [
      [{}, 5_000],
      [{ clockTolerance: 0 }, 0],
    ] as const) {
      const at = (milliseconds: number): object => ({ [name]: now + milliseconds / 1_000 });
      expect(await outcomeOf(options, at(tolerance))).toBe("ada");
      expect(await outcomeOf(options, at(tolerance + 1))).toBe("ERR_VEL_TOKEN");
    }
  });

  it("takes no token that is older than maxTokenAge, and none without an age", async () => {
    const options = { maxTokenAge: 60_000 };
    const aged = (milliseconds: number): object => ({ iat: now - milliseconds / 1_000 });
    expect(await outcomeOf(options, aged(65_000))).toBe("ada");
    expect(await outcomeOf(options, aged(65_001))).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf(options, { iat: undefined })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({ ...options, clockTolerance: 0 }, aged(60_000))).toBe("ada");
    expect(await outcomeOf({ ...options, clockTolerance: 0 }, aged(60_001))).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({}, aged(1e12))).toBe("ada");
    expect(await outcomeOf({}, { iat: undefined })).toBe("ada");
  });

  it("takes any of several issuers", async () => {
    const issuer = ["https://a.test", "https://b.test"];
    expect(await outcomeOf({ issuer }, { iss: "https://b.test" })).toBe("ada");
    expect(await outcomeOf({ issuer }, { iss: "https://c.test" })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({ issuer }, {})).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({}, { iss: "https://c.test" })).toBe("ada");
  });

  it("takes a token that is for any of several audiences, among others", async () => {
    const audience = ["api", "chat"];
    expect(await outcomeOf({ audience }, { aud: "chat" })).toBe("ada");
    expect(await outcomeOf({ audience }, { aud: ["web", "api"] })).toBe("ada");
    expect(await outcomeOf({ audience }, { aud: ["web"] })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({ audience }, {})).toBe("ERR_VEL_TOKEN");
  });

  it("takes no token for somebody where nobody said who is here", async () => {
    expect(await outcomeOf({}, { aud: "api" })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({}, { aud: ["api"] })).toBe("ERR_VEL_TOKEN");
    expect(await outcomeOf({}, { aud: [] })).toBe("ERR_VEL_TOKEN");
  });

  it.each(["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])(
    "takes type %s however it is written",
    async (typ) => {
      for (const type of ["at+jwt", "application/at+jwt", "At+JWT"]) {
        expect(await outcomeOf({ type }, {}, { typ })).toBe("ada");
      }
      expect(await outcomeOf({ type: "application/x/at+jwt" }, {}, { typ })).toBe("ERR_VEL_TOKEN");
    },
  );

  it("tells types apart that only look as if application/ were left out", async () => {
    expect(await outcomeOf({ type: "x/at+jwt" }, {}, { typ: "x/at+jwt" })).toBe("ada");
    expect(await outcomeOf({ type: "x/at+jwt" }, {}, { typ: "application/x/at+jwt" })).toBe("ERR_VEL_TOKEN");
  });

  it("wants registered claims to be of their types, also those that it does not check", async () => {
    for (const name of ["iss", "sub", "jti", "exp", "nbf", "iat"]) {
      for (const value of [{}, [], true, null, ""]) {
        expect(await outcomeOf({ requiredClaims: [] }, { [name]: value })).toBe("ERR_VEL_TOKEN");
      }
    }
  });

  it("does not look at the type where none is asked for", async () => {
    expect(await outcomeOf({}, {}, { typ: "anything" })).toBe("ada");
    expect(await outcomeOf({}, {})).toBe("ada");
  });

  it("ignores names of keys in the header of a good token", async () => {
    const { publicJwk } = makeKeyPair("ES256");
    const header = {
      jwk: publicJwk,
      jku: "https://eve.test",
      x5u: "https://eve.test",
      x5c: ["AA=="],
      x5t: "AA",
      cty: "JWT",
    };
    expect(await outcomeOf({}, {}, { ...header, kid: "../../key" })).toBe("ada");
  });

  it("keeps its own copy of a secret", async () => {
    const bytes = new TextEncoder().encode(secret);
    const verifier = makeVerifier({ secret: bytes });
    bytes.fill(0);
    expect(await outcome(verifier, goodToken("HS256"))).toBe("ada");
    expect(await outcome(verifier, makeToken({ alg: "HS256" }, goodClaims, hmac("HS256", bytes)))).toBe(
      "ERR_VEL_TOKEN",
    );
  });

  it("keeps its own copy of the options", async () => {
    const options = { algorithms: ["HS256"], issuer: ["a"], audience: ["b"], requiredClaims: ["c"] };
    const verifier = makeVerifier(options);
    for (const list of Object.values(options)) list.splice(0, 1, "HS512", "x");
    expect(await outcome(verifier, goodToken("HS256", { iss: "a", aud: "b", c: 1 }))).toBe("ada");
    expect(await outcome(verifier, goodToken("HS512", { iss: "x", aud: "x", x: 1 }))).toBe("ERR_VEL_TOKEN");
  });

  it("takes each of several algorithms, and no other", async () => {
    const verifier = makeVerifier({ algorithms: ["RS256", "PS384"], key: keyPairOf("RS256").publicJwk });
    const outcomes = algorithms.map(async (name) => [name, await outcome(verifier, goodToken(name))]);
    expect((await Promise.all(outcomes)).filter(([, subject]) => subject === "ada")).toEqual([
      ["RS256", "ada"],
      ["PS384", "ada"],
    ]);
  });
});

describe("JwtVerifier.verify() with a schema", () => {
  it("resolves to what the schema makes of the claims", async () => {
    const claims = z.object({ sub: z.string(), level: z.string().transform(Number) });
    const verifier = makeVerifier<{ level: number }>({ claims });
    expect(await verifier.verify(goodToken("HS256", { level: "3" }))).toMatchObject({
      claims: { sub: "ada", level: 3 },
      subject: "ada",
    });
  });

  it("rejects as ever when the schema refuses, now or later", async () => {
    const refusing: StandardSchemaV1["~standard"]["validate"][] = [
      () => ({ issues: [{ message: "No" }] }),
      () => Promise.resolve({ issues: [{ message: "No" }] }),
      () => {
        throw new InvalidMessageError("No"); // a schema that is made of others
      },
    ];
    for (const validate of refusing) {
      const verifier = makeVerifier({ claims: { "~standard": { version: 1, vendor: "test", validate } } });
      const error: unknown = await verifier.verify(goodToken("HS256")).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "ERR_VEL_TOKEN", message: "Token is not valid" });
      expect(error).not.toHaveProperty("cause");
    }
    expect(errors).toEqual([]);
  });

  it("tells onError what a schema throws, and lets nobody in", async () => {
    const broken: (() => unknown)[] = [
      () => {
        throw new Error("Broken");
      },
      () => Promise.reject(new Error("Broken")),
    ];
    for (const validate of broken) {
      const verifier = makeVerifier({ claims: { "~standard": { version: 1, vendor: "test", validate } } });
      expect(await outcome(verifier, goodToken("HS256"))).toBe("ERR_VEL_TOKEN");
    }
    expect(errors).toEqual(["claims: Error: Broken", "claims: Error: Broken"]);
  });

  it("does not ask it about a token that is not valid", async () => {
    const validate = vi.fn((value: unknown) => ({ value }));
    const verifier = makeVerifier({ claims: { "~standard": { version: 1, vendor: "test", validate } } });
    for (const token of ["", goodToken("HS256", { exp: 1 }), goodToken("HS512"), `${goodToken("HS256")}=`]) {
      expect(await outcome(verifier, token)).toBe("ERR_VEL_TOKEN");
    }
    expect(validate).not.toHaveBeenCalled();
    expect(await outcome(verifier, goodToken("HS256"))).toBe("ada");
  });

  it("knows whose token it is whatever the schema does to the claims", async () => {
    const validate = (value: unknown): { value: unknown } => {
      Object.assign(value as object, { sub: "root", exp: 0, jti: "2" });
      return { value };
    };
    const verifier = makeVerifier({ claims: { "~standard": { version: 1, vendor: "test", validate } } });
    expect(await verifier.verify(goodToken("HS256", { jti: "1" }))).toMatchObject({
      subject: "ada",
      tokenId: "1",
      expiresAt: (now + 60) * 1_000,
    });
  });

  it.each<[string, (error: unknown) => unknown]>([
    [
      "throws",
      () => {
        throw new Error("Worse");
      },
    ],
    ["rejects", () => Promise.reject(new Error("Worse"))],
  ])("lets nobody in when onError %s, and writes both errors down", async (_, broken) => {
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    try {
      const validate = (): never => {
        throw new Error("Broken");
      };
      const claims = { "~standard": { version: 1, vendor: "test", validate } };
      expect(await outcome(makeVerifier({ claims, onError: broken }), goodToken("HS256"))).toBe("ERR_VEL_TOKEN");
      await Promise.resolve();
      expect(log.mock.calls.map(([line]) => String(line).slice(0, 28))).toEqual([
        "vel: onError: Error: Worse\\n",
        "vel: claims: Error: Broken\\n",
      ]);
    } finally {
      log.mockRestore();
    }
  });
});

describe("JwtVerifier with a key", () => {
  const ec = keyPairOf("ES256");
  const token = goodToken("ES256");

  it.each<[string, () => unknown]>([
    ["a public JWK", () => ec.publicJwk],
    ["a private JWK", () => ec.privateJwk],
    ["a frozen JWK", () => Object.freeze({ ...ec.publicJwk, key_ops: Object.freeze(["verify"]) })],
    [
      "a JWK of an issuer's set",
      () => ({ ...ec.publicJwk, kid: "1", use: "sig", alg: "ES256", x5c: ["AA=="], ext: true }),
    ],
    ["a private JWK for signing", () => ({ ...ec.privateJwk, key_ops: ["sign"], use: "sig" })],
    ["a public KeyObject", () => ec.publicKey],
    ["a private KeyObject", () => ec.privateKey],
    ["a public CryptoKey", () => cryptoKey(ec.publicKey, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"])],
    ["a private CryptoKey", () => cryptoKey(ec.privateKey, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"])],
  ])("takes %s", async (_, key) => {
    const verifier = makeVerifier({ algorithms: ["ES256"], key: key() });
    expect(await outcome(verifier, token)).toBe("ada");
    expect(await outcome(verifier, token)).toBe("ada");
    expect(await outcome(verifier, `${token.slice(0, -4)}AAAA`)).toBe("ERR_VEL_TOKEN");
  });

  it("changes nothing of what it is given", async () => {
    const key = { ...ec.privateJwk, key_ops: ["sign"] };
    const verifier = makeVerifier({ algorithms: ["ES256"], key });
    expect(await outcome(verifier, await verifier.sign({}, { expiresIn: 1_000, subject: "eve" }))).toBe("eve");
    expect([Object.isFrozen(key), Object.isFrozen(key.key_ops)]).toEqual([false, false]);
  });

  it("says once that its key is none, and always that it has none", async () => {
    const verifier = makeVerifier({ algorithms: ["ES256"], key: { kty: "EC", crv: "P-256", x: "AA", y: "AA" } });
    for (let i = 0; i < 3; i++) {
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: "ERR_VEL_KEYS", retryAfter: undefined });
    }
    expect(errors).toEqual([expect.stringMatching(/^keys: DataError/)]);
  });

  it("of a set finds the one that a token names", async () => {
    const other = makeKeyPair("ES256");
    const keys = [
      { ...ec.publicJwk, kid: "a" },
      { ...other.publicJwk, kid: "b" },
    ];
    const verifier = makeVerifier({ algorithms: ["ES256"], jwks: { keys } });
    expect(await outcome(verifier, goodToken("ES256", {}, { kid: "a" }))).toBe("ada");
    expect(await outcome(verifier, goodToken("ES256", {}, { kid: "b" }))).toBe("ERR_VEL_TOKEN");
    const text = makeToken({ alg: "ES256", kid: "b" }, goodClaims, signer("ES256", other.privateKey));
    expect(await outcome(verifier, text)).toBe("ada");
    verifier.close(); // nothing to end
  });
});

describe("JwtVerifier cannot be made", () => {
  const { publicJwk } = keyPairOf("ES256");
  const ec = keyPairOf("ES256");

  it.each<[string, object, string]>([
    ["without algorithms", { algorithms: undefined }, 'Option "algorithms" must be a list of some of HS256'],
    ["with an algorithm in a text", { algorithms: "HS256" }, 'Option "algorithms"'],
    ["with an algorithm that objects have", { algorithms: ["constructor"] }, 'Option "algorithms"'],
    ["with an algorithm in a list", { algorithms: [["HS256"]] }, 'Option "algorithms"'],
    ["with an algorithm that encrypts", { algorithms: ["RSA-OAEP"] }, 'got ["RSA-OAEP"]'],
    ["with two keys", { key: publicJwk, secret }, "exactly one of them must be given"],
    ["with a key and a set", { key: publicJwk, jwks: { keys: [publicJwk] } }, "exactly one of them must be given"],
    ["with null for a secret", { secret: null }, 'Option "secret" must be a text or a Uint8Array'],
    ["with a number for a secret", { secret: 5 }, 'Option "secret" must be a text or a Uint8Array, got number'],
    ["with a list for a secret", { secret: [1, 2] }, 'Option "secret" must be a text or a Uint8Array, got object'],
    ["with a KeyObject for a secret", { secret: createSecretKey(secret, "utf8") }, 'Option "secret" must be'],
    [
      "with a text for a key",
      { algorithms: ["ES256"], key: "a PEM" },
      "must be a CryptoKey, a KeyObject or a JWK, got a string",
    ],
    ["with null for a key", { algorithms: ["ES256"], key: null }, "must be a CryptoKey, a KeyObject or a JWK"],
    ["with an empty JWK", { algorithms: ["ES256"], key: {} }, "it does not fit ES256"],
    ["with a key of another type", { algorithms: ["RS256"], key: publicJwk }, "it does not fit RS256"],
    ["with a key of another curve", { algorithms: ["ES384"], key: publicJwk }, "it does not fit ES384"],
    ["with a key that fits only one", { algorithms: ["ES256", "RS256"], key: publicJwk }, "it does not fit RS256"],
    [
      "with a JWK for another algorithm",
      { algorithms: ["RS256"], key: { ...keyPairOf("RS256").publicJwk, alg: "PS256" } },
      "it does not fit RS256",
    ],
    [
      "with a JWK for encryption",
      { algorithms: ["ES256"], key: { ...publicJwk, use: "enc" } },
      "must be for signatures",
    ],
    [
      "with a JWK for deriving",
      { algorithms: ["ES256"], key: { ...publicJwk, key_ops: ["deriveKey"] } },
      "must be for signatures",
    ],
    [
      "with a secret KeyObject",
      { algorithms: ["ES256"], key: createSecretKey(secret, "utf8") },
      "it does not fit ES256",
    ],
    [
      "with a KeyObject of another curve",
      { algorithms: ["ES256"], key: keyPairOf("ES384").publicKey },
      "it does not fit ES256",
    ],
    [
      "with a CryptoKey of another hash",
      {
        algorithms: ["RS256"],
        key: cryptoKey(keyPairOf("RS256").publicKey, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-512" }, true, ["verify"]),
      },
      "it does not fit RS256",
    ],
    [
      "with a CryptoKey of another padding",
      {
        algorithms: ["RS256"],
        key: cryptoKey(keyPairOf("RS256").publicKey, { name: "RSA-PSS", hash: "SHA-256" }, true, ["verify"]),
      },
      "it does not fit RS256",
    ],
    [
      "with a CryptoKey of another curve",
      {
        algorithms: ["ES384"],
        key: cryptoKey(ec.publicKey, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
      },
      "it does not fit ES384",
    ],
    [
      "with a CryptoKey for nothing",
      { algorithms: ["ES256"], key: cryptoKey(ec.publicKey, { name: "ECDSA", namedCurve: "P-256" }, true, []) },
      "its usages are none",
    ],
    [
      "with a private CryptoKey that hides its public part",
      {
        algorithms: ["ES256"],
        key: cryptoKey(ec.privateKey, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]),
      },
      "must be extractable where it is private",
    ],
    [
      "with a set of nothing",
      { algorithms: ["ES256"], jwks: { keys: [] } },
      'Option "jwks" must have a public key for ES256',
    ],
    [
      "with a set of private keys",
      { algorithms: ["ES256"], jwks: { keys: [ec.privateJwk] } },
      'Option "jwks" must have a public key',
    ],
    [
      "with a set of keys for encryption",
      { algorithms: ["ES256"], jwks: { keys: [{ ...publicJwk, use: "enc" }] } },
      'Option "jwks" must have a public key',
    ],
    [
      "with a set of other keys",
      { algorithms: ["RS256", "EdDSA"], jwks: { keys: [publicJwk, null, 5] } },
      "for RS256 or EdDSA",
    ],
    ["with a set without keys", { algorithms: ["ES256"], jwks: {} }, 'Key set must have a list "keys" of at most 100'],
    [
      "with a set of 101 keys",
      { algorithms: ["ES256"], jwks: { keys: Array.from({ length: 101 }, () => publicJwk) } },
      "of at most 100",
    ],
    ["with an empty issuer", { issuer: "" }, 'Option "issuer" must be a text or a list of texts'],
    ["with no issuer of a list", { issuer: [] }, 'Option "issuer"'],
    ["with a number for an issuer", { issuer: 5 }, 'Option "issuer"'],
    ["with an issuer by pattern", { issuer: /a/ }, 'Option "issuer"'],
    ["with an empty audience among others", { audience: ["api", ""] }, 'Option "audience"'],
    ["with an empty type", { type: "" }, 'Option "type"'],
    ["with a required claim that is none", { requiredClaims: [undefined] }, 'Option "requiredClaims"'],
    [
      "with null for a set",
      { algorithms: ["ES256"], jwks: null },
      'Option "jwks" must be a key set, a URL or { url }, got null',
    ],
    [
      "with a number for a set",
      { algorithms: ["ES256"], jwks: 5 },
      'Option "jwks" must be a key set, a URL or { url }, got a value of type number',
    ],
    ["with claims that are no schema", { claims: {} }, 'Option "claims" must be a Standard Schema'],
    ["with claims that cannot validate", { claims: { "~standard": {} } }, 'Option "claims" must be a Standard Schema'],
    ["with null for claims", { claims: null }, 'Option "claims" must be a Standard Schema'],
    ["with no required claim in a text", { requiredClaims: "" }, 'Option "requiredClaims"'],
    ...["issuer", "audience", "requiredClaims", "type", "maxTokenAge", "claims"].map(
      (name): [string, object, string] => [
        `with ${name} undefined`,
        { [name]: undefined },
        `Option "${name}" must be left out where it shall check nothing, got undefined`,
      ],
    ),
  ])("%s", (_, options, text) => {
    const make = (): unknown => makeVerifier(options);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(text);
  });

  it.each<[string, object, string]>([
    ["HS256 and 31 bytes", { secret: "x".repeat(31) }, 'Option "secret" must have 32 bytes or more for HS256, got 31'],
    [
      "HS384 and 47 bytes",
      { algorithms: ["HS256", "HS384"], secret: new Uint8Array(47) },
      "48 bytes or more for HS256, HS384, got 47",
    ],
    ["HS512 and 63 bytes", { algorithms: ["HS512"], secret: "x".repeat(63) }, "64 bytes or more for HS512, got 63"],
    [
      "a short RSA key",
      { algorithms: ["RS256"], key: shortRsa().export({ format: "jwk" }) },
      "must have 2048 bits or more where it is an RSA key, got 1024",
    ],
    [
      "a short RSA CryptoKey",
      { algorithms: ["PS256"], key: cryptoKey(shortRsa(), { name: "RSA-PSS", hash: "SHA-256" }, true, ["verify"]) },
      "got 1024",
    ],
    ["an RSA key without a modulus", { algorithms: ["RS256"], key: { kty: "RSA", e: "AQAB" } }, "got 0"],
    ["a tolerance below 0", { clockTolerance: -1 }, 'Option "clockTolerance" must be 0 or more milliseconds, got -1'],
    ["a tolerance without end", { clockTolerance: Infinity }, 'Option "clockTolerance"'],
    ["a tolerance that is no number", { clockTolerance: NaN }, 'Option "clockTolerance"'],
    ["an age of 0", { maxTokenAge: 0 }, 'Option "maxTokenAge" must be a positive number, got 0'],
    ["an age that is no number", { maxTokenAge: NaN }, 'Option "maxTokenAge"'],
    // A sum with a text is a text: tokens were good for thousands of years.
    [
      "a tolerance that is a text",
      { clockTolerance: "5000" },
      'Option "clockTolerance" must be 0 or more milliseconds, got "5000"',
    ],
    [
      "null for a tolerance",
      { clockTolerance: null },
      'Option "clockTolerance" must be 0 or more milliseconds, got null',
    ],
    ["an age that is a text", { maxTokenAge: "1000" }, 'Option "maxTokenAge" must be a positive number, got "1000"'],
  ])("with %s", (_, options, text) => {
    expect(() => makeVerifier(options)).toThrow(RangeError);
    expect(() => makeVerifier(options)).toThrow(text);
  });

  function shortRsa(): KeyObject {
    return generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey;
  }

  it("and no error shows a secret", () => {
    for (const options of [
      { secret: "hunter2" },
      { secret: ["hunter2"] },
      { key: "hunter2" },
      { key: { k: "hunter2" } },
      { jwks: { keys: "hunter2" } },
    ]) {
      expect(() => makeVerifier({ algorithms: ["secret" in options ? "HS256" : "ES256"], ...options })).toThrow(
        /^(?!.*hunter2)/,
      );
    }
  });
});

describe("JwtVerifier.sign()", () => {
  const options = { expiresIn: 60_000, subject: "ada" };

  it.each(algorithms)("signs by %s what verify takes, with each form of a key", async (algorithm) => {
    const forms: object[] = [{ secret }, { secret: new TextEncoder().encode(secret) }];
    if (!algorithm.startsWith("HS")) {
      const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
      const pair = keyPairOf(algorithm);
      forms.splice(
        0,
        2,
        { key: privateKey },
        { key: pair.privateKey },
        { key: pair.privateJwk },
        { key: await exportJWK(privateKey) },
      );
    }
    for (const form of forms) {
      const verifier = makeVerifier({ algorithms: [algorithm], issuer: "a", audience: "b", ...form });
      const token = await verifier.sign({ role: "admin" }, options);
      const { claims } = await verifier.verify(token);
      expect(claims).toEqual({
        role: "admin",
        iss: "a",
        aud: "b",
        sub: "ada",
        iat: now,
        exp: now + 60,
        jti: expect.stringMatching(/^[\w-]{21}$/),
      });
      expect(headerOf(token)).toEqual({ alg: algorithm, typ: "JWT" });
    }
  });

  function headerOf(token: string): unknown {
    return JSON.parse(Buffer.from(token.split(".")[0]!, "base64url").toString());
  }
  async function claimsOf(token: Promise<string>): Promise<JwtClaims> {
    return JSON.parse(Buffer.from((await token).split(".")[1]!, "base64url").toString()) as JwtClaims;
  }

  it("writes the first algorithm, issuer and audience, the type and the id of the key", async () => {
    const { privateJwk } = keyPairOf("RS256");
    const verifier = makeVerifier({
      algorithms: ["PS512", "RS256"],
      key: { ...privateJwk, kid: "2026" },
      issuer: ["a", "b"],
      audience: ["c", "d"],
      type: "at+jwt",
    });
    const token = await verifier.sign({}, options);
    expect(headerOf(token)).toEqual({ alg: "PS512", typ: "at+jwt", kid: "2026" });
    expect((await verifier.verify(token)).claims).toMatchObject({ iss: "a", aud: "c" });
    const odd = makeVerifier({ algorithms: ["RS256"], key: { ...privateJwk, kid: 5 } });
    expect(headerOf(await odd.sign({}, options))).toEqual({ alg: "RS256", typ: "JWT" });
  });

  it("takes an id instead of a random one", async () => {
    const verifier = makeVerifier();
    expect((await claimsOf(verifier.sign({}, { ...options, tokenId: "1" }))).jti).toBe("1");
    const random = await Promise.all(Array.from({ length: 100 }, () => claimsOf(verifier.sign({}, options))));
    expect(new Set(random.map(({ jti }) => jti)).size).toBe(100);
  });

  it.each([1, 999, 1_000, 1_001, 59_999.5, 86_400_000])(
    "makes a token for %d ms that lives at least as long, and less than a second more",
    async (expiresIn) => {
      for (const shift of [0, 1, 500, 999]) {
        clock.shiftWall(shift);
        const verifier = makeVerifier({ clockTolerance: 0 });
        const begin = clock.wall();
        const token = await verifier.sign({}, { ...options, expiresIn });
        const { expiresAt, issuedAt } = await verifier.verify(token);
        expect(expiresAt).toBeGreaterThanOrEqual(begin + expiresIn);
        expect(expiresAt).toBeLessThan(begin + expiresIn + 1_000);
        expect(issuedAt).toBeLessThanOrEqual(begin);
        expect(issuedAt).toBeGreaterThan(begin - 1_000);
        clock.shiftWall(expiresAt - clock.wall());
        expect(await outcome(verifier, token)).toBe("ERR_VEL_TOKEN");
      }
    },
  );

  it("makes a token that is good later", async () => {
    const verifier = makeVerifier({ clockTolerance: 0 });
    const token = await verifier.sign({}, { ...options, notBefore: 10_500 });
    expect((await claimsOf(Promise.resolve(token))).nbf).toBe(now + 10);
    clock.shiftWall(9_999);
    expect(await outcome(verifier, token)).toBe("ERR_VEL_TOKEN");
    clock.shiftWall(1);
    expect(await outcome(verifier, token)).toBe("ada");
    expect(await outcome(verifier, await verifier.sign({}, { ...options, notBefore: 0 }))).toBe("ada");
  });

  it("signs claims as JSON writes them", async () => {
    const claims = { when: new Date(0), none: undefined, list: [1, undefined], sub: undefined, constructor: 1 };
    expect(await claimsOf(makeVerifier().sign(claims, options))).toMatchObject({
      when: "1970-01-01T00:00:00.000Z",
      list: [1, null],
      sub: "ada",
      constructor: 1,
    });
    class Claims {
      readonly role = "admin";
      readonly #secret = "s3cret";
      toJSON(): object {
        return { role: this.role, length: this.#secret.length };
      }
    }
    expect(await claimsOf(makeVerifier().sign(new Claims(), options))).toMatchObject({ role: "admin", length: 6 });
  });

  it.each<[string, unknown, object]>([
    ["a list of claims", [], {}],
    ["null for claims", null, {}],
    ["a text for claims", "sub", {}],
    ["nothing for claims", undefined, {}],
    ["a function for claims", () => ({}), {}],
    ["claims with a BigInt", { a: 1n }, {}],
    ["claims with a __proto__", JSON.parse('{"__proto__":{"a":1}}'), {}],
    ["claims that are too deep", JSON.parse(`{"a":${"[".repeat(64)}${"]".repeat(64)}}`), {}],
    ...["iss", "sub", "aud", "exp", "nbf", "iat", "jti"].map((name): [string, unknown, object] => [
      `a claim ${name}`,
      { [name]: "ada" },
      {},
    ]),
    ["claims that write another sub", { toJSON: () => ({ sub: "root" }) }, {}],
    ["claims that write a text", { toJSON: () => "sub" }, {}],
    ["an empty subject", {}, { subject: "" }],
    ["a subject that is no text", {}, { subject: 5 }],
    ["an empty id", {}, { tokenId: "" }],
    ["an id that is no text", {}, { tokenId: {} }],
    ["no subject, where one is required", {}, { subject: undefined }],
  ])("refuses %s", async (_, claims, change) => {
    const verifier = makeVerifier();
    await expect(verifier.sign(claims as object, { ...options, ...change })).rejects.toThrow(TypeError);
  });

  it.each<Partial<SignOptions>>([
    { expiresIn: 0 },
    { expiresIn: -1 },
    { expiresIn: NaN },
    { expiresIn: Infinity },
    { expiresIn: 8.64e15 },
    { expiresIn: "1h" as never },
    { expiresIn: "60" as never },
    { notBefore: "5" as never },
    { notBefore: null as never },
    { expiresIn: undefined as never },
    { notBefore: -1 },
    { notBefore: NaN },
    { notBefore: 60_000 },
  ])("refuses %j", async (change) => {
    await expect(makeVerifier().sign({}, { ...options, ...change })).rejects.toThrow(/^Option "(expiresIn|notBefore)"/);
    await expect(makeVerifier().sign({}, { ...options, ...change })).rejects.toThrow(RangeError);
  });

  it("refuses to make a token that lacks what is required, or that is longer than any may be", async () => {
    const verifier = makeVerifier({ requiredClaims: ["tenant"] });
    await expect(verifier.sign({ tenant: null }, options)).rejects.toThrow('Claim "tenant" is required');
    expect(await verifier.verify(await verifier.sign({ tenant: 1 }, { expiresIn: 1_000 }))).toMatchObject({
      subject: undefined,
    });
    await expect(verifier.sign({ tenant: "x".repeat(8_000) }, options)).rejects.toThrow(
      /^Token must have at most 8192 bytes, its claims make it \d+$/,
    );
  });

  it("makes the longest token that may be, and verify takes it", async () => {
    const verifier = makeVerifier();
    const length = async (fill: number): Promise<number> =>
      (await verifier.sign({ fill: "x".repeat(fill) }, { ...options, tokenId: "1" })).length;
    const rest = 8_192 - (await length(5_000));
    const fill = 5_000 + Math.floor((rest * 3) / 4);
    expect(await length(fill)).toBe(8_192);
    const token = await verifier.sign({ fill: "x".repeat(fill) }, { ...options, tokenId: "1" });
    expect(await outcome(verifier, token)).toBe("ada");
    await expect(length(fill + 1)).rejects.toThrow(RangeError);
  });

  it("says that there is nothing to sign with", async () => {
    const { publicJwk, publicKey } = keyPairOf("ES256");
    const verifiers = [
      { key: publicJwk },
      { key: publicKey },
      { jwks: { keys: [publicJwk] } },
      { jwks: "https://issuer.test" },
    ];
    for (const keys of verifiers) {
      const verifier = makeVerifier({ algorithms: ["ES256"], ...keys });
      await expect(verifier.sign({}, options)).rejects.toMatchObject({ name: "VelError", code: "ERR_VEL_UNSUPPORTED" });
    }
  });
});
