import { createChat } from "@vel/app-chat";
import { connect, settle, type TestClient } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { setUp } from "./kit.ts";

const metricsToken = "a.token-for_the~tests";

/** Reads a snapshot off the metrics page's own connection. */
async function snapshotOf(client: TestClient): Promise<unknown> {
  await settle();
  for (;;) {
    const frame = await client.receiveJson<{ type: string }>();
    if (frame.type === "snapshot") return frame;
  }
}

describe("GET /metrics", () => {
  it("has the numbers of every part, for Prometheus", async () => {
    const { ask, visit, clock } = setUp({ metricsToken });
    const ada = await visit("Ada");
    await visit("Bob", "another");
    ada.say({ type: "chat_message", message: "hello" });
    await clock.advance(20_000);
    const response = await ask("GET", "/metrics", { token: metricsToken });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const lines = (await response.text()).split("\n");
    for (const line of [
      'vel_connections{route="/ws/chat/:room"} 2',
      'vel_messages_received_total{route="/ws/chat/:room"} 1',
      "vel_rooms 2",
      "vel_room_users 2",
      "vel_heartbeat_connections 2",
      "vel_heartbeat_pings_total 2",
      "vel_ping_rtt_seconds_count 2",
      "vel_pool_connections 2",
      'vel_connection_limit{scope="total"} 5000',
      'vel_connection_limit{scope="user"} 20',
      'vel_rate_limit_exceeded_total{action="drop"} 0',
      'vel_auth_attempts_total{strategy="subprotocol",result="accepted"} 2',
    ]) {
      expect(lines).toContain(line);
    }
    // No name of a room or a person, which are anybody's choice.
    expect(lines.filter((line) => /lobby|another|Ada|Bob/.test(line))).toEqual([]);
  });

  it("is for those alone who know the token; whoever is signed in does not", async () => {
    const { ask, signIn } = setUp({ metricsToken });
    const { token } = await signIn("Ada");
    for (const wrong of [undefined, "", token, `${metricsToken}x`, metricsToken.slice(1), metricsToken.toUpperCase()]) {
      const response = await ask("GET", "/metrics", wrong === undefined ? {} : { token: wrong });
      expect([response.status, await response.json()], wrong).toEqual([401, { error: "unauthorized" }]);
    }
    const inAddress = await ask("GET", `/metrics?token=${metricsToken}`);
    expect(inAddress.status).toBe(401);
  });
});

describe("The page of the metrics", () => {
  it("is served under its own policy, and shows a chat to who knows the token", async () => {
    const { ask, visit, chat, clock } = setUp({ metricsToken });
    await visit("Ada");
    const page = await ask("GET", "/vel/");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect((await ask("GET", "/vel/page.js")).headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    const viewer = await connect(chat.vel, "/vel/live");
    viewer.sendJson({ type: "auth", token: metricsToken });
    await clock.advance(1_000);
    expect(await snapshotOf(viewer)).toMatchObject({
      sample: { connections: 2 },
      rooms: { largest: [{ name: "lobby", userCount: 1, connectionCount: 1 }] },
    });
  });

  it("shows nothing to anybody else", async () => {
    const { visit, chat, clock } = setUp({ metricsToken });
    const ada = await visit("Ada");
    for (const token of ["", ada.token, `${metricsToken}x`]) {
      const viewer = await connect(chat.vel, "/vel/live");
      viewer.sendJson({ type: "auth", token });
      await clock.advance(1_000);
      expect(viewer.received.some((frame) => String(frame).includes("snapshot"))).toBe(false);
    }
  });
});

describe("createChat()", () => {
  it.each(["", "too short", "a token with spaces in it", "ein Schlüssel für alle"])(
    "takes no metrics token that cannot be one: %j",
    (bad) => {
      expect(() => createChat({ page: {}, metricsToken: bad })).toThrow('Option "metricsToken"');
    },
  );

  it("chooses one that nobody knows when there is none", async () => {
    const { ask } = setUp();
    expect((await ask("GET", "/metrics", { token: "undefined" })).status).toBe(401);
  });
});
