import { connect } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { liveUpdates } from "../src/live-updates.ts";
import { setUp, setUpLive, take } from "./kit.ts";

describe("Server-Sent Events Integration", () => {
  function start() {
    const parts = setUpLive();
    const { live, clock } = parts;
    const { vel, said, answer } = setUp((vel) => liveUpdates(vel, { live }), { clock });
    const open = async (init: RequestInit = {}) => {
      const response = (await answer(new Request("http://localhost/sse/live-updates", init)))!;
      const reader = response.body!.getReader();
      const read = async (): Promise<string | undefined> => {
        const { value } = await reader.read();
        return value && new TextDecoder().decode(value);
      };
      return { response, reader, read };
    };
    return { ...parts, vel, said, answer, open };
  }

  it("sends the data at once and every second", async () => {
    const { clock, open } = start();
    const { response, reader, read } = await open();
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect([await read(), await read()]).toEqual([": \n\n", "data: 1\n\n"]);
    const next = read();
    await clock.advance(1_000);
    expect(await next).toBe("data: 2\n\n");
    await reader.cancel();
  });

  it("polls once for all readers, and not at all without any", async () => {
    const { clock, live, polls, open } = start();
    const readers = [await open(), await open()];
    await clock.advance(5_000);
    expect([polls, live.listeners]).toEqual([[], 0]);
    for (const { read } of readers) expect([await read(), await read()]).toEqual([": \n\n", "data: 1\n\n"]);
    expect([polls, live.listeners]).toEqual([[5_000], 2]);
    for (const { reader } of readers) await reader.cancel();
  });

  it("stops as soon as the last reader has left, while it waits or not, or when its request aborts", async () => {
    const { clock, live, polls, said, open } = start();
    const abort = new AbortController();
    const [ada, bob] = [await open(), await open({ signal: abort.signal })];
    for (const { read } of [ada, bob]) for (let i = 0; i < 2; i++) await read();
    const waiting = ada.read();
    await ada.reader.cancel();
    expect(await waiting).toBeUndefined();
    await clock.advance(0);
    expect([live.listeners, said]).toEqual([1, ["Live data is listened to"]]);
    abort.abort();
    await clock.advance(0);
    expect([live.listeners, clock.pending, polls]).toEqual([0, 0, [0]]);
    expect(said).toEqual(["Live data is listened to", "Live data is not listened to any more"]);
  });

  it("does not listen for a reader that leaves before it reads", async () => {
    const { live, said, open } = start();
    const { reader } = await open();
    await reader.cancel();
    expect([live.listeners, said]).toEqual([0, []]);
  });

  it("gives a slow reader the newest only", async () => {
    const { clock, polls, open } = start();
    const { reader, read } = await open();
    for (let i = 0; i < 2; i++) await read();
    await clock.advance(100_000);
    expect([await read(), polls.length]).toEqual(["data: 101\n\n", 101]);
    await reader.cancel();
  });

  it("ends the streams when the source closes", async () => {
    const { clock, live, open } = start();
    const { read } = await open();
    for (let i = 0; i < 2; i++) await read();
    const next = read();
    live.close();
    expect(await next).toBeUndefined();
    await clock.advance(0);
  });

  it("answers nothing else", async () => {
    const { answer } = start();
    expect(await answer(new Request("http://localhost/sse/live-updates", { method: "POST" }))).toBeUndefined();
    expect(await answer(new Request("http://localhost/sse"))).toBeUndefined();
  });

  it("answers commands, each with its id", async () => {
    const { vel, open } = start();
    const client = await connect(vel, "/ws/commands");
    client.sendJson({ type: "latest", id: 1 });
    client.sendJson({ type: "listeners", id: "two" });
    expect(await take(client)).toEqual([
      { type: "ok", id: 1, result: null },
      { type: "ok", id: "two", result: 0 },
    ]);
    const { reader, read } = await open();
    for (let i = 0; i < 2; i++) await read();
    client.sendJson({ type: "listeners", id: 3 });
    client.sendJson({ type: "latest", id: 4 });
    expect(await take(client)).toEqual([
      { type: "ok", id: 3, result: 1 },
      { type: "ok", id: 4, result: 1 },
    ]);
    await reader.cancel();
  });

  it.each([
    ["no JSON", "{", { code: "invalid_message" }],
    ["bytes", new Uint8Array([0x7b, 0x7d]), { code: "invalid_message" }],
    ["an array", "[]", { code: "invalid_message" }],
    ["no type", '{"id":7}', { code: "invalid_message", id: 7 }],
    ["an id that is none", '{"type":"latest","id":[]}', { code: "invalid_message" }],
    ["an unknown command", '{"type":"reboot","id":7}', { code: "unknown_type", id: 7 }],
    ["a name of objects", '{"type":"constructor","id":7}', { code: "unknown_type", id: 7 }],
  ])("answers %s with an error, and stays open", async (_name, message, error) => {
    const { vel } = start();
    const client = await connect(vel, "/ws/commands");
    client.send(message);
    client.sendJson({ type: "listeners", id: 8 });
    expect(await take(client)).toEqual([
      { type: "error", ...error },
      { type: "ok", id: 8, result: 0 },
    ]);
  });
});
