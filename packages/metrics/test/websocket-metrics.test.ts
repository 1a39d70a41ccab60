import { createVel, Histogram } from "@vel/core";
import { connect, ManualClock, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { WebSocketMetrics } from "../src/index.ts";
import { echo, say, setup, source, Traffic, valuesOf } from "./kit.ts";

describe("WebSocketMetrics of nothing", () => {
  it("is zero everywhere and needs no timer", () => {
    const { clock, metrics, errors } = setup();
    expect(metrics.getTotalConnections()).toBe(0);
    expect(metrics.getActiveConnections()).toBe(0);
    expect(metrics.getMessagesPerSecond()).toBe(0);
    expect(metrics.getAverageConnectionDuration()).toBe(0);
    expect(metrics.snapshot()).toEqual({
      totalConnections: 0,
      activeConnections: 0,
      averageConnectionDuration: 0,
      messagesReceived: 0,
      messagesSent: 0,
      messagesDropped: 0,
      bytesReceived: 0,
      bytesSent: 0,
      messagesPerSecond: { received: 0, sent: 0 },
      closeCodes: {},
      slowConsumers: 0,
      bufferedBytes: 0,
      roundTrip: undefined,
    });
    expect([...metrics.measure()]).toEqual([]);
    expect(metrics.prometheus()).toBe("");
    expect(errors).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it.each([0, -1, NaN, Infinity])("refuses a window of %d", (window) => {
    expect(() => new WebSocketMetrics({ window })).toThrow(RangeError);
  });
});

describe("WebSocketMetrics.observe()", () => {
  it("reads a server's connections and messages, those from before included", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    const [ada, bob] = [await client(), await client()];
    await say(ada, "hello");
    metrics.observe(vel);
    await say(bob, "four");
    expect(metrics.getTotalConnections()).toBe(2);
    expect(metrics.getActiveConnections()).toBe(2);
    expect(metrics.snapshot()).toMatchObject({ messagesReceived: 2, messagesSent: 2, bytesReceived: 9, bytesSent: 9 });

    ada.close(4000);
    await settle();
    expect(metrics.getTotalConnections()).toBe(2);
    expect(metrics.getActiveConnections()).toBe(1);
    expect(metrics.snapshot()).toMatchObject({ messagesReceived: 2, closeCodes: { other: 1 } });
    bob.close(1000);
    await settle();
    expect(metrics.snapshot()).toMatchObject({ activeConnections: 0, closeCodes: { other: 1, 1000: 1 } });
    expect(vel.connections.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("counts once what is observed twice, until nobody observes it any more", () => {
    const { metrics } = setup();
    const traffic = new Traffic();
    traffic.messages = 5;
    const [first, second] = [metrics.observe(traffic, traffic), metrics.observe(traffic)];
    expect(metrics.snapshot().messagesReceived).toBe(5);
    first();
    first();
    expect(metrics.snapshot().messagesReceived).toBe(5);
    second();
    expect(metrics.snapshot().messagesReceived).toBe(0);
  });

  it("does not read any more what it does not observe any more", () => {
    const { metrics } = setup();
    let reads = 0;
    const stop = metrics.observe({ measure: () => (reads++, []) });
    stop();
    const before = reads;
    stop();
    metrics.snapshot();
    expect(reads).toBe(before);
  });

  it("reads the others when a source throws, and reports that", () => {
    const { metrics, errors } = setup();
    const traffic = new Traffic();
    const broken = {
      *measure() {
        yield { name: "vel_messages_received_total", kind: "counter" as const, value: 1_000 };
        throw new Error("broken");
      },
    };
    metrics.observe(broken, traffic, undefined as never);
    traffic.messages = 3;
    errors.length = 0;
    expect(metrics.snapshot().messagesReceived).toBe(3);
    expect(errors).toEqual(["measure: Error: broken", expect.stringContaining("measure: TypeError")]);
  });

  it("survives an onError that throws", () => {
    const metrics = new WebSocketMetrics({
      clock: new ManualClock(),
      onError: () => {
        throw new Error("onError");
      },
    });
    const error = console.error;
    const lines: unknown[] = [];
    console.error = (...values: unknown[]) => void lines.push(...values);
    try {
      metrics.observe({
        measure: () => {
          throw new Error("broken");
        },
      });
      expect(metrics.getTotalConnections()).toBe(0);
    } finally {
      console.error = error;
    }
    expect(lines).toHaveLength(4);
  });

  it("adds up two servers by route", async () => {
    const { clock, metrics } = setup();
    const servers = [echo(clock), echo(clock)];
    metrics.observe(...servers.map(({ vel }) => vel));
    for (const { client } of servers) await client();
    expect(valuesOf(metrics, "vel_connections")).toEqual({ "/echo": 2 });
    await Promise.all([...servers.map(({ vel }) => vel.close()), clock.advance(60_000)]);
    expect(clock.pending).toBe(0);
  });
});

describe("WebSocketMetrics counting by hand", () => {
  it("adds to what is observed", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    metrics.observe(vel);
    await say(await client(), "hello");
    metrics.connectionOpened();
    metrics.messageReceived(10);
    metrics.messageReceived();
    metrics.messageSent(7);
    expect(metrics.snapshot()).toMatchObject({
      totalConnections: 2,
      activeConnections: 2,
      messagesReceived: 3,
      messagesSent: 2,
      bytesReceived: 15,
      bytesSent: 12,
    });
    expect(valuesOf(metrics, "vel_connections")).toEqual({ "/echo": 1, counted: 1 });
    await Promise.all([vel.close(), clock.advance(60_000)]);
  });

  it("never goes below zero, nor backwards", async () => {
    const { clock, metrics } = setup();
    metrics.connectionClosed();
    metrics.connectionOpened();
    await clock.advance(1_000);
    metrics.connectionClosed();
    metrics.connectionClosed();
    expect(metrics.getActiveConnections()).toBe(0);
    expect(metrics.getTotalConnections()).toBe(1);
    expect(metrics.getAverageConnectionDuration()).toBe(1_000);
    metrics.connectionOpened();
    expect(metrics.getActiveConnections()).toBe(1);
    metrics.messageReceived(100);
    for (const bytes of [-50, NaN, Infinity, -Infinity]) {
      metrics.messageReceived(bytes);
      metrics.messageSent(bytes);
    }
    expect(metrics.snapshot()).toMatchObject({ bytesReceived: 100, bytesSent: 0, messagesReceived: 5 });
  });
});

describe("WebSocketMetrics.getAverageConnectionDuration()", () => {
  it("is over those that have ended and those that are open, observed and counted", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    metrics.observe(vel);
    const ada = await client(); // at 0, ends at 10: 10 s
    metrics.connectionOpened(); // at 0, still open at 40: 40 s
    await clock.advance(10_000);
    ada.close();
    await settle();
    expect(metrics.getAverageConnectionDuration()).toBe(10_000);
    await clock.advance(10_000);
    await client(); // at 20, still open at 40: 20 s
    metrics.connectionOpened(); // at 20, ends at 30: 10 s
    await clock.advance(10_000);
    metrics.connectionClosed();
    await clock.advance(10_000);
    expect(metrics.getAverageConnectionDuration()).toBe((10_000 + 40_000 + 20_000 + 10_000) / 4);
    await Promise.all([vel.close(), clock.advance(60_000)]);
    expect(clock.pending).toBe(0);
  });

  it("goes by a server's own clock", async () => {
    const { metrics } = setup();
    const clock = new ManualClock();
    await clock.advance(500_000);
    const { vel, client } = echo(clock);
    metrics.observe(vel);
    await client();
    await clock.advance(4_000);
    expect(metrics.getAverageConnectionDuration()).toBe(4_000);
    await Promise.all([vel.close(), clock.advance(60_000)]);
  });
});

describe("WebSocketMetrics.getMessagesPerSecond()", () => {
  it("is received and sent, since the beginning when that is less than a window ago", async () => {
    const { clock, metrics } = setup();
    const { vel, client } = echo(clock);
    metrics.observe(vel);
    const ada = await client();
    for (let count = 0; count < 10; count++) ada.send("hello");
    await clock.advance(5_000);
    metrics.messageReceived();
    expect(metrics.snapshot().messagesPerSecond).toEqual({ received: 11 / 5, sent: 10 / 5 });
    expect(metrics.getMessagesPerSecond()).toBe(21 / 5);
    await Promise.all([vel.close(), clock.advance(60_000)]);
  });

  it("forgets what is older than the window, however irregular the readings are", async () => {
    const { clock, metrics } = setup({ window: 60_000 });
    const traffic = new Traffic();
    metrics.observe(traffic);
    traffic.messages = 600;
    await clock.advance(30_000);
    expect(metrics.getMessagesPerSecond()).toBe((2 * 600) / 30);
    await clock.advance(1);
    metrics.prometheus(); // a scrape is a look, too
    await clock.advance(59_999);
    expect(metrics.getMessagesPerSecond()).toBe(0);
    traffic.messages += 60;
    expect(metrics.getMessagesPerSecond()).toBe((2 * 60) / 60);
    await clock.advance(60_000);
    expect(metrics.getMessagesPerSecond()).toBe((2 * 60) / 60);
    // Nobody looked as this window began: it is since the look before that, 61 s ago.
    await clock.advance(1_000);
    expect(metrics.getMessagesPerSecond()).toBeCloseTo((2 * 60) / 61, 9);
    await clock.advance(59_000);
    expect(metrics.getMessagesPerSecond()).toBe(0);
  });

  it("is the average since the last reading when nobody has asked for an hour", async () => {
    const { clock, metrics } = setup();
    const traffic = new Traffic();
    metrics.observe(traffic);
    traffic.messages = 100;
    await clock.advance(10_000);
    metrics.getMessagesPerSecond();
    traffic.messages += 7_200;
    await clock.advance(3_600_000);
    expect(metrics.getMessagesPerSecond()).toBe((2 * 7_200) / 3_600);
    // And from here on it is over a window again.
    for (let second = 0; second < 60; second++) {
      traffic.messages += 5;
      await clock.advance(1_000);
      metrics.getMessagesPerSecond();
    }
    expect(metrics.getMessagesPerSecond()).toBe(10);
  });

  it("is not what a source had counted before, and never negative when one goes", async () => {
    const { clock, metrics } = setup();
    const [first, second] = [new Traffic(), new Traffic()];
    first.messages = 1_000_000;
    const stop = metrics.observe(first);
    metrics.observe(second);
    await clock.advance(10_000);
    expect(metrics.getMessagesPerSecond()).toBe(0);
    first.messages += 30;
    second.messages += 20;
    stop(); // what it had counted until here was this second's
    expect(metrics.getMessagesPerSecond()).toBe((2 * 50) / 10);
    first.messages += 1_000;
    metrics.observe(first);
    expect(metrics.getMessagesPerSecond()).toBe((2 * 50) / 10);
    first.messages = 0; // begins anew
    expect(metrics.getMessagesPerSecond()).toBe((2 * 50) / 10);
    first.messages = 10;
    expect(metrics.getMessagesPerSecond()).toBe((2 * 60) / 10);
  });

  it("misses nothing of a source that throws for a while", async () => {
    const { clock, metrics } = setup();
    const traffic = new Traffic();
    let isBroken = false;
    metrics.observe({
      measure: () => {
        if (isBroken) throw new Error("broken");
        return traffic.measure();
      },
    });
    traffic.messages = 10;
    isBroken = true;
    await clock.advance(10_000);
    expect(metrics.getMessagesPerSecond()).toBe(0);
    isBroken = false;
    expect(metrics.getMessagesPerSecond()).toBe(2);
  });
});

describe("WebSocketMetrics.snapshot()", () => {
  it("estimates round trips from their histogram", () => {
    const { metrics } = setup();
    const trips = new Histogram([0.01, 0.1, 1]);
    metrics.observe({
      measure: () => [{ name: "vel_ping_rtt_seconds", kind: "histogram", value: trips.distribution }],
    });
    expect(metrics.snapshot().roundTrip).toBeUndefined();
    for (let count = 0; count < 10; count++) trips.add(0.05);
    // As histogram_quantile says it: half of the way through the bucket from 10 to 100 ms.
    const { count, average, p50, p95 } = metrics.snapshot().roundTrip!;
    expect(count).toBe(10);
    expect(average).toBeCloseTo(50, 6);
    expect(p50).toBeCloseTo(55, 6);
    expect(p95).toBeCloseTo(95.5, 6);
    for (let more = 0; more < 90; more++) trips.add(5);
    expect(metrics.snapshot().roundTrip).toMatchObject({ p50: 1_000, p95: 1_000 }); // more is not known of them
  });

  it("tells of slow consumers, and survives JSON", async () => {
    const { clock, metrics } = setup();
    const vel = createVel({ clock });
    metrics.observe(vel);
    vel.websocket("/flood", { open: (connection) => connection.send("x".repeat(1_000)) });
    const slow = await connect(vel, "/flood");
    slow.pause();
    for (const connection of vel.connections) connection.send("y".repeat(500));
    const snapshot = metrics.snapshot();
    expect(snapshot).toMatchObject({ slowConsumers: 1, bufferedBytes: 500 });
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual({ ...snapshot });
    slow.resume();
    await Promise.all([vel.close(), clock.advance(60_000)]);
    expect(vel.connections.size).toBe(0);
  });

  it("adds up a metric that a stranger measures", () => {
    const { metrics } = setup();
    metrics.observe(
      source({ name: "vel_messages_dropped_total", kind: "counter", value: 2, labels: { route: "/a" } }),
      source({ name: "vel_messages_dropped_total", kind: "counter", value: 3, labels: { route: "/b" } }),
    );
    expect(metrics.snapshot().messagesDropped).toBe(5);
  });
});
