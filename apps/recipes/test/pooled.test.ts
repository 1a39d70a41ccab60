import { connect, ManualClock, settle } from "@vel/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { pooled } from "../src/pooled.ts";
import { setUp } from "./kit.ts";

describe("Connection Pool", () => {
  const minute = 60_000;

  function start() {
    const clock = new ManualClock();
    onTestFinished(() => {
      expect(clock.pending).toBe(0);
    });
    const { vel } = setUp(pooled, { clock });
    return { clock, join: () => connect(vel, "/ws/pooled") };
  }

  it("answers each text", async () => {
    const client = await start().join();
    for (const text of ["hello", "", "Grüße 👋"]) {
      client.send(text);
      expect(await client.receiveText()).toBe(`Echo: ${text}`);
    }
  });

  it("closes with 4408 who says nothing for ten minutes, and nobody else", async () => {
    const { clock, join } = start();
    const [silent, busy] = [await join(), await join()];
    await clock.advance(10 * minute - 1);
    busy.send("still here");
    expect([await busy.receiveText(), silent.isOpen]).toEqual(["Echo: still here", true]);
    await clock.advance(10 * minute); // the pool looks every five
    expect([silent.closeInfo, busy.closeInfo]).toMatchObject([
      { code: 4408, reason: "idle timeout", by: "remote" },
      undefined,
    ]);
    await clock.advance(10 * minute);
    expect(busy.closeInfo).toMatchObject({ code: 4408 });
  });

  it("holds nothing of whoever has left", async () => {
    const { clock, join } = start();
    const [ada, bob] = [await join(), await join()];
    ada.close();
    bob.drop();
    await settle();
    expect(clock.pending).toBe(0);
  });
});
