/**
 * Two channels over one connection: the specification's "Channel-based Messaging".
 *
 * @module
 */
import type { Channel } from "@vel/channels";
import type { Connection, Vel } from "@vel/core";
import type { Parts } from "./parts.ts";

/**
 * Adds `/ws/channels`, which sends what is published to `user_updates` and `notifications`, and publishes
 * `{ channel: "user_updates", data }`. What cannot be published is answered with an error; what is no JSON closes with
 * 1007.
 */
export function channels(vel: Vel, { manager }: Pick<Parts, "manager">): void {
  const userUpdates = manager.channel("user_updates");
  const notifications = manager.channel("notifications");

  vel.websocket("/ws/channels", async (request) => {
    const connection = await request.accept();
    await userUpdates.subscribe(connection);
    await notifications.subscribe(connection);
    for await (const message of connection.jsons()) {
      const code = await publish(connection, message);
      if (code !== undefined) connection.sendJson({ type: "error", code });
    }
    // The end of a connection ends its subscriptions.
  });

  /** Publishes what a client sent to the channel that it names; gives the code of what is wrong with it. */
  async function publish(from: Connection, message: unknown): Promise<string | undefined> {
    const { channel: name, data } = (message ?? {}) as { channel?: unknown; data?: unknown };
    const channel: Channel | undefined = [userUpdates, notifications].find((each) => each.name === name);
    if (!channel) return "channel_unknown";
    if (channel === notifications) return "channel_forbidden"; // the server's own, see notification.ts
    if (data === undefined) return "invalid_message";
    await channel.publish(data, { from });
    return undefined;
  }
}
