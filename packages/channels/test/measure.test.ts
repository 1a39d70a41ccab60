/** What a manager counts, for whoever collects it. */
import { ChannelManager } from "@vel/channels";
import { MemoryBroker, VelError } from "@vel/core";
import { ManualClock } from "@vel/testing";
import { expect, it } from "vitest";
import { peers } from "./kit.ts";

function read(channels: ChannelManager): Record<string, unknown> {
  const entries = [...channels.measure()].map(({ name, value }) => [name, value]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

it("ChannelManager.measure() counts channels, subscriptions and what was published", async () => {
  const clock = new ManualClock();
  const { vel, peer } = peers({ clock });
  const channels = new ChannelManager();
  const none = { vel_channels: 0, vel_channel_subscriptions: 0, vel_channel_publishes_total: 0 };
  expect(read(channels)).toEqual(none);

  const [ada, bob] = [(await peer()).connection, (await peer()).connection];
  await channels.channel("news").subscribe(ada);
  await channels.channel("news").subscribe(bob);
  await channels.channel("news").subscribe(bob); // once more is not twice
  await channels.subscribe("news.*", ada);
  const loop = channels.channel("news").messages();
  await channels.channel("news").publish("one");
  await channels.channel("nobody").publish("two");
  expect(read(channels)).toEqual({ vel_channels: 2, vel_channel_subscriptions: 4, vel_channel_publishes_total: 2 });

  await loop.return?.();
  channels.unsubscribe("news", ada);
  channels.unsubscribe("news.*", ada);
  expect(read(channels)).toEqual({ vel_channels: 1, vel_channel_subscriptions: 1, vel_channel_publishes_total: 2 });

  await channels.close();
  expect(read(channels)).toEqual({ ...none, vel_channel_publishes_total: 2 });
  await Promise.all([vel.close(), clock.advance(60_000)]);
  expect(vel.connections.size).toBe(0);
  expect(clock.pending).toBe(0);
});

it("ChannelManager.measure() does not count what was not published", async () => {
  class DownBroker extends MemoryBroker {
    override publish(): Promise<never> {
      return Promise.reject(new VelError("ERR_VEL_BROKER_DOWN", "down"));
    }
  }
  const channels = new ChannelManager({ broker: new DownBroker() });
  await expect(channels.channel("news").publish("one")).rejects.toThrow("down");
  await expect(channels.channel("news").publish(1n)).rejects.toThrow(TypeError);
  expect(read(channels)["vel_channel_publishes_total"]).toBe(0);
  await channels.close();
});
