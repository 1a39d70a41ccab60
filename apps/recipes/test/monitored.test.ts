import { connect, ManualClock, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { monitored } from "../src/monitored.ts";
import { setUp } from "./kit.ts";

describe("Monitoring and Metrics", () => {
  const metricsToken = "t0ken-.~_+/=";

  function start() {
    const clock = new ManualClock();
    const { vel, answer } = setUp((vel) => monitored(vel, { metricsToken }), { clock });
    const ask = async (headers: HeadersInit = { authorization: `Bearer ${metricsToken}` }, method = "GET") =>
      answer(new Request("http://localhost/ws-metrics", { method, headers }));
    const numbers = async (): Promise<unknown> => (await ask())?.json();
    return { clock, answer, ask, numbers, join: () => connect(vel, "/ws/monitored") };
  }

  it("counts connections and messages, and how long connections last", async () => {
    const { clock, join, numbers } = start();
    const none = {
      total_connections: 0,
      active_connections: 0,
      messages_per_second: 0,
      average_connection_duration: 0,
    };
    expect(await numbers()).toEqual(none);
    const [ada, bob] = [await join(), await join()];
    for (let i = 0; i < 15; i++) {
      ada.send(`m${i}`);
      expect(await ada.receiveText()).toBe(`Echo: m${i}`);
    }
    await clock.advance(10_000);
    // 15 in and 15 out in 10 s.
    expect(await numbers()).toEqual({
      total_connections: 2,
      active_connections: 2,
      messages_per_second: 3,
      average_connection_duration: 10_000,
    });
    bob.close();
    await settle();
    await clock.advance(20_000);
    expect(await numbers()).toMatchObject({
      total_connections: 2,
      active_connections: 1,
      average_connection_duration: 20_000, // 30 s and 10 s
    });
  });

  it.each(["close", "drop"] as const)("counts each end once, by %s", async (end) => {
    const { join, numbers } = start();
    for (let i = 0; i < 3; i++) (await join())[end]();
    const violator = await join();
    violator.send(new Uint8Array([1])); // no text: closed with 1007
    await settle();
    expect(await numbers()).toMatchObject({ total_connections: 4, active_connections: 0 });
  });

  it("is in no cache", async () => {
    expect((await start().ask())?.headers.get("cache-control")).toBe("no-store");
  });

  it.each([
    ["no token", {}],
    ["another token", { authorization: `Bearer ${metricsToken}x` }],
    ["a part of the token", { authorization: `Bearer ${metricsToken.slice(0, -1)}` }],
    ["an empty token", { authorization: "Bearer " }],
    ["the token in another scheme", { authorization: `Basic ${metricsToken}` }],
  ])("answers 401 to %s", async (_name, headers: Record<string, string>) => {
    const response = await start().ask(headers);
    expect([response?.status, await response?.json()]).toEqual([401, { error: "unauthorized" }]);
    expect(response?.headers.get("www-authenticate")).toBe("Bearer");
  });

  it("answers nothing else", async () => {
    const { answer, ask } = start();
    const headers = { authorization: `Bearer ${metricsToken}` };
    expect(await ask(headers, "POST")).toBeUndefined();
    expect(await answer(new Request("http://localhost/ws-metrics/x", { headers }))).toBeUndefined();
  });

  it.each(["", "two words", "Schlüssel"])("takes no token that cannot be sent: %j", (bad) => {
    expect(() => setUp((vel) => monitored(vel, { metricsToken: bad }))).toThrow(TypeError);
  });
});
