import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { memoryManagement } from "../src/memory-management.ts";
import { setUp } from "./kit.ts";

describe("Memory Management", () => {
  function start() {
    const clock = new ManualClock();
    onTestFinished(() => {
      expect(clock.pending).toBe(0);
    });
    const { vel } = setUp(memoryManagement, { clock });
    return { vel, clock, join: () => connect(vel, "/ws/memory") };
  }

  it("sends messages back as they came", async () => {
    const client = await start().join();
    for (const message of ["hello", new Uint8Array([0, 255])]) {
      client.send(message);
      expect(await client.receive()).toEqual(message);
    }
  });

  /** Joins as many clients, one after the other; the first says something at last. */
  async function fill(count: number, { clock, join }: Pick<ReturnType<typeof start>, "clock" | "join">) {
    const clients: TestClient[] = [];
    for (let index = 0; index < count; index++) clients.push(await join());
    await clock.advance(1_000);
    clients[0]?.send("still here");
    await settle();
    return clients;
  }

  it("closes with 1013 whose last message is longest ago, when there are more than 5,000", async () => {
    const { vel, clock, join } = start();
    const [first, second, third, fourth] = await fill(5_000, { clock, join });
    const newest = [await join(), await join()];
    await settle();
    expect([first, second, third, fourth, ...newest].map((each) => each?.closeInfo?.code)).toEqual([
      undefined,
      1013,
      1013,
      undefined,
      undefined,
      undefined,
    ]);
    expect(vel.connections.size).toBe(5_000);
  });

  it("closes with 1013 those whose last message is longest ago, while the process uses more than 80 % of 512 MiB", async () => {
    let used = 0.8;
    const { memoryUsage } = process;
    const sample = vi.spyOn(process, "memoryUsage");
    sample.mockImplementation(() => ({ ...memoryUsage(), rss: used * 512 * 1024 * 1024 }));
    onTestFinished(() => sample.mockRestore());
    const { vel, clock, join } = start();
    const clients = await fill(40, { clock, join });
    await clock.advance(60_000);
    expect(vel.connections.size).toBe(40);
    used = 0.81;
    await clock.advance(5_000);
    expect(clients.slice(0, 5).map((each) => each.closeInfo?.code)).toEqual([
      undefined,
      1013,
      1013,
      undefined,
      undefined,
    ]);
    used = 0.5;
    await clock.advance(60_000);
    expect(vel.connections.size).toBe(38);
  });
});
