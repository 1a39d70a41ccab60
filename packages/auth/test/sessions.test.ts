import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { createVel, Protocol, type Clock, type Connection, type Vel } from "@vel/core";
import { connect, ManualClock, settle } from "@vel/testing";
import { JwtHandler, type Identity, type JwtClaims } from "@vel/auth";
import { bearer, connectWith, deferred, endWorlds, goodToken, makeWorld, now, sample, slowClaims } from "./kit.ts";
import { secret } from "./tokens.ts";

afterEach(endWorlds);

const day = 86_400_000;

/** The connection that has come last. */
function lastOf(vel: Vel): Connection<Identity<{ role?: string }>> {
  return [...vel.connections].at(-1) as Connection<Identity<{ role?: string }>>;
}

function token(claims: object = {}): string {
  return goodToken("HS256", claims);
}

describe("The token of a connection", () => {
  it("Limit 9: ends it within the tolerance after `exp`: 1,000 connections, one timer", async () => {
    const { vel, jwt, clock } = makeWorld({ clockTolerance: 5_000 });
    vel.with(jwt.guard()).websocket("/ws", {});
    const ends = fc.sample(fc.integer({ min: 1, max: 300 }), { numRuns: 1_000, seed: 7 });
    const clients = await Promise.all(ends.map((seconds) => connectWith(vel, token({ exp: now + seconds }))));
    expect(clock.pending).toBe(1);
    const closedAt = new Map<number, number>();
    for (const [index, client] of clients.entries()) void client.closed.then(() => closedAt.set(index, clock.now()));
    for (let second = 0; second < 310; second++) {
      await clock.advance(1_000);
      if (closedAt.size < ends.length) expect(clock.pending).toBe(1);
    }
    expect(closedAt.size).toBe(1_000);
    for (const [index, seconds] of ends.entries()) {
      const late = (closedAt.get(index) ?? Infinity) - seconds * 1_000;
      expect(late).toBeGreaterThanOrEqual(5_000);
      expect(late).toBeLessThanOrEqual(6_000);
    }
    for (const client of clients) expect(client.closeInfo).toMatchObject({ code: 4401, reason: "unauthorized" });
    expect(clock.pending).toBe(0);
    expect(sample(jwt, "vel_auth_expirations_total")).toBe(1_000);
  });

  it.each([day, -day])("ends it at the same time when the wall clock jumps by %i ms", async (jump) => {
    const { vel, jwt, clock } = makeWorld({ clockTolerance: 0 });
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token({ exp: now + 3_600 }));
    clock.shiftWall(jump);
    await clock.advance(3_599_999);
    expect(client.isOpen).toBe(true);
    await clock.advance(1);
    expect(client.closeInfo).toMatchObject({ code: 4401 });
  });

  it("may be good for thousands of years, or for ever", async () => {
    const { vel, jwt, clock } = makeWorld({ requiredClaims: ["sub"] });
    vel.with(jwt.guard()).websocket("/ws", {});
    const clients = [
      await connectWith(vel, token({ exp: 8.64e12 })),
      await connectWith(vel, token({ exp: now + 100 * 31_557_600 })),
      await connectWith(vel, token({ exp: undefined })),
    ];
    await clock.advance(50 * 31_557_600_000);
    for (const client of clients) expect(client.isOpen).toBe(true);
    expect(clock.pending).toBe(1);
  });

  it("ends it when it is older than it may be, where that comes first", async () => {
    const { vel, jwt, clock } = makeWorld({ maxTokenAge: 30_000, clockTolerance: 0 });
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token());
    await clock.advance(29_999);
    expect(client.isOpen).toBe(true);
    await clock.advance(1);
    expect(client.closeInfo).toMatchObject({ code: 4401 });
  });

  it("is forgotten when it ends before: no timer is left", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    const clients = await Promise.all(Array.from({ length: 10 }, () => connectWith(vel, token())));
    expect(clock.pending).toBe(1);
    for (const client of clients) client.close(1000);
    await settle();
    expect(clock.pending).toBe(0);
    expect(sample(jwt, "vel_auth_sessions")).toBe(0);
  });

  it("counts from when it was verified also if the timer lags behind: the handler does not start", async () => {
    const manual = new ManualClock();
    let lag = 0;
    const clock: Clock = {
      now: () => manual.now() + lag,
      wall: () => manual.wall() + lag,
      setTimeout: (callback, delay) => manual.setTimeout(callback, delay),
      clearTimeout: (timer) => manual.clearTimeout(timer),
    };
    const jwt = new JwtHandler({ algorithms: ["HS256"], secret, clock });
    const vel = createVel({ clock });
    let runs = 0;
    const block = () => void (lag = 66_000);
    vel
      .with(jwt.guard())
      .with(block)
      .websocket("/ws", { open: () => runs++ });
    const client = await connectWith(vel, token());
    expect(await client.closed).toMatchObject({ code: 4401 });
    expect(runs).toBe(0);
    await vel.close();
    expect(manual.pending).toBe(0);
    jwt.close();
  });
});

describe("JwtHandler.refresh()", () => {
  it("puts the connection on another token: its end, its id and its data", async () => {
    const { vel, jwt, clock } = makeWorld({ clockTolerance: 0 });
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token({ jti: "one", role: "admin" }));
    const connection = lastOf(vel);
    const { data } = connection;
    const renewed: unknown[] = [];
    connection.onRenew(() => void renewed.push(connection.data.claims.role));
    const fresh = token({ exp: now + 120, jti: "two", role: "guest" });
    expect(await jwt.refresh(connection, fresh)).toMatchObject({ sub: "ada", role: "guest" });
    expect(renewed).toEqual(["guest"]);
    expect(connection.data, "the object that somebody may hold").toBe(data);
    expect(data).toMatchObject({ userId: "ada", claims: { role: "guest" } });
    expect(clock.pending).toBe(1);
    await clock.advance(60_000);
    expect(client.isOpen).toBe(true);
    expect(jwt.revoke({ tokenId: "one" }), "the old token is nobody's any more").toBe(0);
    expect(jwt.revoke({ tokenId: "two" })).toBe(1);
    expect(await client.closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    expect(sample(jwt, "vel_auth_refreshes_total", { result: "accepted" })).toBe(1);
  });

  it("takes back what the data had by the old token and has not by the new one", async () => {
    const { vel, jwt } = makeWorld();
    const guard = jwt.guard({ data: ({ sub, admin }) => ({ name: sub, ...(admin === true && { admin: true }) }) });
    vel.with(guard).websocket("/ws", {});
    await connectWith(vel, token({ admin: true }));
    const connection = lastOf(vel);
    await connection.renew({ note: "of the application" } as object);
    expect(connection.data).toEqual({ name: "ada", admin: true, note: "of the application" });
    await jwt.refresh(connection, token());
    expect(connection.data).toEqual({ name: "ada", admin: undefined, note: "of the application" });
    await jwt.refresh(connection, token({ admin: true }));
    expect(connection.data).toEqual({ name: "ada", admin: true, note: "of the application" });
  });

  it.each(["header", "message"] as const)(
    "leaves what a later guard has decided: it was undone, and who was banned an admin again (%s)",
    async (from) => {
      const { vel, jwt } = makeWorld();
      vel
        .with(jwt.guard({ from, data: ({ sub, role, team }) => ({ name: sub, role, ...(team ? { team } : {}) }) }))
        .with(() => ({ data: { role: "banned", team: undefined } }))
        .websocket("/ws", {});
      const first = token({ role: "admin", team: "a" });
      if (from === "header") await connectWith(vel, first);
      else await connect(vel, "/ws", { early: [JSON.stringify({ type: "auth", token: first })] });
      await settle();
      const connection = lastOf(vel);
      const decided = { name: "ada", role: "banned", team: undefined };
      expect(connection.data).toEqual(decided);
      for (const claims of [{ role: "admin", team: "b" }, {}, { role: "banned" }, { role: "admin", team: "c" }]) {
        await jwt.refresh(connection, token(claims));
        expect(connection.data).toEqual(decided);
      }
    },
  );

  it("leaves what a later guard gave under a name that the token has only now", async () => {
    const { vel, jwt } = makeWorld();
    vel
      .with(jwt.guard({ data: ({ sub, ...more }) => ({ name: sub, ...(more["role"] ? { role: more["role"] } : {}) }) }))
      .with(() => ({ data: { role: undefined } }))
      .websocket("/ws", {});
    await connectWith(vel, token());
    await jwt.refresh(lastOf(vel), token({ role: "admin" }));
    expect(lastOf(vel).data).toEqual({ name: "ada", role: undefined });
  });

  it("leaves what the application has changed since", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard({ data: ({ sub, role }) => ({ name: sub, role }) })).websocket("/ws", {});
    await connectWith(vel, token({ role: "admin" }));
    const connection = lastOf(vel);
    await jwt.refresh(connection, token({ role: "owner" }));
    expect(connection.data).toEqual({ name: "ada", role: "owner" });
    await connection.renew({ role: "guest" } as object);
    await jwt.refresh(connection, token({ role: "owner" }));
    expect(connection.data).toEqual({ name: "ada", role: "guest" });
  });

  it("takes no token of another issuer, whose `sub` may be somebody else's", async () => {
    const { vel, jwt } = makeWorld({ issuer: ["one", "two"] });
    vel.with(jwt.guard()).websocket("/ws", {});
    await connectWith(vel, token({ iss: "one", role: "guest" }));
    const connection = lastOf(vel) as Connection<Identity<JwtClaims>>;
    await expect(jwt.refresh(connection, token({ iss: "two" }))).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    expect(connection.data.claims.iss).toBe("one");
    await jwt.refresh(connection, token({ iss: "one", role: "admin" }));
    expect(connection.data.claims["role"]).toBe("admin");
  });

  it("resolves when those who decided by the old data have decided again", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    await connectWith(vel, token());
    const connection = lastOf(vel);
    const gate = deferred();
    const entered = deferred();
    connection.onRenew(() => {
      entered.resolve();
      return gate.promise;
    });
    let isOver = false;
    const refreshed = jwt.refresh(connection, token()).then(() => (isOver = true));
    await entered.promise;
    await settle();
    expect(isOver).toBe(false);
    gate.resolve();
    await refreshed;
  });

  it("leaves the connection on its old token when the new one is not good", async () => {
    const { vel, jwt, clock } = makeWorld({ clockTolerance: 0 });
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token({ jti: "one" }));
    const connection = lastOf(vel);
    const before = structuredClone(connection.data);
    connection.onRenew(() => expect.unreachable());
    const wrong = [
      token({ sub: "bob", exp: now + 3_600 }),
      token({ sub: "ADA", exp: now + 3_600 }),
      token({ exp: now - 1 }),
      `${token().slice(0, -2)}AA`,
      "",
      undefined as unknown as string,
      {} as string,
    ];
    for (const each of wrong) {
      await expect(jwt.refresh(connection, each)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    }
    jwt.revoke({ tokenId: "two" });
    await expect(jwt.refresh(connection, token({ jti: "two" }))).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    expect(connection.data).toEqual(before);
    expect(sample(jwt, "vel_auth_refreshes_total", { result: "refused" })).toBe(wrong.length + 1);
    await clock.advance(59_999);
    expect(client.isOpen).toBe(true);
    await clock.advance(1);
    expect(client.isOpen).toBe(false);
  });

  it("takes no token without a user: it might be anybody's", async () => {
    const { vel, jwt } = makeWorld({ requiredClaims: ["exp"] });
    vel.with(jwt.guard({ data: ({ uid }) => ({ uid }) })).websocket("/ws", {});
    await connectWith(vel, token({ sub: undefined, uid: 1 }));
    const fresh = token({ sub: undefined, uid: 2 });
    await expect(jwt.refresh(lastOf(vel), fresh)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    expect(lastOf(vel).data).toEqual({ uid: 1 });
  });

  it("changes nothing when `data` throws", async () => {
    const { vel, jwt } = makeWorld();
    const data = ({ bad }: JwtClaims) => {
      if (bad) throw new Error("no database");
      return { name: "ada" };
    };
    vel.with(jwt.guard({ data })).websocket("/ws", {});
    await connectWith(vel, token({ jti: "one" }));
    await expect(jwt.refresh(lastOf(vel), token({ bad: 1, jti: "two" }))).rejects.toThrow("no database");
    expect(jwt.revoke({ tokenId: "two" })).toBe(0);
    expect(jwt.revoke({ tokenId: "one" })).toBe(1);
  });

  it("knows the connections of its own guards only", async () => {
    const one = makeWorld();
    const two = makeWorld();
    one.vel.with(one.jwt.guard()).websocket("/ws", {}).websocket("/own", {});
    await connectWith(one.vel, token());
    await expect(two.jwt.refresh(lastOf(one.vel), token())).rejects.toMatchObject({ code: "ERR_VEL_STATE" });
    two.vel.websocket("/ws", {});
    await connect(two.vel, "/ws");
    await expect(two.jwt.refresh(lastOf(two.vel), token())).rejects.toMatchObject({ code: "ERR_VEL_STATE" });
  });

  it("is ERR_VEL_DISCONNECTED on a connection that is not open, or closes while the token is being checked", async () => {
    let gate = Promise.resolve();
    const { vel, jwt } = makeWorld({ claims: slowClaims(() => gate) });
    vel.with(jwt.guard()).websocket("/ws", {});
    for (const end of ["close", "revoke", "leave", "before"] as const) {
      const client = await connectWith(vel, token({ jti: end }));
      const connection = lastOf(vel);
      const { promise, resolve } = deferred();
      gate = promise;
      if (end === "before") client.close(1000);
      if (end === "before") await client.closed;
      const refreshed = jwt.refresh(connection, token({ exp: now + 3_600, jti: "new" }));
      const failed = expect(refreshed).rejects.toMatchObject({ code: "ERR_VEL_DISCONNECTED" });
      await settle();
      if (end === "close") connection.close(1000);
      if (end === "revoke") expect(jwt.revoke({ tokenId: end })).toBe(1);
      if (end === "leave") client.close(1000);
      await settle();
      resolve();
      await failed;
      gate = Promise.resolve();
    }
    expect(sample(jwt, "vel_auth_refreshes_total")).toBe(0);
    expect(sample(jwt, "vel_auth_sessions")).toBe(0);
  });

  it("is refused when the new token is revoked while it is being checked", async () => {
    let gate = Promise.resolve();
    const { vel, jwt } = makeWorld({ claims: slowClaims(() => gate) });
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token({ jti: "one" }));
    const { promise, resolve } = deferred();
    gate = promise;
    const refreshed = jwt.refresh(lastOf(vel), token({ jti: "two" }));
    const failed = expect(refreshed).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    await settle();
    jwt.revoke({ tokenId: "two" });
    resolve();
    await failed;
    expect(client.isOpen).toBe(true);
    expect(jwt.revoke({ tokenId: "one" })).toBe(1);
  });

  it("lets the one that was asked for last win, whichever is checked first", async () => {
    const gates: ReturnType<typeof deferred>[] = [];
    let isSlow = false;
    const claims = slowClaims(async () => {
      if (!isSlow) return;
      const gate = deferred();
      gates.push(gate);
      await gate.promise;
    });
    const { vel, jwt } = makeWorld({ claims });
    vel.with(jwt.guard()).websocket("/ws", {});
    await connectWith(vel, token({ role: "zero" }));
    const connection = lastOf(vel);
    isSlow = true;
    const first = jwt.refresh(connection, token({ role: "one", jti: "one" }));
    const second = jwt.refresh(connection, token({ role: "two", jti: "two" }));
    const wrong = jwt.refresh(connection, token({ sub: "bob" }));
    const failed = expect(wrong).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    let isOver = false;
    const all = Promise.allSettled([first, second, wrong]).then(() => (isOver = true));
    while (!(isOver as boolean)) {
      gates.pop()?.resolve();
      await settle();
    }
    await all;
    await failed;
    expect(connection.data.claims.role).toBe("two");
    expect(jwt.revoke({ tokenId: "one" })).toBe(0);
    expect(jwt.revoke({ tokenId: "two" })).toBe(1);
  });

  it("is ERR_VEL_KEYS, and leaves the connection as it was, while no key can be had", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, token());
    jwt.close();
    await expect(jwt.refresh(lastOf(vel), token())).rejects.toMatchObject({ code: "ERR_VEL_KEYS" });
    expect(sample(jwt, "vel_auth_refreshes_total", { result: "unavailable" })).toBe(1);
    expect(client.isOpen).toBe(true);
  });

  it("renews what all guards of the handler gave that a connection has come through", async () => {
    const { vel, jwt } = makeWorld();
    vel
      .with(jwt.guard())
      .with(jwt.guard({ from: "query", data: ({ role }) => ({ role }) }))
      .websocket("/ws", {});
    await connect(vel, `/ws?token=${token({ role: "a", jti: "two" })}`, bearer(token({ jti: "one" })));
    expect(sample(jwt, "vel_auth_sessions")).toBe(1);
    await jwt.refresh(lastOf(vel), token({ role: "b", jti: "three" }));
    expect(lastOf(vel).data).toMatchObject({ userId: "ada", role: "b" });
    expect(jwt.revoke({ tokenId: "two" })).toBe(0);
    expect(jwt.revoke({ tokenId: "three" }), "one connection, though by two sessions").toBe(1);
  });
});

describe("JwtHandler.frames()", () => {
  function serve(options: object = { clockTolerance: 0 }) {
    const world = makeWorld(options);
    const { vel, jwt, errors, clock } = world;
    const protocol = new Protocol({ clock, onError: (error) => errors.push(error) }).add(jwt.frames());
    vel.with(jwt.guard()).websocket("/ws", protocol.hooks());
    vel.websocket("/open", protocol.hooks());
    return world;
  }

  it("refresh by the client's own hand, and tell how long the token is good", async () => {
    const { vel, clock } = serve();
    const client = await connectWith(vel, token());
    await clock.advance(10_500);
    client.sendJson({ type: "auth", id: 1, token: token({ exp: now + 120 }) });
    expect(await client.receiveJson()).toEqual({ type: "ok", id: 1, expiresIn: 109_500 });
    await clock.advance(60_000);
    expect(client.isOpen).toBe(true);
    client.sendJson({ type: "auth", token: token({ exp: now + 180 }) });
    client.sendJson({ type: "ping", id: 2 });
    expect(await client.receiveJson(), "a message gets no answer").toEqual({ type: "pong", id: 2 });
    await clock.advance(60_000);
    expect(client.isOpen).toBe(true);
  });

  it("tell nothing of the end of a token that has none, and 0 of one that lives by the tolerance alone", async () => {
    const { vel, clock } = serve({ requiredClaims: ["sub"], clockTolerance: 5_000 });
    const client = await connectWith(vel, token());
    client.sendJson({ type: "auth", id: 1, token: token({ exp: undefined }) });
    expect(await client.receiveJson()).toEqual({ type: "ok", id: 1 });
    expect(clock.pending).toBe(0);
    client.sendJson({ type: "auth", id: 2, token: token({ exp: now - 2 }) });
    expect(await client.receiveJson()).toEqual({ type: "ok", id: 2, expiresIn: 0 });
  });

  it("answer with an error, and leave the connection on its old token", async () => {
    const { vel } = serve();
    const client = await connectWith(vel, token());
    for (const [frame, code] of [
      [{ token: token({ sub: "bob" }) }, "token"],
      [{ token: "x" }, "token"],
      [{}, "invalid_message"],
      [{ token: 7 }, "invalid_message"],
    ] as const) {
      client.sendJson({ type: "auth", id: 1, ...frame });
      expect(await client.receiveJson()).toEqual({ type: "error", id: 1, code });
    }
    expect(client.isOpen).toBe(true);
  });

  it("are the server's fault on a route without a guard", async () => {
    const { vel, errors } = serve();
    const client = await connect(vel, "/open");
    client.sendJson({ type: "auth", id: 1, token: token() });
    expect(await client.receiveJson()).toEqual({ type: "error", id: 1, code: "internal" });
    expect(errors.splice(0)).toMatchObject([{ code: "ERR_VEL_STATE" }]);
  });
});

describe("JwtHandler.revoke()", () => {
  it("closes the connections of a user with 4401 at once, and refuses the tokens that were issued until then", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    const ada = [await connectWith(vel, token()), await connectWith(vel, token({ iat: now - 50 }))];
    const bob = await connectWith(vel, token({ sub: "bob" }));
    await clock.advance(1_700);
    const late = await connectWith(vel, token({ iat: now + 4 })); // its issuer's clock is ahead
    expect(jwt.revoke({ subject: "ada" })).toBe(3);
    for (const client of [...ada, late])
      expect(await client.closed).toMatchObject({ code: 4401, reason: "unauthorized" });
    expect(bob.isOpen).toBe(true);
    for (const iat of [now - 50, now, now + 1, now + 1.9, undefined]) {
      await expect(connectWith(vel, token({ iat })), String(iat)).rejects.toMatchObject({ status: 401 });
      await expect(jwt.verify(token({ iat }))).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    }
    await connectWith(vel, token({ iat: now + 2 }));
    await connectWith(vel, token({ sub: "bob" }));
    expect(sample(jwt, "vel_auth_revocations_total")).toBe(1);
    expect(sample(jwt, "vel_auth_sessions")).toBe(3);
  });

  it("closes the connections of one token, and refuses that alone", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    const one = [await connectWith(vel, token({ jti: "one" })), await connectWith(vel, token({ jti: "one" }))];
    const two = await connectWith(vel, token({ jti: "two" }));
    expect(jwt.revoke({ tokenId: "one" })).toBe(2);
    for (const client of one) expect(await client.closed).toMatchObject({ code: 4401 });
    expect(two.isOpen).toBe(true);
    await expect(connectWith(vel, token({ jti: "one" }))).rejects.toMatchObject({ status: 401 });
    await connectWith(vel, token({ jti: "two" }));
    // An id is not a user.
    expect(jwt.revoke({ tokenId: "ada" })).toBe(0);
    expect(two.isOpen).toBe(true);
    jwt.revoke({ subject: "two" });
    await connectWith(vel, token({ jti: "two" }));
  });

  it("closes a connection once, that another end has taken already is not counted", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    await connectWith(vel, token());
    lastOf(vel).close(1000);
    expect(jwt.revoke({ subject: "ada" })).toBe(0);
  });

  it("reaches a connection that another guard is still preparing", async () => {
    const { vel, jwt } = makeWorld();
    const gate = deferred();
    const entered = deferred();
    let runs = 0;
    vel
      .with(jwt.guard())
      .with(() => ({
        prepare: async () => {
          entered.resolve();
          await gate.promise;
        },
      }))
      .websocket("/ws", { open: () => runs++, message: () => runs++ });
    const client = await connect(vel, "/ws", { ...bearer(token()), early: ["hello"] });
    await entered.promise;
    expect(jwt.revoke({ subject: "ada" })).toBe(1);
    expect(await client.closed).toMatchObject({ code: 4401 });
    gate.resolve();
    await settle();
    expect(runs).toBe(0);
  });

  it("leaves nothing of a connection whose peer has left while another guard prepared it", async () => {
    const { vel, jwt, clock } = makeWorld();
    const gate = deferred();
    const got: unknown[] = [];
    vel
      .with(() => ({ prepare: () => gate.promise }))
      .with(jwt.guard())
      .websocket("/ws", { message: (_, text) => got.push(text) });
    const client = await connect(vel, "/ws", { ...bearer(token()), early: ["hello"] });
    client.close(1000);
    await client.closed;
    gate.resolve();
    await settle();
    expect(got).toEqual(["hello"]);
    expect(sample(jwt, "vel_auth_sessions")).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("is forgotten after `keepFor`, by the monotonic clock, and is kept for the longer of two", async () => {
    const { jwt, clock } = makeWorld();
    const old = token({ iat: now - 10, exp: now + 365 * 86_400, jti: "one" });
    jwt.revoke({ subject: "ada" }, { keepFor: 1_000 });
    await clock.advance(500);
    jwt.revoke({ subject: "ada" }, { keepFor: 2_000 });
    jwt.revoke({ subject: "ada" }, { keepFor: 1 });
    clock.shiftWall(day);
    await clock.advance(1_999);
    await expect(jwt.verify(old)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    await clock.advance(1);
    await jwt.verify(old);
    jwt.revoke({ tokenId: "one" });
    await clock.advance(30 * day - 1);
    await expect(jwt.verify(old)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    await clock.advance(1);
    await jwt.verify(old);
  });

  it("throws at what is neither a user nor a token, and revokes nothing", () => {
    const { jwt } = makeWorld();
    for (const target of [
      {},
      { subject: "" },
      { tokenId: "" },
      { subject: undefined },
      { subject: "a", tokenId: "b" },
      { subject: 7 },
    ])
      expect(() => jwt.revoke(target as { subject: string }), JSON.stringify(target)).toThrow(TypeError);
    for (const keepFor of [0, -1, NaN, "86400000", null] as number[]) {
      expect(() => jwt.revoke({ subject: "ada" }, { keepFor })).toThrow(/Option "keepFor"/);
    }
    expect(sample(jwt, "vel_auth_revocations_total")).toBe(0);
  });

  it("takes names that objects have", async () => {
    const { vel, jwt } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    for (const name of ["__proto__", "constructor", "toString", "subject ada", " ", "\u0000", "ä".repeat(1_000)]) {
      const client = await connectWith(vel, token({ sub: name, jti: name }));
      expect(jwt.revoke({ subject: name }), name).toBe(1);
      expect(await client.closed).toMatchObject({ code: 4401 });
    }
    await connectWith(vel, token());
  });
});
