/** The metrics page as people use it: a real browser, a real server, real traffic. */
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { findTool } from "../tools/find-tool.ts";
import { mainRuntimes, run, type Child } from "../tools/runtimes.ts";

const executablePath = findTool("chromium");
const artifacts = join(import.meta.dirname, "../artifacts");
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const phone = { width: 390, height: 844 };
const desktop = { width: 1280, height: 800 };
const token = "a token for the tests";
const hostile = "<img src=x onerror=alert(1)>";

/** Waits until something is as it should be: the machine may be busy, and no test judges by time. */
const poll: typeof expect.poll = (ask) => expect.poll(ask, { timeout: 60_000 });

describe.skipIf(executablePath === undefined)("The metrics page in a browser", () => {
  let server: Child;
  let port: number;
  let ended: () => Promise<unknown>;
  let browser: Browser;
  const pages: Page[] = [];
  const clients: WebSocket[] = [];
  const complaints: string[] = [];

  async function start(at = 0): Promise<void> {
    const file = fileURLToPath(new URL("fixtures/metrics-server.ts", import.meta.url));
    server = run(mainRuntimes[0]!, file, { VEL_PORT: String(at) });
    const lines = createInterface(server.process.stdout);
    const [line] = (await once(lines, "line")) as [string];
    port = Number(line);
    const left = once(lines, "line");
    ended = () => left;
  }

  /** Ends the server as its owner would; nothing may be left. */
  async function stop(): Promise<void> {
    server.process.kill("SIGTERM");
    expect(await ended()).toEqual(["0 connections left"]);
    expect(await server.ended).toBe(0);
  }

  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true });
    await start();
    browser = await chromium.launch({ executablePath: executablePath ?? "" });
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
    for (const client of clients.splice(0)) client.terminate();
  });
  afterAll(async () => {
    try {
      await browser.close();
      await stop();
      expect(complaints).toEqual([]);
    } finally {
      server.process.kill("SIGKILL");
    }
  });

  /** Opens the page in a browser of its own; whatever its console complains of fails the suite. */
  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: desktop, ...options });
    const page = await context.newPage();
    pages.push(page);
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      // A broken connection is told by the browser itself, and is what is tested.
      if (message.type() === "error" && !/WebSocket connection|ERR_/.test(message.text()))
        complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${String(port)}/vel/`);
    return page;
  }

  async function signIn(page: Page, secret = token): Promise<void> {
    await page.getByTestId("token").fill(secret);
    await page.getByTestId("token").press("Enter");
  }

  async function enter(options?: BrowserContextOptions): Promise<Page> {
    const page = await open(options);
    await signIn(page);
    await isLive(page);
    return page;
  }

  const isLive = (page: Page): Promise<void> =>
    page.locator('[data-testid="status"][data-state="online"]').waitFor({ timeout: 60_000 });

  async function connect(path: string): Promise<WebSocket> {
    const client = new WebSocket(`ws://127.0.0.1:${String(port)}${path}`);
    clients.push(client);
    client.on("error", () => undefined);
    await once(client, "open");
    return client;
  }

  /** Says something every 20 ms, until it is closed. */
  function chatter(client: WebSocket): void {
    const timer = setInterval(() => client.send("hello"), 20);
    client.on("close", () => clearInterval(timer));
  }

  /** Somebody who takes nothing of what he is sent. */
  async function sloth(): Promise<void> {
    const client = await connect("/flood");
    client.pause();
  }

  const value = (page: Page, tile: string): Promise<string> =>
    page.getByTestId(`tile-${tile}`).locator(".value").innerText();
  const numberOf = async (page: Page, tile: string): Promise<number> => Number.parseFloat(await value(page, tile));
  const rows = (page: Page): Locator => page.getByTestId("connection");
  const line = (page: Page, chart: number): Promise<string | null> =>
    page.locator(".chart").nth(chart).locator("path").first().getAttribute("d");

  it("refuses a wrong token, tells it nothing, and keeps the right one out of the address", async () => {
    const page = await open();
    expect(await page.locator("body").innerText()).not.toMatch(/connection/i);
    await signIn(page, "not the token at all");
    await page.getByTestId("sign-in-error").getByText("That is not the token").waitFor();
    expect(
      await page.evaluate("document.querySelector('#app').hidden && !document.querySelector('#connections td')"),
    ).toBe(true);
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("websocket", (socket) => asked.push(socket.url()));
    await signIn(page);
    await isLive(page);
    expect(asked).toEqual([`ws://127.0.0.1:${String(port)}/vel/live`]);
    expect(page.url()).toBe(`http://127.0.0.1:${String(port)}/vel/`);

    // The tab keeps it, nothing else does.
    await page.reload();
    await isLive(page);
    expect(await page.evaluate("localStorage.length + document.cookie.length")).toBe(0);
    await page.getByTestId("sign-out").click();
    await page.locator('body[data-view="sign-in"]').waitFor();
    expect(await page.evaluate("sessionStorage.length")).toBe(0);
  });

  it("shows numbers that move, and charts that are drawn", async () => {
    const page = await enter();
    await poll(() => value(page, "open-connections")).toBe("1");
    const client = await connect("/echo");
    chatter(client);
    await poll(() => value(page, "open-connections")).toBe("2");
    await poll(() => numberOf(page, "received")).toBeGreaterThan(5);
    await poll(() => numberOf(page, "sent")).toBeGreaterThan(5);
    await poll(() => line(page, 0)).toMatch(/(?:L[\d. ]+){5}/);
    const before = await line(page, 0);
    await poll(() => line(page, 0)).not.toBe(before);
    // The round trip takes a ping, a second or so.
    await poll(() => value(page, "round-trip")).toMatch(/ms$/);
    await page.getByTestId("channels-count").getByText("1").waitFor();
    client.close(1008);
    await page.getByTestId("codes").getByText("1008").waitFor();

    const table = page.locator(".chart details").first();
    expect(await table.locator("tbody tr").count()).toBe(0);
    await table.locator("summary").click();
    await poll(() => table.locator("tbody tr").count()).toBeGreaterThan(2);
    expect(await page.locator(".chart svg").first().getAttribute("aria-labelledby")).toBe("chart-messages-title");
    await expect
      .poll(() => page.locator("#chart-messages-description").textContent())
      .toMatch(/received: .*\/s now, from/);
  });

  it("filters connections, shows one, and closes it", async () => {
    const client = await connect("/echo");
    const other = await connect("/rooms/lobby?user=ada");
    const page = await enter();
    await poll(() => rows(page).count()).toBe(3);
    expect(await rows(page).getByText("this page").filter({ visible: true }).count()).toBe(1);
    await page.getByTestId("filter").fill("/rooms");
    await poll(() => rows(page).count()).toBe(1);
    await page.getByTestId("connections-count").getByText("1 match").waitFor();
    await page.getByTestId("filter").fill("/echo");
    await page.getByTestId("connections").getByText("/echo").waitFor();

    const id = await rows(page).locator("button").innerText();
    await rows(page).locator("button").click();
    await page.getByTestId("connection-facts").getByText("/echo").waitFor();
    expect(await page.getByTestId("connection-id").innerText()).toBe(id);
    client.send("12345");
    await page.getByTestId("connection-facts").getByText("1 messages, 5 B").first().waitFor();
    await page.getByTestId("close-code").selectOption("1008");
    await page.getByTestId("close-reason").fill("Enough");
    const closed = once(client, "close");
    await page.getByTestId("close-submit").click();
    const [code, reason] = (await closed) as [number, Buffer];
    expect([code, String(reason)]).toEqual([1008, "Enough"]);
    await page.getByTestId("connection-status").getByText("The connection was closed.").waitFor();
    await page.getByTestId("close-submit").waitFor({ state: "hidden" });
    await page.getByTestId("connection-dismiss").click();
    await poll(() => rows(page).count()).toBe(0);
    expect(other.readyState).toBe(WebSocket.OPEN);
  });

  it("shows rooms and users as text whatever they are called, and kicks users", async () => {
    const client = await connect(`/rooms/${encodeURIComponent(hostile)}?user=${encodeURIComponent(hostile)}`);
    const page = await enter({ viewport: phone });
    await page.getByTestId("rooms").getByText(hostile, { exact: true }).click();
    await page.getByTestId("room-title").getByText(hostile, { exact: true }).waitFor();
    await page.getByTestId("room-user").getByText(hostile, { exact: true }).first().waitFor();
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    const closed = once(client, "close");
    await page.getByTestId("room-user").getByRole("button").click();
    expect(((await closed) as [number])[0]).toBe(4500);
    await page.getByTestId("room-status").getByText("The user was kicked.").waitFor();
    await poll(() => page.getByTestId("room-user").count()).toBe(0);
    await page.keyboard.press("Escape");
    await page.getByTestId("room-dialog").waitFor({ state: "hidden" });
  });

  it("shows channels as text whatever they are called, and the largest of many", async () => {
    const page = await enter({ viewport: phone });
    await page.getByText("Nobody is subscribed to a channel.").waitFor();
    expect(await page.getByRole("group", { name: "Table of channels" }).isVisible()).toBe(false);
    const path = `/channels/${encodeURIComponent(hostile)}`;
    await connect(`${path}?more=3000`);
    const second = await connect(path);
    for (let i = 0; i < 1_234; i++) second.send("hello");
    const channels = page.getByTestId("channels").getByRole("row");
    await poll(() => channels.count()).toBe(100);
    await poll(() => page.getByTestId("channels-count").innerText()).toBe("3,001, the largest 100 shown");
    await poll(() => channels.first().innerText()).toMatch(/^<img src=x onerror=alert\(1\)>\s+2\s+1,234$/);
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    second.close();
    await poll(() => channels.first().innerText()).toMatch(/\s1\s+1,234$/);
    for (const client of clients) client.terminate();
    await page.getByText("Nobody is subscribed to a channel.").waitFor();
    // Two that begin alike are two, also where only the beginning is known.
    await connect(`/channels/${"x".repeat(250)}?more=1`);
    await poll(() => channels.count()).toBe(2);
  });

  it("names those who do not read", async () => {
    await sloth();
    const page = await enter();
    await page.getByTestId("slow").locator("li").waitFor();
    await poll(() => value(page, "waiting-to-leave")).toMatch(/[KM]iB$/);
    await page.getByTestId("slow").getByRole("button").click();
    await page.getByTestId("connection-facts").getByText("/flood").waitFor();
  });

  it("is used by keyboard alone, and keeps the focus while the numbers move", async () => {
    await connect("/rooms/keys?user=kim");
    const page = await open();
    await focus(page, "token");
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await isLive(page);
    await focus(page, "filter");
    await page.keyboard.type("keys");
    await page.getByTestId("connections").getByText("/rooms/:room").waitFor({ state: "detached" });
    await page.getByTestId("filter").fill("/rooms");
    await poll(() => rows(page).count()).toBe(1);
    await page.keyboard.press("Tab"); // the table, which can be scrolled
    await page.keyboard.press("Tab");
    const before = await line(page, 1);
    await poll(() => line(page, 1)).not.toBe(before);
    expect(await page.evaluate("document.activeElement.closest('tr') !== null")).toBe(true);
    await page.keyboard.press("Enter");
    await page.getByTestId("connection-facts").getByText("/rooms/:room").waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("connection-dialog").waitFor({ state: "hidden" });
    expect(await page.evaluate("document.activeElement.closest('tr') !== null")).toBe(true);
  });

  it("says that the server is gone, and comes back with it", async () => {
    const page = await enter();
    await page.getByTestId("filter").fill("/vel");
    await poll(() => rows(page).count()).toBe(1);
    await stop();
    await page.locator('[data-testid="status"][data-state="offline"]').waitFor();
    expect(await page.getByTestId("status").innerText()).toMatch(/Connection lost/);
    await start(port);
    await isLive(page);
    await poll(() => value(page, "open-connections")).toBe("1");
    // What was looked for is looked for still.
    await poll(() => rows(page).count()).toBe(1);
    await page.getByTestId("connections-count").getByText("1 match").waitFor();
  });

  describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
    it.each([
      ["phone", phone],
      ["desktop", desktop],
    ] as const)("has no violations that axe finds on a %s", async (device, viewport) => {
      const page = await open({ viewport, colorScheme });
      const shot = (view: string, fullPage = false): Promise<unknown> =>
        page.screenshot({ path: join(artifacts, `metrics-${view}-${device}-${colorScheme}.png`), fullPage });
      await page.locator('body[data-view="sign-in"]').waitFor();
      expect(await violations(page)).toEqual([]);
      await shot("sign-in");
      await signIn(page);
      await isLive(page);
      await page.getByText("There is no room.").waitFor();
      await page.getByText("Nobody is subscribed to a channel.").waitFor();
      expect(await violations(page)).toEqual([]);
      await shot("empty", true);
      await connect(`/channels/${encodeURIComponent("a channel with a long name ".repeat(9))}`);
      const news = await connect("/channels/orders.europe.open?more=20");
      for (let i = 0; i < 50; i++) news.send("hello");
      for (const [room, user] of [
        ["lobby", "ada"],
        ["lobby", "bob"],
        ["Überraschung", "kim"],
        [hostile, "mallory"],
      ] as const) {
        await connect(`/rooms/${encodeURIComponent(room)}?user=${user}`);
      }
      await sloth();
      for (let i = 0; i < 12; i++) chatter(await connect("/echo"));
      for (const code of [1000, 1001, 4000]) (await connect("/echo")).close(code);
      await poll(() => line(page, 0)).toMatch(/(?:L[\d. ]+){25}/);
      await page.getByTestId("slow").locator("li").waitFor();
      await poll(() => value(page, "round-trip")).toMatch(/ms$/);
      await page.locator(".chart summary").first().click();
      expect(await violations(page)).toEqual([]);
      await page.locator(".chart summary").first().click();
      await shot("live");
      await shot("whole", true);
      expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      await rows(page).locator("button").first().click();
      await page.getByTestId("connection-facts").locator("dd").first().waitFor();
      expect(await violations(page)).toEqual([]);
      await shot("connection");
      await page.getByTestId("connection-dismiss").click();
      await page.getByTestId("rooms").getByText("lobby").click();
      await page.getByTestId("room-user").first().waitFor();
      expect(await violations(page)).toEqual([]);
      await shot("room");
    });
  });

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
});
