import { createVel } from "@vel/core";
import { connect, memoryTransport, settle } from "@vel/testing";
import { afterEach, describe, expect, it, vi } from "vitest";

describe("settle()", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("lets every promise callback run, and those that they cause", async () => {
    let steps = 0;
    void (async () => {
      for (; steps < 10_000; steps++) await Promise.resolve();
    })();
    await settle();
    expect(steps).toBe(10_000);
  });

  it.each([false, true])("delivers what is on its way, and the answer to it, batches: %s", async (batches) => {
    const vel = createVel();
    vel.websocket("/ws", { message: (connection, message) => connection.send(message) });
    const client = await connect(vel, "/ws", { transport: memoryTransport({ batches }) });
    for (let index = 0; index < 100; index++) client.send(String(index));
    await settle();
    expect(client.received).toHaveLength(100);
  });

  it("works when a test has put its own timers in place", async () => {
    vi.useFakeTimers();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});
