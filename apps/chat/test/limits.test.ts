import { connect, HandshakeError } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { setUp, type Setup } from "./kit.ts";

/** Tries to enter; the status of the refusal, or 101. */
async function enter({ chat }: Setup, token: string, address: string, headers = {}): Promise<number> {
  try {
    await connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", token], remote: { address }, headers });
    return 101;
  } catch (error) {
    if (error instanceof HandshakeError) return error.status;
    throw error;
  }
}

const message = (id: number): object => ({ type: "chat_message", message: `m${String(id)}`, id: String(id) });

describe("Connections", () => {
  it("are so many from one address, and give their place back", async () => {
    const setup = setUp({ connections: { perIp: 2 } });
    const { token } = await setup.signIn("Ada");
    const { chat } = setup;
    const first = await connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", token] });
    expect(await enter(setup, token, "127.0.0.1")).toBe(101);
    expect(await enter(setup, token, "::ffff:127.0.0.1")).toBe(429);
    expect(await enter(setup, token, "192.0.2.1")).toBe(101);
    expect(await enter(setup, token, "2001:db8::1")).toBe(101);
    expect(await enter(setup, token, "2001:db8::2")).toBe(101);
    expect(await enter(setup, token, "2001:db8::3")).toBe(429);
    first.close(1000);
    await first.closed;
    expect(await enter(setup, token, "127.0.0.1")).toBe(101);
    // Who has no token takes no place for longer than the answer takes.
    for (let i = 0; i < 5; i++) {
      const stranger = await connect(chat.vel, "/ws/chat/lobby", { remote: { address: "192.0.2.9" } });
      expect(await stranger.closed).toMatchObject({ code: 4001 });
    }
  });

  it("are counted by what a trusted proxy says, and by nothing that anybody says", async () => {
    const from = (address: string): object => ({ "x-forwarded-for": address });
    const behind = setUp({ connections: { perIp: 1 }, trustProxy: ["loopback"] });
    const { token } = await behind.signIn("Ada");
    expect(await enter(behind, token, "127.0.0.1", from("192.0.2.1"))).toBe(101);
    expect(await enter(behind, token, "127.0.0.1", from("192.0.2.2"))).toBe(101);
    expect(await enter(behind, token, "127.0.0.1", from("192.0.2.1"))).toBe(429);
    const open = setUp({ connections: { perIp: 1 } });
    const ada = await open.signIn("Ada");
    expect(await enter(open, ada.token, "192.0.2.7", from("192.0.2.1"))).toBe(101);
    expect(await enter(open, ada.token, "192.0.2.7", from("192.0.2.2"))).toBe(429);
  });

  it("are so many of one user, from wherever", async () => {
    const setup = setUp({ connections: { perUser: 2 } });
    const ada = await setup.signIn("Ada");
    const bob = await setup.signIn("Bob");
    expect(await enter(setup, ada.token, "192.0.2.1")).toBe(101);
    expect(await enter(setup, ada.token, "192.0.2.2")).toBe(101);
    expect(await enter(setup, ada.token, "192.0.2.3")).toBe(429);
    expect(await enter(setup, bob.token, "192.0.2.3")).toBe(101);
  });

  it("are so many in all", async () => {
    const setup = setUp({ connections: { total: 3 } });
    const { token } = await setup.signIn("Ada");
    const all = [1, 2, 3, 4].map((i) => enter(setup, token, `192.0.2.${String(i)}`));
    expect((await Promise.all(all)).sort()).toEqual([101, 101, 101, 503]);
  });

  it("are tried so often from one address, whatever comes of it", async () => {
    const setup = setUp({ connections: { attempts: { limit: 3, per: 60_000 } } });
    const { token } = await setup.signIn("Ada");
    for (let i = 0; i < 3; i++) expect(await enter(setup, "no token", "192.0.2.1")).toBe(101); // and 4001
    expect(await enter(setup, token, "192.0.2.1")).toBe(429);
    expect(await enter(setup, token, "192.0.2.2")).toBe(101);
    await setup.clock.advance(20_000);
    expect(await enter(setup, token, "192.0.2.1")).toBe(101);
  });

  it("are told to come back later while memory is short; who is in stays in", async () => {
    let used = 0;
    const { visit, signIn, chat, clock } = setUp({ memory: { limit: 1_000, sample: () => used } });
    const ada = await visit("Ada");
    used = 900;
    await clock.advance(5_000);
    const { token } = await signIn("Bob");
    const bob = await connect(chat.vel, "/ws/chat/lobby", { protocols: ["bearer", token] });
    expect(await bob.closed).toMatchObject({ code: 1013 });
    expect(ada.client.isOpen).toBe(true);
    used = 100;
    await clock.advance(5_000);
    await visit("Cleo");
    expect(await ada.heard()).toContainEqual(expect.objectContaining({ type: "user_joined", name: "Cleo" }));
  });
});

describe("A message that comes too fast", () => {
  const pace = { messages: 2, per: 1_000, burst: 4 };

  it("is dropped, and can be sent again when the error says", async () => {
    const { visit, clock } = setUp({ pace });
    const ada = await visit("Ada");
    const bob = await visit("Bob");
    await ada.heard();
    for (let id = 1; id <= 6; id++) ada.say(message(id));
    const error = { type: "error", code: "too_fast", message: "That was too fast", retry_after: 500 };
    const heard = await ada.heard();
    expect(heard.filter(({ type }) => type === "error")).toEqual([error, error]);
    expect(heard.filter(({ type }) => type === "chat_message")).toHaveLength(4);
    await clock.advance(499);
    ada.say(message(5));
    expect(await ada.heard()).toEqual([{ ...error, retry_after: 1 }]);
    await clock.advance(1);
    ada.say(message(5));
    expect(await ada.heard()).toMatchObject([{ type: "chat_message", id: "5", seq: 5 }]);
    expect((await bob.heard()).map(({ message }) => message)).toEqual(["m1", "m2", "m3", "m4", "m5"]);
    // It is each connection's own.
    bob.say(message(1));
    expect(await bob.heard()).toMatchObject([{ type: "chat_message", name: "Bob" }]);
  });

  it("is the end of a connection that does not listen: 4429, with the time to wait", async () => {
    const { visit } = setUp({ pace });
    const ada = await visit("Ada");
    const bob = await visit("Bob");
    for (let i = 0; i < 2_000; i++) ada.say("{}");
    expect(await ada.client.closed).toMatchObject({ code: 4429, reason: "retry after 500 ms" });
    expect((await bob.heard()).map(({ type }) => type)).toEqual(["user_left"]);
  });

  it("is none that the page sends while somebody writes as fast as anybody can", async () => {
    const { visit, clock } = setUp();
    const ada = await visit("Ada");
    for (let second = 0; second < 300; second++) {
      // Two messages a second for five minutes, each with its "typing"; pings and pongs between them.
      for (const each of [1, 2]) {
        ada.say({ type: "typing", is_typing: true });
        await clock.advance(500);
        ada.say(message(2 * second + each));
      }
      if (second % 20 === 0) ada.say({ type: "ping" });
      if (second % 10 === 0) ada.say({ type: "pong" });
    }
    expect((await ada.heard()).filter(({ type }) => type === "error")).toEqual([]);
    expect(ada.client.isOpen).toBe(true);
  });
});
