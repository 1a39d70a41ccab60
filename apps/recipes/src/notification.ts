/**
 * A channel that is published to over HTTP: the specification's "Broadcasting to Channels".
 *
 * @module
 */
import type { Vel } from "@vel/core";
import { bearer } from "./bearer.ts";
import { target, type Fetch, type Parts } from "./parts.ts";

/** The longest title and message, in characters (UTF-16 units). */
const longest = 1_000;

/**
 * Adds `POST /broadcast/notification`, which publishes `{ title, message }` to the channel `notifications`. Only for
 * those who send `Authorization: Bearer` and the secret.
 *
 * @throws {TypeError} When the secret is not one or more of the characters that can stand there.
 */
export function notification(vel: Vel, { manager, secret }: Pick<Parts, "manager" | "secret">): Fetch {
  const refuse = bearer(secret);
  const notifications = manager.channel("notifications");

  return async (request) => {
    if (target(request) !== "POST /broadcast/notification") return undefined;
    const refusal = await refuse(request);
    if (refusal) return refusal;
    const { title, message } = ((await request.json().catch(() => undefined)) ?? {}) as Record<string, unknown>;
    if (!isText(title) || !isText(message)) return Response.json({ error: "invalid_notification" }, { status: 400 });
    const timestamp = new Date(vel.clock.wall()).toISOString();
    await notifications.publish({ type: "notification", title, message, timestamp });
    return Response.json({ status: "broadcast_sent" });
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= longest;
}
