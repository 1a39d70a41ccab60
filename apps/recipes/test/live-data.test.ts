import { getEventListeners } from "node:events";
import { connect, settle } from "@vel/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { liveData } from "../src/live-data.ts";
import { setUp, setUpLive, take } from "./kit.ts";

/** A poll that answers when the test says so. */
function slowPoll() {
  const answers: ((data: number) => void)[] = [];
  const signals: AbortSignal[] = [];
  const poll = (signal: AbortSignal): Promise<number> => {
    signals.push(signal);
    return new Promise((resolve) => answers.push(resolve));
  };
  return { poll, signals, answer: (data: number) => answers.shift()?.(data) };
}

describe("Live Data Updates", () => {
  const subscribed = { type: "subscribed", channel: "live-data" };
  const update = (data: unknown, seconds: number) => ({
    type: "live_update",
    data,
    timestamp: new Date(Date.UTC(2026, 0, 1) + seconds * 1_000).toISOString(),
  });
  const started = "Live data is listened to";
  const stopped = "Live data is not listened to any more";
  const left = "Live data WebSocket disconnected";

  function start(options: Parameters<typeof setUpLive>[0] = {}, sendBuffer = 2 ** 20) {
    const parts = setUpLive(options);
    const { live, clock } = parts;
    const { vel, said } = setUp((vel) => liveData(vel, { live }), { clock, sendBuffer: { limit: sendBuffer } });
    return { ...parts, said, join: () => connect(vel, "/ws/live-data") };
  }

  it("sends an update at once and every second", async () => {
    const { clock, join } = start();
    const client = await join();
    expect(await take(client)).toEqual([subscribed, update(1, 0)]);
    await clock.advance(999);
    expect(await take(client)).toEqual([]);
    await clock.advance(1);
    expect(await take(client)).toEqual([update(2, 1)]);
    await clock.advance(2_000);
    expect(await take(client)).toEqual([update(3, 2), update(4, 3)]);
  });

  it("polls once for all who listen; who comes later gets the newest at once", async () => {
    const { clock, polls, join } = start();
    const ada = await join();
    await clock.advance(500);
    const bob = await join();
    expect([await take(ada), await take(bob)]).toEqual([
      [subscribed, update(1, 0)],
      [subscribed, update(1, 0)],
    ]);
    await clock.advance(500);
    expect([await take(ada), await take(bob)]).toEqual([[update(2, 1)], [update(2, 1)]]);
    expect(polls).toEqual([0, 1_000]);
  });

  it("begins with the first who listens and ends with the last, whatever they send and however they leave", async () => {
    const { clock, polls, said, join } = start();
    await clock.advance(5_000);
    expect([polls, clock.pending, said]).toEqual([[], 0, []]);
    const [ada, bob] = [await join(), await join()];
    for (const message of ["hello", "{", new Uint8Array([1])]) ada.send(message);
    await clock.advance(1_000);
    expect(said).toEqual([started]);
    ada.close();
    await clock.advance(1_000);
    expect([polls, said]).toEqual([
      [5_000, 6_000, 7_000],
      [started, left],
    ]);
    bob.drop();
    await settle();
    expect(clock.pending).toBe(0);
    await clock.advance(5_000);
    expect([polls.length, said]).toEqual([3, [started, left, stopped, left]]);
    expect(await take(await join())).toEqual([subscribed, update(4, 12)]);
  });

  it("is not polled more often because listeners come and go", async () => {
    const { clock, polls, join } = start();
    for (let visit = 0; visit < 10; visit++) {
      const client = await join();
      await clock.advance(10);
      client.close();
      await settle();
    }
    expect(polls).toEqual([0]);
    const client = await join();
    await clock.advance(1_000);
    expect(polls).toEqual([0, 1_000]);
    client.close();
  });

  it("goes on after a poll that throws, or whose data has no JSON form", async () => {
    const failure = new Error("database is away");
    const answers = [() => Promise.reject(failure), () => 1n, () => "back"];
    const logged = vi.spyOn(console, "error").mockImplementation(() => undefined);
    onTestFinished(() => logged.mockRestore());
    const { clock, join } = start({ poll: () => answers.shift()?.() as never });
    const client = await join();
    await clock.advance(1_000);
    const other = await join();
    await clock.advance(1_000);
    for (const each of [client, other]) expect(await take(each)).toEqual([subscribed, update("back", 2)]);
    expect(logged.mock.calls).toEqual([
      ["Error sending live updates:", failure],
      ["Error sending live updates:", expect.any(TypeError)],
    ]);
  });

  it("waits for a slow poll, and does not drift", async () => {
    const { poll, answer } = slowPoll();
    const { clock, polls, join } = start({ poll });
    const client = await join();
    await clock.advance(2_300);
    expect(polls).toEqual([0]);
    answer(1);
    await clock.advance(0);
    expect([await take(client), polls]).toEqual([[subscribed, update(1, 2.3)], [0]]);
    await clock.advance(700);
    expect(polls).toEqual([0, 3_000]);
    await clock.advance(400);
    answer(2);
    await clock.advance(600);
    expect(polls).toEqual([0, 3_000, 4_000]);
    client.close();
    await settle();
    answer(3);
  });

  it("tells a poll that nobody listens any more, and forgets its answer; the next waits until it has given up", async () => {
    const { poll, signals, answer } = slowPoll();
    const { clock, live, polls, join } = start({ poll });
    const first = await join();
    expect(await take(first)).toEqual([subscribed]);
    first.close();
    await settle();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    const client = await join();
    await clock.advance(1_000);
    expect([await take(client), polls]).toEqual([[subscribed], [0]]);
    answer(1);
    await clock.advance(1_000);
    expect([await take(client), live.latest, polls]).toEqual([[], undefined, [0, 2_000]]);
    answer(2);
    expect(await take(client)).toEqual([update(2, 2)]);
  });

  it("leaves nothing of a poll behind", async () => {
    let given: AbortSignal | undefined;
    const { clock, polls, join } = start({ poll: (signal) => ((given = signal), null) });
    const client = await join();
    await clock.advance(10_000);
    expect([polls.length, clock.pending, getEventListeners(given!, "abort").length]).toEqual([11, 1, 1]);
    client.close();
    await settle();
    expect(getEventListeners(given!, "abort")).toEqual([]);
  });

  it("sends the newest only to who reads too slowly, and delays nobody else", async () => {
    const { clock, polls, join } = start({ poll: () => polls.length }, 1_000);
    const [slow, other] = [await join(), await join()];
    await take(other);
    slow.pause();
    await clock.advance(100_000);
    slow.resume();
    const got = (await take(slow)) as { data: number }[];
    expect(got.length).toBeLessThan(50);
    expect(got.at(-1)).toEqual(update(101, 100));
    expect(await take(other)).toHaveLength(100);
    await clock.advance(1_000);
    expect(await take(slow)).toEqual([update(102, 101)]);
  });

  it("ends for all when it is closed; connections stay open", async () => {
    const { clock, live, polls, join } = start();
    const client = await join();
    await take(client);
    live.close();
    await clock.advance(5_000);
    expect([await take(client), polls, clock.pending, client.isOpen]).toEqual([[], [0], 0, true]);
  });
});
