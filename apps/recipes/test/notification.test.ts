import { ChannelManager } from "@vel/channels";
import { ManualClock, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { notification } from "../src/notification.ts";
import { setUp } from "./kit.ts";

describe("Broadcasting to Channels", () => {
  const secret = "s3cret-.~_+/=";
  const good = { title: "Grüße", message: "👋" };

  function start() {
    const manager = new ChannelManager();
    const { answer } = setUp((vel) => notification(vel, { manager, secret }), { clock: new ManualClock() });
    const published: unknown[] = [];
    const messages = manager.channel("notifications").messages();
    void (async () => {
      for await (const { data } of messages) published.push(data);
    })();
    const post = async (body: unknown, headers: HeadersInit = { authorization: `Bearer ${secret}` }) => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const request = new Request("http://localhost/broadcast/notification", { method: "POST", headers, body: text });
      const response = await answer(request);
      await settle();
      return response;
    };
    return { answer, published, post };
  }

  it("publishes a notification and answers as the specification does", async () => {
    const { post, published } = start();
    const response = await post({ ...good, more: 1 });
    expect([response?.status, await response?.json()]).toEqual([200, { status: "broadcast_sent" }]);
    expect(published).toEqual([{ type: "notification", ...good, timestamp: "2026-01-01T00:00:00.000Z" }]);
  });

  it.each([
    ["no secret", {}],
    ["another secret", { authorization: `Bearer ${secret}x` }],
    ["a part of the secret", { authorization: `Bearer ${secret.slice(0, -1)}` }],
    ["a secret of another case", { authorization: `Bearer ${secret.toUpperCase()}` }],
    ["an empty secret", { authorization: "Bearer " }],
    ["the secret in another scheme", { authorization: `Basic ${secret}` }],
    ["the secret alone", { authorization: secret }],
  ])("answers 401 to %s, whatever the body is", async (_name, headers: Record<string, string>) => {
    const { post, published } = start();
    for (const body of [good, "{"]) {
      const response = await post(body, headers);
      expect([response?.status, await response?.json()]).toEqual([401, { error: "unauthorized" }]);
      expect(response?.headers.get("www-authenticate")).toBe("Bearer");
    }
    expect(published).toEqual([]);
  });

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["null", "null"],
    ["a text", '"hello"'],
    ["no title", { message: "m" }],
    ["an empty title", { ...good, title: "" }],
    ["a title that is no text", { ...good, title: 7 }],
    ["no message", { title: "t" }],
    ["a message that is too long", { ...good, message: "x".repeat(1_001) }],
  ])("answers 400 to %s and publishes nothing", async (_name, body) => {
    const { post, published } = start();
    const response = await post(body);
    expect([response?.status, await response?.json()]).toEqual([400, { error: "invalid_notification" }]);
    expect(published).toEqual([]);
  });

  it("answers nothing else", async () => {
    const { answer } = start();
    const headers = { authorization: `Bearer ${secret}` };
    const [method, body] = ["POST", JSON.stringify(good)];
    expect(await answer(new Request("http://localhost/broadcast/notification", { headers }))).toBeUndefined();
    expect(await answer(new Request("http://localhost/broadcast", { method, headers, body }))).toBeUndefined();
  });

  it.each(["", "two words", "Schlüssel"])("takes no secret that cannot be sent: %j", (bad) => {
    expect(() => setUp((vel) => notification(vel, { manager: new ChannelManager(), secret: bad }))).toThrow(TypeError);
  });
});
