import { describe, expect, it } from "vitest";
import { setUp, type Setup } from "./kit.ts";

const lifetime = 20_000;
const auth = (token: unknown): object => ({ type: "auth", token });
const unauthorized = { type: "error", code: "unauthorized", message: "This token does not prove who you are" };

async function renew({ ask }: Setup, token: string): Promise<string> {
  const response = await ask("POST", "/chat/renew", { token });
  expect(response.status).toBe(200);
  return ((await response.json()) as { token: string }).token;
}

describe("A connection", () => {
  it("is closed with 4401 when its token expires, and its user has left", async () => {
    const { visit, clock } = setUp({ tokenLifetime: lifetime });
    const ada = await visit("Ada");
    await clock.advance(5_000);
    const bob = await visit("Bob");
    await clock.advance(lifetime - 5_000 - 1);
    expect(ada.client.isOpen).toBe(true);
    await clock.advance(1);
    expect(await ada.client.closed).toMatchObject({ code: 4401, by: "remote" });
    expect(await bob.heard()).toContainEqual(expect.objectContaining({ type: "user_left", name: "Ada" }));
    expect(bob.client.isOpen).toBe(true);
  });

  it("lives on with each fresh token that is shown on it, and misses nothing", async () => {
    const chat = setUp({ tokenLifetime: lifetime });
    const { clock, visit } = chat;
    const ada = await visit("Ada");
    const bob = await visit("Bob");
    const tokens = [ada.token, bob.token];
    for (let i = 1; i <= 10; i++) {
      await clock.advance(lifetime / 2);
      for (const [index, each] of [ada, bob].entries()) {
        tokens[index] = await renew(chat, tokens[index] ?? "");
        each.say(auth(tokens[index]));
        each.say({ type: "chat_message", message: `m${String(2 * i - 1 + index)}` });
      }
    }
    const heard = await ada.heard();
    const messages = heard.filter(({ type }) => type === "chat_message").map(({ message, seq }) => [message, seq]);
    expect(messages).toEqual(Array.from({ length: 20 }, (_, i) => [`m${String(i + 1)}`, i + 1]));
    const granted = heard.filter(({ type }) => type === "auth_ok");
    expect(granted).toEqual(Array.from({ length: 10 }, () => ({ type: "auth_ok", expires_in: lifetime })));
    // With the last of them, too, it comes to an end.
    await clock.advance(lifetime - 1);
    expect(ada.client.isOpen).toBe(true);
    await clock.advance(1);
    expect(await ada.client.closed).toMatchObject({ code: 4401 });
  });

  it("stays on its own token when it shows one that is somebody else's, expired, signed out or none", async () => {
    const chat = setUp({ tokenLifetime: lifetime });
    const { visit, signIn, ask, clock } = chat;
    const expired = (await signIn("Old")).token;
    await clock.advance(lifetime);
    const ada = await visit("Ada");
    const mallory = await signIn("Mallory");
    const gone = await signIn("Gone");
    await ask("POST", "/chat/sign-out", { token: gone.token });
    await clock.advance(lifetime / 2);
    for (const token of [await renew(chat, mallory.token), expired, gone.token, "", "x.y.z", ada.token.slice(0, -2)]) {
      ada.say(auth(token));
      expect(await ada.heard(), token).toContainEqual(unauthorized);
    }
    for (const token of [undefined, null, 7, {}, [ada.token]]) {
      ada.say(auth(token));
      expect(await ada.heard()).toMatchObject([{ type: "error", code: "invalid_message" }]);
    }
    ada.say({ type: "chat_message", message: "still Ada" });
    expect(await ada.heard()).toMatchObject([{ type: "chat_message", name: "Ada" }]);
    expect(ada.client.isOpen).toBe(true);
    await clock.advance(lifetime / 2);
    expect(await ada.client.closed).toMatchObject({ code: 4401 });
  });

  it("comes back with a fresh token to exactly what it has missed", async () => {
    const chat = setUp({ tokenLifetime: lifetime });
    const { visit, enter, clock } = chat;
    const ada = await visit("Ada");
    await clock.advance(lifetime / 2);
    const token = await renew(chat, ada.token);
    const bob = await visit("Bob");
    await clock.advance(lifetime / 2);
    expect(await ada.client.closed).toMatchObject({ code: 4401 });
    bob.say({ type: "chat_message", message: "meanwhile" });
    await bob.heard();
    const { info } = await enter(token, "lobby", `?since=0&epoch=${String(ada.info["epoch"])}`);
    expect(info).toMatchObject({ complete: true, messages: [{ message: "meanwhile", seq: 1 }] });
  });
});
