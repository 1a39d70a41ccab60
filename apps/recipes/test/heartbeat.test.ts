import { connect, ManualClock, settle } from "@vel/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { heartbeat } from "../src/heartbeat.ts";
import { setUp } from "./kit.ts";

function start() {
  const clock = new ManualClock();
  onTestFinished(() => {
    expect(clock.pending).toBe(0);
  });
  const { vel, said } = setUp(heartbeat, { clock });
  const join = (path = "/ws/heartbeat") => connect(vel, path, { remote: { address: "192.0.2.1" } });
  return { clock, said, join };
}

describe("Automatic Heartbeat", () => {
  it("answers each text, and says when the connection has ended", async () => {
    const { said, join } = start();
    const client = await join();
    for (const text of ["hello", "", "Grüße 👋"]) {
      client.send(text);
      expect(await client.receiveText()).toBe(`Received: ${text}`);
    }
    expect(said).toEqual([]);
    client.close();
    await settle();
    expect(said).toEqual(["WebSocket disconnected"]);
  });

  it("cuts who leaves three pings in a row without an answer, within a minute, and nobody else", async () => {
    const { clock, said, join } = start();
    const [dead, alive] = [await join(), await join()];
    dead.silence();
    await clock.advance(30_000); // 30 s to be asked in, 10 s for each of three answers
    expect(dead.isOpen).toBe(true);
    await clock.advance(31_000);
    expect([dead.closeInfo, alive.isOpen, said]).toMatchObject([{ code: 1006 }, true, ["WebSocket disconnected"]]);
    await clock.advance(600_000);
    expect(alive.isOpen).toBe(true);
  });

  it("stops with the connection, however that ends", async () => {
    const { clock, join } = start();
    const [ada, bob] = [await join(), await join()];
    expect(clock.pending).toBe(1);
    ada.close();
    bob.drop();
    await settle();
    expect(clock.pending).toBe(0);
  });
});

describe("Custom Heartbeat Logic", () => {
  const path = "/ws/heartbeat/custom";

  it("asks every 20 seconds, and says when it asked and when the answer came", async () => {
    const { clock, said, join } = start();
    const client = await join(path);
    client.send("hello");
    expect(await client.receiveText()).toBe("Received: hello");
    await clock.advance(60_000);
    const once = ["Ping sent to 192.0.2.1", "Pong received from 192.0.2.1"];
    expect(said).toEqual([...once, ...once, ...once]);
    expect(client.isOpen).toBe(true);
  });

  it("says when a peer is dead, whose connection is cut and not closed with 1000", async () => {
    const { clock, said, join } = start();
    const client = await join(path);
    client.silence();
    await clock.advance(36_000); // 20 s, and 5 s for each of three answers
    const ping = "Ping sent to 192.0.2.1";
    expect(said).toEqual([ping, ping, ping, "Heartbeat failed for 192.0.2.1", "WebSocket disconnected"]);
    expect(client.closeInfo).toMatchObject({ code: 1006 });
  });
});
