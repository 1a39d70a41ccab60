/** Who gets in, who is refused and why, and that every place is given back. */
import {
  createVel,
  reject,
  type Admission,
  type ErrorContext,
  type Routes,
  type UpgradeRequest,
  type Vel,
} from "@vel/core";
import {
  connectionLimit,
  type ConnectionLimit,
  type ConnectionLimitOptions,
  type LimitScope,
  type LimitStore,
} from "@vel/pool";
import { ManualClock, settle } from "@vel/testing";
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from "vitest";
import { come, enter, knock, measured, server, SlowStore, WatchedStore } from "./limit-kit.ts";

const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => void rejections.push(reason);
beforeAll(() => process.on("unhandledRejection", onRejection));
afterAll(async () => {
  await settle();
  process.off("unhandledRejection", onRejection);
  expect(rejections).toEqual([]);
});

/** A server behind a limit, what the limit told its listeners, and what is in its store. */
function setup(options: ConnectionLimitOptions, around: Parameters<typeof server>[0] = {}) {
  const { vel, clock, errors } = server(around);
  const store = new WatchedStore({ clock });
  const limit = connectionLimit({
    clock,
    store,
    onError: (error, { stage }) => void errors.push(`${stage}: ${String(error)}`),
    ...options,
  });
  const refused: string[] = [];
  limit.on("refuse", ({ remote }, scope, isEnforced) => {
    refused.push(`${remote?.address ?? "nobody"} ${scope}${isEnforced ? "" : " only reported"}`);
  });
  return { vel, clock, errors, store, limit, refused };
}

/** A route that does nothing. */
const idle = { message: () => undefined };

/** A guard that finds the user in the query. */
const byQuery = (request: UpgradeRequest) => ({ data: { userId: request.query.get("user") ?? "guest" } });

/** A guard that takes the user out of the first message. */
const byMessage = () => ({
  data: {} as { userId?: string },
  prepare: async (connection: { receiveText(): Promise<string> }) => ({ userId: await connection.receiveText() }),
});

const inUse = (limit: ConnectionLimit): number | undefined => measured(limit)["vel_limit_connections"];

describe("connectionLimit().measure()", () => {
  it.each([
    [{ perIp: 1, perUser: 1, total: 1 }, "total"],
    [{ perUser: 1 }, "user"],
    [{ attempts: { limit: 1, per: 1 } }, "attempts"],
  ])("counts everybody once, by the last of %j", (options, scope) => {
    const readings = [...connectionLimit(options).measure()].filter(({ name }) => name === "vel_limit_connections");
    expect(readings).toMatchObject([{ value: 0, labels: { scope } }]);
  });
});

describe("connectionLimit()", () => {
  it.each<[string, unknown, new () => Error]>([
    ['Option "total" or "perIp" or "perUser" or "attempts" must be given', {}, TypeError],
    ['Option "total" must be a positive integer, got 0', { total: 0 }, RangeError],
    ['Option "total" must be a positive integer, got Infinity', { total: Infinity }, RangeError],
    ['Option "perIp" must be a positive integer, got 1.5', { perIp: 1.5 }, RangeError],
    ['Option "perIp" must be a positive integer, got "10"', { perIp: "10" }, RangeError],
    ['Option "perIp" must be a positive integer, got null', { perIp: null }, RangeError],
    ['Option "perUser" must be a positive integer, got NaN', { perUser: NaN }, RangeError],
    ["Options of connectionLimit() must be an object, got undefined", undefined, TypeError],
    ["Options of connectionLimit() must be an object, got null", null, TypeError],
    ['Option "attempts" must be an object, got 5', { attempts: 5 }, TypeError],
    ['Option "attempts" must be an object, got 0', { attempts: 0 }, TypeError],
    ['Option "attempts" must be an object, got "5"', { attempts: "5" }, TypeError],
    [
      'Option "attempts.limit" must be a positive integer, got an object',
      { attempts: { limit: [], per: 1 } },
      RangeError,
    ],
    ['Option "store" must be an object, got null', { total: 1, store: null }, TypeError],
    [
      'Option "store" must have the functions take, release, attempt: it has no take',
      { total: 1, store: {} },
      TypeError,
    ],
    ["it has no release", { total: 1, store: { take: Number } }, TypeError],
    ["it has no attempt", { total: 1, store: { take: Number, release: Number, attempt: 1 } }, TypeError],
    ['Option "attempts.limit" must be a positive integer, got undefined', { attempts: { per: 1 } }, RangeError],
    ['Option "attempts.limit" must be a positive integer, got -1', { attempts: { limit: -1, per: 1 } }, RangeError],
    ['Option "attempts.per" must be a positive number of milliseconds', { attempts: { limit: 1 } }, RangeError],
    ['Option "attempts.per" must be a positive number', { attempts: { limit: 1, per: Infinity } }, RangeError],
    ['Option "attempts.per" must be a positive number', { attempts: { limit: 1, per: "1" } }, RangeError],
    ['Option "user" must come with "perUser"', { total: 1, user: () => "ada" }, TypeError],
    ['Option "user" must be a function, got string', { perUser: 1, user: "userId" }, TypeError],
    ['Option "retryAfter" must be a positive number of milliseconds', { total: 1, retryAfter: 0 }, RangeError],
    ['Option "retryAfter" must be a positive number', { total: 1, retryAfter: NaN }, RangeError],
    ['Option "mode" must be "enforce" or "report", got "off"', { total: 1, mode: "off" }, TypeError],
    ['Option "mode" must be "enforce" or "report", got "__proto__"', { total: 1, mode: "__proto__" }, TypeError],
  ])("throws %s for %j", (message, options, error) => {
    const make = (): ConnectionLimit => connectionLimit(options as ConnectionLimitOptions);
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });

  it("fits vel.use() and vel.with(), whose data keep their types", () => {
    const limit = connectionLimit({ perUser: 1 });
    const vel = createVel().use(limit);
    expectTypeOf(vel).toEqualTypeOf<Vel>();
    const known = createVel().use(() => ({ data: { userId: "ada" } }));
    expectTypeOf(known.use(limit)).toEqualTypeOf<Vel<{ userId: string }>>();
    expectTypeOf(known.with(limit)).toEqualTypeOf<Routes<{ userId: string }>>();
    known.with(limit).websocket("/ws", {
      open: ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<{ userId: string }>();
      },
    });
    limit.on("refuse", (request, scope, isEnforced) => {
      expectTypeOf(request).toEqualTypeOf<UpgradeRequest>();
      expectTypeOf(scope).toEqualTypeOf<LimitScope>();
      expectTypeOf(isEnforced).toBeBoolean();
    });
  });

  it("takes core's clock and reporter, a store of its own and 5 s by default", async () => {
    const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const { vel } = server();
    const limit = connectionLimit({ total: 1, attempts: { limit: 1_000_000, per: 1 } });
    limit.on("refuse", () => {
      throw new Error("listener");
    });
    vel.use(limit).websocket("/ws", idle);
    await enter(vel, "/ws");
    expect(await come(vel, "/ws")).toBe("503 5");
    expect(lines.mock.calls.map(([line]) => String(line).slice(0, 30))).toEqual(["vel: listener: Error: listener"]);
    lines.mockRestore();
  });
});

describe("connectionLimit({ total })", () => {
  it("Limit 19: total: refuses the next connection with 503, until one has ended", async () => {
    const { vel, limit, refused, store } = setup({ total: 2, retryAfter: 1_500 });
    vel.use(limit).websocket("/ws", idle);
    const first = await enter(vel, "/ws", "192.0.2.1");
    await enter(vel, "/ws", "192.0.2.2");
    expect(await come(vel, "/ws", "192.0.2.3")).toBe("503 2");
    expect(refused).toEqual(["192.0.2.3 total"]);
    expect(store.all).toEqual({ "total:all": 2 });
    first.close();
    await settle();
    await enter(vel, "/ws", "192.0.2.3");
    expect(await come(vel, "/ws", "192.0.2.4")).toBe("503 2");
  });

  it("takes nothing else from who is refused, not even for a moment", async () => {
    const { vel, limit, refused } = setup({ total: 1, perIp: 1 });
    vel.use(limit).websocket("/ws", idle);
    await enter(vel, "/ws", "192.0.2.1");
    const all = await Promise.all(Array.from({ length: 5 }, () => come(vel, "/ws", "192.0.2.2")));
    expect(all).toEqual(Array.from({ length: 5 }, () => "503 5"));
    expect(refused).toEqual(Array.from({ length: 5 }, () => "192.0.2.2 total"));
  });

  it("counts all routes of vel.use() together, and only those of vel.with()", async () => {
    const { vel, limit } = setup({ total: 1 });
    vel.websocket("/free", idle);
    const few = vel.with(limit);
    few.websocket("/a", idle).websocket("/b", idle);
    await enter(vel, "/a");
    expect(await come(vel, "/b")).toBe("503 5");
    await enter(vel, "/free");
  });
});

describe("connectionLimit({ perIp })", () => {
  it("Limit 20: per IP: refuses the next connection of an address with 429, until one has ended", async () => {
    const { vel, limit, refused, store } = setup({ perIp: 2 });
    vel.use(limit).websocket("/ws", idle);
    const clients = [await enter(vel, "/ws", "192.0.2.1"), await enter(vel, "/ws", "192.0.2.1")];
    expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 5");
    expect(refused).toEqual(["192.0.2.1 ip"]);
    await enter(vel, "/ws", "192.0.2.2");
    clients[0]?.drop();
    await settle();
    expect(store.all).toEqual({ "ip:192.0.2.1": 1, "ip:192.0.2.2": 1 });
    await enter(vel, "/ws", "192.0.2.1");
    expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 5");
  });

  it.each([
    [
      "one IPv6 network",
      [
        "2001:db8:1:2::1",
        "2001:DB8:1:2:ffff:ffff:ffff:ffff",
        "2001:0db8:0001:0002:0000:0000:0000:0003",
        "2001:db8:1:2::4%eth0",
        "2001:db8:1:2:0:0:192.0.2.1",
      ],
    ],
    ["one IPv4 address", ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207", "0:0:0:0:0:ffff:192.0.2.7"]],
    ["loopback", ["::1", "0:0:0:0:0:0:0:1", "::2"]],
    ["what is no address", ["nonsense", "nonsense"]],
    ["what is too long", ["x".repeat(43), `${"x".repeat(43)}y`, "x".repeat(100_000)]],
    ["__proto__", ["__proto__", "__proto__"]],
  ])("takes all spellings of %s for one", async (_, spellings) => {
    const { vel, limit, store } = setup({ perIp: 1 });
    vel.use(limit).websocket("/ws", idle);
    await enter(vel, "/ws", spellings[0]);
    for (const spelling of spellings) expect(await come(vel, "/ws", spelling)).toBe("429 5");
    expect(Object.keys(store.all)).toHaveLength(1);
  });

  it("tells other addresses apart", async () => {
    const { vel, limit, store } = setup({ perIp: 1 });
    vel.use(limit).websocket("/ws", idle);
    const all = ["192.0.2.1", "192.0.2.10", "2001:db8:1:2::1", "2001:db8:1:3::1", "::1", "::ffff:127.0.0.1", "", "1"];
    for (const address of all) await enter(vel, "/ws", address);
    expect(store.held.size).toBe(all.length);
  });

  it("does not apply to who has no address, unless a trusted proxy names one", async () => {
    const { vel, limit, store } = setup({ perIp: 1, attempts: { limit: 1, per: 1_000 } }, { trustProxy: 1 });
    vel.use(limit).websocket("/ws", idle);
    const socket = knock(vel, "/ws", undefined);
    for (let count = 0; count < 3; count++) {
      const answer = await socket.answer();
      expect(answer.accept).toBe(true);
      if (answer.accept) socket.host.abandon(answer);
    }
    expect(store.all).toEqual({});
    socket.headers.set("x-forwarded-for", "203.0.113.1, 198.51.100.7");
    const named = await socket.answer();
    expect(store.all).toEqual({ "ip:198.51.100.7": 1 });
    expect(await socket.answer()).toMatchObject({ accept: false, status: 429 });
    if (named.accept) socket.host.abandon(named);
    expect(store.all).toEqual({});
  });

  it("lets exactly so many of 1,000 in that come at once, also when what comes after takes its time", async () => {
    const { vel, limit, store } = setup({ perIp: 10, total: 25 });
    const waiting: (() => void)[] = [];
    vel
      .use(limit)
      .use(() => new Promise<void>((resolve) => waiting.push(resolve)))
      .websocket("/ws", idle);
    const all = Array.from({ length: 1_000 }, (_, index) => come(vel, "/ws", `192.0.2.${String(index % 4)}`));
    await settle();
    expect(waiting).toHaveLength(25);
    expect(store.all["total:all"]).toBe(25);
    for (const go of waiting) go();
    const outcomes = await Promise.all(all);
    const statuses = outcomes.map((outcome) => (typeof outcome === "string" ? outcome : "open"));
    const count = (status: string): number => statuses.filter((each) => each === status).length;
    // Of the first forty, ten of each address, 15 find no place in all; from then on addresses have between 5 and 10.
    expect(count("open")).toBe(25);
    expect(count("503 5") + count("429 5")).toBe(975);
    expect(vel.connections.size).toBe(25);
  });
});

describe("connectionLimit({ perUser })", () => {
  it("Limit 21: per user: refuses the next connection of a user with 429, wherever it comes from", async () => {
    const { vel, limit, store, refused } = setup({ perUser: 2 });
    vel.use(byQuery).use(limit).websocket("/ws", idle);
    const first = await enter(vel, "/ws?user=ada", "192.0.2.1");
    await enter(vel, "/ws?user=ada", "192.0.2.2");
    await enter(vel, "/ws?user=grace", "192.0.2.1");
    expect(await come(vel, "/ws?user=ada", "192.0.2.3")).toBe("429 5");
    expect(refused).toEqual(["192.0.2.3 user"]);
    expect(store.all).toEqual({ "user:ada": 2, "user:grace": 1 });
    first.close();
    await settle();
    await enter(vel, "/ws?user=ada", "192.0.2.3");
  });

  it("closes with 4429 where the first message says who the user is, before a handler starts", async () => {
    const { vel, limit, store, refused, errors } = setup({ perUser: 1, total: 3 });
    const opened: unknown[] = [];
    vel
      .use(byMessage)
      .use(limit)
      .websocket("/ws", { open: ({ data }) => void opened.push(data) });
    const ada = await enter(vel, "/ws", { early: ["ada"] });
    const other = await enter(vel, "/ws", { early: ["ada", "lost"] });
    expect(await other.closed).toMatchObject({ code: 4429, reason: "too many connections" });
    const grace = await enter(vel, "/ws");
    expect(store.all).toEqual({ "total:all": 2, "user:ada": 1 });
    grace.send("grace");
    await settle();
    expect(store.all).toEqual({ "total:all": 2, "user:ada": 1, "user:grace": 1 });
    expect(opened).toEqual([{ userId: "ada" }, { userId: "grace" }]);
    expect(refused).toEqual(["127.0.0.1 user"]);
    ada.close();
    grace.drop();
    await settle();
    expect(store.all).toEqual({});
    expect(errors).toEqual([]);
  });

  it("reads the user as option `user` says, also after a guard before it only prepares", async () => {
    const read: unknown[] = [];
    const user = (data: unknown): string | undefined => {
      read.push({ ...(data as object) });
      return (data as { account?: { id: string } }).account?.id;
    };
    const { vel, limit, store } = setup({ perUser: 1, user });
    vel
      .use((): Admission<object> => ({
        data: { userId: "ignored" },
        prepare: () => ({ account: { id: "__proto__" } }),
      }))
      .use(limit)
      .websocket("/ws", idle);
    await enter(vel, "/ws");
    expect(read).toEqual([{ userId: "ignored" }, { userId: "ignored", account: { id: "__proto__" } }]);
    expect(store.all).toEqual({ "user:__proto__": 1 });
    expect(await (await enter(vel, "/ws")).closed).toMatchObject({ code: 4429 });
  });

  it.each<[string, unknown]>([
    ["no data", undefined],
    ["data without userId", {}],
    ["a userId that is no string", { userId: 5 }],
  ])("fails loudly with %s: 1011, and ERR_VEL_STATE that names the option", async (_, data) => {
    const { vel, limit, store, errors } = setup({ perUser: 1, perIp: 1 });
    vel
      .use(() => (data ? { data } : {}))
      .use(limit)
      .websocket("/ws", idle);
    const client = await enter(vel, "/ws");
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/^prepare: VelError: Cannot limit by option "perUser": .* option "user"$/);
    expect(store.all).toEqual({});
  });

  it("Limit 28: user's id: is whole up to 256 characters; longer ones are refused loudly, and nothing is cut", async () => {
    const { vel, limit, store, errors } = setup({ perIp: 3, perUser: 1 });
    vel.with(byQuery).with(limit).websocket("/query", idle);
    vel.with(byMessage).with(limit).websocket("/message", idle);
    const [one, two] = ["1", "2"].map((end) => "x".repeat(255) + end);
    await enter(vel, `/query?user=${one!}`);
    await enter(vel, "/message", { early: [two!] });
    await settle();
    const held = { "ip:127.0.0.1": 2, [`user:${one!}`]: 1, [`user:${two!}`]: 1 };
    expect(store.all).toEqual(held);
    expect(await come(vel, `/query?user=${one!}3`)).toBe("500");
    expect(await (await enter(vel, "/message", { early: [`${two!}3`] })).closed).toMatchObject({ code: 1011 });
    const text = `Cannot limit by option "perUser": the user's id has 257 characters, 256 is the most`;
    expect(errors).toEqual([`guard: VelError: ${text}`, `prepare: VelError: ${text}`]);
    await settle();
    expect(store.all).toEqual(held);
    expect(inUse(limit)).toBe(2);
  });

  it("fails loudly when it comes before the guard that takes the user out of a message", async () => {
    const { vel, limit, errors } = setup({ perUser: 1 });
    vel.use(limit).use(byMessage).websocket("/ws", idle);
    expect(await (await enter(vel, "/ws", { early: ["ada"] })).closed).toMatchObject({ code: 1011 });
    expect(errors).toEqual([expect.stringContaining("Let the guard that does come first")]);
  });

  it("gives all back when `user` throws", async () => {
    const user = (): string => {
      throw new Error("user");
    };
    const { vel, limit, store, errors } = setup({ total: 1, perUser: 1, user });
    vel.use(limit).websocket("/ws", idle);
    expect(await come(vel, "/ws")).toBe("500");
    expect(errors).toEqual(["guard: Error: user"]);
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });

  it("gives back the place of who leaves while it is being prepared", async () => {
    const { vel, limit, store } = setup({ perUser: 1 });
    let go = (): void => undefined;
    vel
      .use(() => ({
        data: {},
        prepare: async () => {
          await new Promise<void>((resolve) => (go = resolve));
          return { userId: "ada" };
        },
      }))
      .use(limit)
      .websocket("/ws", idle);
    const client = await enter(vel, "/ws");
    client.drop();
    await settle();
    go();
    await settle();
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });
});

describe("connectionLimit({ attempts })", () => {
  it("Limit 22: attempts: refuses who tries too often with 429 and the true time, refused attempts included", async () => {
    const { vel, clock, limit, refused, store } = setup({ attempts: { limit: 3, per: 6_000 }, perIp: 1 });
    vel.use(limit).websocket("/ws", idle);
    await enter(vel, "/ws", "192.0.2.1");
    for (let count = 0; count < 2; count++) expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 5");
    expect(await come(vel, "/ws", "::ffff:192.0.2.1")).toBe("429 2");
    await enter(vel, "/ws", "192.0.2.2");
    await clock.advance(1_999);
    expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 1");
    await clock.advance(1);
    expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 5");
    expect(await come(vel, "/ws", "192.0.2.1")).toBe("429 2");
    expect(refused.map((line) => line.split(" ")[1])).toEqual(["ip", "ip", "attempts", "attempts", "ip", "attempts"]);
    expect(store.all).toEqual({ "ip:192.0.2.1": 1, "ip:192.0.2.2": 1 });
  });

  it("counts who is refused by later guards too", async () => {
    const { vel, limit } = setup({ attempts: { limit: 2, per: 1_000 } });
    vel
      .use(limit)
      .use((request) => request.reject(401))
      .websocket("/ws", idle);
    expect([await come(vel, "/ws"), await come(vel, "/ws"), await come(vel, "/ws")]).toEqual(["401", "401", "429 1"]);
  });

  it("does not count what core refuses before any guard runs", async () => {
    const { vel, limit } = setup({ attempts: { limit: 1, per: 1_000 } }, { maxConnections: 1 });
    vel.use(limit).websocket("/ws", idle);
    expect(await come(vel, "/nowhere")).toBe("404");
    expect(await come(vel, "/ws", { headers: { origin: "https://evil.example" } })).toBe("403");
    const client = await enter(vel, "/ws", "192.0.2.1");
    expect(await come(vel, "/ws")).toMatch(/^503/);
    client.close();
    await settle();
    (await enter(vel, "/ws")).close();
    await settle();
    expect(await come(vel, "/ws"), "the first that was counted was the only one").toBe("429 1");
  });

  it("does not let one address use up the total: who is refused on his own account holds nothing", async () => {
    const { vel, limit, store } = setup({ attempts: { limit: 50, per: 60_000 }, perIp: 2, total: 3 });
    const takes: string[] = [];
    const take = store.take.bind(store);
    store.take = (key, most) => (takes.push(key), take(key, most));
    vel.use(limit).websocket("/ws", idle);
    const hostile = await Promise.all(Array.from({ length: 200 }, () => come(vel, "/ws", "192.0.2.66")));
    expect(hostile.filter((outcome) => typeof outcome !== "string")).toHaveLength(2);
    expect(takes.filter((key) => key === "total:all")).toHaveLength(2);
    expect(takes).toHaveLength(52);
    await enter(vel, "/ws", "192.0.2.1");
    expect(store.all).toEqual({ "ip:192.0.2.66": 2, "ip:192.0.2.1": 1, "total:all": 3 });
    expect(await come(vel, "/ws", "192.0.2.2")).toBe("503 5");
    expect(store.all, "what was taken before is given back").not.toHaveProperty("ip:192.0.2.2");
  });
});

describe("connectionLimit(), places", () => {
  /** A limit of one place of each kind. */
  const one = () => setup({ total: 1, perIp: 1, perUser: 1, user: () => "ada" });
  const full = { "ip:127.0.0.1": 1, "user:ada": 1, "total:all": 1 };

  it("are given back when a later guard refuses, throws, rejects or closes, or a handler does", async () => {
    const { vel, limit, store } = one();
    const seen: unknown[] = [];
    const ways = vel.use(limit).use((request) => {
      seen.push(store.all);
      switch (request.query.get("guard")) {
        case "reject":
          return request.reject(403);
        case "throw refusal":
          throw reject(403);
        case "throw":
          throw new Error("guard");
        case "late":
          return Promise.resolve().then(() => request.reject(403));
        case "rejected":
          return Promise.reject(new Error("guard"));
        case "close":
          return request.close(4001);
        default:
          return undefined;
      }
    });
    ways.websocket("/pull", (request) => {
      if (request.query.get("handler") === "throw") throw new Error("handler");
      return request.query.get("handler") === "close" ? request.close(4001) : request.reject(403);
    });
    ways.websocket("/hooks", { upgrade: (request) => request.reject(403) });
    const paths = ["reject", "throw refusal", "throw", "late", "rejected", "close"].map(
      (way) => `/pull?guard=${encodeURIComponent(way)}`,
    );
    for (const path of [...paths, "/pull?handler=throw", "/pull?handler=close", "/pull", "/hooks"]) {
      const outcome = await come(vel, path);
      if (typeof outcome !== "string") await outcome.closed;
      await settle();
      expect(store.all, path).toEqual({});
      expect(inUse(limit), path).toBe(0);
    }
    expect(seen).toEqual(Array.from({ length: 10 }, () => full));
  });

  it("are given back however the connection ends, once it has", async () => {
    const { vel, clock, limit, store } = one();
    vel.use(limit).websocket("/ws", {
      message: (connection, message) => {
        if (message === "close") connection.close();
        else if (message === "terminate") connection.terminate();
        else throw new Error("handler");
      },
    });
    for (const way of ["close", "terminate", "throw", "client closes", "client drops"]) {
      const client = await enter(vel, "/ws");
      expect(store.all).toEqual(full);
      expect(inUse(limit)).toBe(1);
      if (way === "client closes") client.close();
      else if (way === "client drops") client.drop();
      else client.send(way);
      await settle();
      expect(store.all, way).toEqual({});
      expect(inUse(limit), way).toBe(0);
    }
    // A peer that does not answer the close has its socket still, and its place.
    const silent = await enter(vel, "/ws");
    silent.socket.isSilent = true;
    silent.send("close");
    await settle();
    expect(store.all).toEqual(full);
    await clock.advance(1_000);
    expect(store.all).toEqual({});
  });

  it("are given back when the client leaves at any moment before its socket is open", async () => {
    for (const when of ["before", "limit", "guard", "handler", "accepted"]) {
      const { vel, limit, store } = one();
      const abort = new AbortController();
      const leave = async (moment: string): Promise<void> => {
        if (when === moment) abort.abort();
        await Promise.resolve();
      };
      const ways = vel
        .use(() => leave("limit"))
        .use(limit)
        .use(() => leave("guard"));
      ways.websocket("/ws", async (request) => {
        await leave("handler");
        await request.accept().catch(() => undefined);
      });
      if (when === "before") abort.abort();
      const { host, answer } = knock(vel, "/ws", { address: "127.0.0.1" }, abort.signal);
      const given = await answer();
      if (when === "accepted") {
        expect(store.all).toEqual(full);
        abort.abort();
        if (given.accept) host.abandon(given); // an adapter may say so too
      }
      await settle();
      expect(store.all, when).toEqual({});
      expect(inUse(limit), when).toBe(0);
    }
  });

  it("are given back when an adapter abandons the request, or says nothing for too long", async () => {
    const { vel, clock, limit, store } = one();
    vel.use(limit).websocket("/ws", idle);
    const { host, answer } = knock(vel, "/ws", { address: "127.0.0.1" });
    const abandoned = await answer();
    expect(store.all).toEqual(full);
    for (let count = 0; count < 2; count++) if (abandoned.accept) host.abandon(abandoned);
    expect(store.all).toEqual({});
    expect((await answer()).accept).toBe(true);
    expect(store.all).toEqual(full);
    await clock.advance(5_000);
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });

  it("are given back when guards take too long, and when the server closes meanwhile", async () => {
    const { vel, clock, limit, store, errors } = one();
    vel
      .use(limit)
      .use(() => new Promise<undefined>(() => undefined))
      .websocket("/ws", idle);
    const slow = come(vel, "/ws");
    await settle();
    expect(store.all).toEqual(full);
    await clock.advance(5_000);
    expect(await slow).toBe("503 1");
    expect(store.all).toEqual({});
    expect(errors).toHaveLength(1);
    const closing = come(vel, "/ws");
    await settle();
    expect(store.all).toEqual(full);
    const closed = vel.close();
    await clock.advance(1_000);
    await closed;
    expect(await closing).toBe("503 1");
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });

  it("of 100,000 addresses are as many as there are connections, and gone when those are", () => {
    const store = new WatchedStore({ clock: new ManualClock() });
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const limit = connectionLimit({ perIp: 1, total: 200_000, attempts: { limit: 1, per: 1_000 }, store, onError });
    limit.on("refuse", () => expect.fail("nobody comes twice"));
    const releases: (() => void)[] = [];
    for (let index = 0; index < 100_000; index++) {
      const v4 = `10.${[16, 8, 0].map((bits) => (index >> bits) & 255).join(".")}`;
      const address = index % 2 ? v4 : `2001:db8:${(index >> 8).toString(16)}:${(index & 255).toString(16)}::1`;
      const defer = (release: () => void): void => void releases.push(release);
      void limit({ remote: { address }, data: {}, defer, reject } as unknown as UpgradeRequest);
    }
    // One fits less: the total has a key of its own.
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_VEL_LIMIT" })]);
    expect(store.held.size).toBe(100_000);
    expect(measured(limit)).toMatchObject({ vel_limit_connections: 100_000, vel_limit_store_failures_total: 1 });
    expect(measured(store)).toMatchObject({ "vel_limit_keys{places}": 100_000, "vel_limit_keys{attempts}": 100_000 });
    for (const release of releases) release();
    expect(store.all).toEqual({});
    expect(measured(store)).toMatchObject({ "vel_limit_keys{places}": 0 });
    expect(inUse(limit)).toBe(0);
  });
});

describe("connectionLimit({ mode: 'report' })", () => {
  it("lets everybody in, counts them truly, and tells whom it would have refused", async () => {
    const { vel, limit, store, refused } = setup({
      mode: "report",
      total: 2,
      perIp: 1,
      attempts: { limit: 2, per: 1_000 },
    });
    vel.use(limit).websocket("/ws", idle);
    const clients = [];
    for (let count = 0; count < 3; count++) clients.push(await enter(vel, "/ws", "192.0.2.1"));
    const [ip, attempts, total] = ["ip", "attempts", "total"].map((scope) => `192.0.2.1 ${scope} only reported`);
    expect(refused).toEqual([ip, attempts, ip, total]);
    expect(store.all).toEqual({ "ip:192.0.2.1": 3, "total:all": 3 });
    expect(measured(limit)).toMatchObject({
      vel_limit_connections: 3,
      "vel_limit_rejections_total{ip,report}": 2,
      "vel_limit_rejections_total{attempts,report}": 1,
      "vel_limit_rejections_total{total,report}": 1,
    });
    for (const client of clients) client.close();
    await settle();
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });

  it("lets in who is known by the first message too", async () => {
    const { vel, limit, store, refused } = setup({ mode: "report", perUser: 1 });
    vel.use(byMessage).use(limit).websocket("/ws", idle);
    for (let count = 0; count < 2; count++) await enter(vel, "/ws", { early: ["ada"] });
    await settle();
    expect(vel.connections.size).toBe(2);
    expect(refused).toEqual(["127.0.0.1 user only reported"]);
    expect(store.all).toEqual({ "user:ada": 2 });
  });
});

describe("connectionLimit({ mode: 'report' }), users who cannot be limited", () => {
  // A dry run once closed everybody who was not signed in.
  it("are let in, and reported with the stage `limit`", async () => {
    const { vel, limit, store, errors, refused } = setup({ mode: "report", perIp: 10, perUser: 1 });
    vel
      .with(() => ({ data: {} }))
      .with(limit)
      .websocket("/anonymous", idle);
    vel.with(byQuery).with(limit).websocket("/query", idle);
    vel.with(byMessage).with(limit).websocket("/message", idle);
    const long = "x".repeat(257);
    const clients = [await enter(vel, "/anonymous"), await enter(vel, `/query?user=${long}`)];
    clients.push(await enter(vel, "/message", { early: [long] }));
    await settle();
    expect(vel.connections.size).toBe(3);
    expect(store.all).toEqual({ "ip:127.0.0.1": 3 });
    expect(refused).toEqual([]);
    expect(errors).toEqual([
      expect.stringMatching(/^limit: VelError: .* nobody knows the user/),
      expect.stringMatching(/^limit: VelError: .* has 257 characters/),
      expect.stringMatching(/^limit: VelError: .* has 257 characters/),
    ]);
    for (const client of clients) client.close();
    await settle();
    expect(store.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });
});

describe("connectionLimit({ store })", () => {
  // Some clients of databases answer with promises of their own: those once counted as an answer that is no number, and
  // everybody was refused.
  it("waits for whatever has a `then`, and lets in when that fails", async () => {
    const inner = new WatchedStore();
    let isDown = false;
    const later = <T>(act: () => T): Promise<T> => {
      const answer = isDown ? Promise.reject<T>(new Error("down")) : Promise.resolve().then(act);
      const thenable: PromiseLike<T> = { then: (...args) => answer.then(...args) };
      return thenable as Promise<T>;
    };
    const store: LimitStore = {
      take: (key, most) => later(() => inner.take(key, most)),
      release: (key) => {
        const release = (): void => {
          inner.release(key);
        };
        return later(release);
      },
      attempt: (key, rate) => later(() => inner.attempt(key, rate)),
    };
    const { vel, limit, errors } = setup({ perIp: 1, attempts: { limit: 100, per: 1_000 }, store });
    vel.use(limit).websocket("/ws", idle);
    const client = await enter(vel, "/ws");
    expect(await come(vel, "/ws")).toBe("429 5");
    expect(inner.all).toEqual({ "ip:127.0.0.1": 1 });
    isDown = true;
    await enter(vel, "/ws");
    expect(errors).toEqual(["store: Error: down"]);
    isDown = false;
    client.close();
    await settle();
    expect(inner.all).toEqual({});
    expect(measured(limit)).toMatchObject({ vel_limit_connections: 1, vel_limit_store_failures_total: 2 });
  });

  it("waits for a store that takes its time, and holds as many as it says", async () => {
    const slow = new SlowStore(new WatchedStore());
    const { vel, limit } = setup({ perIp: 2, total: 3, attempts: { limit: 100, per: 1_000 }, store: slow });
    vel.use(limit).websocket("/ws", idle);
    const all = Array.from({ length: 10 }, (_, index) => come(vel, "/ws", `192.0.2.${String(index % 2)}`));
    await slow.answer();
    const outcomes = await Promise.all(all);
    const clients = outcomes.filter((outcome) => typeof outcome !== "string");
    expect(clients).toHaveLength(3);
    expect(slow.inner.all["total:all"]).toBe(3);
    for (const client of clients) client.drop();
    await slow.answer();
    expect(slow.inner.all).toEqual({});
    expect(inUse(limit)).toBe(0);
  });

  it("gives back what a store grants after the request is over, and asks for the user's place late as well", async () => {
    const slow = new SlowStore(new WatchedStore());
    const { vel, clock, limit } = setup({ perIp: 1, total: 1, store: slow });
    vel.use(limit).websocket("/ws", idle);
    const late = come(vel, "/ws");
    await clock.advance(5_000);
    expect(await late).toBe("503 1");
    const abort = new AbortController();
    const left = knock(vel, "/ws", { address: "192.0.2.2" }, abort.signal).answer();
    abort.abort();
    await slow.answer();
    await left;
    expect(slow.inner.all).toEqual({});
    expect(slow.waiting).toEqual([]);
    expect(inUse(limit)).toBe(0);
  });

  it("closes and gives back a late place of a user, too", async () => {
    const slow = new SlowStore(new WatchedStore());
    const { vel, limit } = setup({ perUser: 1, store: slow });
    vel.use(byMessage).use(limit).websocket("/ws", idle);
    const first = await enter(vel, "/ws", { early: ["ada"] });
    await slow.answer();
    expect(slow.inner.all).toEqual({ "user:ada": 1 });
    const second = await enter(vel, "/ws", { early: ["ada"] });
    await slow.answer();
    expect(await second.closed).toMatchObject({ code: 4429 });
    const third = await enter(vel, "/ws", { early: ["grace"] });
    await settle();
    third.drop();
    await slow.answer();
    expect(slow.inner.all).toEqual({ "user:ada": 1 });
    first.drop();
    await slow.answer();
    expect(slow.inner.all).toEqual({});
  });

  it.each<[string, () => never | Promise<never>]>([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
  ])("lets in when the store %s, says so once until it works again, and counts", async (_, fail) => {
    const inner = new WatchedStore();
    let isDown = true;
    const store: LimitStore = {
      take: (key, most) => (isDown ? fail() : inner.take(key, most)),
      release: (key) => (isDown ? fail() : inner.release(key)),
      attempt: (key, rate) => (isDown ? fail() : inner.attempt(key, rate)),
    };
    const { vel, limit, errors } = setup({ perIp: 1, total: 1, attempts: { limit: 100, per: 1_000 }, store });
    vel.use(limit).websocket("/ws", idle);
    const clients = [await enter(vel, "/ws"), await enter(vel, "/ws")];
    expect(errors).toEqual(["store: Error: down"]);
    expect(measured(limit)).toMatchObject({ vel_limit_connections: 2, vel_limit_store_failures_total: 6 });
    isDown = false;
    clients.push(await enter(vel, "/ws"));
    expect(await come(vel, "/ws")).toBe("429 5");
    expect(inner.all).toEqual({ "ip:127.0.0.1": 1, "total:all": 1 });
    // Who was let in without a place gives none back.
    clients[0]?.drop();
    await settle();
    expect(inner.all).toEqual({ "ip:127.0.0.1": 1, "total:all": 1 });
    isDown = true;
    clients[2]?.drop();
    await settle();
    expect(errors).toEqual(["store: Error: down", "store: Error: down"]);
    expect(measured(limit)).toMatchObject({ vel_limit_connections: 1, vel_limit_store_failures_total: 8 });
  });

  it("survives an onError that throws or rejects", async () => {
    const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const fail = () => Promise.reject(new Error());
    const failing = { take: fail, release: fail, attempt: fail };
    for (const onError of [
      () => {
        throw new Error("onError");
      },
      (() => Promise.reject(new Error("onError"))) as (error: unknown, context: ErrorContext) => void,
      // Somebody's own kind of promise.
      () => ({
        then: (_: unknown, no: (error: Error) => void) => {
          no(new Error("onError"));
        },
      }),
    ]) {
      const { vel, limit } = setup({ total: 1, onError, store: failing });
      vel.use(limit).websocket("/ws", idle);
      await enter(vel, "/ws");
      await settle();
    }
    expect(lines).toHaveBeenCalledTimes(6);
    lines.mockRestore();
  });

  it("counts together for all limits that share it", async () => {
    const { vel, clock } = server();
    const store = new WatchedStore({ clock });
    vel.with(connectionLimit({ perIp: 1, store })).websocket("/a", idle);
    vel.with(connectionLimit({ perIp: 2, store })).websocket("/b", idle);
    await enter(vel, "/a");
    await enter(vel, "/b");
    expect([await come(vel, "/a"), await come(vel, "/b")]).toEqual(["429 5", "429 5"]);
  });
});

describe("ConnectionLimit.measure()", () => {
  it("reads limits, connections, rejections, failures, and the tables of a store of its own", async () => {
    const { vel, clock } = server();
    const limit = connectionLimit({ clock, total: 3, perIp: 1, perUser: 2, attempts: { limit: 5, per: 1_000 } });
    vel.use(byQuery).use(limit).websocket("/ws", idle);
    await enter(vel, "/ws?user=ada", "192.0.2.1");
    await come(vel, "/ws?user=ada", "192.0.2.1");
    await enter(vel, "/ws?user=ada", "192.0.2.2");
    await come(vel, "/ws?user=ada", "192.0.2.3");
    expect(measured(limit)).toEqual({
      "vel_connection_limit{attempts}": 5,
      "vel_connection_limit{ip}": 1,
      "vel_connection_limit{user}": 2,
      "vel_connection_limit{total}": 3,
      "vel_limit_rejections_total{attempts,enforce}": 0,
      "vel_limit_rejections_total{ip,enforce}": 1,
      "vel_limit_rejections_total{user,enforce}": 1,
      "vel_limit_rejections_total{total,enforce}": 0,
      vel_limit_connections: 2,
      vel_limit_store_failures_total: 0,
      "vel_limit_keys{places}": 4,
      "vel_limit_keys{attempts}": 3,
      vel_limit_uncounted_total: 0,
    });
  });

  it("reads only what is limited, and not a store that somebody else has too", () => {
    const { limit } = setup({ total: 3, mode: "report" });
    expect(measured(limit)).toEqual({
      "vel_connection_limit{total}": 3,
      "vel_limit_rejections_total{total,report}": 0,
      vel_limit_connections: 0,
      vel_limit_store_failures_total: 0,
    });
  });
});

describe("ConnectionLimit.on()", () => {
  it("can be taken back; what a listener throws goes to onError, and the request is refused all the same", async () => {
    const { vel, limit, errors, refused } = setup({ total: 1 });
    const off = limit.on("refuse", () => {
      throw new Error("listener");
    });
    vel.use(limit).websocket("/ws", idle);
    await enter(vel, "/ws");
    expect(await come(vel, "/ws")).toBe("503 5");
    off();
    expect(await come(vel, "/ws")).toBe("503 5");
    expect(errors).toEqual(["listener: Error: listener"]);
    expect(refused).toHaveLength(2);
  });
});
