/**
 * A page that shows how a server does while it runs.
 *
 * @module
 */
import { Audience, logError, systemClock, type Clock, type ErrorContext, type Routes, type Vel } from "@vel/core";
import { pageAssets } from "./page-assets.ts";
import { PageLive } from "./page-live.ts";
import type { ChannelSource, RoomSource, RoundTripSource } from "./page-sources.ts";
import { PageToken } from "./page-token.ts";
import { PageView } from "./page-view.ts";
import type { WebSocketMetrics } from "./websocket-metrics.ts";

/** Settings of {@link metricsPage}. */
export interface MetricsPageOptions {
  /** What a visitor has to know: 16 characters or more, best 32 random ones. */
  token: string;
  /** The server that is looked at. */
  vel: Vel;
  /**
   * Where the page's own route is added. Default: `vel`. On another `Vel`, which listens elsewhere, nothing that holds on this
   * one (guards, limits, a pool that is full) keeps viewers out; `vel.with(guard)` adds a guard of the page's own.
   */
  routes?: Routes;
  /** What counts. It should observe the server, or the page shows no messages. */
  metrics: WebSocketMetrics;
  /** Where the page is. Default: `/vel`, so it is at `/vel/` and its route at `/vel/live`. */
  path?: string;
  /** Shows rooms, and lets who has the token put users out of them: a `RoomManager`. */
  rooms?: RoomSource;
  /** Shows channels: a `ChannelManager`. */
  channels?: ChannelSource;
  /** Shows the round trip of each connection: a `HeartbeatManager`. */
  heartbeat?: RoundTripSource;
  /** For how many milliseconds the charts reach back. Default: 300,000. */
  history?: number;
  /** After how many milliseconds it is looked again. Default: 1,000. */
  interval?: number;
  /** Default: {@link systemClock}. */
  clock?: Clock;
  /** Is told of what rooms, channels and the heartbeat throw (stage `page`). Default: {@link logError}. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

/** What is read of an HTTP request; a web `Request` is one. */
export interface PageRequest {
  readonly method: string;
  readonly url: string;
}

/** Keeps the page to itself: nothing inline, nothing from elsewhere, in nobody's frame, and no form sent anywhere. */
const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

/**
 * Makes a page of its own that shows what a server does: connections, rooms, messages a second, slow consumers, close
 * codes, round trips. Who has the token may also close connections and put users out of rooms.
 *
 * The page itself holds no data. The token is typed into it and said on its WebSocket, so it is in no URL and no log.
 * Guards that `vel.use()` added hold for that WebSocket too, unless {@link MetricsPageOptions.routes} are another server's;
 * routes of the same path that exist already win over it.
 *
 * @returns A web handler: it answers requests for the page, and gives undefined for all others.
 * @throws {TypeError} When the token is too short, or the path is not like `/vel` or is taken.
 * @throws {RangeError} When a time is not a positive number.
 * @example
 * import { createVel } from "@vel/core";
 * import { metricsPage, WebSocketMetrics } from "@vel/metrics";
 *
 * const vel = createVel();
 * const metrics = new WebSocketMetrics();
 * metrics.observe(vel);
 * const page = metricsPage({ token: "change me, I am not secret", vel, metrics });
 * // serve(vel, { fetch: (request) => page(request) ?? new Response("Not found", { status: 404 }) });
 * page(new Request("http://localhost/vel/"))?.status; // 200
 */
export function metricsPage(options: MetricsPageOptions): (request: PageRequest) => Response | undefined {
  const { vel, metrics, rooms, channels, heartbeat, clock = systemClock, onError = logError } = options;
  const { routes = vel, path = "/vel", history = 300_000, interval = 1_000 } = options;
  if (!/^(?:\/[\w.~-]+)+$/.test(path)) {
    throw new TypeError(`Option "path" must be like "/vel", got ${JSON.stringify(path)}`);
  }
  for (const [name, value] of Object.entries({ history, interval })) {
    if (!(value > 0 && value < Infinity)) {
      throw new RangeError(`Option "${name}" must be a positive number, got ${String(value)}`);
    }
  }
  const token = new PageToken(options.token, clock);
  const viewers = new Audience();
  const view = new PageView({
    connections: vel.connections,
    rooms,
    channels,
    heartbeat,
    now: () => vel.clock.now(),
    isViewer: (connection) => viewers.has(connection),
  });
  const parts = { vel, routes, metrics, rooms, view, viewers, token, clock, history, interval, onError };
  new PageLive(parts).start(`${path}/live`);
  return (request) => answer(request, path);
}

function answer({ method, url }: PageRequest, path: string): Response | undefined {
  const { pathname } = new URL(url);
  if (pathname === path) {
    // Relative, since a proxy may serve it elsewhere.
    return respond(308, { location: `${path.slice(path.lastIndexOf("/") + 1)}/` }, "");
  }
  if (!pathname.startsWith(`${path}/`)) return undefined;
  const file = pathname.slice(path.length + 1) || "index.html";
  const asset = Object.hasOwn(pageAssets, file) ? pageAssets[file] : undefined;
  if (asset === undefined) return undefined;
  if (method !== "GET" && method !== "HEAD") return respond(405, { allow: "GET, HEAD" }, "");
  return respond(200, { "content-type": mediaType(file) }, method === "HEAD" ? "" : asset);
}

function respond(status: number, headers: Record<string, string>, body: string): Response {
  return new Response(body, { status, headers: new Headers({ ...securityHeaders, ...headers }) });
}

function mediaType(file: string): string {
  if (file.endsWith(".css")) return "text/css; charset=utf-8";
  if (file.endsWith(".js")) return "text/javascript; charset=utf-8";
  if (file.endsWith(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}
