import { ChannelManager } from "@vel/channels";
import { connect, settle, type TestClient } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { channels } from "../src/channels.ts";
import { setUp, take } from "./kit.ts";

describe("Channel-based Messaging", () => {
  const subscribed = ["user_updates", "notifications"].map((channel) => ({ type: "subscribed", channel }));

  function start() {
    const manager = new ChannelManager();
    const { vel } = setUp((vel) => channels(vel, { manager }));
    const join = async (): Promise<TestClient> => {
      const client = await connect(vel, "/ws/channels");
      expect(await take(client)).toEqual(subscribed);
      return client;
    };
    return { manager, join };
  }

  it("sends what is published to either channel", async () => {
    const { manager, join } = start();
    const client = await join();
    for (const channel of ["user_updates", "notifications"]) {
      await manager.channel(channel).publish({ hello: channel });
      expect(await take(client)).toEqual([{ type: "message", channel, data: { hello: channel } }]);
    }
  });

  it("publishes what a client sends to all, itself included, and says that it is of one", async () => {
    const { join } = start();
    const [ada, bob] = [await join(), await join()];
    for (const data of [{ online: true }, null, "text"]) {
      ada.sendJson({ channel: "user_updates", data });
      const got = { type: "message", channel: "user_updates", data, from: expect.any(String) };
      expect([await take(ada), await take(bob)]).toEqual([[got], [got]]);
    }
  });

  it.each([
    ["an unknown channel", { channel: "__proto__", data: 1 }, "channel_unknown"],
    ["a channel that is no text", { channel: ["user_updates"], data: 1 }, "channel_unknown"],
    ["no channel", {}, "channel_unknown"],
    ["null", null, "channel_unknown"],
    ["a number", 7, "channel_unknown"],
    ["an array", [], "channel_unknown"],
    ["the server's channel", { channel: "notifications", data: { title: "forged" } }, "channel_forbidden"],
    ["no data", { channel: "user_updates" }, "invalid_message"],
  ])("answers %s with an error, publishes nothing and goes on", async (_name, message, code) => {
    const { join } = start();
    const [ada, bob] = [await join(), await join()];
    ada.sendJson(message);
    expect([await take(ada), await take(bob)]).toEqual([[{ type: "error", code }], []]);
    ada.sendJson({ channel: "user_updates", data: 1 });
    expect([await take(ada), await take(bob)]).toMatchObject([[{ data: 1 }], [{ data: 1 }]]);
  });

  it.each([
    ["no JSON", "{"],
    ["bytes", new Uint8Array([0x7b, 0x7d])],
  ])("closes with 1007 at %s, and unsubscribes", async (_name, message) => {
    const { manager, join } = start();
    const client = await join();
    client.send(message);
    expect(await client.closed).toMatchObject({ code: 1007, by: "remote" });
    expect(manager.size).toBe(0);
  });

  it("unsubscribes whoever leaves, and nobody else", async () => {
    const { manager, join } = start();
    const [ada, bob, carl] = [await join(), await join(), await join()];
    ada.close();
    bob.drop();
    await settle();
    for (const name of ["user_updates", "notifications"]) expect(manager.channel(name).subscriberCount).toBe(1);
    await manager.channel("notifications").publish("still here");
    expect([await take(ada), await take(bob), await take(carl)]).toMatchObject([[], [], [{ data: "still here" }]]);
    carl.close();
    await settle();
    expect(manager.size).toBe(0);
  });
});
