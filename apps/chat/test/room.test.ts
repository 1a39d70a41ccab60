import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { setUp, unhurried } from "./kit.ts";

const message = (text: string, id?: string): object => ({
  type: "chat_message",
  message: text,
  ...(id !== undefined && { id }),
});

describe("Complete Chat Example", () => {
  it("tells who enters of the room, and the others of who enters, speaks, types and leaves", async () => {
    const { visit, clock } = setUp();
    const ada = await visit("Ada");
    const [{ user_id: adaId } = { user_id: "" }] = ada.info["users"] as { user_id: string; name: string }[];
    expect(ada.info).toEqual({
      type: "room_info",
      room: "lobby",
      connection_id: expect.any(String) as string,
      user_count: 1,
      users: [{ user_id: adaId, name: "Ada" }],
      epoch: expect.any(String) as string,
      seq: 0,
      messages: [],
      complete: true,
    });
    const bob = await visit("Bob");
    const [joined] = await ada.heard();
    expect(joined).toEqual({ type: "user_joined", user_id: expect.any(String) as string, name: "Bob", user_count: 2 });
    await clock.advance(1_500);
    bob.say(message("  hello  ", "b1"));
    const said = {
      type: "chat_message",
      user_id: joined?.["user_id"],
      name: "Bob",
      message: "hello",
      room: "lobby",
      timestamp: "2026-01-01T00:00:01.500Z",
      seq: 1,
      id: "b1",
    };
    expect(await ada.heard()).toEqual([said]);
    expect(await bob.heard()).toEqual([said]);
    bob.say({ type: "typing", is_typing: true });
    expect(await ada.heard()).toEqual([{ type: "user_typing", user_id: said.user_id, name: "Bob", is_typing: true }]);
    expect(await bob.heard()).toEqual([]);
    bob.client.close(1000);
    expect(await ada.heard()).toEqual([{ type: "user_left", user_id: said.user_id, name: "Bob", user_count: 1 }]);
  });

  it("tells the others nothing of a second tab, and lists nobody twice", async () => {
    const { signIn, enter, visit } = setUp();
    const bob = await visit("Bob");
    const { token } = await signIn("Ada");
    const first = await enter(token);
    expect(await bob.heard()).toMatchObject([{ type: "user_joined" }]);
    const second = await enter(token);
    expect((second.info["users"] as object[]).length).toBe(2);
    first.client.drop();
    expect(await bob.heard()).toEqual([]);
    second.say({ type: "typing", is_typing: true });
    expect(await bob.heard()).toMatchObject([{ type: "user_typing" }]);
    second.client.drop();
    expect(await bob.heard()).toMatchObject([{ type: "user_left", user_count: 1 }]);
  });
});

describe("Somebody who comes", () => {
  it("is shown the last ten messages", async () => {
    const { visit } = setUp();
    const ada = await visit("Ada");
    for (let i = 1; i <= 12; i++) ada.say(message(`m${String(i)}`));
    await settle();
    const bob = await visit("Bob");
    const texts = (bob.info["messages"] as { message: string; seq: number }[]).map(
      ({ message, seq }) => `${String(seq)} ${message}`,
    );
    expect(texts).toEqual(Array.from({ length: 10 }, (_, i) => `${String(i + 3)} m${String(i + 3)}`));
    expect(bob.info).toMatchObject({ seq: 12, complete: true });
  });

  it("is given exactly what was missed, or told that it cannot be had", async () => {
    const { visit, signIn, enter } = setUp({ pace: unhurried });
    const ada = await visit("Ada");
    const { token } = await signIn("Bob");
    const { epoch } = ada.info;
    for (let i = 1; i <= 150; i++) ada.say(message(`m${String(i)}`));
    await settle();
    const back = async (since: string, of = String(epoch)) => {
      const { info, client } = await enter(token, "lobby", `?since=${since}&epoch=${of}`);
      client.close(1000);
      return { numbers: (info["messages"] as { seq: number }[]).map(({ seq }) => seq), complete: info["complete"] };
    };
    const upTo150 = (from: number): number[] => Array.from({ length: 151 - from }, (_, i) => from + i);
    expect(await back("135")).toEqual({ numbers: upTo150(136), complete: true });
    expect(await back("150")).toEqual({ numbers: [], complete: true });
    expect(await back("50")).toEqual({ numbers: upTo150(51), complete: true });
    for (const [since, of] of [["49"], ["151"], ["-1"], ["1e2"], ["x"], ["140", "another"]] as const) {
      expect(await back(since, of), since).toEqual({ numbers: upTo150(141), complete: false });
    }
  });

  it("finds the room as it was when everybody was away for a while, and anew after long", async () => {
    const { visit, signIn, enter, clock } = setUp({ tokenLifetime: 3_600_000 });
    const ada = await visit("Ada");
    const { token } = await signIn("Bob");
    ada.say(message("remember me"));
    await ada.heard();
    ada.client.close(1000);
    await clock.advance(200_000);
    const soon = await enter(token);
    expect(soon.info).toMatchObject({ epoch: ada.info["epoch"], seq: 1 });
    soon.client.close(1000);
    await clock.advance(400_000);
    expect((await enter(token)).info).toMatchObject({ seq: 0, messages: [] });
  });

  it("is closed with 4400 for a room that cannot be one", async () => {
    const { signIn, chat } = setUp();
    const { token } = await signIn("Ada");
    for (const room of ["%00", "%20", "a".repeat(65), "..", "%E2%80%AE"]) {
      expect(await (await connect(chat.vel, `/ws/chat/${room}?token=${token}`)).closed, room).toMatchObject({
        code: 4400,
      });
    }
    for (const room of ["__proto__", "constructor", "a/b", "../x", "Ünï", "👋"]) {
      const client = await connect(chat.vel, `/ws/chat/${encodeURIComponent(room)}?token=${token}`);
      expect(await client.receiveJson()).toMatchObject({ type: "room_info", room: room.normalize("NFC") });
    }
  });
});

describe("A message", () => {
  it("that is sent again is not said again; its sender gets the receipt", async () => {
    const { visit, signIn, enter } = setUp();
    const bob = await visit("Bob");
    const { token } = await signIn("Ada");
    const ada = await enter(token);
    ada.say(message("once", "a1"));
    const [said] = await ada.heard();
    ada.client.drop();
    const again = await enter(token);
    again.say(message("once", "a1"));
    expect(await again.heard()).toEqual([said]);
    expect((await bob.heard()).filter(({ type }) => type === "chat_message")).toEqual([said]);
    // The same id of somebody else is another message.
    bob.say(message("mine", "a1"));
    expect(await bob.heard()).toMatchObject([{ message: "mine", seq: 2 }]);
  });

  it("that is sent again long after, when the history has lost it, is not said again either", async () => {
    const { visit } = setUp({ pace: unhurried });
    const ada = await visit("Ada");
    const bob = await visit("Bob");
    ada.say(message("once", "a1"));
    for (let i = 0; i < 150; i++) bob.say(message(`m${String(i)}`));
    const [, said] = await ada.heard();
    await bob.heard();
    ada.say(message("once", "a1"));
    expect(said).toMatchObject({ message: "once", seq: 1 });
    expect(await ada.heard()).toEqual([said]);
    expect(await bob.heard()).toEqual([]);
  });

  it("that cannot be taken is answered with an error, and the connection stays", async () => {
    const { visit } = setUp();
    const ada = await visit("Ada");
    const cases: [unknown, string, string?][] = [
      ["not json", "invalid_json"],
      ['{"__proto__":{"type":"chat_message"}}', "invalid_json"],
      ["[".repeat(1000), "invalid_json"],
      [null, "unknown_type"],
      [7, "unknown_type"],
      [[], "unknown_type"],
      [{}, "unknown_type"],
      [{ type: "constructor" }, "unknown_type"],
      [{ type: ["chat_message"] }, "unknown_type"],
      [{ type: "chat_message" }, "invalid_message"],
      [{ type: "chat_message", message: {}, id: "1" }, "invalid_message", "1"],
      [{ type: "chat_message", message: "   ", id: "2" }, "invalid_message", "2"],
      [{ type: "chat_message", message: "x".repeat(2001), id: "3" }, "invalid_message", "3"],
      [{ type: "chat_message", message: "x", id: "y".repeat(65) }, "invalid_message"],
      [{ type: "chat_message", message: "x", id: 4 }, "invalid_message"],
      [{ type: "typing", is_typing: "yes" }, "invalid_message"],
    ];
    for (const [frame, code, id] of cases) {
      ada.say(frame);
      const answers = await ada.heard();
      expect(answers, JSON.stringify(frame)).toMatchObject([{ type: "error", code }]);
      expect(answers[0]?.["id"]).toBe(id);
    }
    ada.client.send(new Uint8Array([1, 2, 3]));
    expect(await ada.heard()).toMatchObject([{ type: "error", code: "invalid_json" }]);
    ada.say(message("still here"));
    expect(await ada.heard()).toMatchObject([{ message: "still here", seq: 1 }]);
  });

  it("may be one of very many: the room keeps a hundred", async () => {
    const { visit } = setUp({ pace: unhurried });
    const ada = await visit("Ada");
    for (let i = 0; i < 5_000; i++) ada.say(message(`m${String(i)}`, `id${String(i)}`));
    await settle();
    for (let i = 0; i < 20 && ada.client.received.length < 5_000; i++) await settle();
    expect((await ada.heard()).map(({ seq }) => seq)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
    const bob = await visit("Bob");
    expect(bob.info).toMatchObject({ seq: 5_000 });
  });

  it("that comes while somebody is still being told all that was missed does not cost the connection", async () => {
    const { visit, signIn, chat } = setUp({ pace: unhurried });
    const ada = await visit("Ada");
    // The largest there is: written as JSON, these characters are six bytes each.
    for (let i = 0; i < 100; i++) ada.say(message("\u0001".repeat(2_000)));
    await ada.heard();
    const { token } = await signIn("Bob");
    chat.vel.on("open", () => {
      ada.say(message("after"));
    });
    const bob = await connect(chat.vel, `/ws/chat/lobby?token=${token}&since=0&epoch=${String(ada.info["epoch"])}`);
    await settle();
    expect(bob.closeInfo).toBe(undefined);
    const info = await bob.receiveJson<{ messages: unknown[]; complete: boolean }>();
    expect([info.messages.length, info.complete]).toEqual([100, true]);
    expect(await bob.receiveJson()).toMatchObject({ message: "after", seq: 101 });
  });
});

describe("A silent peer", () => {
  it("is asked, and dropped when nothing comes, while the others stay; no timer is left", async () => {
    const { visit, clock, chat } = setUp();
    const ada = await visit("Ada");
    const bob = await visit("Bob");
    await ada.heard();
    ada.client.silence();
    const left: unknown[] = [];
    for (let elapsed = 0; elapsed < 60_000; elapsed += 10_000) {
      await clock.advance(10_000);
      bob.say({ type: "ping" });
      left.push(...(await bob.heard()).filter(({ type }) => type === "user_left"));
    }
    expect(ada.client.closeInfo).toMatchObject({ code: 1006 });
    expect(left).toMatchObject([{ name: "Ada", user_count: 1 }]);
    expect(bob.client.isOpen).toBe(true);
    const closing = chat.vel.close();
    await settle();
    await closing;
    expect(bob.client.closeInfo).toMatchObject({ code: 1001 });
    expect(clock.pending).toBe(0);
  });

  it("is asked no later than by the interval, however long the page waits for an answer", async () => {
    const { visit, clock } = setUp({ pingInterval: 500, pongTimeout: 600_000 });
    const ada = await visit("Ada");
    ada.client.silence();
    await clock.advance(2_200); // the interval, and three times as long as an answer may take
    expect(ada.client.closeInfo).toMatchObject({ code: 1006 });
  });

  it("who is back before that is noticed has neither left nor come, and is listed once", async () => {
    const { visit, signIn, enter, clock } = setUp();
    const bob = await visit("Bob");
    const { token } = await signIn("Ada");
    const before = await enter(token);
    expect(await bob.heard()).toMatchObject([{ type: "user_joined" }]);
    before.client.silence();
    const after = await enter(token);
    expect(after.info["users"]).toHaveLength(2);
    for (let elapsed = 0; elapsed < 60_000; elapsed += 10_000) {
      await clock.advance(10_000);
      for (const each of [bob, after]) each.say({ type: "ping" });
    }
    expect(before.client.isOpen).toBe(false);
    expect(after.client.isOpen).toBe(true);
    for (const each of [bob, after]) {
      expect((await each.heard()).filter(({ type }) => /^user_/.test(type))).toEqual([]);
    }
    expect((await visit("Cleo")).info["users"]).toHaveLength(3);
  });

  it("that answers is kept, as a page in a hidden tab is that does not ping by itself", async () => {
    const { visit, clock } = setUp();
    const ada = await visit("Ada");
    await clock.advance(300_000); // meanwhile it answers the WebSocket's own pings, as a browser does
    expect(ada.client.isOpen).toBe(true);
    expect(await ada.heard()).toEqual([]);
  });
});
