import { describe, expect, it } from "vitest";
import { Heartbeat, HeartbeatManager, type HeartbeatOptions } from "../src/index.ts";
import { expectNothingLeft, join, joinSilently, setup } from "./kit.ts";
import type { Connection } from "@vel/core";

describe("new Heartbeat()", () => {
  it("has the specification's numbers as defaults", () => {
    const { pingInterval, pongTimeout, maxFailures, mode, patience } = new Heartbeat();
    expect({ pingInterval, pongTimeout, maxFailures, mode, patience }).toEqual({
      pingInterval: 30_000,
      pongTimeout: 10_000,
      maxFailures: 3,
      mode: "auto",
      patience: 60_000,
    });
  });

  it("waits an interval for a pong where that is shorter than the default", () => {
    expect(new Heartbeat({ pingInterval: 4_000 }).pongTimeout).toBe(4_000);
    expect(new Heartbeat({ pingInterval: 40_000 }).pongTimeout).toBe(10_000);
    expect(new Heartbeat({ pingInterval: 10, pongTimeout: 10 }).patience).toBe(40);
  });

  it.each<[HeartbeatOptions, string]>([
    [{ pingInterval: 0 }, 'Option "pingInterval" must be a positive number, got 0'],
    [{ pingInterval: -1 }, 'Option "pingInterval" must be a positive number, got -1'],
    [{ pingInterval: NaN }, 'Option "pingInterval" must be a positive number, got NaN'],
    [{ pingInterval: Infinity }, 'Option "pingInterval" must be a positive number, got Infinity'],
    [{ pingInterval: "30" as never }, 'Option "pingInterval" must be a positive number, got 30'],
    [{ pingInterval: null as never }, 'Option "pingInterval" must be a positive number, got null'],
    [{ pongTimeout: 0 }, 'Option "pongTimeout" must be a positive number, got 0'],
    [{ pongTimeout: 30_001 }, 'Option "pongTimeout" must be at most "pingInterval", 30000, got 30001'],
    [{ maxFailures: 0 }, 'Option "maxFailures" must be a positive number, got 0'],
    [{ maxFailures: 2.5 }, 'Option "maxFailures" must be whole, got 2.5'],
  ])("refuses %o", (options, message) => {
    expect(() => new Heartbeat(options)).toThrow(RangeError);
    expect(() => new HeartbeatManager(options)).toThrow(message);
  });

  it.each<[HeartbeatOptions, string]>([
    [{ mode: "pong" as never }, 'Option "mode" must be one of auto, ping, idle, message, got "pong"'],
    [{ mode: "constructor" as never }, 'Option "mode" must be one of auto, ping, idle, message, got "constructor"'],
    [{ mode: Symbol("auto") as never }, "got undefined"],
    [{ message: "ping" as never }, 'Option "message" must be a function, got string'],
  ])("refuses %o by its type", (options, message) => {
    expect(() => new Heartbeat(options)).toThrow(TypeError);
    expect(() => new Heartbeat(options)).toThrow(message);
  });
});

describe("class CustomHeartbeat extends Heartbeat", () => {
  const said: string[] = [];
  /** The specification's example, its `close(1000)` included. */
  class CustomHeartbeat extends Heartbeat {
    override async onPingSent(connection: Connection): Promise<void> {
      said.push(`Ping sent to ${connection.remote!.address}`);
      await Promise.resolve();
    }
    override onPongReceived(connection: Connection, roundTrip: number): void {
      said.push(`Pong received from ${connection.remote!.address} after ${String(roundTrip)}`);
    }
    override onHeartbeatFailed(connection: Connection, failures: number): void {
      said.push(`Heartbeat failed for ${connection.remote!.address}, ${String(failures)} times`);
      connection.close(1000, "Heartbeat failed");
    }
  }

  it("hears of pings and pongs every 20 seconds", async () => {
    said.length = 0;
    const world = setup(new CustomHeartbeat({ pingInterval: 20_000, pongTimeout: 5_000 }));
    world.manager.observe(world.vel);
    await join(world);
    await world.clock.advance(19_000);
    expect(said).toEqual([]);
    await world.clock.advance(1_000);
    expect(said).toEqual(["Ping sent to 127.0.0.1", "Pong received from 127.0.0.1 after 0"]);
    await world.clock.advance(40_000);
    expect(said).toHaveLength(6);
    await expectNothingLeft(world);
    expect(world.errors).toEqual([]);
  });

  it("hears of the failure after 3 missed pongs of 5 seconds each, and cannot make it look like success", async () => {
    said.length = 0;
    const world = setup(new CustomHeartbeat({ pingInterval: 20_000, pongTimeout: 5_000 }));
    world.manager.observe(world.vel);
    const peer = await joinSilently(world);
    await world.clock.advance(34_000);
    expect(peer.connection.isOpen).toBe(true);
    expect(said).toHaveLength(3);
    await world.clock.advance(1_350);
    expect(said).toEqual([
      ...Array<string>(3).fill("Ping sent to 127.0.0.1"),
      "Heartbeat failed for 127.0.0.1, 3 times",
    ]);
    expect(peer.info).toEqual({ code: 1006, reason: "heartbeat timeout", wasClean: false, by: "local" });
    await expectNothingLeft(world);
  });
});
