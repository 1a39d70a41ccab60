/**
 * Vel beside whatever else listens on somebody's http server.
 *
 * @module
 */
import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Vel } from "@vel/core";
import { refuse, Upgrader, type UpgradeListener } from "./upgrade.ts";

/** What {@link attach} and {@link upgradeHandler} do with a path that no route answers. */
export interface AttachOptions {
  /**
   * `auto`: 404 when nobody else listens for upgrades, else leave it to them; `reject`: 404; `ignore`: leave it.
   * Default: `auto`.
   */
  unmatched?: "auto" | "reject" | "ignore";
}

/** What {@link attach} gives back. */
export interface Attachment {
  /** Stops claiming requests; open connections stay. */
  detach(): void;
}

/** Who claims upgrade requests of a server, in the order of attaching. */
const claims = new WeakMap<HttpServer | HttpsServer, Set<Claim>>();

interface Claim {
  readonly upgrader: Upgrader;
}

/**
 * Serves a {@link Vel} on an http server that exists, beside whatever else listens to its upgrades.
 *
 * Requests for paths that a route answers are claimed before any listener sees them, because several listeners that
 * answer the same socket corrupt each other's frames. All others go their way. May be called before or after `listen`.
 *
 * @example
 * import { createServer } from "node:http";
 * const server = createServer(app);
 * const attachment = attach(vel, server);
 * server.listen(3000);
 */
export function attach(
  vel: Vel<never>,
  server: HttpServer | HttpsServer,
  { unmatched = "auto" }: AttachOptions = {},
): Attachment {
  const claim: Claim = { upgrader: Upgrader.of(vel) };
  const claimed = claimsOf(server);
  claimed.add(claim);
  // Without a listener Node would not even tell of upgrades. It also is who sees the requests that nobody claimed.
  const onUnclaimed: UpgradeListener = (_request, socket) => {
    const isAlone = server.listenerCount("upgrade") === claimed.size;
    if (unmatched === "reject" || (unmatched === "auto" && isAlone)) {
      socket.on("error", () => undefined);
      refuse(socket, 404, [], "");
    }
  };
  server.on("upgrade", onUnclaimed);
  return {
    detach() {
      claimed.delete(claim);
      server.off("upgrade", onUnclaimed);
    },
  };
}

/**
 * Makes an `upgrade` listener, for those who dispatch upgrades themselves.
 *
 * @example
 * const upgrade = upgradeHandler(vel);
 * server.on("upgrade", (request, socket, head) => {
 *   if (request.url?.startsWith("/ws/")) upgrade(request, socket, head);
 * });
 */
export function upgradeHandler(vel: Vel<never>): UpgradeListener {
  const upgrader = Upgrader.of(vel);
  return (request, socket, head) => {
    void upgrader.upgrade(request, socket, head);
  };
}

/** Begins to look at a server's upgrades, once; the hook stays when nobody claims any more, and lets all pass. */
function claimsOf(server: HttpServer | HttpsServer): Set<Claim> {
  const known = claims.get(server);
  if (known) return known;
  const claimed = new Set<Claim>();
  claims.set(server, claimed);
  // Instance and method are one: listeners that others add, or a later patch of theirs, find what they expect.
  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === "upgrade") {
      const [request, socket, head] = args as [IncomingMessage, Duplex, Buffer];
      for (const { upgrader } of claimed) {
        if (!upgrader.matches(request)) continue;
        void upgrader.upgrade(request, socket, head);
        return true;
      }
    }
    return emit(event, ...args);
  };
  return claimed;
}
