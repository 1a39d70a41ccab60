import { Channel, encodeEvent, sse, type SseEvent } from "@vel/channels";
import { ManualClock, settle } from "@vel/testing";
import { describe, expect, test } from "vitest";
import { history, publishAll, WiredBroker } from "./kit.ts";

const decoder = new TextDecoder();

/** Reads a response chunk by chunk. */
function readerOf(response: Response): { next: () => Promise<string | undefined>; cancel: () => Promise<void> } {
  const reader = response.body?.getReader();
  if (!reader) throw new Error("no body");
  return {
    next: async () => {
      const { value } = await reader.read();
      return value && decoder.decode(value);
    },
    cancel: () => reader.cancel(),
  };
}

/** A source that the test feeds, and that says how often it was asked. */
class Source implements AsyncIterable<SseEvent | string> {
  asked = 0;
  returned = 0;
  readonly #waiting: {
    resolve: (result: IteratorResult<SseEvent | string>) => void;
    reject: (error: unknown) => void;
  }[] = [];

  [Symbol.asyncIterator](): AsyncIterator<SseEvent | string> {
    return {
      next: () => {
        this.asked++;
        return new Promise((resolve, reject) => {
          this.#waiting.push({ resolve, reject });
        });
      },
      return: () => {
        this.returned++;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  give(value: SseEvent | string): void {
    this.#waiting.shift()?.resolve({ done: false, value });
  }

  end(): void {
    this.#waiting.shift()?.resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#waiting.shift()?.reject(error);
  }
}

async function* from(...events: (SseEvent | string)[]): AsyncGenerator<SseEvent | string> {
  await Promise.resolve();
  yield* events;
}

describe("encodeEvent()", () => {
  test.each<[string, SseEvent | string, string]>([
    ["a text", "hello", "data: hello\n\n"],
    [
      "lines that end in LF, CRLF and CR",
      "a\nb\r\nc\rd\n\re",
      "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n",
    ],
    ["an empty text", "", "data: \n\n"],
    [
      "everything",
      { comment: "c", event: "e", id: "1", retry: 5, data: "d" },
      ": c\nevent: e\nid: 1\nretry: 5\ndata: d\n\n",
    ],
    ["a comment of lines", { comment: "a\nb" }, ": a\n: b\n\n"],
    ["an id alone", { id: "" }, "id: \n\n"],
    [
      "text that looks like a field",
      "x\n\nid: 7\n\nevent: admin",
      "data: x\ndata: \ndata: id: 7\ndata: \ndata: event: admin\n\n",
    ],
  ])("writes %s", (_name, event, text) => {
    expect(encodeEvent(event)).toBe(text);
  });

  test.each<[string, SseEvent]>([
    ["an id with LF", { id: "1\ndata: x" }],
    ["an id with CR", { id: "1\rdata: x" }],
    ["an id with NUL", { id: "1\0" }],
    ["a name with LF", { event: "a\nb" }],
    ["a name with CR", { event: "a\r" }],
    ["a name with NUL", { event: "\0" }],
    ["an id that is no text", { id: 7 as unknown as string }],
    ["data that is no text", { data: {} as string }],
    ["a comment that is no text", { comment: 1 as unknown as string }],
    ["a retry that is no whole number", { retry: 0.5 }],
    ["a negative retry", { retry: -1 }],
    ["a retry that is a text", { retry: "1\ndata: x" as unknown as number }],
  ])("refuses %s", (_name, event) => {
    expect(() => encodeEvent(event)).toThrow();
  });
});

describe("sse()", () => {
  test("answers with the source's events", async () => {
    const response = sse(from("one", { id: "2", data: "two" }), {
      headers: { "X-Own": "1", "Cache-Control": "no-store" },
    });
    expect([response.status, Object.fromEntries(response.headers as unknown as Iterable<[string, string]>)]).toEqual([
      200,
      {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-own": "1",
      },
    ]);
    expect(await response.text()).toBe(": \n\ndata: one\n\nid: 2\ndata: two\n\n");
  });

  test("asks the source only as fast as it is read", async () => {
    const source = new Source();
    const { next } = readerOf(sse(source));
    await settle();
    expect(source.asked).toBe(0);
    expect(await next()).toBe(": \n\n");
    await settle();
    expect(source.asked).toBe(0);
    const first = next();
    await settle();
    expect(source.asked).toBe(1);
    source.give("one");
    expect(await first).toBe("data: one\n\n");
    await settle();
    expect(source.asked).toBe(1);
  });

  test("pings while it waits, and keeps what comes when nobody reads", async () => {
    const clock = new ManualClock();
    const source = new Source();
    const { next, cancel } = readerOf(sse(source, { clock, pingInterval: 1_000 }));
    await next();
    const [first, second] = [next(), next()];
    await clock.advance(1_000);
    expect(await first).toBe(": \n\n");
    await clock.advance(1_000);
    expect([await second, source.asked]).toEqual([": \n\n", 1]);
    source.give("late");
    await settle();
    expect(await next()).toBe("data: late\n\n");
    const last = next();
    await settle();
    source.give("soon");
    expect([await last, clock.pending]).toEqual(["data: soon\n\n", 0]);
    await cancel();
    expect(clock.pending).toBe(0);
  });

  test("ends the source when the reader leaves, also while it waits", async () => {
    const clock = new ManualClock();
    const source = new Source();
    const { next, cancel } = readerOf(sse(source, { clock }));
    await next();
    const waiting = next();
    await settle();
    await cancel();
    source.give("too late");
    expect([await waiting, source.returned, clock.pending]).toEqual([undefined, 1, 0]);
  });

  test("ends when its signal aborts", async () => {
    const clock = new ManualClock();
    const source = new Source();
    const abort = new AbortController();
    const { next } = readerOf(sse(source, { signal: abort.signal, clock }));
    await next();
    const waiting = next();
    await settle();
    abort.abort();
    expect([await waiting, await next(), source.returned, clock.pending]).toEqual([undefined, undefined, 1, 0]);
    source.fail(new Error("too late"));
    await settle();
    const late = new Source();
    expect(await sse(late, { signal: AbortSignal.abort() }).text()).toBe("");
    expect([late.asked, late.returned]).toEqual([0, 1]);
  });

  test("ends with the source", async () => {
    const source = new Source();
    const { next } = readerOf(sse(source));
    await next();
    const waiting = next();
    await settle();
    source.end();
    expect([await waiting, await next(), source.returned]).toEqual([undefined, undefined, 0]);
  });

  test("breaks off when the source throws, or gives what is no event", async () => {
    const source = new Source();
    const { next } = readerOf(sse(source));
    await next();
    const waiting = next();
    await settle();
    source.fail(new Error("no data"));
    await expect(waiting).rejects.toThrow("no data");
    let isLeft = false;
    async function* bad(): AsyncGenerator<SseEvent> {
      await Promise.resolve();
      try {
        yield { id: "a\nb" };
      } finally {
        isLeft = true;
      }
    }
    await expect(sse(bad()).text()).rejects.toThrow(TypeError);
    expect(isLeft).toBe(true);
  });

  test("refuses an interval that is none", () => {
    for (const pingInterval of [0, -1, NaN]) expect(() => sse(from(), { pingInterval })).toThrow(RangeError);
  });
});

describe("Channel.eventStream()", () => {
  const request = (id?: string): Request =>
    new Request("http://localhost/", { ...(id !== undefined && { headers: { "last-event-id": id } }) });

  /** Takes one event apart. */
  const fields = (text: string | undefined): Record<string, string> =>
    Object.fromEntries(
      (text ?? "")
        .split("\n")
        .filter((each) => each !== "")
        .map((each) => each.split(/: ?(.*)/s).slice(0, 2) as [string, string]),
    );

  test("streams messages with their positions as ids, and resumes after one", async () => {
    const channel = new Channel<number>("news", { history });
    await channel.publish(1);
    const { next, cancel } = readerOf(channel.eventStream(request()));
    expect(channel.subscriberCount).toBe(0);
    expect(await next()).toBe(": \n\n");
    const begin = fields(await next());
    expect(Object.keys(begin)).toEqual(["id"]);
    await publishAll(channel, 2, 3);
    expect(fields(await next())).toMatchObject({ data: "2" });
    const three = fields(await next());
    expect([three["data"], channel.subscriberCount]).toEqual(["3", 1]);
    await cancel();
    await settle();
    expect(channel.subscriberCount).toBe(0);

    await publishAll(channel, 4, 5);
    const again = readerOf(channel.eventStream(request(three["id"])));
    await again.next();
    await again.next();
    expect([fields(await again.next())["data"], fields(await again.next())["data"]]).toEqual(["4", "5"]);
    const early = readerOf(channel.eventStream(request(begin["id"])));
    await early.next();
    expect(fields(await early.next())["id"]).toBe(begin["id"]);
    expect(fields(await early.next())["data"]).toBe("2");
  });

  test.each(["x", "1:", ":a", "1:%", "99999999999999999:a", "1:other", "-1:a", "1:a b", `1:${"a".repeat(2_000)}`])(
    "says gap for an id that cannot be had: %s",
    async (id) => {
      const channel = new Channel<number>("news", { history });
      const top = await channel.publish(1);
      const { next } = readerOf(channel.eventStream(request(id)));
      await next();
      const { event, data, id: now } = fields(await next());
      expect([event, JSON.parse(data ?? "")]).toEqual(["gap", { channel: "news", position: top }]);
      await channel.publish(2);
      const message = fields(await next());
      expect([message["data"], message["id"] === now]).toEqual(["2", false]);
    },
  );

  test("says gap when the broker loses something for good", async () => {
    const broker = new WiredBroker();
    const channel = new Channel<number>("news", { broker, history: { limit: 1, ttl: 60_000 } });
    const { next } = readerOf(channel.eventStream(request()));
    await next();
    await next();
    const { onWire } = broker;
    broker.onWire = () => undefined;
    await publishAll(channel, 1, 2);
    broker.onWire = onWire;
    await channel.publish(3);
    expect(fields(await next())).toMatchObject({ event: "gap" });
    expect(fields(await next())).toMatchObject({ data: "3" });
  });

  test("streams a channel without history, without ids", async () => {
    const channel = new Channel<unknown>("news");
    const { next } = readerOf(channel.eventStream(request("7:a")));
    await next();
    expect(await next()).toBe(": \n\n");
    await channel.publish({ text: "a\nb\r\u2028" });
    const { data, ...others } = fields(await next());
    expect([JSON.parse(data ?? ""), others]).toEqual([{ text: "a\nb\r\u2028" }, {}]);
  });

  test("is cut off when it is too slow, after what waited, and resumes", async () => {
    const channel = new Channel<number>("news", { history });
    // Room for three: each takes 128 bytes besides its payload.
    const slow = readerOf(channel.eventStream(request(), { queueLimit: 400 }));
    await slow.next();
    await slow.next();
    await publishAll(channel, 1, 2, 3, 4, 5);
    expect(channel.subscriberCount).toBe(0);
    const seen = [fields(await slow.next()), fields(await slow.next()), fields(await slow.next())];
    expect([seen.map(({ data }) => data), await slow.next()]).toEqual([["1", "2", "3"], undefined]);
    const { next } = readerOf(channel.eventStream(request(seen[2]?.["id"])));
    await next();
    await next();
    expect([fields(await next())["data"], fields(await next())["data"]]).toEqual(["4", "5"]);
  });

  test("leaves with the request, and ends when the channel closes", async () => {
    const broker = new WiredBroker();
    const channel = new Channel<number>("news", { broker });
    const abort = new AbortController();
    const leaving = readerOf(channel.eventStream(new Request("http://localhost/", { signal: abort.signal })));
    const staying = readerOf(channel.eventStream(request()));
    for (const each of [leaving, staying]) {
      await each.next();
      await each.next();
    }
    expect(channel.subscriberCount).toBe(2);
    abort.abort();
    await settle();
    expect(channel.subscriberCount).toBe(1);
    channel.close();
    expect(await staying.next()).toBeUndefined();
    expect(() => channel.eventStream(request())).toThrow(expect.objectContaining({ code: "ERR_VEL_CHANNEL_CLOSED" }));
    await settle();
    expect(broker.subscriptions).toBe(0);
  });

  test("breaks off when the broker is down", async () => {
    const broker = new WiredBroker();
    broker.onSubscribe = () => Promise.reject(new Error("no broker"));
    const channel = new Channel("news", { broker });
    const { next } = readerOf(channel.eventStream(request()));
    await next();
    await expect(next()).rejects.toThrow("no broker");
  });
});
