/**
 * A channel that is published to over HTTP: the specification's "Broadcasting to Channels".
 *
 * @module
 */
import type { Vel } from "@vel/core";
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
  if (!/^[\w.~+/=-]+$/.test(secret)) throw new TypeError("Secret must be letters, digits and any of -._~+/=");
  const notifications = manager.channel("notifications");

  return async (request) => {
    if (target(request) !== "POST /broadcast/notification") return undefined;
    const [, token = ""] = /^Bearer +([\w.~+/=-]+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    if (!(await isSame(token, secret))) {
      return Response.json({ error: "unauthorized" }, { status: 401, headers: { "www-authenticate": "Bearer" } });
    }
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

/** Compares in a time that tells nothing of where two texts differ: of Web Crypto, only `verify` promises that. */
async function isSame(text: string, other: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(other));
  return crypto.subtle.verify("HMAC", key, signature, encoder.encode(text));
}
