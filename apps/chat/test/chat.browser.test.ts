/** The chat as people use it, on each runtime: two real browsers, a real server, and a network that breaks. */
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ChatOptions } from "@vel/app-chat";
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { findTool } from "../../../tools/find-tool.ts";
import { mainRuntimes, run, type Runtime } from "../../../tools/runtimes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

/** What this file reads of an element; the compiler knows no DOM here. */
interface Attributes {
  getAttribute(name: string): string | null;
}

const executablePath = findTool("chromium");
const artifacts = join(import.meta.dirname, "../../../artifacts");
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How a page is opened. */
interface PageOptions extends BrowserContextOptions {
  /** Runs in it before its own scripts do. */
  script?: string;
}

// What runs in a page; the compiler knows no DOM here.

/** A page that cannot show its server a fresh token. */
const losesAuthFrames = `
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (!data.includes('"type":"auth"')) send.call(this, data);
  };
`;

/** Keeps the page's sockets, and when each was made and closed. */
const recordsSockets = `
  globalThis.sockets = [];
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      const openedAt = performance.now();
      super(...args);
      const record = { socket: this, openedAt };
      sockets.push(record);
      this.addEventListener("close", ({ code, reason }) => {
        Object.assign(record, { closedAt: performance.now(), code, reason });
      });
    }
  };
`;

/** Keeps every state that the page shows of its connection from now on. */
const recordsStates = `
  globalThis.states = [];
  new MutationObserver(() => states.push(document.querySelector("#status").dataset.state))
    .observe(document.querySelector("#status"), { attributes: true });
`;

/** Sends messages faster than anybody types. */
const writes = (texts: readonly string[]): string => `
  for (const text of ${JSON.stringify(texts)}) {
    document.querySelector("#composer").value = text;
    document.querySelector("#composer-form").requestSubmit();
  }
`;

const phone = { width: 390, height: 844 };
const desktop = { width: 1280, height: 800 };

const suite = describe.skipIf(executablePath === undefined);

/** A chat in a process of its own. */
interface Server {
  readonly port: number;
  /** Ends it, and fails when somebody is still connected. */
  stop(): Promise<void>;
  /** Ends it whatever happens. */
  kill(): void;
}

async function start(runtime: Runtime, options: Partial<ChatOptions>): Promise<Server> {
  const file = fileURLToPath(new URL("./fixtures/server.ts", import.meta.url));
  const { process: child, ended } = run(runtime, file, { VEL_CHAT_OPTIONS: JSON.stringify(options) });
  const lines = createInterface(child.stdout);
  const [port] = (await once(lines, "line")) as [string];
  return {
    port: Number(port),
    async stop() {
      const left = once(lines, "line");
      child.kill("SIGTERM");
      expect(await left).toEqual(["0 connections left"]);
      expect(await ended).toBe(0);
    },
    kill: () => child.kill("SIGKILL"),
  };
}

suite.each(mainRuntimes)("The chat on $name in a browser", (runtime) => {
  let server: Server;
  let serverPort: number;
  let browser: Browser;
  const pages: Page[] = [];

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true });
    // A silent peer is noticed soon, so that the test need not wait for long; no test judges by these times.
    server = await start(runtime, { pingInterval: 500, pongTimeout: 1_000 });
    serverPort = server.port;
    browser = await chromium.launch({ executablePath: executablePath ?? "" });
  });
  afterAll(async () => {
    await browser.close();
    await server.stop().finally(server.kill);
    // Whatever the tests above did: a token is three parts that begin so, and has no place in any address.
    expect(urls.length).toBeGreaterThan(0);
    expect(urls.filter((url) => /eyJ|token/i.test(url))).toEqual([]);
  });

  /** Opens the page in a browser of its own; whatever its console complains of fails the test. */
  async function open(port: number, { script, ...options }: PageOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: desktop, ...options });
    if (script !== undefined) await context.addInitScript(script);
    const page = await context.newPage();
    pages.push(page);
    page.on("request", (request) => urls.push(request.url()));
    page.on("websocket", (socket) => urls.push(socket.url()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      // A broken connection and a refused request are told by the browser itself; both are what is tested.
      if (message.type() === "error" && !/WebSocket connection|ERR_|status of 40[19]/.test(message.text()))
        complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${String(port)}/`);
    return page;
  }
  const complaints: string[] = [];
  const urls: string[] = [];
  afterAll(() => {
    expect(complaints).toEqual([]);
  });

  async function signIn(page: Page, name: string): Promise<void> {
    await page.getByTestId("sign-in-name").fill(name);
    await page.getByTestId("sign-in-submit").click();
    await page.locator('body[data-view="rooms"], body[data-view="room"]').waitFor();
  }

  async function enter(page: Page, room: string): Promise<void> {
    await page.getByTestId("room-name-input").fill(room);
    await page.getByTestId("room-create").click();
    await page.locator('body[data-view="room"][data-connection-id]').waitFor();
  }

  async function visit(port: number, name: string, room: string, options?: PageOptions): Promise<Page> {
    const page = await open(port, options);
    await signIn(page, name);
    await enter(page, room);
    return page;
  }

  /** Signs in as somebody without a page, who can tell a room something. */
  async function announcer(name: string, room: string): Promise<(message: string) => Promise<void>> {
    const post = async (path: string, body: object, token = ""): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${String(serverPort)}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
      expect(response.status).toBe(200);
      return response.json();
    };
    const { token } = (await post("/chat/sign-in", { name })) as { token: string };
    return async (message) => {
      await post(`/chat/broadcast/${encodeURIComponent(room)}`, { message }, token);
    };
  }

  async function say(page: Page, text: string): Promise<void> {
    await page.getByTestId("composer").fill(text);
    await page.getByTestId("composer").press("Enter");
  }

  const said = (page: Page): Locator => page.getByTestId("message").getByTestId("message-text");
  const people = (page: Page): Promise<string[]> =>
    page
      .getByTestId("person")
      .evaluateAll((items) => items.map((item: Attributes) => item.getAttribute("data-user-id") ?? ""));
  const seqs = (page: Page): Promise<number[]> =>
    page
      .getByTestId("message")
      .evaluateAll((items) => items.map((item: Attributes) => Number(item.getAttribute("data-seq"))));
  const connectionId = (page: Page): Promise<string | null> => page.locator("body").getAttribute("data-connection-id");

  it("lets two people talk, and shows who is here, who types, who came and went", async () => {
    const ada = await visit(serverPort, "Ada", "lobby");
    const bob = await visit(serverPort, "Bob", "lobby", { viewport: phone });
    await expectTexts(ada.getByTestId("notice"), [/Bob/]);
    expect(await people(ada)).toHaveLength(2);
    await ada.getByTestId("composer").pressSequentially("Hello");
    await bob.getByTestId("typing").getByText("Ada").waitFor();
    await ada.getByTestId("composer").press("Enter");
    await said(bob).getByText("Hello", { exact: true }).waitFor();
    await ada.locator('[data-testid="message"][data-own="true"][data-state="sent"]').waitFor();
    await say(bob, "Hi, Ada");
    await said(ada).getByText("Hi, Ada").waitFor();

    await bob.getByTestId("leave-room").click();
    await bob.locator('body[data-view="rooms"]').waitFor();
    await expectTexts(ada.getByTestId("notice"), [/Bob/, /Bob/]);
    await expect.poll(() => people(ada)).toHaveLength(1);

    // The last messages meet whoever enters.
    await bob.locator('[data-testid="room-item"][data-room="lobby"]').click();
    await said(bob).getByText("Hello", { exact: true }).waitFor();
    await expect.poll(() => said(bob).allInnerTexts()).toEqual(["Hello", "Hi, Ada"]);
    await closeAll();
  });

  it("refuses a name that somebody holds, and frees it at sign-out", async () => {
    const cleo = await open(serverPort);
    await signIn(cleo, "Cleo");
    const other = await open(serverPort);
    await other.getByTestId("sign-in-name").fill("CLEO");
    await other.getByTestId("sign-in-submit").click();
    await expect.poll(() => other.getByTestId("sign-in-error").innerText()).toMatch(/Somebody is here/);
    // The page is back at its start before the server has heard of it.
    const signedOut = cleo.waitForResponse("**/chat/sign-out");
    await cleo.getByTestId("sign-out").click();
    await cleo.locator('body[data-view="sign-in"]').waitFor();
    await signedOut;
    await signIn(other, "CLEO");
    await closeAll();
  });

  it.each([
    ["reset", 1],
    ["silence", 0],
  ] as const)("shows a %s, comes back on a new connection, and shows what was missed", async (how, fewest) => {
    const proxy: Proxy = await startProxy(serverPort);
    const room = `broken by ${how}`;
    const dora = await visit(proxy.port, `Dora ${how}`, room);
    const emil = await visit(serverPort, `Emil ${how}`, room);
    await say(dora, "before");
    await said(emil).getByText("before").waitFor();
    const before = await connectionId(dora);
    const everListed: string[][] = [];
    const listed = async (): Promise<void> => {
      for (const page of [dora, emil]) everListed.push(await people(page));
    };

    // Nobody comes back before all is said.
    proxy.isShut = true;
    proxy[how]();
    await dora.locator('[data-testid="status"][data-state="offline"]').waitFor();
    await listed();
    const missed = Array.from({ length: 15 }, (_, i) => `meanwhile ${String(i + 1)}`);
    for (const text of missed) await say(emil, text);
    await said(emil).getByText("meanwhile 15", { exact: true }).waitFor();
    await listed();
    proxy.isShut = false;
    // By itself, after its back-off: some seconds at most.
    await dora.locator('[data-testid="status"][data-state="online"]').waitFor({ state: "attached", timeout: 60_000 });
    await said(dora).getByText("meanwhile 15", { exact: true }).waitFor();
    await listed();

    const after = await connectionId(dora);
    expect(after).not.toBeNull();
    expect(after).not.toBe(before);
    expect(await said(dora).allInnerTexts()).toEqual(["before", ...missed]);
    expect(await seqs(dora)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    await say(dora, "back");
    await said(emil).getByText("back", { exact: true }).waitFor();

    // Seen from the other page: once gone and once back after a reset; after silence at most that.
    const notices = (await emil.getByTestId("notice").allInnerTexts()).filter((text) => text.includes(`Dora ${how}`));
    const left = notices.filter((text) => /left/.test(text));
    const came = notices.filter((text) => /came/.test(text));
    expect(left.length, notices.join()).toBeGreaterThanOrEqual(fewest);
    expect(left.length, notices.join()).toBeLessThanOrEqual(1);
    expect(came.length, notices.join()).toBe(left.length);
    await listed();
    for (const list of everListed) expect(new Set(list).size).toBe(list.length);
    expect(await people(emil)).toHaveLength(2);
    await closeAll();
    await proxy.close();
  });

  it("keeps what is written while it is offline, and sends it once", async () => {
    const proxy = await startProxy(serverPort);
    const fay = await visit(proxy.port, "Fay", "offline");
    const gus = await visit(serverPort, "Gus", "offline");
    await say(fay, "one");
    await said(gus).getByText("one", { exact: true }).waitFor();
    proxy.reset();
    await say(fay, "two");
    await say(fay, "three");
    await said(gus).getByText("three", { exact: true }).waitFor();
    await expect.poll(() => said(gus).allInnerTexts()).toEqual(["one", "two", "three"]);
    await expect.poll(() => fay.locator('[data-testid="message"][data-state="sent"]').count()).toBe(3);
    await closeAll();
    await proxy.close();
  });

  it("shows as sent what arrived, although the echo was lost and the room has forgotten it since", async () => {
    const proxy = await startProxy(serverPort);
    const max = await visit(proxy.port, "Max", "echo");
    const nia = await visit(serverPort, "Nia", "echo");
    proxy.isShut = true;
    proxy.deafen();
    await say(max, "heard");
    await said(nia).getByText("heard", { exact: true }).waitFor();
    await max.locator('[data-testid="status"][data-state="offline"]').waitFor();
    const announce = await announcer("Otto", "echo");
    for (let i = 0; i <= 100; i++) await announce(`Announcement ${String(i)}`);
    proxy.isShut = false;
    await max.locator('[data-testid="status"][data-state="online"]').waitFor({ state: "attached", timeout: 60_000 });
    await max.getByTestId("notice").getByText("could not be recovered").waitFor();
    await max.locator('[data-testid="message"][data-own="true"][data-state="sent"][data-seq="1"]').waitFor();
    await say(max, "and on");
    await said(nia).getByText("and on", { exact: true }).waitFor();
    for (const page of [max, nia]) expect(await said(page).allInnerTexts()).toEqual(["heard", "and on"]);
    await closeAll();
    await proxy.close();
  });

  it("shows its token to the server in no address, and still enters with it", async () => {
    const before = urls.length;
    const page = await visit(serverPort, "Pia", "addresses");
    const token = await page.evaluate<string>("JSON.parse(sessionStorage.getItem('vel-chat-session')).token");
    expect(token).toMatch(/^eyJ/);
    const asked = urls.slice(before);
    expect(asked.some((url) => url.startsWith("ws:") && url.endsWith("/ws/chat/addresses"))).toBe(true);
    expect(asked.filter((url) => url.includes(token.slice(0, 20)))).toEqual([]);
    await closeAll();
  });

  it("keeps the conversation whole while tokens expire, on the same connection or on a new one", async () => {
    const short = await start(runtime, { tokenLifetime: 8_000 });
    onTestFinished(short.kill);
    const keeper = await visit(short.port, "Keeper", "expiry");
    // This one's fresh tokens never reach the server, which therefore closes the connection.
    const loser = await visit(short.port, "Loser", "expiry", { script: losesAuthFrames });
    for (const page of [keeper, loser]) await page.evaluate(recordsStates);
    const [kept, lost] = [await connectionId(keeper), await connectionId(loser)];
    const texts: string[] = [];
    const talk = async (): Promise<void> => {
      for (const page of [keeper, loser]) {
        const text = `message ${String(texts.length + 1)}`;
        texts.push(text);
        await say(page, text);
        for (const each of [keeper, loser]) await said(each).getByText(text, { exact: true }).waitFor();
      }
    };
    await talk();
    // At the fourth, two of the tokens before have expired.
    for (let renewals = 1; renewals <= 4; renewals++) {
      await keeper.waitForResponse("**/chat/renew", { timeout: 60_000 });
      await talk();
    }
    await expect.poll(() => connectionId(loser), { timeout: 60_000 }).not.toBe(lost);
    await talk();

    expect(await connectionId(keeper)).toBe(kept);
    for (const page of [keeper, loser]) {
      expect(await said(page).allInnerTexts()).toEqual(texts);
      expect(await seqs(page)).toEqual(texts.map((_, i) => i + 1));
      expect(await page.evaluate("states.filter((state) => state !== 'online')")).toEqual([]);
      expect((await page.getByTestId("notice").allInnerTexts()).filter((text) => /away/.test(text))).toEqual([]);
    }
    await closeAll();
    await short.stop();
  });

  it("says so when somebody writes faster than is allowed, and loses nothing", async () => {
    const strict = await start(runtime, { pace: { messages: 1, per: 1_000, burst: 3 } });
    onTestFinished(strict.kill);
    const slowed = (page: Page): Locator => page.locator('[data-testid="status"][data-state="slowed"]');
    const texts = Array.from({ length: 6 }, (_, i) => `message ${String(i + 1)}`);
    const ben = await visit(strict.port, "Ben", "haste");
    const hal = await visit(strict.port, "Hal", "haste");
    await hal.evaluate(recordsStates);
    await hal.evaluate(writes(texts));
    await said(ben).getByText("message 6", { exact: true }).waitFor();
    await hal.locator('[data-testid="status"][data-state="online"]').waitFor({ state: "attached" });
    expect(await hal.locator('[data-testid="message"][data-state="sent"]').count()).toBe(6);
    expect(await hal.evaluate("states")).toEqual(["slowed", "online"]);
    for (const page of [ben, hal]) expect(await said(page).allInnerTexts()).toEqual(texts);

    for (const [device, viewport] of Object.entries({ phone, desktop })) {
      for (const colorScheme of ["light", "dark"] as const) {
        const room = `${device} ${colorScheme}`;
        const page = await visit(strict.port, `Ida ${room}`, room, { viewport, colorScheme });
        await page.evaluate(writes(Array.from({ length: 15 }, (_, i) => `Quick, number ${String(i + 1)}!`)));
        await slowed(page).getByText("one by one").waitFor();
        await page.screenshot({ path: join(artifacts, `slowed-${device}-${colorScheme}-${runtime.adapter}.png`) });
        expect(await violations(page)).toEqual([]);
      }
    }
    await closeAll();
    await strict.stop();
  });

  it("is closed when it floods the server, and comes back no earlier than that asks for", async () => {
    const page = await visit(serverPort, "Flo", "flood", { script: recordsSockets });
    const before = await connectionId(page);
    await page.evaluate('for (let i = 0; i < 2_000; i++) sockets[0].socket.send(\'{"type":"ping"}\')');
    // How it looks meanwhile is over soon.
    await page.locator(`body[data-connection-id]:not([data-connection-id="${String(before)}"])`).waitFor();
    const [first, second] = await page.evaluate<{ openedAt: number; closedAt: number; code: number; reason: string }[]>(
      "sockets.map(({ socket, ...facts }) => facts)",
    );
    // Who goes on sending behind its close may not get Deno's close frame, see docs/runtimes.md.
    expect(runtime.adapter === "deno" ? [4429, 1006] : [4429]).toContain(first?.code);
    if (first?.code === 4429) {
      const asked = Number(/^retry after (\d+) ms$/.exec(first.reason)?.[1]);
      expect(asked).toBeGreaterThan(0);
      expect((second?.openedAt ?? 0) - first.closedAt).toBeGreaterThanOrEqual(asked - 1);
    }
    await say(page, "sorry");
    await page.locator('[data-testid="message"][data-state="sent"]').getByText("sorry").waitFor();
    await closeAll();
  });

  it("shows names and messages as text, whatever they contain", async () => {
    const hostile = "<img src=x onerror=alert(1)>";
    const hal = await visit(serverPort, hostile, "hostile");
    const ivy = await visit(serverPort, "Ivy", "hostile", { viewport: phone });
    for (const text of [
      hostile,
      "<script>document.title='taken'</script>",
      "‮reversed",
      "a".repeat(400),
      "👩‍👩‍👧‍👦".repeat(30),
    ]) {
      await say(hal, text);
      await said(ivy).getByText(text, { exact: true }).waitFor();
    }
    expect(await ivy.locator('[data-testid="messages"] :is(img, script)').count()).toBe(0);
    expect(await ivy.title()).not.toBe("taken");
    // Nothing is wider than the screen.
    expect(await ivy.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await closeAll();
  });

  it("is used by keyboard alone", async () => {
    const page = await open(serverPort);
    await page.locator('body[data-view="sign-in"]').waitFor();
    await focus(page, "sign-in-name");
    await page.keyboard.type("Jo");
    await page.keyboard.press("Enter");
    await page.locator('body[data-view="rooms"]').waitFor();
    await focus(page, "room-name-input");
    await page.keyboard.type("keys");
    await page.keyboard.press("Enter");
    await page.locator('body[data-view="room"][data-connection-id]').waitFor();
    await focus(page, "composer");
    await page.keyboard.type("no mouse");
    await page.keyboard.press("Enter");
    await said(page).getByText("no mouse").waitFor();
    await focus(page, "leave-room");
    await page.keyboard.press("Enter");
    await page.locator('body[data-view="rooms"]').waitFor();
    await closeAll();
  });

  describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
    it.each([
      ["phone", phone],
      ["desktop", desktop],
    ] as const)("has no violations that axe finds on a %s", async (device, viewport) => {
      const options = { viewport, colorScheme };
      const shot = (page: Page, view: string): Promise<unknown> =>
        page.screenshot({ path: join(artifacts, `${view}-${device}-${colorScheme}-${runtime.adapter}.png`) });
      const room = `looks ${device} ${colorScheme}`;
      const proxy = await startProxy(serverPort);
      const page = await open(proxy.port, options);
      await page.locator('body[data-view="sign-in"]').waitFor();
      expect(await violations(page)).toEqual([]);
      await shot(page, "sign-in");
      await signIn(page, `Kim ${device} ${colorScheme}`);
      const other = await visit(serverPort, `Lea ${device} ${colorScheme}`, room);
      await say(other, "Good morning! Did the new build go out?");
      await page.locator(`[data-testid="room-item"][data-room="${room}"]`).waitFor();
      expect(await violations(page)).toEqual([]);
      await shot(page, "rooms");
      await page.locator(`[data-testid="room-item"][data-room="${room}"]`).click();
      await page.locator('body[data-view="room"][data-connection-id]').waitFor();
      await say(page, "It did, ten minutes ago. All green.");
      await said(other).getByText("All green").waitFor();
      await say(other, "Lovely 🎉");
      await other.getByTestId("composer").pressSequentially("One more");
      await page.getByTestId("typing").getByText("Lea").waitFor();
      expect(await violations(page)).toEqual([]);
      await shot(page, "room");
      proxy.isShut = true;
      proxy.reset();
      await page.locator('[data-testid="status"][data-state="offline"]').waitFor();
      await say(page, "Are you still there?");
      await page.locator('[data-testid="message"][data-state="pending"]').waitFor();
      expect(await violations(page)).toEqual([]);
      await shot(page, "offline");
      await closeAll();
      await proxy.close();
    });
  });

  async function closeAll(): Promise<void> {
    for (const page of pages.splice(0)) await page.context().close();
  }

  /** Moves the focus with the Tab key until it is where it is wanted. */
  async function focus(page: Page, testId: string): Promise<void> {
    for (let i = 0; i < 30; i++) {
      if ((await page.evaluate("document.activeElement?.dataset.testid")) === testId) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not reach ${testId}`);
  }

  async function violations(page: Page): Promise<string[]> {
    await page.evaluate(axeSource); // by the debugger, which no Content-Security-Policy binds
    return page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      const { violations } = await axe.run({ runOnly: { type: "tag", values: tags } });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`);
    });
  }

  async function expectTexts(items: Locator, patterns: RegExp[]): Promise<void> {
    await expect.poll(async () => (await items.allInnerTexts()).length).toBeGreaterThanOrEqual(patterns.length);
    const texts = await items.allInnerTexts();
    patterns.forEach((pattern, i) => {
      expect(texts.at(i - patterns.length)).toMatch(pattern);
    });
  }
});
