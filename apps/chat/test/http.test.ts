import { describe, expect, it } from "vitest";
import { setUp } from "./kit.ts";

describe("The page", () => {
  it("is served with its files, under a policy that lets nothing foreign or inline in", async () => {
    const page = {
      "index.html": "<!doctype html>",
      "chat.css": "body{}",
      "chat.js": "export {}",
      "icon.svg": "<svg/>",
    };
    const { ask } = setUp({ page });
    for (const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/chat.css", "text/css; charset=utf-8"],
      ["/chat.js", "text/javascript; charset=utf-8"],
      ["/icon.svg", "image/svg+xml"],
    ] as const) {
      const response = await ask("GET", path);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe(type);
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain("unsafe");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    }
    const missing = await ask("GET", "/nothing");
    expect(missing.status).toBe(404);
    expect(missing.headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  it("learns the intervals and limits", async () => {
    const { ask } = setUp();
    expect(await (await ask("GET", "/chat/config")).json()).toEqual({
      ping_interval: 20_000,
      pong_timeout: 10_000,
      max_message: 2_000,
    });
  });
});

describe("The rooms over HTTP", () => {
  it("are listed for everybody, their people for those who are signed in", async () => {
    const { ask, visit } = setUp();
    expect(await (await ask("GET", "/chat/rooms")).json()).toEqual({ rooms: [] });
    const ada = await visit("Ada", "a room");
    await visit("Bob", "another");
    expect(await (await ask("GET", "/chat/rooms")).json()).toEqual({
      rooms: [
        { room: "a room", user_count: 1 },
        { room: "another", user_count: 1 },
      ],
    });
    expect((await ask("GET", "/chat/rooms/a%20room/users")).status).toBe(401);
    expect(await (await ask("GET", "/chat/rooms/a%20room/users", { token: ada.token })).json()).toEqual({
      room: "a room",
      user_count: 1,
      users: ada.info["users"],
    });
    for (const room of ["nowhere", "%00", "__proto__"]) {
      expect((await ask("GET", `/chat/rooms/${room}/users`, { token: ada.token })).status, room).toBe(404);
    }
  });

  it("are told something by POST /chat/broadcast/:room, numbered as all that is said", async () => {
    const { ask, visit } = setUp();
    const ada = await visit("Ada");
    const { token } = ada;
    expect((await ask("POST", "/chat/broadcast/lobby", { body: { message: "hi" } })).status).toBe(401);
    expect((await ask("POST", "/chat/broadcast/nowhere", { token, body: { message: "hi" } })).status).toBe(404);
    for (const body of [{}, { message: "" }, { message: 7 }, { message: "x".repeat(2_001) }]) {
      expect((await ask("POST", "/chat/broadcast/lobby", { token, body })).status).toBe(400);
    }
    const response = await ask("POST", "/chat/broadcast/lobby", { token, body: { message: "Closing at six" } });
    expect(await response.json()).toEqual({ status: "message_sent" });
    const told = { type: "system_message", message: "Closing at six", timestamp: "2026-01-01T00:00:00.000Z", seq: 1 };
    expect(await ada.heard()).toEqual([told]);
    expect((await visit("Bob")).info["messages"]).toEqual([told]);
  });
});
