/**
 * What clients may ask for in frames.
 *
 * @module
 */
import {
  assertTopic,
  InvalidMessageError,
  VelError,
  Renewals,
  type Connection,
  type Frame,
  type FrameHandlers,
  type Position,
} from "@vel/core";
import type { ChannelManager } from "./channel-manager.ts";
import { isPattern } from "./channel-name.ts";
import type { Authorize, Subscriber } from "./channel-options.ts";
import type { ChannelErrorCode } from "./errors.ts";
import type { Grant, Grants } from "./grants.ts";

/** The longest epoch and key that a client may send, in characters (UTF-16 units). */
const longest = 128;

/** Makes the handlers of {@link ChannelManager.frames}. */
export function channelFrames(
  channels: ChannelManager,
  authorizeOf: (name: string) => Authorize | undefined,
  grants: Grants,
): FrameHandlers {
  const authorize = async (connection: Connection, channel: string, action: "subscribe" | "publish"): Promise<void> => {
    // Nothing else will do: a mistake in `authorize` allows nothing.
    if ((await authorizeOf(channel)?.(connection, channel, action)) === true) return;
    throw forbidden(action);
  };
  return {
    subscribe: async (connection, frame) => {
      const channel = channelOf(frame);
      const since = sinceOf(frame);
      if (since && isPattern(channel)) throw new InvalidMessageError("A pattern has no position");
      const asked = authorize(connection, channel, "subscribe");
      const renewals = new Renewals(connection);
      let subscribing: Promise<Subscriber>;
      let grant: Grant | undefined;
      try {
        await asked;
        while (renewals.take()) await authorize(connection, channel, "subscribe");
        // Of one turn, so that no renewal comes between.
        subscribing = channels.subscribe(channel, connection, { ...(since && { since }) });
        grant = grants.add(connection, channel);
      } finally {
        renewals.close();
      }
      const { recovered, position } = await subscribing;
      if (grant?.isWithdrawn === true) throw forbidden("subscribe");
      return { channel, ...(recovered !== undefined && { recovered }), ...(position && { position }) };
    },
    unsubscribe: (connection, frame) => {
      const channel = channelOf(frame);
      channels.unsubscribe(channel, connection);
      return { channel };
    },
    publish: async (connection, frame) => {
      const channel = channelOf(frame);
      const key = keyOf(frame);
      const { data } = frame;
      if (isPattern(channel)) throw new InvalidMessageError("Cannot publish to a pattern");
      if (data === undefined) throw new InvalidMessageError("Frame has no data");
      await authorize(connection, channel, "publish");
      const position = await channels.channel(channel).publish(data, {
        from: connection,
        // Apart from the server's keys, which no client may use up.
        ...(key !== undefined && { idempotencyKey: `\0client ${key}` }),
      });
      return { channel, ...(position && { position }) };
    },
  };
}

function forbidden(action: "subscribe" | "publish"): VelError<ChannelErrorCode> {
  return new VelError("ERR_VEL_CHANNEL_FORBIDDEN", `Client may not ${action}`);
}

function channelOf({ channel }: Frame): string {
  try {
    assertTopic(channel as string);
  } catch (cause) {
    throw new InvalidMessageError("Frame has no channel of 1 to 1,024 characters", { cause });
  }
  return channel as string;
}

function sinceOf({ since }: Frame): Position | undefined {
  if (since === undefined) return undefined;
  const { epoch, offset } = (since ?? {}) as { epoch?: unknown; offset?: unknown };
  const isEpoch = typeof epoch === "string" && epoch.length >= 1 && epoch.length <= longest;
  if (!isEpoch || !Number.isSafeInteger(offset) || (offset as number) < 0) {
    throw new InvalidMessageError("Frame has a position that is none");
  }
  return { epoch, offset: offset as number };
}

function keyOf({ key }: Frame): string | undefined {
  if (key === undefined) return undefined;
  if (typeof key === "string" && key.length >= 1 && key.length <= longest) return key;
  throw new InvalidMessageError(`Frame has a key that is not of 1 to ${String(longest)} characters`);
}
