/** The chat as `pnpm demo` runs it, on each runtime: a process of its own, talked to over the network, ended by a signal. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SignJWT } from "jose";
import { describe, expect, it, onTestFinished } from "vitest";
import { mainRuntimes, run, type Child } from "../../../tools/runtimes.ts";

describe.each(mainRuntimes)("The chat on $name", (runtime) => {
  /** Starts the chat on a free port and tells where it is; whatever happens, it is gone when the test is over. */
  async function start(secret: string, metricsToken = ""): Promise<{ server: Child; origin: string; metrics: string }> {
    const main = join(import.meta.dirname, `../../${runtime.adapter}/src/main.ts`);
    const server = run(runtime, main, { PORT: "0", VEL_CHAT_SECRET: secret, METRICS_TOKEN: metricsToken });
    onTestFinished(() => {
      server.process.kill("SIGKILL");
    });
    const lines = createInterface(server.process.stdout)[Symbol.asyncIterator]();
    const line = async (): Promise<string> => String((await lines.next()).value);
    const [, origin = ""] = /^Chat on (http:\/\/localhost:\d+)$/.exec(await line()) ?? [];
    return { server, origin, metrics: metricsToken === "" ? await line() : "" };
  }

  it.each(["SIGTERM", "SIGINT"] as const)("serves the page and the rooms, and ends by itself at %s", async (signal) => {
    const { server, origin } = await start("a secret of the test");
    const page = await fetch(origin);
    expect(await page.text()).toContain('<script type="module" src="/chat.js">');
    const signedIn = await fetch(`${origin}/chat/sign-in`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "Ada" }),
    });
    const { token } = (await signedIn.json()) as { token: string };
    const socket = new WebSocket(`${origin.replace("http", "ws")}/ws/chat/lobby?token=${token}`);
    const [first] = (await once(socket, "message")) as [MessageEvent<string>];
    expect(JSON.parse(first.data)).toMatchObject({ type: "room_info", room: "lobby", user_count: 1 });
    const closed = once(socket, "close") as Promise<[CloseEvent]>;
    server.process.kill(signal);
    expect((await closed)[0].code).toBe(1001);
    expect(await server.ended).toBe(0);
  });

  it("shows its metrics to those who know the token, which it prints when nobody has chosen one", async () => {
    const told = await start("a secret of the test");
    const [, page = "", printed = ""] = /^Metrics on (.+), token (\S{16,})$/.exec(told.metrics) ?? [];
    expect(page).toBe(`${told.origin}/vel/`);
    const chosen = await start("a secret of the test", "a.token-for_the~tests");
    for (const [origin, token, other] of [
      [told.origin, printed, "a.token-for_the~tests"],
      [chosen.origin, "a.token-for_the~tests", printed],
    ] as const) {
      expect((await fetch(`${origin}/vel/`)).headers.get("content-type")).toBe("text/html; charset=utf-8");
      const ask = (bearer: string) => fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${bearer}` } });
      expect((await ask(other)).status).toBe(401);
      expect(await (await ask(token)).text()).toContain("vel_heartbeat_connections 0");
    }
  });

  it("takes the secret of the environment, and an empty one for none", async () => {
    // Who knows the secret can make a token; nobody may know that of a server whose variable is set and empty.
    for (const [secret, status] of [
      ["a secret of the test", 200],
      ["", 401],
    ] as const) {
      const { origin } = await start(secret);
      const token = await new SignJWT({ name: "Mallory" })
        .setProtectedHeader({ alg: "HS256" })
        .setSubject("mallory")
        .setIssuer("vel-chat")
        .setAudience("vel-chat")
        .setExpirationTime("1h")
        .sign(createHash("sha256").update(secret).digest());
      const renewed = await fetch(`${origin}/chat/renew`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
      });
      expect(renewed.status, JSON.stringify(secret)).toBe(status);
    }
  });
});
