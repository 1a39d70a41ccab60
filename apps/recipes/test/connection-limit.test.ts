import { connect, ManualClock, settle, type HandshakeError, type TestClient } from "@vel/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { limited } from "../src/connection-limit.ts";
import { setUp } from "./kit.ts";

describe("Connection Limits", () => {
  function start() {
    const clock = new ManualClock();
    onTestFinished(() => {
      expect(clock.pending).toBe(0);
    });
    const { vel } = setUp(limited, { clock });
    const join = (address: string): Promise<TestClient> => connect(vel, "/ws/limited", { remote: { address } });
    const refusal = async (address: string): Promise<[status: number, retryAfter: string | null]> => {
      const { status, headers } = await join(address).then(
        () => expect.fail("accepted"),
        (error: unknown) => error as HandshakeError,
      );
      return [status, headers.get("retry-after")];
    };
    return { join, refusal };
  }

  it("answers each text", async () => {
    const client = await start().join("192.0.2.1");
    for (const text of ["hello", "", "Grüße 👋"]) {
      client.send(text);
      expect(await client.receiveText()).toBe(`Echo: ${text}`);
    }
  });

  it("refuses the eleventh connection of an address with 429, until one has left", async () => {
    const { join, refusal } = start();
    const clients = await Promise.all(Array.from({ length: 10 }, () => join("192.0.2.1")));
    expect(await refusal("192.0.2.1")).toEqual([429, expect.stringMatching(/^[1-9]\d*$/)]);
    expect((await join("192.0.2.2")).isOpen).toBe(true);
    for (const leave of [() => clients[0]?.close(), () => clients[1]?.drop()]) {
      leave();
      await settle();
      expect((await join("192.0.2.1")).isOpen).toBe(true);
      expect((await refusal("192.0.2.1"))[0]).toBe(429);
    }
  });

  it("takes the addresses of one IPv6 network for one", async () => {
    const { join, refusal } = start();
    for (let host = 1; host <= 10; host++) await join(`2001:db8:1:2::${host.toString(16)}`);
    expect((await refusal("2001:db8:1:2:ffff::1"))[0]).toBe(429);
    expect((await join("2001:db8:1:3::1")).isOpen).toBe(true);
  });

  it("refuses the connection after the thousandth with 503", async () => {
    const { join, refusal } = start();
    for (let host = 0; host < 1_000; host++) await join(`192.0.${host >> 8}.${host & 255}`);
    expect(await refusal("198.51.100.1")).toEqual([503, expect.stringMatching(/^[1-9]\d*$/)]);
  });
});
