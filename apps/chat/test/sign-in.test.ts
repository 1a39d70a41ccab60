import { JwtHandler } from "@vel/auth";
import { connect, ManualClock } from "@vel/testing";
import { SignJWT, UnsecuredJWT } from "jose";
import { assert, describe, expect, it } from "vitest";
import { limits } from "../src/settings.ts";
import { SignIns, tokenRules } from "../src/sign-ins.ts";
import { setUp } from "./kit.ts";

describe("POST /chat/sign-in", () => {
  it("gives a token, one subject for each sign-in", async () => {
    const { signIn, ask } = setUp();
    const ada = await signIn("  Ada   Lovelace ");
    expect(ada).toEqual({
      token: expect.any(String) as string,
      user_id: expect.any(String) as string,
      name: "Ada Lovelace",
      expires_in: 900_000,
    });
    expect((await ask("POST", "/chat/sign-out", { token: ada.token })).status).toBe(204);
    expect((await signIn("Ada Lovelace")).user_id).not.toBe(ada.user_id);
  });

  it("refuses a name that somebody holds, however it is written, and of two at once lets one in", async () => {
    const { signIn, ask } = setUp();
    await signIn("Ada");
    for (const name of ["Ada", "ADA", " ada ", "Ａda"]) {
      const response = await ask("POST", "/chat/sign-in", { body: { name } });
      expect(response.status, name).toBe(409);
      expect(await response.json()).toMatchObject({ error: "name_taken" });
    }
    // Folding, not lower case alone: and what cannot be seen makes no other name.
    await signIn("Straße");
    await signIn("ΣΑΣ");
    for (const name of ["STRASSE", "straẞe", "σασ", "Ada\ufe00", "A\u034fda", "Ada\u3164"]) {
      const response = await ask("POST", "/chat/sign-in", { body: { name } });
      expect(response.status, JSON.stringify(name)).toBe(409);
    }
    const both = await Promise.all(["Bob", "bob"].map((name) => ask("POST", "/chat/sign-in", { body: { name } })));
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  it("refuses what is no name and what is no JSON of ours", async () => {
    const { ask } = setUp();
    for (const name of [
      "",
      "  ",
      "a".repeat(33),
      "a\u0000b",
      "a\u202eb",
      "a\u200bb",
      "\ud800",
      "\u3164",
      "\u2800\u034f",
      7,
      null,
      {},
      undefined,
      "x".repeat(10_000),
    ]) {
      const response = await ask("POST", "/chat/sign-in", { body: { name } });
      expect(response.status, JSON.stringify(name)).toBe(400);
      expect(await response.json()).toMatchObject({ error: "invalid_name" });
    }
    for (const body of ["", "{", "[]", "null", '"Ada"']) {
      expect((await ask("POST", "/chat/sign-in", { body })).status, body).toBe(400);
    }
    // A form of a foreign page can send this without asking anybody.
    const headers = { "content-type": "text/plain" };
    expect((await ask("POST", "/chat/sign-in", { body: '{"name":"Ada"}', headers })).status).toBe(400);
    expect((await ask("POST", "/chat/sign-in", { body: { name: "Ada", more: "x".repeat(20_000) } })).status).toBe(413);
  });

  it("says so when nobody else finds room, whatever the name, and lets in again who comes later", async () => {
    const { ask, signIn, clock } = setUp();
    for (let i = 0; i < limits.people; i += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, j) => signIn(`n${String(i + j)}`)));
    }
    const full = await ask("POST", "/chat/sign-in", { body: { name: "Ada" } });
    expect(full.status).toBe(503);
    expect(await full.json()).toMatchObject({ error: "too_many_people" });
    await clock.advance(901_000);
    expect((await ask("POST", "/chat/sign-in", { body: { name: "Ada" } })).status).toBe(200);
  });

  it("frees a name when the last token has expired, which no connection outlives", async () => {
    const { visit, ask, clock } = setUp({ tokenLifetime: 20_000 });
    const ada = await visit("Ada");
    await clock.advance(10_000);
    expect((await ask("POST", "/chat/renew", { token: ada.token })).status).toBe(200);
    await clock.advance(19_999);
    expect((await ask("POST", "/chat/sign-in", { body: { name: "Ada" } })).status).toBe(409);
    await clock.advance(1);
    expect(ada.client.closeInfo).toMatchObject({ code: 4401 });
    expect((await ask("POST", "/chat/sign-in", { body: { name: "Ada" } })).status).toBe(200);
  });
});

describe("A token", () => {
  it("is renewed for the same subject until it expires, and worth nothing afterwards", async () => {
    const { signIn, ask, clock } = setUp();
    const { token, user_id } = await signIn("Ada");
    await clock.advance(890_000);
    const renewed = await ask("POST", "/chat/renew", { token });
    const second = (await renewed.json()) as { token: string; user_id: string };
    expect(second).toMatchObject({ user_id, name: "Ada", expires_in: 900_000 });
    await clock.advance(11_000);
    expect((await ask("POST", "/chat/renew", { token })).status).toBe(401);
    expect((await ask("POST", "/chat/renew", { token: second.token })).status).toBe(200);
  });

  it("survives a restart with the same secret, unless somebody took the name", async () => {
    const secret = new Uint8Array(32).fill(7);
    const before = setUp({ secret });
    const ada = await before.signIn("Ada");
    const bob = await before.signIn("Bob");
    const after = setUp({ secret });
    await after.signIn("Bob");
    expect((await after.ask("POST", "/chat/renew", { token: ada.token })).status).toBe(200);
    expect((await after.ask("POST", "/chat/sign-in", { body: { name: "ada" } })).status).toBe(409);
    expect((await after.ask("POST", "/chat/renew", { token: bob.token })).status).toBe(401);
    const client = await connect(after.chat.vel, "/ws/chat/lobby", { protocols: ["bearer", bob.token] });
    expect(await client.closed).toMatchObject({ code: 4001, reason: "Invalid token" });
  });

  it("from before a restart holds the name for as long as it is good", async () => {
    const secret = new Uint8Array(32).fill(7);
    const { token } = await setUp({ secret }).signIn("Ada");
    const { ask, enter, clock } = setUp({ secret });
    await clock.advance(890_000);
    const ada = await enter(token);
    expect((await ask("POST", "/chat/sign-in", { body: { name: "ada" } })).status).toBe(409);
    await clock.advance(10_000);
    expect(await ada.client.closed).toMatchObject({ code: 4401 });
    expect((await ask("POST", "/chat/sign-in", { body: { name: "ada" } })).status).toBe(200);
  });

  it("is refused by every route when it is forged, foreign, unsigned, signed out or garbage", async () => {
    const secret = new Uint8Array(32).fill(7);
    const { signIn, ask, chat } = setUp({ secret });
    const { token, user_id } = await signIn("Ada");
    const claims = { name: "Ada" };
    const sign = (jwt: SignJWT, key = secret): Promise<string> => jwt.setProtectedHeader({ alg: "HS256" }).sign(key);
    const bad = [
      "",
      "x",
      token.slice(0, -2),
      `${token.split(".", 2).join(".")}.`,
      new UnsecuredJWT(claims)
        .setSubject(user_id)
        .setIssuer("vel-chat")
        .setAudience("vel-chat")
        .setExpirationTime(4e9)
        .encode(),
      await sign(
        new SignJWT(claims).setSubject(user_id).setIssuer("vel-chat").setAudience("vel-chat").setExpirationTime(4e9),
        new Uint8Array(32),
      ),
      await sign(
        new SignJWT(claims).setSubject(user_id).setIssuer("other").setAudience("vel-chat").setExpirationTime(4e9),
      ),
      await sign(
        new SignJWT(claims).setSubject(user_id).setIssuer("vel-chat").setAudience("other").setExpirationTime(4e9),
      ),
      await sign(new SignJWT(claims).setSubject(user_id).setIssuer("vel-chat").setAudience("vel-chat")),
      await sign(new SignJWT(claims).setIssuer("vel-chat").setAudience("vel-chat").setExpirationTime(4e9)),
      await sign(
        new SignJWT({}).setSubject("other").setIssuer("vel-chat").setAudience("vel-chat").setExpirationTime(4e9),
      ),
    ];
    const gone = await signIn("Gone");
    await ask("POST", "/chat/sign-out", { token: gone.token });
    for (const other of ["Gone", "Gone too"]) {
      await ask("POST", "/chat/sign-out", { token: (await signIn(other)).token });
    }
    const reason = (token: string): string => (token === "" ? "Missing token" : "Invalid token");
    for (const each of [...bad, gone.token]) {
      for (const [method, path] of [
        ["POST", "/chat/renew"],
        ["POST", "/chat/sign-out"],
        ["GET", "/chat/rooms/lobby/users"],
        ["POST", "/chat/broadcast/lobby"],
      ] as const) {
        expect((await ask(method, path, { token: each })).status, `${path} ${each}`).toBe(401);
      }
      const byQuery = await connect(chat.vel, `/ws/chat/lobby?token=${encodeURIComponent(each)}`);
      const bySubprotocol = await connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", each] });
      for (const { closed } of [byQuery, bySubprotocol]) {
        expect(await closed).toMatchObject({ code: 4001, reason: reason(each) });
      }
    }
    const without = await connect(chat.vel, "/ws/chat/lobby");
    expect(await without.closed).toMatchObject({ code: 4001, reason: "Missing token" });
  });

  it("opens the room as a subprotocol, which is answered, and from the query, which the specification shows", async () => {
    const { signIn, chat } = setUp();
    const { token } = await signIn("Ada");
    const bySubprotocol = await connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", token] });
    const byQuery = await connect(chat.vel, `/ws/chat/lobby?token=${token}`);
    for (const client of [bySubprotocol, byQuery]) {
      expect(await client.receiveJson()).toMatchObject({ type: "room_info", users: [{ name: "Ada" }] });
    }
    // A browser gives up when it offers subprotocols and none is taken, also where it would only be told a close code.
    const refused = await connect(chat.vel, "/ws/chat/%00", { protocols: ["bearer", token] });
    expect([bySubprotocol, refused].map(({ protocol }) => protocol)).toEqual(["bearer", "bearer"]);
  });
});

describe("POST /chat/sign-out", () => {
  it("closes the connections of that sign-in alone", async () => {
    const { signIn, enter, visit, ask } = setUp();
    const { token } = await signIn("Ada");
    const tabs = [await enter(token), await enter(token, "other")];
    const bob = await visit("Bob");
    expect((await ask("POST", "/chat/sign-out", { token })).status).toBe(204);
    for (const { client } of tabs) expect(await client.closed).toMatchObject({ code: 4401 });
    expect(bob.client.isOpen).toBe(true);
    expect(await bob.heard()).toMatchObject([{ type: "user_left", name: "Ada", user_count: 1 }]);
  });

  it("lets nobody in who is on the way, whatever comes first", async () => {
    const { signIn, ask, chat } = setUp();
    for (let i = 0; i < 20; i++) {
      const { token } = await signIn("Ada");
      const coming = connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", token] });
      for (let turn = 0; turn < i; turn++) await Promise.resolve();
      const [client, out, renewed] = await Promise.all([
        coming,
        ask("POST", "/chat/sign-out", { token }),
        ask("POST", "/chat/renew", { token }),
      ]);
      expect(out.status).toBe(204);
      expect([4001, 4401]).toContain((await client.closed).code);
      const { token: fresh = token } = (await renewed.json()) as { token?: string };
      for (const each of [token, fresh]) expect((await ask("POST", "/chat/renew", { token: each })).status).toBe(401);
    }
    expect(chat.vel.connections.size).toBe(0);
  });

  it("does not take the name from whoever has it by now when it is asked for twice", async () => {
    const clock = new ManualClock();
    const jwt = new JwtHandler({ ...tokenRules, secret: new Uint8Array(32), clock });
    const signIns = new SignIns({ jwt, lifetime: 900_000, clock });
    const grant = await signIns.signIn("Ada");
    assert(grant);
    signIns.signOut(grant.signIn);
    await signIns.signIn("Ada");
    signIns.signOut(grant.signIn);
    expect(signIns.signIn("Ada")).toBe(undefined);
  });
});
