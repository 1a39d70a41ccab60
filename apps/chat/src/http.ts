/**
 * The chat's HTTP side: the page, signing in and out, the rooms as others see them, and the metrics.
 *
 * @module
 */
import { digestSecret, equalSecrets } from "@vel/auth";
import { logError } from "@vel/core";
import { prometheusType, type WebSocketMetrics } from "@vel/metrics";
import type { RoomManager } from "@vel/rooms";
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ChatRoom } from "./chat-room.ts";
import { personName, roomName } from "./names.ts";
import { mediaType, securityHeaders, type Page } from "./page.ts";
import { limits } from "./settings.ts";
import type { Grant, SignIn, SignIns } from "./sign-ins.ts";
import { snakeCase } from "./wire.ts";

/** What the routes work on. */
export interface HttpParts {
  readonly page: Page;
  readonly signIns: SignIns;
  readonly rooms: RoomManager<ChatRoom>;
  readonly metrics: WebSocketMetrics;
  /** Who may read the metrics. */
  readonly metricsToken: string;
  readonly pingInterval: number;
  readonly pongTimeout: number;
}

/** Makes the web application. */
export function createHttp(parts: HttpParts): Hono {
  const { page, signIns, rooms, metrics, metricsToken, pingInterval, pongTimeout } = parts;
  const app = new Hono();
  const answer = (c: Context, value: object, status: 200 | 404 = 200): Response =>
    c.json(snakeCase(value) as object, status);

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(securityHeaders)) c.header(name, value);
    if (/^\/(?:chat\/|metrics$)/.test(c.req.path)) c.header("cache-control", "no-store");
  });
  app.onError((error, c) => {
    // Somebody who went away in the middle of a request is no fault of the server's.
    if (!c.req.raw.signal.aborted) logError(error, { stage: "http" });
    return c.json({ error: "internal" }, 500);
  });
  app.notFound((c) => c.json({ error: "not_found" }, 404));
  app.use(bodyLimit({ maxSize: limits.body, onError: (c) => c.json({ error: "too_large" }, 413) }));

  for (const [file, content] of Object.entries(page)) {
    const path = file === "index.html" ? "/" : `/${file}`;
    app.get(path, (c) => c.body(content, 200, { "content-type": mediaType(file) }));
  }

  app.get("/chat/config", (c) => answer(c, { pingInterval, pongTimeout, maxMessage: limits.message }));

  app.post("/chat/sign-in", async (c) => {
    const name = personName((await readBody(c))["name"]);
    if (name === undefined) {
      const message = `A name has 1 to ${String(limits.name)} characters, and none that cannot be seen`;
      return c.json({ error: "invalid_name", message }, 400);
    }
    const grant = await signIns.signIn(name);
    if (!grant && signIns.isFull) return c.json({ error: "too_many_people", message: "Too many people are here" }, 503);
    if (!grant) return c.json({ error: "name_taken", message: `Somebody is here as “${name}” already` }, 409);
    return answer(c, describe(grant));
  });

  app.post("/chat/renew", async (c) => {
    const grant = await signIns.renew(bearer(c));
    return grant ? answer(c, describe(grant)) : unauthorized(c);
  });

  app.post("/chat/sign-out", async (c) => {
    const signIn = await signIns.find(bearer(c));
    if (!signIn) return unauthorized(c);
    signIns.signOut(signIn);
    return c.body(null, 204);
  });

  app.get("/chat/rooms", (c) =>
    answer(c, { rooms: rooms.list({ users: false }).map(({ name, userCount }) => ({ room: name, userCount })) }),
  );

  app.get("/chat/rooms/:room/users", async (c) => {
    if (!(await signIns.find(bearer(c)))) return unauthorized(c);
    const room = find(c.req.param("room"));
    if (!room) return c.json({ error: "unknown_room" }, 404);
    return answer(c, { room: room.name, userCount: room.userCount, users: room.people });
  });

  app.post("/chat/broadcast/:room", async (c) => {
    if (!(await signIns.find(bearer(c)))) return unauthorized(c);
    const room = find(c.req.param("room"));
    if (!room) return c.json({ error: "unknown_room" }, 404);
    const { message } = await readBody(c);
    const text = typeof message === "string" ? message.trim() : "";
    if (text === "" || text.length > limits.message) return c.json({ error: "invalid_message" }, 400);
    room.announce(text);
    return answer(c, { status: "message_sent" });
  });

  app.get("/metrics", async (c) => {
    if (!equalSecrets(await digestSecret(bearer(c)), await digestSecret(metricsToken))) return unauthorized(c);
    return c.body(metrics.prometheus(), 200, { "content-type": prometheusType });
  });

  return app;

  function find(name: string): ChatRoom | undefined {
    const tidy = roomName(name);
    return tidy === undefined ? undefined : rooms.get(tidy);
  }

  function describe({ token, signIn }: Grant): object {
    const { userId, name }: SignIn = signIn;
    return { token, userId, name, expiresIn: signIns.lifetime };
  }
}

/**
 * Reads a JSON body. Only one that says so: forms of foreign pages cannot, without asking the browser for leave first.
 * Anything else is an empty one.
 */
async function readBody(c: Context): Promise<Record<string, unknown>> {
  const isJson = /^application\/json\b/i.test(c.req.header("content-type") ?? "");
  const body: unknown = isJson ? await c.req.json().catch(() => undefined) : undefined;
  return typeof body === "object" && body !== null ? { ...body } : {};
}

function bearer(c: Context): string {
  return /^Bearer ([\w.~+/=-]+)$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
}

function unauthorized(c: Context): Response {
  return c.json({ error: "unauthorized" }, 401, { "www-authenticate": "Bearer" });
}
