/** The metrics page without a browser: who gets in, what they are told, and what they may do. */
import { createVel, type Vel } from "@vel/core";
import { connect, ManualClock, settle, type TestClient } from "@vel/testing";
import { afterEach, describe, expect, it } from "vitest";
import {
  metricsPage,
  WebSocketMetrics,
  type ChannelSummary,
  type MetricsPageOptions,
  type RoomSource,
} from "../src/index.ts";
import type { ConnectionRow, ServerMessage } from "../src/page-wire.ts";

const token = "sesame, sesame, sesame";

type Of<Type extends ServerMessage["type"]> = Extract<ServerMessage, { type: Type }>;

/** Rooms as the page sees them. */
class FakeRooms implements RoomSource {
  readonly rooms = new Map<string, Set<string>>();
  failure: Error | undefined;

  list({ users }: { users: false }): ReturnType<RoomSource["list"]> {
    if (this.failure) throw this.failure;
    expect(users).toBe(false); // nobody sees them in the list
    return [...this.rooms].map(([name, users]) => ({ name, userCount: users.size, connectionCount: users.size }));
  }

  info(name: string): ReturnType<RoomSource["info"]> {
    const users = this.rooms.get(name);
    return (
      users && { name, userCount: users.size, connectionCount: users.size, users: [...users].map((id) => ({ id })) }
    );
  }

  get(name: string): ReturnType<RoomSource["get"]> {
    const users = this.rooms.get(name);
    return users && { kick: (user) => users.delete(user) };
  }
}

describe("metricsPage()", () => {
  const clock = new ManualClock();
  const servers: Vel[] = [];
  afterEach(async () => {
    const closed = Promise.all(servers.map((vel) => vel.close()));
    await clock.advance(60_000);
    await closed;
    for (const vel of servers.splice(0)) expect(vel.connections.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  interface Setup {
    readonly vel: Vel;
    readonly errors: unknown[];
    readonly ask: ReturnType<typeof metricsPage>;
  }

  function setUp(options: Partial<MetricsPageOptions> = {}): Setup {
    const vel = createVel({ clock });
    const errors: unknown[] = [];
    servers.push(vel);
    const metrics = new WebSocketMetrics({ clock });
    metrics.observe(vel);
    const onError = (error: unknown): unknown => errors.push(error);
    const ask = metricsPage({ token, vel, metrics, clock, onError, ...options });
    vel.websocket("/echo", { message: (connection, message) => connection.send(message) });
    return { vel, errors, ask };
  }

  async function visit(vel: Vel, said: unknown = { type: "auth", token }, address?: string): Promise<TestClient> {
    const client = await connect(vel, "/vel/live", address === undefined ? {} : { remote: { address } });
    client.send(typeof said === "string" || said instanceof Uint8Array ? said : JSON.stringify(said));
    await settle();
    return client;
  }

  /** Takes everything that has come, and gives the last message of a type. */
  async function heard<Type extends ServerMessage["type"]>(
    client: TestClient,
    type: Type,
  ): Promise<Of<Type> | undefined> {
    await settle();
    let last: Of<Type> | undefined;
    while (client.received.length > 0) {
      const message = JSON.parse(await client.receiveText()) as ServerMessage;
      if (message.type === type) last = message as Of<Type>;
    }
    return last;
  }

  /** Waits an interval, and gives the last message of a type. */
  async function next<Type extends ServerMessage["type"]>(client: TestClient, type: Type): Promise<Of<Type>> {
    await clock.advance(1_000);
    return (await heard(client, type))!;
  }

  async function command(client: TestClient, said: object): Promise<ServerMessage> {
    client.send(JSON.stringify(said));
    await settle();
    return JSON.parse(await client.receiveText()) as ServerMessage;
  }

  describe("over HTTP", () => {
    const { ask } = setUp();
    const get = (path: string, method = "GET"): Response | undefined =>
      ask(new Request(`http://localhost${path}`, { method }));

    it("serves the page and its files under a strict policy, and no data", async () => {
      const page = get("/vel/");
      expect(page?.status).toBe(200);
      expect(page?.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const html = await page!.text();
      expect(html).not.toContain(token);
      // What the page refers to is there, with a type that browsers take under nosniff.
      const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!);
      expect(files).toContain("page.js");
      for (const file of files) {
        const answer = get(`/vel/${file}`);
        expect(answer?.status, file).toBe(200);
        expect(answer?.headers.get("content-type")).toMatch(/^(text\/css|text\/javascript|image\/svg)/);
        const policy = answer?.headers.get("content-security-policy");
        expect(policy).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
        expect(policy).not.toContain("unsafe");
        expect(answer?.headers.get("x-content-type-options")).toBe("nosniff");
      }
      expect(html).not.toMatch(/<style|style=|<script(?![^>]*src=)|\son\w+=/i);
    });

    it("sends whoever forgets the slash on, wherever a proxy put it", () => {
      const answer = get("/vel");
      expect(answer?.status).toBe(308);
      expect(answer?.headers.get("location")).toBe("vel/");
    });

    it("leaves all else alone", () => {
      const others = ["/", "/velvet", "/vel/live", "/vel/nothing", "/vel/__proto__", "/vel/constructor", "/vel/../vel"];
      expect(others.slice(0, 6).map((path) => get(path))).toEqual(Array(6).fill(undefined));
    });

    it("answers HEAD without a body, and refuses other methods", async () => {
      expect(await get("/vel/", "HEAD")?.text()).toBe("");
      expect(get("/vel/", "POST")?.status).toBe(405);
    });
  });

  it("metricsPage() refuses what cannot be meant", () => {
    for (const wrong of [
      { token: "short" },
      { token: undefined as never },
      { path: "vel" },
      { path: "/vel/" },
      { path: "/:a" },
    ]) {
      expect(() => setUp(wrong)).toThrow(TypeError);
    }
    for (const wrong of [{ interval: 0 }, { interval: Infinity }, { history: -1 }, { history: NaN }]) {
      expect(() => setUp(wrong)).toThrow(RangeError);
    }
    // A secret that is too short is a secret all the same.
    expect(() => setUp({ token: "too short" })).toThrow(expect.not.stringContaining("too short") as never);
  });

  describe("The token", () => {
    it.each([
      ["another token", { type: "auth", token: `${token}!` }],
      ["the beginning of it", { type: "auth", token: token.slice(0, -1) }],
      ["nothing", { type: "auth", token: "" }],
      ["a list", { type: "auth", token: [token] }],
      ["another message", { type: "filter", text: "" }],
      ["no JSON", "{"],
      ["null", null],
      ["bytes", new TextEncoder().encode(JSON.stringify({ type: "auth", token }))],
    ])("is not %s: 4401, and nothing is told", async (_, said) => {
      const { vel } = setUp();
      const client = await visit(vel, said === null ? "null" : said);
      expect(await client.closed).toMatchObject({ code: 4401, reason: "wrong token" });
      expect(JSON.parse(await client.receiveText())).toEqual({ type: "refused", retryAfter: null });
      expect(client.received).toEqual([]);
      expect(vel.connections.size).toBe(0);
    });

    it("has to come within 10 s: 4401, which is no wrong try", async () => {
      const { vel } = setUp();
      const idle = await Promise.all(Array.from({ length: 6 }, () => connect(vel, "/vel/live")));
      await clock.advance(9_999);
      expect(idle[0]?.isOpen).toBe(true);
      await clock.advance(1);
      for (const client of idle) expect(await client.closed).toMatchObject({ code: 4401, reason: "no token" });
      expect((await visit(vel)).isOpen).toBe(true);
    });

    it("may be wrong five times a minute, and then none is looked at until the minute is over", async () => {
      const { vel } = setUp();
      const inside = await visit(vel);
      for (let i = 0; i < 5; i++) {
        expect((await (await visit(vel, { type: "auth", token: `guess ${i}` })).closed).code).toBe(4401);
        await clock.advance(1_000);
      }
      const late = await visit(vel);
      expect(await late.closed).toMatchObject({ code: 4429, reason: "too many wrong tokens: try again in 55 s" });
      expect(JSON.parse(await late.receiveText())).toEqual({ type: "refused", retryAfter: 55_000 });
      await clock.advance(54_999);
      expect((await (await visit(vel)).closed).code).toBe(4429);
      await clock.advance(1);
      expect((await visit(vel)).isOpen).toBe(true);
      expect(inside.isOpen).toBe(true);
    });

    it("is not looked at from where too many wrong ones came, and from everywhere else it is", async () => {
      const { vel } = setUp();
      const closeOf = async (address: string, said?: string): Promise<number | undefined> => {
        const client = await visit(vel, said === undefined ? undefined : { type: "auth", token: said }, address);
        return client.isOpen ? undefined : (await client.closed).code;
      };
      for (let i = 0; i < 5; i++) {
        expect(await closeOf("192.0.2.7", "wrong")).toBe(4401);
        // Who has a network has all of its addresses.
        expect(await closeOf(`2001:db8:1:2::${i}`, "wrong")).toBe(4401);
      }
      for (const address of ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1:2:ffff::9"]) {
        expect(await closeOf(address), address).toBe(4429);
      }
      for (const address of ["192.0.2.8", "2001:db8:1:3::1"]) expect(await closeOf(address), address).toBeUndefined();
    });

    it("is not asked of who leaves, and that is no wrong try either", async () => {
      const { vel, errors } = setUp();
      for (let i = 0; i < 6; i++) {
        const client = await connect(vel, "/vel/live");
        client.drop();
        await settle();
      }
      expect((await visit(vel)).isOpen).toBe(true);
      expect(errors).toEqual([]);
    });
  });

  describe("What is told", () => {
    it("moves: rates, connections, totals, and the last minutes to whoever comes later", async () => {
      const { vel } = setUp();
      const viewer = await visit(vel);
      expect(await heard(viewer, "welcome")).toEqual({
        type: "welcome",
        history: 300_000,
        interval: 1_000,
        samples: [],
      });
      const client = await connect(vel, "/echo");
      await clock.advance(1_000);
      for (let i = 0; i < 30; i++) client.send("four");
      await settle();
      const { sample, totals, rooms, channels } = await next(viewer, "snapshot");
      // The echo's own; the viewer has said one message, which is none of this second.
      expect(sample).toMatchObject({ connections: 2, receivedPerSecond: 30, droppedPerSecond: 0, roundTrip: null });
      expect(sample.sentPerSecond).toBeGreaterThanOrEqual(30);
      expect(totals).toMatchObject({ activeConnections: 2, totalConnections: 2 });
      expect([rooms, channels]).toEqual([null, null]);
      client.close(1000);
      expect((await next(viewer, "snapshot")).totals.closeCodes).toEqual({ 1000: 1 });
      const late = await visit(vel);
      const welcome = await heard(late, "welcome");
      expect(welcome?.samples.map(({ receivedPerSecond }) => receivedPerSecond)).toEqual([0, 30, 0]);
    });

    it("forgets what is older than the history", async () => {
      const { vel } = setUp({ history: 5_000 });
      await visit(vel);
      await clock.advance(20_000);
      const late = await visit(vel);
      expect((await heard(late, "welcome"))?.samples).toHaveLength(5);
    });

    it("is remembered only while anybody is connected, and no timer is left then", async () => {
      const { vel } = setUp();
      expect(clock.pending).toBe(0);
      const client = await connect(vel, "/echo");
      await clock.advance(3_000);
      client.close();
      await settle();
      expect(clock.pending).toBe(0);
      const viewer = await visit(vel);
      expect((await heard(viewer, "welcome"))?.samples).toHaveLength(3);
    });

    it("comes over a server of its own, whatever keeps others out of the one that is looked at", async () => {
      const own = createVel({ clock });
      const vel = createVel({ clock });
      vel.use((request) => request.reject(503));
      const metrics = new WebSocketMetrics({ clock });
      metrics.observe(vel);
      metricsPage({ token, vel, routes: own, metrics, clock });
      expect(() => vel.websocket("/vel/live", () => undefined)).not.toThrow();
      await expect(connect(vel, "/vel/live")).rejects.toThrow("503");

      const viewer = await visit(own);
      expect((await next(viewer, "snapshot")).sample.connections).toBe(0);
      expect((await next(viewer, "connections")).matches).toBe(0);
      expect(clock.pending).toBe(1);
      viewer.close();
      await settle();
      expect(clock.pending).toBe(0);
      // Nobody looks for somebody who has not been let in.
      const stranger = await connect(own, "/vel/live");
      expect(clock.pending).toBe(1); // his time to say the token
      stranger.drop();
      await settle();
      expect(clock.pending).toBe(0);
      servers.push(own, vel);
    });

    it("goes on while anybody is on either server", async () => {
      const own = createVel({ clock });
      servers.push(own);
      const { vel } = setUp({ routes: own });
      const [viewer, client] = [await visit(own), await connect(vel, "/echo")];
      viewer.close();
      await settle();
      expect(clock.pending).toBe(1);
      const second = await visit(own);
      client.close();
      await settle();
      expect((await next(second, "snapshot")).sample.connections).toBe(0);
      second.close();
      await settle();
      expect(clock.pending).toBe(0);
    });

    it("is bounded, however much there is", async () => {
      const rooms = new FakeRooms();
      for (let i = 0; i < 1_000; i++) {
        rooms.rooms.set(`room ${i}`, new Set(Array.from({ length: i % 500 }, (_, user) => `user ${user}`)));
      }
      const channels = {
        list: (): ChannelSummary[] =>
          Array.from({ length: 5_000 }, (_, i) => ({
            ...{ name: `${i} `.padEnd(1_024, "\u0000"), subscriberCount: i, messageCount: 2 * i },
            ...{ isPattern: false, position: { epoch: "x".repeat(1_000), offset: i } },
          })),
      };
      const { vel } = setUp({ rooms, channels, heartbeat: { roundTrip: ({ id }) => id.length } });
      const clients = await Promise.all(Array.from({ length: 300 }, () => connect(vel, "/echo")));
      for (const client of clients) {
        client.pause();
        client.send("x".repeat(1_000));
      }
      const viewer = await visit(vel);
      const snapshot = await next(viewer, "snapshot");
      expect(snapshot.rooms?.count).toBe(1_000);
      expect(snapshot.rooms?.largest).toHaveLength(100);
      expect(snapshot.rooms?.largest.slice(0, 3).map(({ connectionCount }) => connectionCount)).toEqual([
        499, 499, 498,
      ]);
      expect(snapshot.channels?.count).toBe(5_000);
      expect(snapshot.channels?.largest).toHaveLength(100);
      expect(snapshot.channels?.largest[1]).toEqual({
        ...{ name: "4998 ".padEnd(200, "\u0000"), subscriberCount: 4_998, messageCount: 9_996 },
      });
      expect(snapshot.slowest).toHaveLength(20);
      expect(snapshot.totals.slowConsumers).toBe(300);
      expect(snapshot.sample.roundTrip).toEqual({ median: 21, p95: 21 });
      const connections = await next(viewer, "connections");
      expect(connections.matches).toBe(301);
      expect(connections.list).toHaveLength(100);
      const room = await command(viewer, { type: "room", name: "room 499" });
      expect(room).toMatchObject({ type: "room", room: { userCount: 499 } });
      expect((room as Of<"room">).room?.users).toHaveLength(200);
      for (const client of clients) client.resume();
    });

    it("goes on when a source fails, which is reported", async () => {
      const rooms = new FakeRooms();
      const failures = [new Error("broken rooms"), new Error("broken channels")];
      const channels = {
        list: (): [] => {
          if (failures.length === 1) throw failures[0];
          return [];
        },
      };
      const { vel, errors } = setUp({ rooms, channels });
      const viewer = await visit(vel);
      rooms.failure = failures.shift();
      await clock.advance(1_000);
      expect(errors).toEqual([rooms.failure]);
      rooms.failure = undefined;
      await clock.advance(1_000);
      expect(errors.slice(1)).toEqual([failures.shift()]);
      expect((await next(viewer, "snapshot")).rooms).toEqual({ count: 0, largest: [] });
    });

    it("is dropped for a viewer that does not read, whom nobody waits for", async () => {
      const rooms = new FakeRooms();
      for (let i = 0; i < 100; i++) rooms.rooms.set(`${i}`.padEnd(1_000, "x"), new Set());
      const { vel } = setUp({ rooms });
      const stuck = await visit(vel);
      const viewer = await visit(vel);
      await heard(stuck, "welcome");
      stuck.pause();
      await clock.advance(60_000);
      const [first] = vel.connections;
      expect(first?.messagesDropped).toBeGreaterThan(10);
      expect(first?.bufferedAmount).toBeLessThan(1_000_000);
      expect((await next(viewer, "snapshot")).sample.connections).toBe(2);
      stuck.resume();
      expect((await next(stuck, "snapshot")).sample.connections).toBe(2);
    });
  });

  describe("The connections", () => {
    const ids = (rows: readonly ConnectionRow[]): string[] => rows.map(({ id }) => id);

    it("are found by id, route and address, and the viewers are marked", async () => {
      const { vel } = setUp();
      const viewer = await visit(vel);
      await connect(vel, "/echo", { remote: { address: "192.0.2.7" } });
      const [own, other] = [...vel.connections];
      expect(await heard(viewer, "connections")).toMatchObject({ filter: "", matches: 1 });
      for (const text of [other!.id, "ECHO", "192.0.2"]) {
        const found = (await command(viewer, { type: "filter", text })) as Of<"connections">;
        expect(found).toMatchObject({ filter: text, matches: 1, list: [{ isViewer: false, address: "192.0.2.7" }] });
        expect(ids(found.list)).toEqual([other!.id]);
      }
      expect(await command(viewer, { type: "filter", text: "/live" })).toMatchObject({
        list: [{ id: own!.id, route: "/vel/live", isViewer: true }],
      });
      // And so it stays, for this viewer alone.
      const second = await visit(vel);
      await heard(viewer, "connections");
      await clock.advance(1_000);
      expect(viewer.received).toHaveLength(2); // a snapshot and one list
      expect((await heard(viewer, "connections"))?.filter).toBe("/live");
      expect((await heard(second, "connections"))?.filter).toBe("");
    });

    it("are shown in detail, without what the application keeps with them", async () => {
      const { vel } = setUp({ heartbeat: { roundTrip: () => 12.5 } });
      vel
        .with(() => ({ data: { secret: "hush" } }))
        .websocket("/secret", { message: (connection) => connection.send("12345") });
      const client = await connect(vel, "/secret", { remote: { address: "192.0.2.7", port: 99 } });
      const [connection] = vel.connections;
      const viewer = await visit(vel);
      await heard(viewer, "welcome");
      client.send("123");
      await clock.advance(500);
      const answer = await command(viewer, { type: "connection", id: connection!.id });
      expect(answer).toMatchObject({
        id: connection!.id,
        connection: {
          ...{
            route: "/secret",
            address: "192.0.2.7",
            port: 99,
            age: 500,
            isOpen: true,
            isPaused: false,
            roundTrip: 12.5,
          },
          ...{ messagesReceived: 1, bytesReceived: 3, messagesSent: 1, bytesSent: 5, bufferedBytes: 0 },
        },
      });
      expect(JSON.stringify(answer)).not.toContain("hush");
      expect(await command(viewer, { type: "connection", id: "nobody" })).toEqual({
        ...{ type: "connection", id: "nobody", connection: null },
      });
    });

    it("are closed with the code and reason that the viewer gives, 1000 if none", async () => {
      const { vel, errors } = setUp();
      const one = await connect(vel, "/echo");
      const other = await connect(vel, "/echo");
      const [first, second] = ids([...vel.connections] as never);
      const viewer = await visit(vel);
      await heard(viewer, "welcome");
      expect(await command(viewer, { type: "close", id: first, code: 1008, reason: "enough" })).toMatchObject({
        type: "done",
      });
      expect(await one.closed).toMatchObject({ code: 1008, reason: "enough" });
      for (const code of [999, 1006, 5_000, 1.5, -1]) {
        expect(await command(viewer, { type: "close", id: second, code })).toMatchObject({ type: "error" });
      }
      expect(errors).toEqual([]); // a mistake of the viewer's, of which the server's log knows nothing
      expect(other.isOpen).toBe(true);
      await command(viewer, { type: "close", id: second });
      expect(await other.closed).toMatchObject({ code: 1000, reason: "" });
      expect(await command(viewer, { type: "close", id: second })).toMatchObject({ type: "error" });
    });
  });

  it("kicks users", async () => {
    const rooms = new FakeRooms();
    rooms.rooms.set("lobby", new Set(["ada", "bob"]));
    const { vel } = setUp({ rooms });
    const viewer = await visit(vel);
    await heard(viewer, "welcome");
    expect(await command(viewer, { type: "kick", room: "lobby", user: "ada" })).toMatchObject({ type: "done" });
    expect([...rooms.rooms.get("lobby")!]).toEqual(["bob"]);
    for (const [room, user] of [
      ["lobby", "ada"],
      ["nowhere", "bob"],
      ["__proto__", "constructor"],
    ]) {
      expect(await command(viewer, { type: "kick", room, user })).toMatchObject({ type: "error" });
    }
    expect(await command(viewer, { type: "room", name: "nowhere" })).toMatchObject({ room: null });
  });

  it("takes no rooms where there are none, and nothing that is no command", async () => {
    const { vel, errors } = setUp();
    const viewer = await visit(vel);
    await heard(viewer, "welcome");
    for (const wrong of [
      ...[
        null,
        1,
        "text",
        [],
        {},
        { type: "__proto__" },
        { type: ["filter"] },
        { type: "filter" },
        { type: "filter", text: {} },
      ],
      ...[{ type: "filter", text: "x".repeat(201) }, { type: "connection" }, { type: "connection", id: 1 }],
      ...[
        { type: "close", id: "a", code: "1000" },
        { type: "close", id: "a", reason: 1 },
        { type: "close" },
        { type: "room" },
      ],
      ...[
        { type: "kick", room: "lobby" },
        { type: "kick", room: 1, user: 2 },
        { type: "auth", token },
      ],
    ]) {
      expect(await command(viewer, wrong as object), JSON.stringify(wrong)).toMatchObject({ type: "error" });
    }
    viewer.send(new Uint8Array([1, 2, 3]));
    expect(await heard(viewer, "error")).toBeDefined();
    expect(await command(viewer, { type: "kick", room: "lobby", user: "ada" })).toMatchObject({ type: "error" });
    expect(await command(viewer, { type: "room", name: "lobby" })).toEqual({ type: "room", name: "lobby", room: null });
    expect(errors).toEqual([]);
    viewer.send("x".repeat(20_000));
    expect((await viewer.closed).code).toBe(1009);
  });

  it("says that something failed, and the log why", async () => {
    const failure = new Error("secret of the server");
    const rooms = new FakeRooms();
    rooms.get = () => {
      throw failure;
    };
    const { vel, errors } = setUp({ rooms });
    const viewer = await visit(vel);
    await heard(viewer, "welcome");
    const answer = await command(viewer, { type: "kick", room: "lobby", user: "ada" });
    expect(answer).toEqual({ type: "error", text: "That failed; the server's log says why" });
    expect(errors).toEqual([failure]);
  });
});
