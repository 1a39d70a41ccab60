import { afterEach, describe, expect, it } from "vitest";
import { connect, HandshakeError, memoryTransport, type ConnectOptions } from "@vel/testing";
import type { TicketOptions } from "@vel/auth";
import { maxTickets, maxTicketsPerSubject } from "../src/tickets.ts";
import { deferred, endWorlds, goodToken, makeWorld, now, sample, slowClaims } from "./kit.ts";

afterEach(endWorlds);

const good = goodToken("HS256", { jti: "one", exp: now + 3_600 });

/** Two routes behind tickets. */
function serve(options: Parameters<typeof makeWorld>[0] = {}) {
  const world = makeWorld(options as object);
  const { vel, jwt } = world;
  vel.with(jwt.guard({ from: "ticket" })).websocket("/ws/:room", {});
  const ask = async (path: string, connectOptions?: ConnectOptions): Promise<number | string> => {
    try {
      await connect(vel, path, connectOptions);
      return ([...vel.connections].at(-1)?.data as { userId: string }).userId;
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      return error.status;
    }
  };
  return { ...world, ask };
}

const limit = expect.objectContaining({ code: "ERR_VEL_LIMIT" }) as unknown;

describe("JwtHandler.ticket()", () => {
  it("Limit 11: gives 32 random bytes that let in once, with the user of the token", async () => {
    const { jwt, ask } = serve();
    const tickets = await Promise.all(Array.from({ length: 8 }, () => jwt.ticket(good, { path: "/ws/a" })));
    expect(new Set(tickets).size).toBe(8);
    for (const ticket of tickets) {
      expect(ticket).toMatch(/^[\w-]{43}$/);
      expect(await ask(`/ws/a?ticket=${ticket}`)).toBe("ada");
      expect(await ask(`/ws/a?ticket=${ticket}`), "a replay").toBe(401);
    }
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "ticket", result: "accepted" })).toBe(8);
    expect(sample(jwt, "vel_auth_attempts_total", { strategy: "ticket", result: "refused" })).toBe(8);
  });

  it("lets one of two in that come at once", async () => {
    const { jwt, ask } = serve();
    for (let round = 0; round < 20; round++) {
      const ticket = await jwt.ticket(good, { path: "/ws/a" });
      const outcomes = await Promise.all([ask(`/ws/a?ticket=${ticket}`), ask(`/ws/a?ticket=${ticket}`)]);
      expect(outcomes.sort()).toEqual([401, "ada"]);
    }
  });

  it("is bound to the path as the client writes it, and used up by a try elsewhere", async () => {
    const { jwt, ask } = serve();
    for (const path of ["/ws/b", "/ws/A", "/ws/%61", "/ws/a%20"]) {
      const ticket = await jwt.ticket(good, { path: "/ws/a" });
      expect(await ask(`${path}?ticket=${ticket}`), path).toBe(401);
      expect(await ask(`/ws/a?ticket=${ticket}`), path).toBe(401);
    }
    const ticket = await jwt.ticket(good, { path: "/ws/%61" });
    expect(await ask(`/ws/%61?x=1&ticket=${ticket}`)).toBe("ada");
  });

  it("is bound to the network of an address, where one is given", async () => {
    const { vel, jwt, ask } = serve();
    const v6 = { path: "/ws/a", address: "2001:db8:1:2:3:4:5:6" };
    expect(await ask(`/ws/a?ticket=${await jwt.ticket(good, v6)}`, { remote: { address: "2001:db8:1:2::7" } })).toBe(
      "ada",
    );
    expect(await ask(`/ws/a?ticket=${await jwt.ticket(good, v6)}`, { remote: { address: "2001:db8:1:3::7" } })).toBe(
      401,
    );
    const v4 = { path: "/ws/a", address: "192.0.2.7" };
    expect(await ask(`/ws/a?ticket=${await jwt.ticket(good, v4)}`, { remote: { address: "::ffff:192.0.2.7" } })).toBe(
      "ada",
    );
    expect(await ask(`/ws/a?ticket=${await jwt.ticket(good, v4)}`, { remote: { address: "192.0.2.8" } })).toBe(401);
    // Where the transport does not tell where a client comes from.
    const url = `/ws/a?ticket=${await jwt.ticket(good, v4)}`;
    const headers = new Headers({ host: "localhost" });
    const { signal } = new AbortController();
    const answer = await vel
      .bind(memoryTransport())
      .upgrade({ url, headers, remote: undefined, signal, raw: undefined });
    expect(answer).toMatchObject({ accept: false, status: 401 });
  });

  it("Limit 12: is good for 30 s, or as long as it was told, and never for longer than its token", async () => {
    const { jwt, ask, clock } = serve({ clockTolerance: 0 });
    const short = goodToken("HS256", { exp: now + 10 });
    const [one, two, three, four] = await Promise.all([
      jwt.ticket(good, { path: "/ws/a" }),
      jwt.ticket(good, { path: "/ws/a" }),
      jwt.ticket(good, { path: "/ws/a", lifetime: 40_000 }),
      jwt.ticket(short, { path: "/ws/a" }),
    ]);
    clock.shiftWall(86_400_000);
    await clock.advance(10_000);
    expect(await ask(`/ws/a?ticket=${four}`)).toBe(401);
    await clock.advance(19_999);
    expect(await ask(`/ws/a?ticket=${one}`)).toBe("ada");
    await clock.advance(1);
    expect(await ask(`/ws/a?ticket=${two}`)).toBe(401);
    expect(await ask(`/ws/a?ticket=${three}`)).toBe("ada");
  });

  it("begins a session that ends with the token", async () => {
    const { jwt, vel, clock } = serve({ clockTolerance: 0 });
    const client = await connect(vel, `/ws/a?ticket=${await jwt.ticket(goodToken("HS256"), { path: "/ws/a" })}`);
    await clock.advance(60_000);
    expect(client.closeInfo).toMatchObject({ code: 4401 });
  });

  it("dies with its token or its user", async () => {
    const { jwt, ask } = serve();
    const bob = goodToken("HS256", { sub: "bob", jti: "two" });
    const [ticket, other, third] = await Promise.all([
      jwt.ticket(good, { path: "/ws/a" }),
      jwt.ticket(goodToken("HS256", { jti: "three" }), { path: "/ws/a" }),
      jwt.ticket(bob, { path: "/ws/a" }),
    ]);
    jwt.revoke({ tokenId: "one" });
    expect(await ask(`/ws/a?ticket=${ticket}`)).toBe(401);
    jwt.revoke({ subject: "ada" });
    expect(await ask(`/ws/a?ticket=${other}`)).toBe(401);
    expect(await ask(`/ws/a?ticket=${third}`)).toBe("bob");
    await expect(jwt.ticket(good, { path: "/ws/a" })).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
  });

  it("stays dead when the revocation is forgotten", async () => {
    const { jwt, ask, clock } = serve();
    const give = () => jwt.ticket(good, { path: "/ws/a" });
    const [one, two] = await Promise.all([give(), give()]);
    jwt.revoke({ tokenId: "one" }, { keepFor: 1 });
    await clock.advance(1);
    const three = await give();
    expect(await ask(`/ws/a?ticket=${one}`)).toBe(401);
    jwt.revoke({ subject: "ada" }, { keepFor: 1 });
    await clock.advance(1);
    expect(await ask(`/ws/a?ticket=${two}`)).toBe(401);
    expect(await ask(`/ws/a?ticket=${three}`)).toBe(401);
  });

  it("dies also when its token is revoked while that is being checked", async () => {
    const gate = deferred();
    const { jwt } = serve({ claims: slowClaims(() => gate.promise) });
    const ticket = jwt.ticket(good, { path: "/ws/a" });
    const failed = expect(ticket).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    jwt.revoke({ tokenId: "one" });
    gate.resolve();
    await failed;
  });

  it("is given for good tokens only", async () => {
    const { jwt } = serve();
    for (const token of ["", "x", goodToken("HS256", { exp: 1 })]) {
      await expect(jwt.ticket(token, { path: "/ws/a" })).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    }
  });

  it("lets nothing in that is none", async () => {
    const { jwt, ask } = serve();
    const ticket = await jwt.ticket(good, { path: "/ws/a" });
    const wrong = [
      good,
      "",
      "x",
      "A".repeat(43),
      ticket.slice(1),
      `${ticket}A`,
      "__proto__",
      `${ticket}&ticket=${ticket}`,
    ];
    for (const each of wrong) expect(await ask(`/ws/a?ticket=${each}`), each).toBe(401);
    expect(await ask(`/ws/a?token=${ticket}`)).toBe(401);
    expect(await ask(`/ws/a?ticket=${ticket}`)).toBe("ada");
  });

  it("Limit 13: is given 16 times to one user, and more when one was used or has expired", async () => {
    const { jwt, ask, clock } = serve();
    const give = () => jwt.ticket(good, { path: "/ws/a" });
    const tickets: string[] = [];
    for (let index = 0; index < maxTicketsPerSubject; index++) tickets.push(await give());
    await expect(give()).rejects.toEqual(limit);
    await jwt.ticket(goodToken("HS256", { sub: "bob" }), { path: "/ws/a" });
    await ask(`/ws/a?ticket=${String(tickets[0])}`);
    await give();
    await expect(give()).rejects.toEqual(limit);
    await clock.advance(30_000);
    for (let index = 0; index < maxTicketsPerSubject; index++) await give();
    await expect(give()).rejects.toEqual(limit);
  });

  it("counts tokens without a user as one user's", async () => {
    const { jwt } = makeWorld({ requiredClaims: ["exp"] });
    const give = () => jwt.ticket(goodToken("HS256", { sub: undefined }), { path: "/ws/a" });
    for (let index = 0; index < maxTicketsPerSubject; index++) await give();
    await expect(give()).rejects.toEqual(limit);
  });

  it("Limit 14: is given 10,000 times to all, and more when some have expired", async () => {
    const { jwt, clock } = makeWorld();
    const tokens = Array.from({ length: maxTickets / maxTicketsPerSubject + 1 }, (_, index) =>
      goodToken("HS256", { sub: `user ${String(index)}` }),
    );
    const other = tokens.pop() ?? "";
    for (const token of tokens) {
      const lifetime = token === tokens[0] ? 1_000 : 30_000;
      const gives = Array.from({ length: maxTicketsPerSubject }, () => jwt.ticket(token, { path: "/ws", lifetime }));
      await Promise.all(gives);
    }
    await expect(jwt.ticket(other, { path: "/ws" })).rejects.toEqual(limit);
    await clock.advance(1_000);
    for (let index = 0; index < maxTicketsPerSubject; index++) await jwt.ticket(other, { path: "/ws" });
    await expect(jwt.ticket(goodToken("HS256"), { path: "/ws" })).rejects.toEqual(limit);
    expect(clock.pending, "no timer waits for tickets").toBe(0);
  });

  it("throws at options that are none, by name", async () => {
    const { jwt } = serve();
    const wrong: [string, object][] = [
      ["path", {}],
      ["path", { path: "" }],
      ["path", { path: "ws" }],
      ["path", { path: "/ws?a=1" }],
      ["path", { path: "/ws#a" }],
      ["path", { path: new URL("ws://localhost/ws") }],
      ["address", { path: "/ws", address: 7 }],
      ["lifetime", { path: "/ws", lifetime: 0 }],
      ["lifetime", { path: "/ws", lifetime: NaN }],
      ["lifetime", { path: "/ws", lifetime: "30000" }],
      ["lifetime", { path: "/ws", lifetime: null }],
    ];
    for (const [name, options] of wrong) {
      await expect(jwt.ticket(good, options as TicketOptions), name).rejects.toThrow(`Option "${name}"`);
    }
  });
});
