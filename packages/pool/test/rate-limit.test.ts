/** What passes, what is stopped, and who is told. */
import { createVel, type Connection, type Inspector, type Vel } from "@vel/core";
import { rateLimit, type Excess, type RateLimitOptions } from "@vel/pool";
import { settle } from "@vel/testing";
import { describe, expect, expectTypeOf, it, vi } from "vitest";
import { enter, measured, server } from "./limit-kit.ts";

/** A server behind a limit that keeps what reaches its handler, and what the limit told its listeners. */
function setup(options: RateLimitOptions) {
  const { vel, clock, errors } = server();
  const limit = rateLimit({
    clock,
    onError: (error, { stage }) => void errors.push(`${stage}: ${String(error)}`),
    ...options,
  });
  const excesses: Excess[] = [];
  limit.on("exceed", (connection, excess) => {
    expect(connection.isOpen).toBe(true);
    excesses.push(excess);
  });
  const received: unknown[] = [];
  vel.use(limit).websocket("/ws", {
    message: (_, message) => void received.push(typeof message === "string" ? message : message.length),
  });
  return { vel, clock, errors, limit, excesses, received };
}

const texts = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

describe("rateLimit()", () => {
  it.each<[string, unknown, new () => Error]>([
    ["Options of rateLimit() must be an object, got undefined", undefined, TypeError],
    ['Options of rateLimit() must be an object, got "fast"', "fast", TypeError],
    ['Option "messages" or "bytes" must be given', { per: 1 }, TypeError],
    ['Option "messages" must be a positive integer, got 0', { messages: 0, per: 1 }, RangeError],
    ['Option "messages" must be a positive integer, got 0.5', { messages: 0.5, per: 1 }, RangeError],
    ['Option "bytes" must be a positive integer, got -1', { bytes: -1, per: 1 }, RangeError],
    ['Option "bytes" must be a positive integer, got "1"', { bytes: "1", per: 1 }, RangeError],
    ['Option "burst" must be a positive integer, got NaN', { messages: 1, burst: NaN, per: 1 }, RangeError],
    [
      'Option "burstBytes" must be a positive integer, got Infinity',
      { bytes: 1, burstBytes: Infinity, per: 1 },
      RangeError,
    ],
    ['Option "per" must be a positive number of milliseconds, got undefined', { messages: 1 }, RangeError],
    ['Option "per" must be a positive number of milliseconds, got 0', { messages: 1, per: 0 }, RangeError],
    ['Option "burst" must come with "messages"', { bytes: 1, burst: 1, per: 1 }, TypeError],
    ['Option "burstBytes" must come with "bytes"', { messages: 1, burstBytes: 1, per: 1 }, TypeError],
    [
      'Option "onExceed" must be "close" or "drop", got "report"',
      { messages: 1, per: 1, onExceed: "report" },
      TypeError,
    ],
    ['Option "mode" must be "enforce" or "report", got null', { messages: 1, per: 1, mode: null }, TypeError],
  ])("throws %s for %j", (message, options, error) => {
    const make = (): Inspector => rateLimit(options as RateLimitOptions);
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });

  it("fits vel.use(), which keeps its type", () => {
    const limit = rateLimit({ messages: 1, per: 1 });
    expectTypeOf(createVel().use(limit)).toEqualTypeOf<Vel>();
    limit.on("exceed", (connection, excess) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>();
      expectTypeOf(excess).toEqualTypeOf<Excess>();
    });
  });

  it("takes core's clock and reporter by default", async () => {
    const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const { vel } = server();
    const limit = rateLimit({ messages: 1, per: 1e9 });
    limit.on("exceed", () => {
      throw new Error("listener");
    });
    vel.use(limit).websocket("/ws", {});
    const client = await enter(vel, "/ws");
    client.send("1");
    client.send("2");
    expect((await client.closed).reason).toMatch(/^retry after (9999\d{5}|1000000000) ms$/);
    expect(lines.mock.calls.map(([line]) => String(line).slice(0, 30))).toEqual(["vel: listener: Error: listener"]);
    lines.mockRestore();
  });
});

describe("rateLimit({ onExceed: 'close' })", () => {
  it("Limit 23: message rate: closes with 4429 and the time until there is room again", async () => {
    const { vel, clock, limit, received, excesses } = setup({ messages: 4, per: 6_000 });
    const client = await enter(vel, "/ws");
    for (const text of texts(1, 4)) client.send(text);
    await settle();
    await clock.advance(700);
    client.send("5");
    client.send("6");
    expect(await client.closed).toMatchObject({ code: 4429, reason: "retry after 800 ms", by: "remote" });
    expect(Number(/retry after (\d+) ms/.exec((await client.closed).reason)?.[1])).toBe(800);
    expect(received).toEqual(texts(1, 4));
    expect(excesses).toEqual([{ retryAfter: 800, isDropped: true }]);
    expect(measured(limit)).toEqual({
      "vel_rate_limit_exceeded_total{close}": 1,
      "vel_rate_limit_exceeded_total{drop}": 0,
      "vel_rate_limit_exceeded_total{report}": 0,
    });
  });

  it("lets through who keeps to the rate, for ever, and the whole burst after silence", async () => {
    const { vel, clock, received } = setup({ messages: 2, per: 1_000, burst: 5 });
    const client = await enter(vel, "/ws");
    for (let round = 0; round < 100; round++) {
      client.send("steady");
      await clock.advance(500);
    }
    await clock.advance(2_000);
    for (const text of texts(1, 5)) client.send(text);
    await settle();
    expect(client.isOpen).toBe(true);
    expect(received).toHaveLength(105);
    client.send("6");
    expect(await client.closed).toMatchObject({ code: 4429, reason: "retry after 500 ms" });
  });

  it("counts each connection by itself, and anew", async () => {
    const { vel, received } = setup({ messages: 1, per: 1_000 });
    const [one, other] = [await enter(vel, "/ws"), await enter(vel, "/ws")];
    one.send("one");
    other.send("other");
    one.send("too many");
    expect(await one.closed).toMatchObject({ code: 4429 });
    expect(other.isOpen).toBe(true);
    (await enter(vel, "/ws")).send("again");
    await settle();
    expect(received).toEqual(["one", "other", "again"]);
  });

  it("rounds the time up, so that who waits so long gets through", async () => {
    const { vel, clock, excesses, received } = setup({ messages: 3, per: 1_000, onExceed: "drop" });
    const client = await enter(vel, "/ws");
    for (const text of texts(1, 4)) client.send(text);
    await settle();
    expect(excesses).toEqual([{ retryAfter: 334, isDropped: true }]);
    await clock.advance(333);
    client.send("5");
    await settle();
    expect(excesses[1]).toEqual({ retryAfter: 1, isDropped: true });
    await clock.advance(1);
    client.send("6");
    await settle();
    expect(received).toEqual(["1", "2", "3", "6"]);
  });
});

describe("rateLimit({ bytes })", () => {
  it("Limit 24: byte rate: counts payload bytes, a text's in UTF-8, before they are decoded", async () => {
    const { vel, received } = setup({ bytes: 10, per: 1_000 });
    const client = await enter(vel, "/ws");
    client.send("äöü"); // 6
    client.send(new Uint8Array(4));
    await settle();
    expect(received).toEqual(["äöü", 4]);
    client.send("x");
    expect(await client.closed).toMatchObject({ code: 4429, reason: "retry after 100 ms" });
  });

  // Empty messages once cost nothing, so that `bytes` alone let any number of them pass.
  it("counts a message without a payload as one byte", async () => {
    const { vel, received } = setup({ bytes: 3, per: 3_000 });
    const client = await enter(vel, "/ws");
    client.send("");
    client.send(new Uint8Array(0));
    client.send("x");
    await settle();
    expect(received).toEqual(["", 0, "x"]);
    client.send("");
    expect(await client.closed).toMatchObject({ code: 4429, reason: "retry after 1000 ms" });
  });

  it("closes with 1009 for a message that is larger than all that may come at once: it would never pass", async () => {
    const { vel, excesses, received } = setup({ bytes: 10, per: 1_000, burstBytes: 20 });
    const client = await enter(vel, "/ws");
    client.send("x".repeat(20));
    await settle();
    expect(received).toHaveLength(1);
    client.send("x".repeat(21));
    expect(await client.closed).toMatchObject({ code: 1009, reason: "message too big" });
    expect(excesses).toEqual([{ retryAfter: Infinity, isDropped: true }]);
  });

  it("counts a message in both or in none", async () => {
    const { vel, clock, received, excesses } = setup({ messages: 2, bytes: 10, per: 1_000, onExceed: "drop" });
    const client = await enter(vel, "/ws");
    client.send("12345678");
    for (let count = 0; count < 5; count++) client.send("123"); // too many bytes: no message either
    client.send("12");
    client.send("1"); // too many messages: no bytes either
    await settle();
    expect(received).toEqual(["12345678", "12"]);
    expect(excesses.map(({ retryAfter }) => retryAfter)).toEqual([100, 100, 100, 100, 100, 500]);
    await clock.advance(500);
    client.send("12345");
    await settle();
    expect(received).toHaveLength(3);
  });
});

describe("rateLimit({ onExceed: 'drop' })", () => {
  it("swallows, and tells of each message, so that the client can be told", async () => {
    const { vel, clock, limit, received, excesses } = setup({ messages: 2, per: 1_000, onExceed: "drop" });
    limit.on("exceed", (connection, { retryAfter }) => {
      connection.sendJson({ type: "error", code: "too_many_messages", retryAfter });
    });
    const client = await enter(vel, "/ws");
    for (const text of texts(1, 4)) client.send(text);
    await settle();
    for (let count = 0; count < 2; count++) {
      expect(await client.receiveJson()).toEqual({ type: "error", code: "too_many_messages", retryAfter: 500 });
    }
    await clock.advance(500);
    client.send("5");
    await settle();
    expect(client.isOpen).toBe(true);
    expect(received).toEqual(["1", "2", "5"]);
    expect(excesses).toHaveLength(2);
    expect(measured(limit)).toMatchObject({ "vel_rate_limit_exceeded_total{drop}": 2 });
  });

  it("Limit 25: dropped messages: closes after 1,000, whatever passes in between", async () => {
    const { vel, clock, limit, received, excesses } = setup({ messages: 10, per: 1_000, onExceed: "drop" });
    const client = await enter(vel, "/ws");
    for (let count = 0; count < 10; count++) client.send("burst");
    for (let round = 0; round < 250; round++) {
      for (let count = 0; count < 4; count++) client.send("too many");
      await clock.advance(100);
      client.send("steady");
      await settle();
    }
    expect(client.isOpen).toBe(true);
    expect(excesses).toHaveLength(1_000);
    expect(received).toHaveLength(260);
    client.send("one too many");
    expect(await client.closed).toMatchObject({ code: 4429, reason: "retry after 100 ms" });
    expect(measured(limit)).toMatchObject({
      "vel_rate_limit_exceeded_total{drop}": 1_000,
      "vel_rate_limit_exceeded_total{close}": 1,
    });
  });

  it("closes after 1,000 that are too large to pass, too", async () => {
    const { vel, received } = setup({ bytes: 1, per: 1_000, onExceed: "drop" });
    const client = await enter(vel, "/ws");
    for (let count = 0; count < 1_000; count++) client.send("xx");
    client.send("x");
    await settle();
    expect(client.isOpen).toBe(true);
    expect(received).toEqual(["x"]);
    client.send("xx");
    expect(await client.closed).toMatchObject({ code: 1009 });
  });

  it("begins anew once none was dropped for `per` milliseconds", async () => {
    const { vel, clock, excesses } = setup({ messages: 1, per: 1_000, onExceed: "drop" });
    const client = await enter(vel, "/ws");
    for (const pause of [999, 1_000, 1_000]) {
      for (let count = 0; count < 501; count++) client.send("x");
      await settle();
      await clock.advance(pause);
      if (pause === 999) {
        for (let count = 0; count < 499; count++) client.send("x");
        await settle();
        await clock.advance(1_000);
      }
    }
    expect(client.isOpen).toBe(true);
    expect(excesses.length).toBeGreaterThan(1_900);
    for (let count = 0; count < 1_002; count++) client.send("x");
    expect(await client.closed).toMatchObject({ code: 4429 });
  });

  it("goes on when a listener throws, and does nothing more to a connection that a listener has closed", async () => {
    const { vel, limit, errors } = setup({ messages: 1, per: 1_000 });
    limit.on("exceed", (connection) => {
      connection.close(4000, "mine");
      throw new Error("listener");
    });
    const client = await enter(vel, "/ws");
    client.send("1");
    client.send("2");
    expect(await client.closed).toMatchObject({ code: 4000, reason: "mine" });
    expect(errors).toEqual(["listener: Error: listener"]);
  });

  it("tells nobody who has taken it back", async () => {
    const { vel, limit } = setup({ messages: 1, per: 1_000, onExceed: "drop" });
    limit.on("exceed", () => expect.fail("told"))();
    const client = await enter(vel, "/ws");
    client.send("1");
    client.send("2");
    await settle();
    expect(measured(limit)).toMatchObject({ "vel_rate_limit_exceeded_total{drop}": 1 });
  });
});

describe("rateLimit({ mode: 'report' })", () => {
  it.each(["close", "drop"] as const)(
    "lets everything pass and counts what %s would have stopped",
    async (onExceed) => {
      const { vel, limit, received, excesses } = setup({ messages: 2, bytes: 8, per: 1_000, mode: "report", onExceed });
      const client = await enter(vel, "/ws");
      for (const text of texts(1, 2_000)) client.send(text);
      client.send("too large");
      await settle();
      expect(client.isOpen).toBe(true);
      expect(received).toHaveLength(2_001);
      expect(excesses.slice(0, 1)).toEqual([{ retryAfter: 500, isDropped: false }]);
      expect(excesses.at(-1)).toEqual({ retryAfter: Infinity, isDropped: false });
      expect(measured(limit)).toEqual({
        "vel_rate_limit_exceeded_total{close}": 0,
        "vel_rate_limit_exceeded_total{drop}": 0,
        "vel_rate_limit_exceeded_total{report}": 1_999,
      });
    },
  );
});
