import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { createVel, type ProvidingGuard, type Refusal } from "@vel/core";
import { connect, HandshakeError } from "@vel/testing";
import { apiKey, digestSecret, equalSecrets, generateApiKey, type ApiKeyOptions, type FoundKey } from "@vel/auth";
import { foundKeys, knownKeys } from "../src/key-judge.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A route behind a guard. */
function serve(guard: ProvidingGuard<unknown, unknown>) {
  const errors: unknown[] = [];
  const vel = createVel({ onError: (error) => errors.push(error) });
  ends.push(async () => {
    await vel.close();
    expect(vel.connections.size).toBe(0);
    expect(errors).toEqual([]);
  });
  vel.with(guard).websocket("/ws", {});
  const ask = async (key?: string, header = "x-api-key"): Promise<unknown> => {
    try {
      const client = await connect(vel, "/ws", { headers: key === undefined ? {} : { [header]: key } });
      return client.closeInfo ?? [...vel.connections].at(-1)?.data;
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      return error.status;
    }
  };
  return { vel, ask, errors };
}

describe("apiKey({ keys })", () => {
  it("lets in who has one of the keys", async () => {
    const { ask } = serve(apiKey({ keys: ["one", "two"] }));
    expect(await ask("one")).toEqual({});
    expect(await ask("two")).toEqual({});
    for (const key of [undefined, "", "three", "ONE", "on", "one1", "one, two", "one two", "öne"]) {
      expect(await ask(key), key).toBe(401);
    }
  });

  it("gives the data of the key in a Map", async () => {
    const keys = new Map([
      ["one", { program: "a" }],
      ["__proto__", { program: "b" }],
    ]);
    const { ask } = serve(apiKey({ keys }));
    keys.set("three", { program: "c" });
    expect(await ask("one")).toEqual({ program: "a" });
    expect(await ask("__proto__")).toEqual({ program: "b" });
    expect(await ask("three"), "copied").toBe(401);
    expect(await ask("constructor")).toBe(401);
  });

  it("Limit 15: takes another header, and keys of 512 characters", async () => {
    const long = "k".repeat(512);
    const { ask } = serve(apiKey({ keys: [long], header: "Authorization" }));
    expect(await ask(long, "authorization")).toEqual({});
    expect(await ask(`${long}k`, "authorization")).toBe(401);
    expect(await ask(long)).toBe(401);
  });

  it("compares with every key, whichever fits", async () => {
    const keys = ["one", "two", "three", "four"];
    const counts: Record<string, number> = {};
    for (const key of [...keys, "none", ""]) {
      let count = 0;
      const judge = knownKeys(keys, (a, b) => {
        count++;
        return equalSecrets(a, b);
      });
      expect((await judge(key)) !== undefined).toBe(keys.includes(key));
      counts[key] = count;
    }
    expect(new Set(Object.values(counts))).toEqual(new Set([4]));
  });
});

describe("apiKey({ find })", () => {
  it("lets in by what is kept of the id: the digest", async () => {
    const { id, key, digest } = await generateApiKey();
    const { ask } = serve(
      apiKey({ find: (wanted) => (wanted === id ? { digest, data: { program: "a" } } : undefined) }),
    );
    expect(await ask(key)).toEqual({ program: "a" });
    const other = await generateApiKey();
    const [, secret = ""] = key.split(".");
    for (const wrong of [
      other.key,
      `${id}.x`,
      `${id}.`,
      id,
      `.${secret}`,
      `${id}.${secret}x`,
      `${other.id}.${secret}`,
      ".",
    ])
      expect(await ask(wrong), wrong).toBe(401);
  });

  it("takes a secret with dots in it, and waits for who looks it up", async () => {
    const digest = await digestSecret("a.b.c");
    const { ask } = serve(apiKey({ find: async () => Promise.resolve({ digest, data: {} }) }));
    expect(await ask("id.a.b.c")).toEqual({});
    expect(await ask("id.a.b")).toBe(401);
  });

  it("compares once for an id that is not known, too", async () => {
    const digest = await digestSecret("right");
    const paths = [];
    for (const key of ["known.right", "known.wrong", "unknown.right", "unknown.wrong"]) {
      const compared: string[][] = [];
      const judge = foundKeys(
        (id) => (id === "known" ? { digest, data: { n: 1 } } : undefined),
        (a, b) => {
          compared.push([a, b]);
          return equalSecrets(a, b);
        },
      );
      expect(await judge(key)).toEqual(key === "known.right" ? { digest, data: { n: 1 } } : undefined);
      paths.push(compared.map((pair) => pair.map(({ length }) => length)));
    }
    expect(paths).toEqual([[[43, 43]], [[43, 43]], [[43, 43]], [[43, 43]]]);
  });

  it("fails with 500 when it throws, or gives what is no digest or no data", async () => {
    const digest = await digestSecret("secret");
    const finds: ((id: string) => FoundKey<object>)[] = [
      ...["billing", undefined, null, 1, [], Promise.resolve({})].map((data) => () => ({
        digest,
        data: data as unknown as object,
      })),
      () => {
        throw new Error("no database");
      },
      () => ({ digest: createHash("sha256").update("secret").digest("hex"), data: {} }),
    ];
    for (const find of finds) {
      const { ask, errors } = serve(apiKey({ find }));
      expect(await ask("id.secret")).toBe(500);
      const told = errors.splice(0).map(String).join();
      expect(told).toMatch(/no database|Option "find"/);
      expect(told).not.toContain('secret"');
    }
  });
});

describe("apiKey({ verify })", () => {
  it("lets in by what it gives", async () => {
    const answers = new Map<string, unknown>([
      ["data", { program: "a" }],
      ["true", true],
      ["text", "billing"],
      ["empty", ""],
      ["number", 1],
      ["list", [1]],
      ["undefined", undefined],
      ["null", null],
      ["false", false],
    ]);
    const { ask } = serve(apiKey({ verify: async (key) => Promise.resolve(answers.get(key) as object | undefined) }));
    expect(await ask("data")).toEqual({ program: "a" });
    expect(await ask("true")).toEqual({});
    for (const key of ["undefined", "null", "false", "other", "text", "empty", "number", "list"])
      expect(await ask(key), key).toBe(401);
  });
});

it("apiKey() asks nobody about what can be no key", async () => {
  const asked: string[] = [];
  const verify = (key: string) => void asked.push(key);
  const find = (id: string) => void asked.push(id);
  for (const guard of [apiKey({ verify }), apiKey({ find: find })]) {
    const { ask } = serve(guard);
    for (const key of ["k".repeat(513), "id.one two", "id.one, id.two", "id.ö", ""]) expect(await ask(key)).toBe(401);
  }
  expect(asked).toEqual([]);
});

describe("apiKey()", () => {
  it("refuses as it is told", async () => {
    const keys = ["one"];
    const byClose = serve(apiKey({ keys, refuse: "close" }));
    const client = await connect(byClose.vel, "/ws");
    expect(await client.closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    const whys: string[] = [];
    const specified = serve(
      apiKey({ keys, refuse: (request, why) => (whys.push(why), request.close(4003, "Invalid API key")) }),
    );
    for (const headers of [{}, { "x-api-key": "two" }] as Record<string, string>[]) {
      const { closed } = await connect(specified.vel, "/ws", { headers });
      expect(await closed).toMatchObject({ code: 4003, reason: "Invalid API key" });
    }
    expect(whys).toEqual(["missing", "invalid"]);
    const error = await connect(serve(apiKey({ keys })).vel, "/ws").catch((each: unknown) => each as HandshakeError);
    expect((error as HandshakeError).headers.get("www-authenticate")).toBe("ApiKey");
    const forgets = serve(apiKey({ keys, refuse: (() => undefined) as unknown as () => Refusal }));
    expect(await forgets.ask()).toBe(401);
  });

  it("throws at options that are none, and names the option but never a key", () => {
    const wrong: [RegExp, object][] = [
      [/"keys"/, {}],
      [/"keys"/, { keys: undefined }],
      [/"keys"/, { keys: [] }],
      [/"keys"/, { keys: new Map() }],
      [/"keys"/, { keys: "s3cret" }],
      [/"keys"/, { keys: new Set(["s3cret"]) }],
      [/"keys".*number 1/, { keys: ["one", ""] }],
      [/"keys".*number 0/, { keys: [undefined] }],
      [/"keys".*number 0/, { keys: ["s3cret "] }],
      [/"keys".*number 0/, { keys: ["s3cret".repeat(100)] }],
      [/"keys".*number 0/, { keys: new Map([[undefined, 1]]) }],
      [
        /"keys".*data.*number 1/,
        {
          keys: new Map<string, unknown>([
            ["s3cret", {}],
            ["other", "billing"],
          ]),
        },
      ],
      [/"keys".*data.*number 0/, { keys: new Map([["s3cret", undefined]]) }],
      [/"keys".*got object/, { keys: null }],
      [/"verify" must be a function, got a value of type number/, { verify: 5 }],
      [/"verify" must be a function, got null/, { verify: null }],
      [/"find" must be a function, got a list/, { find: [] }],
      [/"keys", "find" and "verify"/, { keys: ["s3cret"], verify: () => true }],
      [/"header"/, { keys: ["s3cret"], header: "" }],
      [/"header"/, { keys: ["s3cret"], header: "a b" }],
      [/"header"/, { keys: ["s3cret"], header: 7 }],
      [/"refuse"/, { keys: ["s3cret"], refuse: "drop" }],
    ];
    for (const [pattern, options] of wrong) {
      const make = () => apiKey(options as ApiKeyOptions<object>);
      expect(make, String(pattern)).toThrow(TypeError);
      expect(make).toThrow(pattern);
      expect(make).not.toThrow(/s3cret/);
    }
    for (const none of [undefined, null, 5, []]) {
      expect(() => apiKey(none as unknown as ApiKeyOptions<object>)).toThrow(
        /^Options of apiKey\(\) must be an object/,
      );
    }
  });
});

describe("equalSecrets()", () => {
  it("is true for the same digest only", async () => {
    const [a, b, c] = await Promise.all(["a", "a", "b"].map(digestSecret));
    expect(equalSecrets(a!, b!)).toBe(true);
    expect(equalSecrets(a!, c!)).toBe(false);
    for (let index = 0; index < a!.length; index++) {
      const other = `${a!.slice(0, index)}${a![index] === "A" ? "B" : "A"}${a!.slice(index + 1)}`;
      expect(equalSecrets(a!, other)).toBe(false);
    }
    expect(equalSecrets(a!, "")).toBe(false);
    expect(equalSecrets(a!, `${a!}A`)).toBe(false);
  });
});

describe("digestSecret()", () => {
  it("is SHA-256 in base64url", async () => {
    for (const secret of ["", "abc", "ä".repeat(1_000)]) {
      expect(await digestSecret(secret)).toBe(createHash("sha256").update(secret).digest("base64url"));
    }
  });
});

describe("generateApiKey()", () => {
  it("makes keys that are never the same", async () => {
    const keys = await Promise.all(Array.from({ length: 100 }, generateApiKey));
    expect(new Set(keys.map(({ id }) => id)).size).toBe(100);
    expect(new Set(keys.map(({ digest }) => digest)).size).toBe(100);
    for (const { id, key, digest } of keys) {
      expect(key).toMatch(/^[\w-]{16}\.[\w-]{43}$/);
      const [first, secret = ""] = key.split(".");
      expect(first).toBe(id);
      expect(await digestSecret(secret)).toBe(digest);
    }
  });
});
