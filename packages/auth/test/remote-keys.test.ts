import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { VelError } from "@vel/core";
import { ManualClock } from "@vel/testing";
import type { JWK } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RemoteKeysOptions } from "../src/jwt-options.ts";
import { JwtVerifier } from "../src/jwt-verifier.ts";
import { encode, keyPairOf, makeKeyPair, makeToken, secret, signer, type KeyPair } from "./tokens.ts";

/** The keys of the issuer, by their `kid`. */
const pairs: Readonly<Record<"a" | "b", KeyPair>> = { a: makeKeyPair("ES256"), b: makeKeyPair("ES256") };
const publicKey = (kid: "a" | "b"): JWK => ({ ...pairs[kid].publicJwk, kid });

type Answer = (response: ServerResponse, request: IncomingMessage) => unknown;

/** The issuer's server, on a real socket; what it answers is the test's to say. */
class Issuer {
  /** How often it was asked. */
  asked = 0;
  answer: Answer = this.keys(publicKey("a"));
  readonly #server = createServer((request, response) => {
    this.asked++;
    this.#events.emit("asked", request);
    this.answer(response, request);
  });
  readonly #events = new EventEmitter();

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/keys?for=me`;
  }

  async open(port = 0): Promise<void> {
    await once(this.#server.listen(port, "127.0.0.1"), "listening");
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Resolves when it is asked the next time. */
  async next(): Promise<IncomingMessage> {
    return ((await once(this.#events, "asked")) as [IncomingMessage])[0];
  }

  /** An answer with keys. */
  keys(...keys: unknown[]): Answer {
    return this.json({ keys });
  }

  json(value: unknown): Answer {
    return (response) => response.end(JSON.stringify(value));
  }
}

let issuer: Issuer;
let clock: ManualClock;
/** What `onError` was told. */
let errors: { stage: string; message: string; code: unknown }[];
const verifiers: JwtVerifier[] = [];

beforeEach(async () => {
  issuer = new Issuer();
  await issuer.open();
  clock = new ManualClock();
  errors = [];
});
afterEach(async () => {
  expect(clock.pending).toBe(0);
  for (const verifier of verifiers.splice(0)) verifier.close();
  await issuer.close();
});

function makeVerifier(options: Partial<RemoteKeysOptions> = {}): JwtVerifier {
  const verifier = new JwtVerifier({
    algorithms: ["ES256", "RS256"],
    jwks: { url: issuer.url, ...options },
    requiredClaims: ["sub"], // tokens of these tests are good for ever, so that only keys decide
    clock,
    onError: (error, { stage }) => {
      const { message, code } = error as VelError;
      errors.push({ stage, message, code });
    },
  });
  verifiers.push(verifier);
  return verifier;
}

/** A token with a `kid`, signed with that key. */
function tokenOf(kid: "a" | "b", header: object = {}): string {
  return makeToken({ alg: "ES256", kid, ...header }, { sub: kid }, signer("ES256", pairs[kid].privateKey));
}

/** What becomes of a token: whose it is, or the code. */
function outcome(verifier: JwtVerifier, token: string): Promise<unknown> {
  return verifier.verify(token).then(
    ({ subject }) => subject,
    (error: unknown) => (error as VelError).code,
  );
}

/** Resolves when a socket is gone, by a reset too. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once("close", () => resolve()));
}

/** Lets a fetch that nobody waits for come to its end: its timer is its only trace. */
async function fetched(): Promise<void> {
  while (clock.pending > 0) await new Promise(setImmediate);
}

const minute = 60_000;

describe("RemoteKeys.find() asks the server", () => {
  it("once, however many are waiting", async () => {
    const verifier = makeVerifier();
    const outcomes = Array.from({ length: 500 }, () => outcome(verifier, tokenOf("a")));
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["a"]));
    expect(issuer.asked).toBe(1);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(issuer.asked).toBe(1);
  });

  it("not before a token asks for it", async () => {
    makeVerifier();
    await clock.advance(60 * minute);
    expect(issuer.asked).toBe(0);
  });

  it("with the headers that it is told, and for JSON", async () => {
    const verifier = makeVerifier({ headers: { authorization: "Basic abc" } });
    const request = issuer.next();
    await outcome(verifier, tokenOf("a"));
    const { headers, method, url } = await request;
    expect([method, url, headers.authorization]).toEqual(["GET", "/keys?for=me", "Basic abc"]);
    expect(headers.accept).toBe("application/jwk-set+json, application/json");
    const other = issuer.next();
    await outcome(makeVerifier({ headers: { Accept: "text/plain" } }), tokenOf("a"));
    expect((await other).headers.accept).toBe("text/plain");
  });

  it("again after cacheFor, while nobody waits for the answer", async () => {
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    await clock.advance(10 * minute - 1);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(issuer.asked).toBe(1);

    await clock.advance(1);
    let held: ServerResponse | undefined;
    issuer.answer = (response) => (held = response);
    const asked = issuer.next();
    const outcomes = Array.from({ length: 100 }, () => outcome(verifier, tokenOf("a")));
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["a"]));
    await asked;
    // One key went, another one came.
    issuer.keys(publicKey("b"))(held!, undefined as never);
    await fetched();
    expect(await outcome(verifier, tokenOf("b"))).toBe("b");
    expect(await outcome(verifier, tokenOf("a"))).toBe("ERR_VEL_TOKEN");
    expect(issuer.asked).toBe(2);
  });

  it("by time that goes by, not by the clock on the wall", async () => {
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    clock.shiftWall(1_000 * minute);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    clock.shiftWall(-2_000 * minute);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(issuer.asked).toBe(1);
  });

  it("for a new key at most once in a cooldown, so it is good 30 s after it was published at the latest", async () => {
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    issuer.answer = issuer.keys(publicKey("a"), publicKey("b"));
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    await clock.advance(29_999);
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    expect(issuer.asked).toBe(1);
    await clock.advance(1);
    expect(await Promise.all([outcome(verifier, tokenOf("b")), outcome(verifier, tokenOf("a"))])).toEqual(["b", "a"]);
    expect(issuer.asked).toBe(2);
  });

  it("Limit 4: not once more for 300 invented keys, and once after a cooldown", async () => {
    const verifier = makeVerifier();
    const flood = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 300 }, (_, i) => outcome(verifier, tokenOf("a", { kid: `invented ${i}` }))));
    const refused = Array.from({ length: 300 }, () => "ERR_VEL_TOKEN");
    expect(await flood()).toEqual(refused);
    expect(issuer.asked).toBe(1);
    await clock.advance(29_999);
    expect(await flood()).toEqual(refused);
    expect(issuer.asked).toBe(1);
    await clock.advance(1);
    expect(await flood()).toEqual(refused);
    expect(await flood()).toEqual(refused);
    expect(issuer.asked).toBe(2);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
  });
});

describe("RemoteKeys.find() when the server is out", () => {
  it("Limit 5: goes on with the keys that are there, for a day, asking once in a cooldown", async () => {
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    const { url } = issuer;
    await issuer.close();
    await clock.advance(10 * minute);
    for (let i = 0; i < 50; i++) expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    await fetched();
    expect(errors.length).toBe(1);
    expect(errors[0]).toMatchObject({ stage: "keys", code: "ERR_VEL_KEYS" });
    expect(errors[0]!.message).toMatch(/^Cannot fetch keys of http:\/\/127\.0\.0\.1:\d+\/keys: .*ECONNREFUSED/);
    expect(errors[0]!.message).not.toContain("for=me");
    await clock.advance(29_999);
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(errors.length).toBe(1);
    await clock.advance(1);
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    expect(errors.length).toBe(2);

    await clock.advance(24 * 60 * minute - 10 * minute - 30_001);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    await fetched();
    await clock.advance(1);
    // The last fetch was a moment ago: when the next one is due is known.
    await expect(verifier.verify(tokenOf("a"))).rejects.toMatchObject({ code: "ERR_VEL_KEYS", retryAfter: 29_999 });
    expect(errors.length).toBe(3);

    await issuer.open(Number(new URL(url).port));
    await clock.advance(29_999);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(errors.length).toBe(3);
  });

  it("from the beginning says so, and tries again after 1, 2, 4 ... up to 30 s", async () => {
    await issuer.close();
    issuer = new Issuer();
    await issuer.open();
    issuer.answer = (response) => response.writeHead(503).end("Busy");
    const verifier = makeVerifier();
    for (const [i, wait] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => verifier.verify(tokenOf("a")).catch((e: unknown) => e)),
      );
      for (const error of outcomes) {
        expect(error).toBeInstanceOf(VelError);
        expect(error).toMatchObject({ code: "ERR_VEL_KEYS", message: "Keys are not available", retryAfter: wait });
        expect(error).not.toHaveProperty("cause");
      }
      await clock.advance(wait - 1);
      await expect(verifier.verify(tokenOf("a"))).rejects.toMatchObject({ retryAfter: 1 });
      expect([issuer.asked, errors.length]).toEqual([i + 1, i + 1]);
      await clock.advance(1);
    }
    issuer.answer = issuer.keys(publicKey("a"));
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(errors.at(-1)!.message).toMatch(/\/keys: Got status 503$/);
    // What failed before is forgotten: the next fetch waits for a cooldown, as after any success.
    await clock.advance(30_000);
    issuer.answer = issuer.keys(publicKey("b"));
    expect(await outcome(verifier, tokenOf("b"))).toBe("b");
  });

  it("says in whole milliseconds when to come again", async () => {
    issuer.answer = (response) => response.writeHead(503).end();
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    await clock.advance(0.5);
    await expect(verifier.verify(tokenOf("a"))).rejects.toMatchObject({ retryAfter: 1_000 });
  });

  it("begins to count anew when it was not out any more", async () => {
    const busy: Answer = (response) => response.writeHead(503).end();
    const verifier = makeVerifier();
    issuer.answer = busy;
    for (const wait of [1_000, 2_000, 4_000]) {
      await expect(verifier.verify(tokenOf("a"))).rejects.toMatchObject({ retryAfter: wait });
      await clock.advance(wait);
    }
    issuer.answer = issuer.keys(publicKey("a"));
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    issuer.answer = busy;
    await clock.advance(24 * 60 * minute);
    await expect(verifier.verify(tokenOf("a"))).rejects.toMatchObject({ retryAfter: 1_000 });
  });

  it("does not show the query of the URL, though runtimes do", async () => {
    const { url } = issuer;
    vi.stubGlobal("fetch", () =>
      Promise.reject(new TypeError(`Unable to connect to ${url}`, { cause: new Error(url) })),
    );
    try {
      expect(await outcome(makeVerifier(), tokenOf("a"))).toBe("ERR_VEL_KEYS");
    } finally {
      vi.unstubAllGlobals();
    }
    expect(errors[0]!.message).toMatch(/^Cannot fetch keys of (http:\S+): Unable to connect to \1: \1$/);
    expect(errors[0]!.message).not.toContain("for=me");
  });

  it("waits no longer than the timeout for headers", async () => {
    issuer.answer = () => undefined;
    const verifier = makeVerifier({ timeout: 2_000 });
    const asked = issuer.next();
    const all = Promise.all([outcome(verifier, tokenOf("a")), outcome(verifier, tokenOf("b"))]);
    const { socket } = await asked;
    const closed = closeOf(socket);
    await clock.advance(1_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    expect(await all).toEqual(["ERR_VEL_KEYS", "ERR_VEL_KEYS"]);
    await closed;
    expect(errors).toEqual([
      { stage: "keys", code: "ERR_VEL_KEYS", message: expect.stringMatching(/\/keys: No answer within 2000 ms$/) },
    ]);
  });

  it("Limit 3: waits no longer than the timeout for the last byte", async () => {
    issuer.answer = (response) => response.write('{"keys":[');
    const verifier = makeVerifier();
    const asked = issuer.next();
    const waiting = outcome(verifier, tokenOf("a"));
    const { socket } = await asked;
    const closed = closeOf(socket);
    await clock.advance(5_000);
    expect(await waiting).toBe("ERR_VEL_KEYS");
    await closed;
    expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/No answer within 5000 ms$/)]);
  });

  it("lets those in whose key is there while others wait for the timeout", async () => {
    const verifier = makeVerifier();
    await outcome(verifier, tokenOf("a"));
    await clock.advance(30_000);
    issuer.answer = () => undefined;
    const asked = issuer.next();
    const waiting = outcome(verifier, tokenOf("b"));
    await asked;
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    await clock.advance(5_000);
    expect(await waiting).toBe("ERR_VEL_TOKEN");
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
  });
});

describe("RemoteKeys.find() takes nothing of a server that", () => {
  const megabyte = "x".repeat(2 ** 20);
  const bodies: Record<string, Answer> = {
    "answers without end": (response) => {
      const write = (): void => {
        while (!response.destroyed && response.write(megabyte));
        response.once("drain", write);
      };
      write();
    },
    "says that its answer is huge": (response) => {
      response.setHeader("content-length", 10 * 2 ** 20);
      response.write(megabyte);
    },
  };
  it.each(Object.entries(bodies))("%s", async (_, answer) => {
    issuer.answer = answer;
    const asked = issuer.next();
    const waiting = outcome(makeVerifier(), tokenOf("a"));
    const { socket } = await asked;
    const closed = closeOf(socket); // and what was not read is not read
    expect(await waiting).toBe("ERR_VEL_KEYS");
    await closed;
    expect(socket.bytesWritten).toBeLessThan(8 * 2 ** 20);
    expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/Got more than 262144 bytes$/)]);
  });

  it("Limit 2: has packed 10 MB", async () => {
    issuer.answer = (response) => {
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync(Buffer.alloc(10 * 2 ** 20)));
    };
    expect(await outcome(makeVerifier(), tokenOf("a"))).toBe("ERR_VEL_KEYS");
    expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/Got more than 262144 bytes$/)]);
  });

  it("answers with a byte too many, and all of one that has just as many as it may", async () => {
    const text = JSON.stringify({ keys: [publicKey("a")] });
    issuer.answer = (response) => response.end(text);
    expect(await outcome(makeVerifier({ maxSize: text.length - 1 }), tokenOf("a"))).toBe("ERR_VEL_KEYS");
    expect(await outcome(makeVerifier({ maxSize: text.length }), tokenOf("a"))).toBe("a");
  });

  const manyKeys = Array.from({ length: 101 }, (_, i) => ({ ...pairs.a.publicJwk, kid: `a${i}` }));
  const answers: Record<string, Answer> = {
    "answers with HTML": (response) => response.end("<html>"),
    "answers with nothing": (response) => response.end(),
    "answers with no UTF-8": (response) => response.end(Buffer.from('{"keys":[],"\xff":1}', "latin1")),
    "answers with a list": (response) => response.end(JSON.stringify([publicKey("a")])),
    "answers with null": (response) => response.end("null"),
    "answers with one key": (response) => response.end(JSON.stringify(publicKey("a"))),
    "answers with keys in an object": (response) => response.end(JSON.stringify({ keys: { a: publicKey("a") } })),
    "answers with 101 keys": (response) => response.end(JSON.stringify({ keys: manyKeys })),
    "answers with deep JSON": (response) => response.end(`{"keys":${"[".repeat(100_000)}`),
    "answers with a prototype": (response) =>
      response.end(JSON.stringify({ keys: [publicKey("a")] }).replace("{", '{"__proto__":{},')),
    ...Object.fromEntries(
      [201, 203, 204, 206, 400, 401, 404, 429, 500, 503].map((status): [string, Answer] => [
        `answers with status ${status}`,
        (response) => {
          response.writeHead(status);
          response.end(status === 204 ? undefined : JSON.stringify({ keys: [publicKey("a")] }));
        },
      ]),
    ),
    "hangs up": (response) => response.destroy(),
    "hangs up within": (response) => {
      response.setHeader("content-length", 1_000);
      response.write("{");
      setImmediate(() => response.destroy());
    },
    "answers with no HTTP": (response) => response.socket!.end("SSH-2.0\r\n\r\n"),
  };
  it.each(Object.entries(answers))("%s", async (_, answer) => {
    issuer.answer = answer;
    expect(await outcome(makeVerifier(), tokenOf("a"))).toBe("ERR_VEL_KEYS");
    expect(issuer.asked).toBe(1);
    expect(errors).toEqual([
      { stage: "keys", code: "ERR_VEL_KEYS", message: expect.stringMatching(/^Cannot fetch keys of http/) },
    ]);
  });

  it.each([301, 302, 303, 307, 308])("sends somewhere else with status %d, where nobody asks", async (status) => {
    issuer.answer = (response, { url }) =>
      url === "/other" ? this_is_never_asked(response) : response.writeHead(status, { location: "/other" }).end();
    const this_is_never_asked = issuer.keys(publicKey("a")) as (response: ServerResponse) => unknown;
    expect(await outcome(makeVerifier(), tokenOf("a"))).toBe("ERR_VEL_KEYS");
    expect([issuer.asked, errors.length]).toEqual([1, 1]);
  });
});

describe("RemoteKeys.find() finds", () => {
  it("keys that come in pieces", async () => {
    const text = JSON.stringify({ keys: [{ ...publicKey("a"), note: "é€😀" }] });
    const bytes = Buffer.from(text);
    issuer.answer = async (response) => {
      // Within a letter, too. Each piece has left before the next one is written.
      for (const [from, to] of [
        [0, 1],
        [1, bytes.length - 8],
        [bytes.length - 8, bytes.length],
      ] as const) {
        await new Promise<void>((resolve) => response.write(bytes.subarray(from, to), () => setImmediate(resolve)));
      }
      response.end();
    };
    expect(await outcome(makeVerifier(), tokenOf("a"))).toBe("a");
  });

  it("a hundred keys", async () => {
    issuer.answer = issuer.keys(...Array.from({ length: 100 }, (_, i) => ({ ...publicKey("a"), kid: `a${i}` })));
    expect(await outcome(makeVerifier(), tokenOf("a", { kid: "a99" }))).toBe("a");
  });

  it("good keys among what is none", async () => {
    issuer.answer = issuer.keys(
      null,
      "key",
      [],
      {},
      { kty: "oct", kid: "a", k: encode(secret) },
      { kty: "EC", crv: "P-256", kid: "broken", x: "AA", y: "AA" },
      { ...publicKey("b"), use: "enc" },
      { ...pairs.b.privateJwk, kid: "b" },
      { ...publicKey("b"), alg: "ES384" },
      { ...publicKey("b"), crv: "P-384" },
      { ...publicKey("b"), key_ops: ["encrypt"] },
      { ...publicKey("a"), use: "sig", alg: "ES256", key_ops: ["verify"], x5c: ["AA=="], extra: { more: [1] } },
    );
    const verifier = makeVerifier();
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    expect(await outcome(verifier, tokenOf("a", { kid: "broken" }))).toBe("ERR_VEL_TOKEN");
    expect([issuer.asked, errors]).toEqual([1, []]);
  });

  it("all keys of its algorithm for a token that names none", async () => {
    issuer.answer = issuer.keys({ kty: "EC", crv: "P-256", x: "AA", y: "AA" }, publicKey("a"), pairs.b.publicJwk);
    const verifier = makeVerifier();
    expect(await outcome(verifier, tokenOf("b", { kid: undefined }))).toBe("b");
    expect(await outcome(verifier, tokenOf("a", { kid: undefined }))).toBe("a");
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN"); // that key has no kid
    const stranger = makeToken({ alg: "ES256" }, { sub: "eve" }, signer("ES256", makeKeyPair("ES256").privateKey));
    expect(await outcome(verifier, stranger)).toBe("ERR_VEL_TOKEN");
  });

  it("both of two keys with one name", async () => {
    issuer.answer = issuer.keys(publicKey("a"), { ...publicKey("b"), kid: "a" });
    const verifier = makeVerifier();
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(await outcome(verifier, tokenOf("b", { kid: "a" }))).toBe("b");
  });

  it("nothing in an empty set: that is an answer, and who was let in before is not any more", async () => {
    const verifier = makeVerifier();
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    issuer.answer = issuer.keys();
    await clock.advance(10 * minute);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    await fetched();
    expect(await outcome(verifier, tokenOf("a"))).toBe("ERR_VEL_TOKEN");
    expect(errors).toEqual([]);
  });

  it("no RSA key that is too short to be safe", async () => {
    const { generateKeyPairSync } = await import("node:crypto");
    const { publicKey: short, privateKey } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
    issuer.answer = issuer.keys(
      { ...short.export({ format: "jwk" }), kid: "short" },
      { ...keyPairOf("RS256").publicJwk, kid: "long" },
    );
    const verifier = makeVerifier();
    const token = (kid: string, key = privateKey): string =>
      makeToken({ alg: "RS256", kid }, { sub: kid }, signer("RS256", key));
    expect(await outcome(verifier, token("short"))).toBe("ERR_VEL_TOKEN");
    expect(await outcome(verifier, token("long", keyPairOf("RS256").privateKey))).toBe("long");
  });
});

describe("RemoteKeys.close()", () => {
  it("ends the fetch that is running, and nobody is told", async () => {
    issuer.answer = () => undefined;
    const verifier = makeVerifier();
    const asked = issuer.next();
    const waiting = verifier.verify(tokenOf("a"));
    const { socket } = await asked;
    const closed = closeOf(socket);
    verifier.close();
    await expect(waiting).rejects.toMatchObject({ code: "ERR_VEL_KEYS", retryAfter: undefined });
    await closed;
    expect([errors, clock.pending]).toEqual([[], 0]);
  });

  it("lets no fetch begin any more; keys that are there stay", async () => {
    const verifier = makeVerifier();
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    verifier.close();
    verifier.close();
    await clock.advance(20 * minute);
    expect(await outcome(verifier, tokenOf("a"))).toBe("a");
    expect(await outcome(verifier, tokenOf("b"))).toBe("ERR_VEL_TOKEN");
    expect(issuer.asked).toBe(1);
  });
});

describe("RemoteKeys cannot be made", () => {
  it.each([
    "http://issuer.test/keys",
    "http://localhost.issuer.test/keys",
    "http://127.0.0.1.issuer.test/keys",
    "http://128.0.0.1/keys",
    "http://[::2]/keys",
    "ftp://127.0.0.1/keys",
    "file:///etc/keys",
    "data:application/json,{}",
    "javascript:0",
    "//issuer.test/keys",
    "/keys",
    "",
    "https://user:password@issuer.test/keys",
    "https://user@issuer.test/keys",
  ])("with the URL %s", (url) => {
    for (const jwks of [url, { url }, { url: URL.canParse(url) ? new URL(url) : url }]) {
      expect(() => new JwtVerifier({ algorithms: ["ES256"], jwks })).toThrow(
        new TypeError(
          'Option "jwks.url" must be an https: URL, or an http: one on a loopback host, without a password',
        ),
      );
    }
  });

  it.each([
    "https://issuer.test",
    "http://localhost:8080/keys",
    "http://127.9.9.9/",
    "http://[::1]:80/",
    "http://0x7f.1/",
  ])("but with the URL %s", (url) => {
    expect(new JwtVerifier({ algorithms: ["ES256"], jwks: url })).toBeDefined();
    expect(new JwtVerifier({ algorithms: ["ES256"], jwks: new URL(url) })).toBeDefined();
  });

  it.each<[Partial<Record<keyof RemoteKeysOptions, number>>, string]>([
    [{ cacheFor: 0 }, "must be a positive number, got 0"],
    [{ cooldown: -1 }, "must be a positive number, got -1"],
    [{ timeout: NaN }, "must be a positive number, got NaN"],
    [{ maxSize: 0 }, "must be a positive number, got 0"],
    [{ timeout: "5s" as never }, 'must be a positive number, got "5s"'],
    [{ cacheFor: "600000" as never }, 'must be a positive number, got "600000"'],
    [{ staleFor: "86400000" as never }, 'must be at least as long as cacheFor and cooldown, got "86400000"'],
    [{ staleFor: NaN }, "must be at least as long as cacheFor and cooldown, got NaN"],
    [
      { staleFor: 60_000, cacheFor: 1, cooldown: 60_001 },
      "must be at least as long as cacheFor and cooldown, got 60000",
    ],
    [{ staleFor: 599_999 }, "must be at least as long as cacheFor and cooldown, got 599999"],
  ])("with %j", (options, text) => {
    const [name] = Object.keys(options);
    expect(() => makeVerifier(options as object)).toThrow(new RangeError(`Option "jwks.${name}" ${text}`));
  });

  it("but with an end of 0 ms after the keys were good", () => {
    expect(makeVerifier({ staleFor: 600_000 })).toBeDefined();
  });

  it("with headers that are none, whose values are not told", () => {
    for (const headers of [{ authorization: "Bearer s3cret\nb: c" }, { "bad name": "s3cret" }]) {
      expect(() => makeVerifier({ headers })).toThrow(
        new TypeError('Option "jwks.headers" must be names and values of headers'),
      );
    }
  });
});
