import { JwtHandler } from "@vel/auth";
import { connect, ManualClock, settle, type ConnectOptions } from "@vel/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { authenticated } from "../src/authenticated.ts";
import { setUp } from "./kit.ts";

const secret = "a secret of at least thirty-two bytes";
const minute = 60_000;

function start() {
  const clock = new ManualClock();
  const jwt = new JwtHandler({ secret, algorithms: ["HS256"], clock });
  onTestFinished(() => {
    jwt.close();
    expect(clock.pending).toBe(0);
  });
  const onError = vi.fn();
  const { vel, said } = setUp((vel) => authenticated(vel, { jwt }), { clock, onError });
  const tokenOf = (subject: string): Promise<string> => jwt.sign({}, { subject, expiresIn: minute });
  return { vel, said, clock, jwt, onError, tokenOf };
}

/** Tokens that are not good, whatever the reason. */
const bad = {
  "no token at all": () => Promise.resolve("x.y.z"),
  "a token of another secret": () =>
    new JwtHandler({ secret: secret.toUpperCase(), algorithms: ["HS256"], clock: new ManualClock() }) //
      .sign({}, { subject: "ada", expiresIn: minute }),
  "a token without a user": () =>
    new JwtHandler({ secret, algorithms: ["HS256"], requiredClaims: [], clock: new ManualClock() }) //
      .sign({}, { expiresIn: minute }),
  "a token that has expired": async (jwt: JwtHandler, clock: ManualClock) => {
    const token = await jwt.sign({}, { subject: "ada", expiresIn: minute });
    await clock.advance(10 * minute);
    return token;
  },
  "a token that was altered": async (jwt: JwtHandler) => {
    const [header, , signature] = (await jwt.sign({}, { subject: "ada", expiresIn: minute })).split(".");
    const claims = { sub: "root", exp: Date.UTC(2027, 0) / 1_000 };
    return [header, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
  },
  "a token that nobody signed": () => {
    const parts = [{ alg: "none" }, { sub: "ada", exp: Date.UTC(2027, 0) / 1_000 }];
    return Promise.resolve(
      `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.`,
    );
  },
};

describe("JWT Authentication, by hand", () => {
  it("answers in the user's name, and says when the user is gone", async () => {
    const { vel, said, tokenOf } = start();
    const ada = await connect(vel, `/ws/authenticated?token=${await tokenOf("ada")}`);
    const bob = await connect(vel, `/ws/authenticated?token=${await tokenOf("bob")}`);
    for (const text of ["hello", "", "Grüße 👋"]) {
      for (const client of [ada, bob]) client.send(text);
      expect(await ada.receiveText()).toBe(`Authenticated user ada: ${text}`);
      expect(await bob.receiveText()).toBe(`Authenticated user bob: ${text}`);
    }
    expect(said).toEqual([]);
    ada.close();
    await settle();
    bob.drop();
    await settle();
    expect(said).toEqual(["Authenticated user ada disconnected", "Authenticated user bob disconnected"]);
  });

  it.each([
    ["nowhere", "/ws/authenticated", {}],
    ["empty", "/ws/authenticated?token=", {}],
    ["in a header only", "/ws/authenticated", { headers: { authorization: "Bearer x.y.z" } }],
  ])("closes with 4001 when the token is %s", async (_name, path, options: ConnectOptions) => {
    const { vel, said } = start();
    const client = await connect(vel, path, options);
    expect(await client.closed).toMatchObject({ code: 4001, reason: "Missing authentication token", by: "remote" });
    expect(said).toEqual([]);
  });

  it.each(Object.entries(bad))("closes with 4001 at %s", async (_name, make) => {
    const { vel, said, jwt, clock, onError } = start();
    const client = await connect(vel, `/ws/authenticated?token=${await make(jwt, clock)}`);
    expect(await client.closed).toMatchObject({ code: 4001, reason: "Invalid token", by: "remote" });
    expect([said, onError.mock.calls]).toEqual([[], []]);
  });

  it("does not blame the client when its token cannot be checked", async () => {
    const { vel, jwt, onError, tokenOf } = start();
    const token = await tokenOf("ada");
    jwt.close();
    await expect(connect(vel, `/ws/authenticated?token=${token}`)).rejects.toMatchObject({ status: 500 });
    const error = expect.objectContaining({ code: "ERR_VEL_KEYS" }) as unknown;
    expect(onError).toHaveBeenCalledExactlyOnceWith(error, expect.anything());
  });

  it("keeps a connection longer than its token", async () => {
    const { vel, clock, tokenOf } = start();
    const client = await connect(vel, `/ws/authenticated?token=${await tokenOf("ada")}`);
    await clock.advance(10 * minute);
    client.send("still here");
    expect(await client.receiveText()).toBe("Authenticated user ada: still here");
  });
});

describe("JWT Authentication, by guard", () => {
  const path = "/ws/authenticated/guard";
  const inHeader = (token: string): ConnectOptions => ({ headers: { authorization: `Bearer ${token}` } });

  it.each([
    ["in a header", inHeader],
    ["as a subprotocol", (token: string): ConnectOptions => ({ protocols: ["bearer", token] })],
  ])("answers in the user's name to a token %s", async (_name, carry) => {
    const { vel, said, tokenOf } = start();
    const client = await connect(vel, path, carry(await tokenOf("ada")));
    client.send("hello");
    expect(await client.receiveText()).toBe("Authenticated user ada: hello");
    client.close();
    await settle();
    expect(said).toEqual(["Authenticated user ada disconnected"]);
  });

  it.each(["", "?token="])("refuses with 401 who has none where it is looked for: %s", async (query) => {
    const { vel, tokenOf } = start();
    const token = query && (await tokenOf("ada"));
    const refused: unknown = await connect(vel, path + query + token).catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 401 });
    expect((refused as { headers: Headers }).headers.get("www-authenticate")).toMatch(/^Bearer/);
  });

  it.each(Object.entries(bad))("refuses with 401 at %s", async (_name, make) => {
    const { vel, jwt, clock } = start();
    const options = inHeader(await make(jwt, clock));
    await expect(connect(vel, path, options)).rejects.toMatchObject({ status: 401 });
  });

  it("closes with 4401 when the token expires", async () => {
    const { vel, said, clock, tokenOf } = start();
    const client = await connect(vel, path, inHeader(await tokenOf("ada")));
    await clock.advance(minute - 1);
    expect(client.isOpen).toBe(true);
    await clock.advance(minute);
    expect(await client.closed).toMatchObject({ code: 4401, by: "remote" });
    expect(said).toEqual(["Authenticated user ada disconnected"]);
  });
});
