import { afterEach, describe, expect, it } from "vitest";
import type { Refusal, UpgradeRequest, VelError } from "@vel/core";
import { connect, HandshakeError, settle, type ConnectOptions } from "@vel/testing";
import { JwtHandler, type GuardOptions, type TokenSource } from "@vel/auth";
import { bearer, connectWith, deferred, endWorlds, goodToken, makeWorld, now, sample, slowClaims } from "./kit.ts";

afterEach(endWorlds);

const good = goodToken("HS256");
const page = { origin: "http://localhost" };

/** A route behind a guard that says who came. */
function guarded(guard: GuardOptions, world = makeWorld()) {
  const queries: string[] = [];
  world.vel
    .with(world.jwt.guard(guard))
    .with(({ query }) => void queries.push(query.toString()))
    .websocket("/ws", { protocols: ["chat"] });
  const ask = async (path: string, options?: ConnectOptions) => {
    try {
      const client = await connect(world.vel, path, options);
      const [connection] = [...world.vel.connections].slice(-1);
      return { status: 101, protocol: client.protocol, user: (connection?.data as { userId: string }).userId, client };
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      return { status: error.status };
    }
  };
  return { ...world, ask, queries };
}

describe("JwtHandler.guard() takes the token from", () => {
  it("the header Authorization by default, whatever the case of the scheme", async () => {
    const { ask } = guarded({});
    for (const value of [`Bearer ${good}`, `bearer ${good}`, `BEARER   ${good}`]) {
      expect(await ask("/ws", { headers: { authorization: value } })).toMatchObject({ status: 101, user: "ada" });
    }
    for (const value of ["", "Bearer", "Basic YTpi", `Bearer${good}`, `Token ${good}`, good]) {
      expect(await ask("/ws", { headers: { authorization: value } }), value).toEqual({ status: 401 });
    }
  });

  it("the header once: two in one are refused, the same one twice and another scheme beside it too", async () => {
    const { ask } = guarded({});
    const all = [`Bearer ${good}, Bearer ${good}`, `Bearer ${good},Basic YTpi`, `Basic YTpi, Bearer ${good}`];
    const other = guarded({ from: ["header", "query"] });
    for (const value of all) {
      expect(await other.ask(`/ws?token=${good}`, { headers: { authorization: value } }), value).toEqual({
        status: 401,
      });
    }
    for (const value of [...all, `Bearer ${good},`, `Bearer ${good} ${good}`]) {
      expect(await ask("/ws", { headers: { authorization: value } }), value).toEqual({ status: 401 });
    }
  });

  it("the item behind `bearer` of the subprotocols by default, and never names it back", async () => {
    const { ask } = guarded({});
    expect(await ask("/ws", { protocols: ["bearer", good] })).toMatchObject({ user: "ada", protocol: "bearer" });
    expect(await ask("/ws", { protocols: ["chat", "bearer", good] })).toMatchObject({ user: "ada", protocol: "chat" });
    expect(await ask("/ws", { protocols: ["bearer", good, "chat"] })).toMatchObject({ user: "ada", protocol: "chat" });
    expect(await ask("/ws", { protocols: ["xmpp", "bearer", good] })).toMatchObject({ user: "ada", protocol: "" });
    for (const protocols of [
      ["bearer"],
      ["chat", "bearer"],
      [good],
      ["Bearer", good],
      ["bearer", good, "bearer", good],
    ])
      expect(await ask("/ws", { protocols }), protocols.join()).toEqual({ status: 401 });
  });

  it("a cookie, when it is told so: `token` or another name", async () => {
    const { ask } = guarded({ from: "cookie" });
    expect(await ask("/ws", { ...page, cookies: { token: good } })).toMatchObject({ user: "ada" });
    expect(await ask("/ws", { ...page, cookies: { other: good } })).toEqual({ status: 401 });
    expect(await ask("/ws", { ...page, cookies: { token: "" } })).toEqual({ status: 401 });
    const other = guarded({ from: { cookie: "__Host-token" } });
    expect(await other.ask("/ws", { ...page, cookies: { "__Host-token": good } })).toMatchObject({ user: "ada" });
    expect(await other.ask("/ws", { ...page, cookies: { token: good } })).toEqual({ status: 401 });
    expect(await guarded({}).ask("/ws", { ...page, cookies: { token: good } })).toEqual({ status: 401 });
  });

  it("a cookie once: a neighbouring domain can set a second one", async () => {
    const { ask } = guarded({ from: "cookie" });
    for (const cookie of [
      `token=evil; token=${good}`,
      `token=${good}; token=${good}`,
      `token=${good};token`,
      "token",
    ]) {
      expect(await ask("/ws", { ...page, headers: { cookie } }), cookie).toEqual({ status: 401 });
    }
  });

  it("the query, when it is told so, and takes it out of the request", async () => {
    const { ask, queries } = guarded({ from: "query" });
    expect(await ask(`/ws?a=1&token=${good}&b=2`)).toMatchObject({ user: "ada" });
    expect(queries).toEqual(["a=1&b=2"]);
    for (const path of [
      "/ws",
      "/ws?token=",
      `/ws?token=${good}&token=${good}`,
      `/ws?token=&token=${good}`,
      `/ws?t=${good}`,
    ])
      expect(await ask(path), path).toEqual({ status: 401 });
    expect(await guarded({ from: { query: "t" } }).ask(`/ws?t=${good}`)).toMatchObject({ user: "ada" });
    expect(await guarded({}).ask(`/ws?token=${good}`)).toEqual({ status: 401 });
  });

  it("the query is taken out also when another source decides", async () => {
    const { ask, queries } = guarded({ from: ["header", "query", "ticket", { query: "t" }] });
    expect(await ask(`/ws?token=${good}&ticket=x&t=y&z=1`, bearer(good))).toMatchObject({ user: "ada" });
    expect(queries).toEqual(["z=1"]);
  });

  it("wherever a function says", async () => {
    const from = ({ headers }: UpgradeRequest) => headers.get("x-token") ?? undefined;
    const { ask } = guarded({ from });
    expect(await ask("/ws", { headers: { "x-token": good } })).toMatchObject({ user: "ada" });
    expect(await ask("/ws", { headers: { "x-token": "" } })).toEqual({ status: 401 });
    expect(await ask("/ws", bearer(good))).toEqual({ status: 401 });
    const none = guarded({ from: () => null });
    expect(await none.ask("/ws", bearer(good))).toEqual({ status: 401 });
  });

  it("a function, and fails loudly at what is no text: a promise was a 401 that nobody could explain", async () => {
    const sources = [
      () => Promise.resolve(good),
      () => Promise.reject(new Error("no database")),
      () => 7,
      () => ({ token: good }),
    ];
    for (const from of sources as unknown as TokenSource[]) {
      const { ask, errors } = guarded({ from });
      expect(await ask("/ws")).toEqual({ status: 500 });
      expect(errors.splice(0)).toMatchObject([{ name: "TypeError", message: /^Option "from" has a function/ }]);
    }
  });
});

describe("JwtHandler.guard()", () => {
  it("goes by the first source that has a token, and tries no other", async () => {
    const { ask, jwt } = guarded({ from: ["header", "subprotocol", "query"] });
    const bob = goodToken("HS256", { sub: "bob" });
    expect(await ask("/ws", { ...bearer(bob), protocols: ["bearer", good] })).toMatchObject({ user: "bob" });
    expect(await ask(`/ws?token=${bob}`, { protocols: ["bearer", good] })).toMatchObject({ user: "ada" });
    expect(await ask(`/ws?token=${good}`, bearer("x.y.z"))).toEqual({ status: 401 });
    expect(await ask(`/ws?token=${good}`, { headers: { authorization: "Basic YTpi" } })).toMatchObject({ user: "ada" });
    const attempts = (strategy: string, result: string) => sample(jwt, "vel_auth_attempts_total", { strategy, result });
    expect(attempts("header", "accepted")).toBe(1);
    expect(attempts("header", "refused")).toBe(1);
    expect(attempts("subprotocol", "accepted")).toBe(1);
    expect(attempts("query", "accepted")).toBe(1);
    await ask("/ws");
    expect(attempts("none", "refused")).toBe(1);
    expect(sample(jwt, "vel_auth_sessions")).toBe(3);
  });

  it("keeps 1,000 messages that are on their way from the handler until the token is checked", async () => {
    const [gate, entered] = [deferred(), deferred()];
    const claims = slowClaims(() => {
      entered.resolve();
      return gate.promise;
    });
    const { vel, jwt } = makeWorld({ claims });
    const got: unknown[] = [];
    vel.with(jwt.guard()).websocket("/ws", { message: (_, text) => got.push(text) });
    const early = Array.from({ length: 1_000 }, (_, index) => String(index));
    const asked = connect(vel, "/ws", { ...bearer(good), early });
    await entered.promise;
    await settle();
    expect(got).toEqual([]);
    gate.resolve();
    await asked;
    await settle();
    expect(got).toEqual(early);
  });

  it("gives the user and the claims, or what `data` makes of the claims", async () => {
    const { vel, jwt } = makeWorld();
    vel
      .with(jwt.guard())
      .websocket("/identity", { open: (connection) => connection.sendJson(connection.data as never) });
    vel
      .with(jwt.guard({ data: ({ sub, role }) => ({ name: sub, role }) }))
      .websocket("/data", { open: (connection) => connection.sendJson(connection.data as never) });
    const token = goodToken("HS256", { role: "admin", __proto__: null });
    const one = await (await connectWith(vel, token, "/identity")).receiveJson<{ userId: string; claims: object }>();
    expect(one.userId).toBe("ada");
    expect(one.claims).toMatchObject({ sub: "ada", role: "admin" });
    expect(await (await connectWith(vel, token, "/data")).receiveJson()).toEqual({ name: "ada", role: "admin" });
  });

  it("takes a token without `sub` only where `data` says who it is", async () => {
    const { vel, jwt } = makeWorld({ requiredClaims: ["exp"] });
    vel.with(jwt.guard()).websocket("/identity", {});
    vel.with(jwt.guard({ data: ({ uid }) => ({ uid }) })).websocket("/data", {});
    const token = goodToken("HS256", { sub: undefined, uid: 7 });
    await expect(connectWith(vel, token, "/identity")).rejects.toMatchObject({ status: 401 });
    await connectWith(vel, token, "/data");
  });

  it("refuses with 401 and a challenge, or by 4401 after accepting, and tells nothing of why", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/reject", {});
    vel.with(jwt.guard({ refuse: "close" })).websocket("/close", {});
    const expired = goodToken("HS256", { exp: 1 });
    for (const options of [{}, bearer("x"), bearer(expired)]) {
      const error = await connect(vel, "/reject", options).catch((each: unknown) => each as HandshakeError);
      expect(error).toMatchObject({ status: 401, body: "" });
      expect((error as HandshakeError).headers.get("www-authenticate")).toBe("Bearer");
      const client = await connect(vel, "/close", options);
      expect(await client.closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    }
  });

  it("refuses as the specification does", async () => {
    const { vel, jwt } = makeWorld();
    const guard = jwt.guard({
      from: ["query", "header", "subprotocol"],
      refuse: (request, why) =>
        request.close(4001, why === "missing" ? "Missing authentication token" : "Invalid token"),
    });
    vel.with(guard).websocket("/ws", {});
    const closing = async (path: string, options?: ConnectOptions) => (await connect(vel, path, options)).closed;
    expect(await closing("/ws")).toMatchObject({ code: 4001, reason: "Missing authentication token" });
    expect(await closing("/ws?token=x")).toMatchObject({ code: 4001, reason: "Invalid token" });
    expect(await closing("/ws", bearer("x"))).toMatchObject({ code: 4001, reason: "Invalid token" });
  });

  it("refuses as a function says, also with a status", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard({ refuse: (request, why) => request.reject(403, { body: why }) })).websocket("/ws", {});
    await expect(connect(vel, "/ws")).rejects.toMatchObject({ status: 403, body: "missing" });
    await expect(connectWith(vel, "x")).rejects.toMatchObject({ status: 403, body: "invalid" });
  });

  it("names `bearer` back to who is refused by close: browsers would see 1006 otherwise", async () => {
    for (const refuse of ["close", (request: UpgradeRequest) => request.close(4001)] as const) {
      const { vel, jwt } = makeWorld();
      vel.with(jwt.guard({ refuse })).websocket("/ws", { protocols: ["chat"] });
      const protocolFor = async (...protocols: string[]) => (await connect(vel, "/ws", { protocols })).protocol;
      expect(await protocolFor("bearer", "wrong")).toBe("bearer");
      expect(await protocolFor("bearer")).toBe("bearer");
      expect(await protocolFor("chat", "bearer", "wrong")).toBe("chat");
      expect(await protocolFor("chat")).toBe("chat");
    }
  });

  it("lets nobody in when `refuse` forgets to answer, and keeps an answer that was made and not returned", async () => {
    const { vel, jwt } = makeWorld();
    const refuse = (request: UpgradeRequest) => void (request.path === "/made" && request.reject(418));
    vel.with(jwt.guard({ refuse: refuse as unknown as () => Refusal })).websocket("/*", {});
    await expect(connect(vel, "/nothing")).rejects.toMatchObject({ status: 401 });
    await expect(connect(vel, "/made")).rejects.toMatchObject({ status: 418 });
  });

  it("answers 503 while no key can be had: that is not the token's fault", async () => {
    const { vel, clock, errors } = makeWorld();
    const onError = (error: unknown): void => void errors.push(error);
    // Nobody listens there.
    const jwt = new JwtHandler({ algorithms: ["ES256"], jwks: "http://127.0.0.1:1/keys", clock, onError });
    vel.with(jwt.guard({ refuse: "close" })).websocket("/ws", {});
    const token = goodToken("ES256", {}, { kid: "a" });
    const error = await connectWith(vel, token).catch((each: unknown) => each as HandshakeError);
    expect(error).toMatchObject({ status: 503 });
    expect(Number((error as HandshakeError).headers.get("retry-after"))).toBeGreaterThan(0);
    expect(sample(jwt, "vel_auth_attempts_total", { result: "unavailable" })).toBe(1);
    expect(errors.splice(0)).toHaveLength(1);
    jwt.close();
  });

  it("fails loudly when a cookie could be anybody's page's", async () => {
    for (const from of ["cookie", { cookie: "__Host-token" }, ["header", "cookie"]] as const) {
      const { ask, errors } = guarded({ from }, makeWorld({ vel: { origins: "any" } }));
      expect(await ask("/ws", { ...page, cookies: { token: good }, ...bearer(good) })).toEqual({ status: 500 });
      expect(await ask("/ws")).toEqual({ status: 500 });
      const told = errors.splice(0) as VelError[];
      expect(told.map(({ code }) => code)).toEqual(["ERR_VEL_STATE", "ERR_VEL_STATE"]);
      expect(told[0]?.message).toContain('"origins"');
      expect(told[0]?.message).toContain('"from"');
    }
  });

  it("takes the token out of the query also when it fails because of a cookie", async () => {
    const { vel, jwt, errors } = makeWorld({ vel: { origins: "any" } });
    const queries: string[] = [];
    vel.on("refuse", ({ query }) => queries.push(String(query)));
    vel.with(jwt.guard({ from: ["cookie", "query", "ticket"] })).websocket("/ws", {});
    await expect(connect(vel, `/ws?token=${good}&ticket=x&a=1`)).rejects.toMatchObject({ status: 500 });
    expect(queries).toEqual(["a=1"]);
    expect(errors.splice(0)).toHaveLength(1);
  });

  it("fails with 500 when `data` gives no object, and keeps nothing", async () => {
    const values: unknown[] = ["ada", "", undefined, null, 7, true, ["ada"]];
    const makers = [
      ...values.map((value) => () => value),
      () => Promise.resolve({}),
      () => Promise.reject(new Error("no database")),
    ];
    for (const make of makers as (() => object)[]) {
      const { vel, jwt, errors } = makeWorld();
      vel.with(jwt.guard({ data: make })).websocket("/ws", {});
      vel.with(jwt.guard({ from: "message", data: make })).websocket("/message", {});
      await expect(connectWith(vel, good)).rejects.toMatchObject({ status: 500 });
      const client = await connect(vel, "/message", { early: [JSON.stringify({ type: "auth", token: good })] });
      expect(await client.closed).toMatchObject({ code: 1011 });
      const told = { name: "TypeError", message: /^Option "data" must give an object, got / };
      expect(errors.splice(0)).toMatchObject([told, told]);
    }
  });

  it("fails with 500 when `data` throws, and keeps nothing", async () => {
    const { vel, jwt, errors } = makeWorld();
    const guard = jwt.guard({
      data: () => {
        throw new Error("no database");
      },
    });
    vel.with(guard).websocket("/ws", {});
    await expect(connectWith(vel, good)).rejects.toMatchObject({ status: 500 });
    expect(errors.splice(0)).toMatchObject([{ message: "no database" }]);
  });

  it("forgets the session of a request that a later guard refuses", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel
      .with(jwt.guard())
      .with((request) => request.reject(418))
      .websocket("/ws", {});
    await expect(connectWith(vel, good)).rejects.toMatchObject({ status: 418 });
    expect(clock.pending).toBe(0);
  });

  it("lets nobody in whose token is revoked before the connection is open", async () => {
    const { vel, jwt } = makeWorld();
    const gate = deferred();
    const entered = deferred();
    let [runs, waiting] = [0, 0];
    const wait = async () => {
      if (++waiting === 2) entered.resolve();
      await gate.promise;
    };
    const hooks = { open: () => runs++, message: () => runs++ };
    vel.with(jwt.guard()).with(wait).websocket("/hooks", hooks);
    vel
      .with(jwt.guard())
      .with(wait)
      .websocket("/pull", async (request) => {
        await request.accept();
        runs++;
      });
    const clients = ["/hooks", "/pull"].map((path) => connect(vel, path, { ...bearer(good), early: ["hello"] }));
    await entered.promise;
    expect(jwt.revoke({ subject: "ada" }), "there is no connection yet").toBe(0);
    gate.resolve();
    for (const client of clients) {
      expect(await (await client).closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    }
    expect(runs).toBe(0);
  });

  it("lets nobody in whose token expires before the connection is open", async () => {
    const { vel, jwt, clock } = makeWorld({ vel: { handshakeTimeout: 60_000 } });
    const gate = deferred();
    const entered = deferred();
    let runs = 0;
    vel
      .with(jwt.guard())
      .with(async () => {
        entered.resolve();
        await gate.promise;
      })
      .websocket("/ws", { open: () => runs++, message: () => runs++ });
    const token = goodToken("HS256", { exp: now + 1 });
    const client = connect(vel, "/ws", { ...bearer(token), early: ["hello"] });
    await entered.promise;
    await clock.advance(6_000);
    gate.resolve();
    expect(await (await client).closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    expect(runs).toBe(0);
    expect(sample(jwt, "vel_auth_expirations_total"), "no connection was closed by the timer").toBe(0);
  });
});

describe("JwtHandler.guard() throws", () => {
  const { jwt } = makeWorld();

  it("at sources that are none, by name", () => {
    for (const from of [
      [],
      "headers",
      ["header", "body"],
      {},
      { cookie: "" },
      { query: 1 },
      null,
      7,
      ["message", "header"],
    ])
      expect(() => jwt.guard({ from: from as TokenSource }), JSON.stringify(from)).toThrow(/Option "from"/);
  });

  it("at other options that are none, by name", () => {
    expect(() => jwt.guard({ refuse: "drop" as "close" })).toThrow(/Option "refuse"/);
    for (const value of [0, -1, NaN, "5", null, true] as number[]) {
      expect(() => jwt.guard({ message: { timeout: value } })).toThrow(/Option "message.timeout"/);
      expect(() => jwt.guard({ message: { maxWaiting: value } })).toThrow(/Option "message.maxWaiting"/);
    }
    expect(() => jwt.guard({ message: { timeout: "5" as unknown as number } })).toThrow(/got "5"$/);
    for (const message of [null, 5, []]) {
      expect(() => jwt.guard({ message: message as object })).toThrow(
        /^Options of the first message must be an object/,
      );
    }
    for (const data of ["sub", null, {}]) {
      expect(() => jwt.guard({ data: data as unknown as () => object })).toThrow(/^Option "data" must be a function/);
    }
    for (const none of [null, "header", ["header"]]) {
      expect(() => jwt.guard(none as object)).toThrow(/^Options of guard\(\) must be an object/);
    }
  });
});

it("no token is ever told: not by a 101, a refusal, an error or the request's query", async () => {
  const told: unknown[] = [];
  const { vel, jwt } = makeWorld({ vel: { onError: (error) => told.push(String((error as Error).stack ?? error)) } });
  vel.on("refuse", (request, code) => told.push(request.query.toString(), request.path, code));
  const sources: TokenSource[] = ["header", "subprotocol", "cookie", "query", "ticket"];
  for (const refuse of ["reject", "close"] as const) {
    vel.with(jwt.guard({ from: sources, refuse })).websocket(`/${refuse}`, {
      open: (connection) => told.push(connection.route, connection.params, connection.protocol),
    });
  }
  const wrong = `${good.slice(0, -2)}AA`;
  const expired = goodToken("HS256", { exp: 1 });
  for (const token of [good, wrong, expired]) {
    for (const path of ["/reject", "/close"]) {
      for (const [query, options] of [
        ["", bearer(token)],
        ["", { headers: { authorization: `Bearer ${token}, Bearer ${token}` } }],
        ["", { protocols: ["bearer", token] }],
        ["", { protocols: ["chat", "bearer", token] }],
        ["", { ...page, cookies: { token } }],
        [`?token=${token}`, {}],
        [`?ticket=${token}`, {}],
      ] as const) {
        const client = await connect(vel, path + query, options).catch((error: unknown) => error as HandshakeError);
        told.push([...client.headers.entries()]);
        if (client instanceof HandshakeError) told.push(client.body, client.message, client.stack);
        else told.push(client.protocol, client.closeInfo);
      }
    }
  }
  told.push([...jwt.measure()]);
  const text = JSON.stringify(told);
  expect(text.length).toBeGreaterThan(1_000);
  for (const token of [good, wrong, expired]) {
    for (const part of [token, ...token.split(".").slice(1)]) expect(text).not.toContain(part);
  }
});
