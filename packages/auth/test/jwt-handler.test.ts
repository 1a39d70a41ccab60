import { afterEach, describe, expect, it } from "vitest";
import { connect, settle } from "@vel/testing";
import { JwtHandler, type JwtOptions } from "@vel/auth";
import { bearer, connectWith, deferred, endWorlds, goodToken, makeWorld, now, sample, slowClaims } from "./kit.ts";
import { keyPairOf, secret } from "./tokens.ts";

afterEach(endWorlds);

describe("JwtHandler", () => {
  it("verifies and signs tokens", async () => {
    const { jwt } = makeWorld({ issuer: "us" });
    const token = await jwt.sign({ role: "admin" }, { subject: "ada", expiresIn: 60_000 });
    expect(await jwt.verify(token)).toMatchObject({ iss: "us", sub: "ada", role: "admin", exp: now + 60 });
    await expect(jwt.verify(`${token}A`)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    const { publicKey } = keyPairOf("ES256");
    const reader = new JwtHandler({ algorithms: ["ES256"], key: publicKey });
    await expect(reader.sign({}, { subject: "ada", expiresIn: 1 })).rejects.toMatchObject({
      code: "ERR_VEL_UNSUPPORTED",
    });
  });

  it("resolves to what the schema makes of the claims", async () => {
    const { jwt } = makeWorld<{ name: string }>({
      claims: {
        "~standard": {
          version: 1,
          vendor: "test",
          validate: (value) => ({ value: { name: (value as { sub: string }).sub } }),
        },
      },
    });
    expect(await jwt.verify(goodToken("HS256"))).toEqual({ name: "ada" });
  });

  it("refuses a token that expires or is revoked while it is being checked", async () => {
    for (const end of ["revoke", "expire"] as const) {
      const [gate, entered] = [deferred(), deferred()];
      const claims = slowClaims(() => {
        entered.resolve();
        return gate.promise;
      });
      const { jwt, clock } = makeWorld({ claims, clockTolerance: 0 });
      const verified = expect(jwt.verify(goodToken("HS256"))).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
      await entered.promise;
      if (end === "revoke") jwt.revoke({ subject: "ada" });
      else await clock.advance(60_000);
      gate.resolve();
      await verified;
    }
  });

  it("throws at options that are none", () => {
    expect(() => new JwtHandler({ algorithms: [], secret })).toThrow(/Option "algorithms"/);
    expect(() => new JwtHandler({ algorithms: ["HS256"], secret: "short" })).toThrow(/Option "secret"/);
    expect(() => new JwtHandler({ algorithms: ["HS256"], secret, clockTolerance: -1 })).toThrow(
      /Option "clockTolerance"/,
    );
    for (const none of [undefined, null, "secret", []]) {
      expect(() => new JwtHandler(none as unknown as JwtOptions)).toThrow(/^Options of JwtHandler must be an object/);
    }
  });

  it("names what is missing where its methods are called without", async () => {
    const { jwt } = makeWorld();
    const misuse = jwt as unknown as Record<"sign" | "ticket" | "refresh" | "revoke", (...args: unknown[]) => unknown>;
    await expect(misuse.sign({})).rejects.toThrow(/^Options of sign\(\) must be an object, got undefined/);
    await expect(misuse.ticket("x")).rejects.toThrow(/^Options of ticket\(\) must be an object, got undefined/);
    for (const none of [undefined, null, {}, "x"]) {
      await expect(misuse.refresh(none, "x")).rejects.toThrow(/^What is refreshed must be a connection, got /);
    }
    expect(() => misuse.revoke()).toThrow(/^What is revoked must be either/);
    expect(() => misuse.revoke({ subject: "ada" }, null)).toThrow(/^Options of revoke\(\) must be an object, got null/);
    expect(sample(jwt, "vel_auth_refreshes_total")).toBe(0);
  });
});

describe("JwtHandler.close()", () => {
  it("leaves no timer; connections stay, also beyond the end of their tokens", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    const client = await connectWith(vel, goodToken("HS256"));
    expect(clock.pending).toBe(1);
    jwt.close();
    jwt.close();
    expect(clock.pending).toBe(0);
    expect(sample(jwt, "vel_auth_sessions")).toBe(0);
    await clock.advance(3_600_000);
    expect(client.isOpen).toBe(true);
    client.close(1000);
    await client.closed;
    expect(clock.pending).toBe(0);
  });

  it("lets nobody in any more, in any way", async () => {
    const { vel, jwt, clock } = makeWorld();
    const token = goodToken("HS256");
    vel.with(jwt.guard({ from: ["header", "ticket", "message"] })).websocket("/ws", {});
    const ticket = await jwt.ticket(token, { path: "/ws" });
    const waiting = await connect(vel, "/ws");
    jwt.close();
    await expect(connect(vel, "/ws", bearer(token))).rejects.toMatchObject({ status: 503 });
    await expect(connect(vel, `/ws?ticket=${ticket}`)).rejects.toMatchObject({ status: 401 });
    await expect(jwt.verify(token)).rejects.toMatchObject({ code: "ERR_VEL_KEYS" });
    await expect(jwt.ticket(token, { path: "/ws" })).rejects.toMatchObject({ code: "ERR_VEL_KEYS" });
    waiting.sendJson({ type: "auth", token });
    expect(await waiting.closed).toMatchObject({ code: 1013 });
    expect(jwt.revoke({ subject: "ada" })).toBe(0);
    await settle();
    expect(clock.pending).toBe(0);
  });

  it("lets nobody in whose token was checked before", async () => {
    const { vel, jwt } = makeWorld();
    const token = goodToken("HS256");
    vel.with(jwt.guard()).websocket("/ws", {});
    const asked = connect(vel, "/ws", bearer(token));
    jwt.close();
    await expect(asked).rejects.toMatchObject({ status: 503 });
  });
});

describe("JwtHandler.measure()", () => {
  it("has few names and no value that a client chooses", async () => {
    const { vel, jwt, clock } = makeWorld({ clockTolerance: 0 });
    vel.with(jwt.guard({ from: ["header", "query"] })).websocket("/ws", {});
    await connectWith(vel, goodToken("HS256"));
    await connect(vel, `/ws?token=${goodToken("HS256")}`);
    await expect(connectWith(vel, "x")).rejects.toMatchObject({ status: 401 });
    const [connection] = vel.connections;
    await jwt.refresh(connection!, goodToken("HS256"));
    await clock.advance(60_000);
    jwt.revoke({ subject: "ada" });
    expect([...jwt.measure()]).toEqual([
      {
        name: "vel_auth_attempts_total",
        kind: "counter",
        value: 1,
        labels: { strategy: "header", result: "accepted" },
      },
      { name: "vel_auth_attempts_total", kind: "counter", value: 1, labels: { strategy: "query", result: "accepted" } },
      { name: "vel_auth_attempts_total", kind: "counter", value: 1, labels: { strategy: "header", result: "refused" } },
      { name: "vel_auth_refreshes_total", kind: "counter", value: 1, labels: { result: "accepted" } },
      { name: "vel_auth_expirations_total", kind: "counter", value: 2, labels: {} },
      { name: "vel_auth_revocations_total", kind: "counter", value: 1, labels: {} },
      { name: "vel_auth_sessions", kind: "gauge", value: 0 },
    ]);
  });
});
