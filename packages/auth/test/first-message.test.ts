import { afterEach, describe, expect, it } from "vitest";
import type { PendingRequest, Vel } from "@vel/core";
import { connect, HandshakeError, settle } from "@vel/testing";
import { JwtHandler, type Identity } from "@vel/auth";
import { bearer, deferred, endWorlds, goodToken, makeWorld, now, sample, slowClaims } from "./kit.ts";

afterEach(endWorlds);

const good = goodToken("HS256", { jti: "t1" });
const auth = (token: unknown, more: object = {}): string => JSON.stringify({ type: "auth", token, ...more });

/** Serves both handler forms, and keeps what they are told. */
function serveBoth(vel: Vel, guard: ReturnType<JwtHandler["guard"]>) {
  const got: string[] = [];
  vel.with(guard).websocket("/hooks", {
    receiveBuffer: { limit: 2 ** 24 },
    open: ({ data }) => got.push(`open ${data.userId}`),
    message: (_, text) => got.push(String(text)),
  });
  vel
    .with(guard)
    .websocket(
      "/pull",
      { receiveBuffer: { limit: 2 ** 24 } },
      async (request: PendingRequest<object, Identity<unknown>>) => {
        const connection = await request.accept();
        got.push(`open ${connection.data.userId}`);
        for await (const text of connection.texts()) got.push(text);
      },
    );
  return got;
}

describe.each(["/hooks", "/pull"])("The first message on %s", (path) => {
  it("lets in, and the handler gets what comes after it: 1,000 messages in order, none before", async () => {
    const gate = deferred();
    const { vel, jwt } = makeWorld({ claims: slowClaims(() => gate.promise) });
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const texts = Array.from({ length: 1_000 }, (_, index) => String(index));
    const client = await connect(vel, path, { early: [auth(good, { id: "a" }), ...texts.slice(0, 500)] });
    for (const text of texts.slice(500)) client.send(text);
    await settle();
    expect(got).toEqual([]);
    expect(client.received).toEqual([]);
    expect(vel.connections.size).toBe(0);
    gate.resolve();
    expect(await client.receiveJson()).toEqual({ type: "ok", id: "a", expiresIn: 60_000 });
    client.send("last");
    await settle();
    expect(got).toEqual(["open ada", ...texts, "last"]);
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "accepted" })).toBe(1);
    expect(sample(jwt, "vel_auth_sessions")).toBe(1);
  });

  it("keeps the handler from all that comes behind a wrong token, whether or not its client has left meanwhile", async () => {
    for (const leaves of [false, true]) {
      const gate = deferred();
      const { vel, jwt } = makeWorld({ claims: slowClaims(() => gate.promise), issuer: "us" });
      const got = serveBoth(vel, jwt.guard({ from: "message" }));
      const texts = Array.from({ length: 1_000 }, (_, index) => String(index));
      const client = await connect(vel, path, { early: [auth(goodToken("HS256", { iss: "them" })), ...texts] });
      if (leaves) client.close(1000);
      gate.resolve();
      expect(await client.closed).toMatchObject(leaves ? { code: 1000 } : { code: 4401, reason: "unauthorized" });
      await settle();
      expect(got).toEqual([]);
    }
  });

  it("is answered by nothing but the handler when it has no id", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard({ from: "message" })).websocket("/hooks", { open: (each) => each.send(each.data.userId) });
    vel.with(jwt.guard({ from: "message" })).websocket("/pull", async (request) => {
      const connection = await request.accept();
      connection.send(connection.data.userId);
      await connection.receiveText();
    });
    const client = await connect(vel, path, { early: [auth(good)] });
    expect(await client.receiveText()).toBe("ada");
  });

  it("is handed to the handler when its client has said good-bye behind it", async () => {
    const { vel, jwt } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const client = await connect(vel, path, { early: [auth(good), "hello"] });
    client.close(1000);
    await client.closed;
    await expect.poll(() => got).toEqual(["open ada", "hello"]);
  });
});

describe("JwtHandler.guard() with the first message", () => {
  const refused: Record<string, string | Uint8Array> = {
    "another type": JSON.stringify({ type: "hello", token: good }),
    "no type": JSON.stringify({ token: good }),
    "no token": JSON.stringify({ type: "auth" }),
    "a token that is no text": auth([good]),
    "an empty token": auth(""),
    "a wrong token": auth(`${good.slice(0, -2)}AA`),
    "an id that is none": auth(good, { id: {} }),
    "the token alone": good,
    "no JSON": "{",
    "a list": `[${auth(good)}]`,
    null: "null",
    bytes: new TextEncoder().encode(auth(good)),
    "more than 16 KiB": auth(good, { more: "x".repeat(16_384) }),
    poison: `{"type":"auth","token":"${good}","__proto__":{"type":"auth"}}`,
  };
  it.each(Object.keys(refused))("closes with 4401 at %s", async (name) => {
    const { vel, jwt } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const client = await connect(vel, "/hooks", { early: [refused[name]!, auth(good), "hello"] });
    expect(await client.closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    expect(client.received).toEqual([]);
    expect(got).toEqual([]);
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "refused" })).toBe(1);
  });

  it("Limit 7: takes 16 KiB", async () => {
    const { vel, jwt } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const size = 16_384 - auth(good, { id: 1, more: "" }).length;
    const client = await connect(vel, "/hooks", { early: [auth(good, { id: 1, more: "x".repeat(size) })] });
    expect(await client.receiveJson()).toMatchObject({ type: "ok", id: 1 });
    expect(got).toEqual(["open ada"]);
  });

  it("asks for it only where no source before it has a token", async () => {
    const { vel, jwt } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: ["header", "message"] }));
    await connect(vel, "/hooks", { ...bearer(good), early: [auth("x")] });
    await settle();
    expect(got).toEqual(["open ada", auth("x")]);
    await expect(connect(vel, "/hooks", { ...bearer("x"), early: [auth(good)] })).rejects.toMatchObject({
      status: 401,
    });
    const client = await connect(vel, "/hooks", { early: [auth(good, { id: 1 })] });
    expect(await client.receiveJson()).toMatchObject({ type: "ok" });
  });

  it("Limit 6: closes with 4408 when none comes in time, and a later one changes nothing", async () => {
    const { vel, jwt, clock } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const client = await connect(vel, "/hooks");
    await clock.advance(9_999);
    expect(client.isOpen).toBe(true);
    await clock.advance(1);
    expect(client.closeInfo).toMatchObject({ code: 4408, reason: "authentication timeout" });
    client.send(auth(good));
    await settle();
    expect(got).toEqual([]);
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "refused" })).toBe(1);
  });

  it.each([true, false])(
    "closes with 4408 when checking it takes too long, and lets nobody in (%s)",
    async (isGood) => {
      const [gate, entered] = [deferred(), deferred()];
      const claims = slowClaims(() => {
        entered.resolve();
        return gate.promise;
      }, isGood);
      const { vel, jwt, clock } = makeWorld({ claims });
      const got = serveBoth(vel, jwt.guard({ from: "message", message: { timeout: 100 } }));
      const client = await connect(vel, "/hooks", { early: [auth(good), "hello"] });
      await entered.promise;
      await clock.advance(100);
      expect(client.closeInfo).toMatchObject({ code: 4408 });
      gate.resolve();
      await settle();
      expect(got).toEqual([]);
      expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "refused" })).toBe(1);
      expect(sample(jwt, "vel_auth_attempts_total")).toBe(1);
      expect(sample(jwt, "vel_auth_sessions")).toBe(0);
    },
  );

  it("Limit 8: lets `maxWaiting` wait and refuses more with 503, until one of them has come in or its socket is gone", async () => {
    const { vel, jwt, clock } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message", message: { maxWaiting: 4 } }));
    const clients = [];
    for (let index = 0; index < 4; index++) clients.push(await connect(vel, "/hooks"));
    const refusal = async () => {
      const error = await connect(vel, "/hooks").catch((each: unknown) => each);
      if (!(error instanceof HandshakeError)) return undefined;
      return { status: error.status, retryAfter: error.headers.get("retry-after") };
    };
    expect(await refusal()).toEqual({ status: 503, retryAfter: "1" });
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "unavailable" })).toBe(1);
    const [first, second, third, fourth] = clients;
    first?.send(auth(good, { id: 1 }));
    await first?.receiveJson();
    second?.send("x");
    await second?.closed;
    third?.drop();
    await third?.closed;
    await settle();
    // One that does not answer the close: it was turned away, and its place was free for the next while it stayed.
    fourth?.silence();
    for (let index = 0; index < 3; index++) expect(await refusal()).toBeUndefined();
    expect(await refusal()).toMatchObject({ status: 503 });
    await clock.advance(10_000);
    expect(fourth?.isOpen).toBe(true);
    for (let index = 0; index < 3; index++) expect(await refusal()).toBeUndefined();
    expect(await refusal()).toMatchObject({ status: 503 });
    await clock.advance(10_000); // cuts off the dead, and the three have had their time
    for (let index = 0; index < 4; index++) expect(await refusal()).toBeUndefined();
    expect(await refusal()).toMatchObject({ status: 503 });
    expect(got).toEqual(["open ada"]);
  });

  it("Limit 8: counts who showed something else, for as long as the socket stays", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel.with(jwt.guard({ from: "message", message: { maxWaiting: 1 } })).websocket("/ws", {});
    const client = await connect(vel, "/ws");
    client.send("x");
    client.silence();
    await settle();
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 503 });
    await clock.advance(10_000);
    await connect(vel, "/ws");
  });

  it("gives the place back of who never became a connection", async () => {
    const { vel, jwt } = makeWorld();
    const guard = jwt.guard({ from: "message", message: { maxWaiting: 1 } });
    let isShut = true;
    vel
      .with(guard)
      .with((request) => (isShut ? request.reject(418) : undefined))
      .websocket("/ws", {});
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 418 });
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 418 });
    isShut = false;
    await connect(vel, "/ws");
  });

  it("lets nobody in whose token is revoked or expires while it is being checked", async () => {
    for (const end of ["revoke", "expire"] as const) {
      const [gate, entered] = [deferred(), deferred()];
      const claims = slowClaims(() => {
        entered.resolve();
        return gate.promise;
      });
      const { vel, jwt, clock } = makeWorld({ claims });
      const got = serveBoth(vel, jwt.guard({ from: "message" }));
      const token = goodToken("HS256", { exp: now + 1, jti: "t1" });
      const client = await connect(vel, "/hooks", { early: [auth(token), "hello"] });
      await entered.promise;
      if (end === "revoke") jwt.revoke({ tokenId: "t1" });
      else await clock.advance(6_000);
      gate.resolve();
      expect(await client.closed).toMatchObject({ code: 4401 });
      expect(got).toEqual([]);
    }
  });

  it("closes with 1013 while no key can be had, and with 1011 at what is wrong here", async () => {
    const { vel, clock, errors } = makeWorld();
    const onError = (error: unknown): void => void errors.push(error);
    const jwt = new JwtHandler({ algorithms: ["ES256"], jwks: "http://127.0.0.1:1/keys", clock, onError });
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const client = await connect(vel, "/hooks", { early: [auth(goodToken("ES256", {}, { kid: "a" })), "hello"] });
    expect(await client.closed).toMatchObject({ code: 1013, reason: "try again later" });
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "message", result: "unavailable" })).toBe(1);
    expect(errors.splice(0)).toHaveLength(1);
    jwt.close();

    const other = makeWorld();
    const data = () => {
      throw new Error("no database");
    };
    other.vel.with(other.jwt.guard({ from: "message", data })).websocket("/ws", { message: () => got.push("x") });
    const second = await connect(other.vel, "/ws", { early: [auth(good), "hello"] });
    expect(await second.closed).toMatchObject({ code: 1011 });
    expect(other.errors.splice(0)).toMatchObject([{ message: "no database" }]);
    expect(got).toEqual([]);
  });

  it("lets the server go down while it waits", async () => {
    const { vel, jwt } = makeWorld();
    const got = serveBoth(vel, jwt.guard({ from: "message" }));
    const clients = [await connect(vel, "/hooks"), await connect(vel, "/pull")];
    await vel.close();
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1001 });
    expect(got).toEqual([]);
  });
});
