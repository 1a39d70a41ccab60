/** The chat as people use it, on each runtime: two real browsers, a real server, and a network that breaks. */
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findTool } from "../../../tools/find-tool.ts";
import { mainRuntimes, run, type Child } from "../../../tools/runtimes.ts";
import { startProxy, type Proxy } from "./proxy.ts";

/** What this file reads of an element; the compiler knows no DOM here. */
interface Attributes {
  getAttribute(name: string): string | null;
}

const executablePath = findTool("chromium");
const artifacts = join(import.meta.dirname, "../../../artifacts");
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const phone = { width: 390, height: 844 };
const desktop = { width: 1280, height: 800 };

const suite = describe.skipIf(executablePath === undefined);

suite.each(mainRuntimes)("The chat on $name in a browser", (runtime) => {
  let server: Child;
  let lines: Interface;
  let serverPort: number;
  let browser: Browser;
  const pages: Page[] = [];

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true });
    server = run(runtime, fileURLToPath(new URL("./fixtures/server.ts", import.meta.url)));
    lines = createInterface(server.process.stdout);
    const [port] = (await once(lines, "line")) as [string];
    serverPort = Number(port);
    browser = await chromium.launch({ executablePath: executablePath ?? "" });
  });
  afterAll(async () => {
    try {
      await browser.close();
      const left = once(lines, "line");
      server.process.kill("SIGTERM");
      expect(await left).toEqual(["0 connections left"]);
      expect(await server.ended).toBe(0);
    } finally {
      server.process.kill("SIGKILL");
    }
  });

  /** Opens the page in a browser of its own; whatever its console complains of fails the test. */
  async function open(port: number, options: BrowserContextOptions = {}, hash = ""): Promise<Page> {
    const context = await browser.newContext({ viewport: desktop, ...options });
    const page = await context.newPage();
    pages.push(page);
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      // A broken connection and a refused request are told by the browser itself; both are what is tested.
      if (message.type() === "error" && !/WebSocket connection|ERR_|status of 40[19]/.test(message.text()))
        complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${String(port)}/${hash}`);
    return page;
  }
  const complaints: string[] = [];
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

  async function visit(port: number, name: string, room: string, options?: BrowserContextOptions): Promise<Page> {
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
    const numbers = await dora
      .getByTestId("message")
      .evaluateAll((items) => items.map((item: Attributes) => Number(item.getAttribute("data-seq"))));
    expect(numbers).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
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
