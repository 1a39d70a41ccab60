import { describe, expect, it, vi } from "vitest";
import { setUp } from "./kit.ts";

/** A request to sign in whose body comes bit by bit, without a length. */
function signInWith(body: ReadableStream): Request {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body, duplex: "half" };
  return new Request("http://chat.test/chat/sign-in", init);
}

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
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-security-policy":
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
          "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
      });
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

describe("The HTTP side", () => {
  it("lets nobody keep what it answers, tokens least of all", async () => {
    const { ask } = setUp();
    for (const response of [
      await ask("POST", "/chat/sign-in", { body: { name: "Ada" } }),
      await ask("GET", "/chat/rooms"),
      await ask("POST", "/chat/renew"),
    ]) {
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  it("refuses a body that is too large before it has read it all, one without a length too", async () => {
    const { chat } = setUp();
    let read = 0;
    const body = new ReadableStream({
      pull(controller) {
        read += 1_024;
        controller.enqueue(new Uint8Array(1_024).fill(32));
      },
    });
    const response = await chat.fetch(signInWith(body));
    expect(response.status).toBe(413);
    expect(await response.json()).toEqual({ error: "too_large" });
    expect(read).toBeLessThan(32_768);
  });

  it("tells the server's log of what goes wrong, and the client nothing", async () => {
    const { chat } = setUp();
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const body = new ReadableStream({
      start(controller) {
        controller.error(new Error("a secret of the server"));
      },
    });
    const response = await chat.fetch(signInWith(body));
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: "internal" });
    expect(log).toHaveBeenCalledOnce();
    expect(log.mock.calls[0]?.[0]).toContain("a secret of the server");
    log.mockRestore();
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

  it("are found by any name that a room can have", async () => {
    const { ask, visit } = setUp();
    for (const room of ["a/b", "100%", "a%2Fb", "q?x=1#y", "Ünï 👋", "__proto__", "users"]) {
      const { token } = await visit(`in ${room}`, room);
      const path = `/chat/rooms/${encodeURIComponent(room)}/users`;
      expect(await (await ask("GET", path, { token })).json(), room).toMatchObject({ room, user_count: 1 });
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
