/** The chat as `pnpm demo` runs it: a process of its own, talked to over the network, ended by a signal. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SignJWT } from "jose";
import { expect, it, onTestFinished } from "vitest";

const folder = join(import.meta.dirname, "..");

/** Starts the chat on a free port and tells where it is; whatever happens, it is gone when the test is over. */
async function start(secret: string): Promise<{ server: ChildProcess; origin: string }> {
  const server = spawn(process.execPath, ["--conditions=@vel/source", "src/main.ts"], {
    cwd: folder,
    env: { ...process.env, PORT: "0", VEL_CHAT_SECRET: secret },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    server.kill("SIGKILL");
  });
  const [line] = (await once(createInterface(server.stdout), "line")) as [string];
  const [, origin = ""] = /^Chat on (http:\/\/localhost:\d+)$/.exec(line) ?? [];
  return { server, origin };
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
  server.kill(signal);
  expect((await closed)[0].code).toBe(1001);
  expect(await once(server, "exit")).toEqual([0, null]);
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
