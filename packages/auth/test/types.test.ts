/** What the compiler promises: checked by `pnpm check:types`, not by running. */
import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { createVel, type Connection, type ProvidingGuard } from "@vel/core";
import { apiKey, JwtHandler, type GuardOptions, type Identity, type JwtClaims } from "@vel/auth";

/** Never called. */
async function typed(connection: Connection) {
  const secret = "0123456789abcdef0123456789abcdef";
  const jwt = new JwtHandler({ algorithms: ["HS256"], secret });
  const claims = z.object({ sub: z.string(), role: z.enum(["user", "admin"]).default("user") });
  const shaped = new JwtHandler({ algorithms: ["HS256"], secret, claims });
  type Shaped = z.output<typeof claims>;

  expectTypeOf(await jwt.verify("x")).toEqualTypeOf<JwtClaims>();
  expectTypeOf(await shaped.verify("x")).toEqualTypeOf<Shaped>();
  expectTypeOf(await shaped.refresh(connection, "x")).toEqualTypeOf<Shaped>();

  // The guard with the user and the claims.
  expectTypeOf(jwt.guard()).toEqualTypeOf<ProvidingGuard<unknown, Identity<JwtClaims>>>();
  expectTypeOf(shaped.guard({ from: "cookie" })).toEqualTypeOf<ProvidingGuard<unknown, Identity<Shaped>>>();
  const options: GuardOptions = {};
  expectTypeOf(jwt.guard(options)).toEqualTypeOf<ProvidingGuard<unknown, Identity<JwtClaims>>>();

  // The guard with data of its own, also when its options come in a variable.
  expectTypeOf(shaped.guard({ data: ({ role }) => ({ role }) })).toEqualTypeOf<
    ProvidingGuard<unknown, { role: "user" | "admin" }>
  >();
  const withData = { from: "header" as const, data: (each: Shaped) => ({ name: each.sub }) };
  expectTypeOf(shaped.guard(withData)).toEqualTypeOf<ProvidingGuard<unknown, { name: string }>>();

  const vel = createVel();
  vel.with(shaped.guard()).websocket("/ws", {
    open(each) {
      expectTypeOf(each.data.userId).toEqualTypeOf<string>();
      expectTypeOf(each.data.claims.role).toEqualTypeOf<"user" | "admin">();
      // @ts-expect-error the guard gives no such thing
      void each.data.name;
    },
  });
  vel.with(shaped.guard(withData)).websocket("/data", async (request) => {
    expectTypeOf(request.data.name).toEqualTypeOf<string>();
    const { data } = await request.accept({ data: { more: 1 } });
    expectTypeOf(data.name).toEqualTypeOf<string>();
    expectTypeOf(data.more).toEqualTypeOf<number>();
  });
  createVel()
    .use(jwt.guard())
    .websocket("/all", { open: (each) => expectTypeOf(each.data.userId).toEqualTypeOf<string>() });

  jwt.guard({ from: ["header", { cookie: "__Host-token" }, { query: "t" }, ({ headers }) => headers.get("x") ?? ""] });
  jwt.guard({ refuse: (request, why) => request.close(4001, why === "missing" ? "Missing" : "Invalid") });
  // @ts-expect-error there is no such source
  jwt.guard({ from: "body" });
  // @ts-expect-error whoever refuses answers
  jwt.guard({ refuse: () => undefined });
  // @ts-expect-error algorithms must be said
  new JwtHandler({ secret });
  // @ts-expect-error one kind of key
  new JwtHandler({ algorithms: ["HS256"], secret, jwks: "https://id.example.com/keys" });
  // @ts-expect-error that would be no check at all
  new JwtHandler({ algorithms: ["none"], secret });
  // @ts-expect-error one of the two
  jwt.revoke({});
  // @ts-expect-error for which path?
  await jwt.ticket("x", {});

  // API keys.
  expectTypeOf(apiKey({ keys: ["a"] })).toEqualTypeOf<ProvidingGuard<unknown, object>>();
  expectTypeOf(apiKey({ keys: new Map([["a", { program: "b" }]]) })).toEqualTypeOf<
    ProvidingGuard<unknown, { program: string }>
  >();
  expectTypeOf(apiKey({ find: () => Promise.resolve({ digest: "a", data: { program: 7 } }) })).toEqualTypeOf<
    ProvidingGuard<unknown, { program: number }>
  >();
  expectTypeOf(apiKey({ verify: (key) => (key === "a" ? { program: 7 } : undefined) })).toEqualTypeOf<
    ProvidingGuard<unknown, { program: number }>
  >();
  vel.with(apiKey({ keys: ["a"], refuse: (request) => request.close(4003, "Invalid API key") })).websocket("/keys", {});
  expectTypeOf(apiKey({ verify: (key) => key === "a" })).toEqualTypeOf<ProvidingGuard<unknown, object>>();
  // @ts-expect-error data is an object
  apiKey({ keys: new Map([["a", "billing"]]) });
  // @ts-expect-error data is an object
  apiKey({ verify: (key) => (key === "a" ? key : undefined) });
  // @ts-expect-error data is an object
  jwt.guard({ data: ({ sub }) => sub ?? "" });
  // @ts-expect-error one of the three
  apiKey({ keys: ["a"], verify: () => undefined });
}

describe("types", () => {
  it("tell what guards give", () => {
    expectTypeOf(typed).toBeFunction();
  });
});
