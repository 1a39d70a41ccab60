/** The chat as `pnpm demo` runs it: a process of its own, talked to over the network, ended by a signal. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";

const folder = join(import.meta.dirname, "..");

it.each(["SIGTERM", "SIGINT"] as const)("serves the page and the rooms, and ends by itself at %s", async (signal) => {
  const server = spawn(process.execPath, ["--conditions=@vel/source", "src/main.ts"], {
    cwd: folder,
    env: { ...process.env, PORT: "0", VEL_CHAT_SECRET: "a secret of the test" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(server.stdout), "line")) as [string];
  const [, origin = ""] = /^Chat on (http:\/\/localhost:\d+)$/.exec(line) ?? [];
  try {
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
  } finally {
    server.kill("SIGKILL");
  }
});
