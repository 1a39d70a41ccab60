/** Event streams read as the HTML standard says. Each property names a fault that makes it fail. */
import { encodeEvent, sse, type SseEvent } from "@vel/channels";
import fc from "fast-check";
import { expect, test } from "vitest";
import { turn } from "./kit.ts";

const runs = { numRuns: 1_000 };

interface Read {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** The standard's own steps: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
function parse(text: string): { events: Read[]; retry: number | undefined } {
  const events: Read[] = [];
  let [data, event, id, retry] = ["", "", "", undefined as number | undefined];
  for (const line of text.split(/\r\n|\n|\r/).slice(0, -1)) {
    if (line === "") {
      if (data !== "") events.push({ event: event === "" ? "message" : event, id, data: data.slice(0, -1) });
      [data, event] = ["", ""];
      continue;
    }
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    else if (field === "data") data += `${value}\n`;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
  }
  return { events, retry };
}

const evil = fc.array(
  fc.constantFrom("\r", "\n", "\0", ":", " ", "data", "id: 7", "event: x", "é", "\u2028", "\ufeff"),
  {
    maxLength: 8,
  },
);
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  evil.map((parts) => parts.join("")),
);
const safe = text.map((each) => each.replaceAll(/[\r\n\0]/g, ""));

const event = fc.record(
  { data: text, event: safe, id: safe, retry: fc.nat(), comment: text },
  { requiredKeys: ["data"] },
) as fc.Arbitrary<SseEvent & { data: string }>;

// Planted: a split at LF only, so that CR in data begins another field.
test("Every event arrives as it was, and no other", () => {
  fc.assert(
    fc.property(fc.array(event), (all) => {
      let id = "";
      const expected = all.map((each) => {
        id = each.id ?? id;
        const name = each.event ?? "";
        return { event: name === "" ? "message" : name, id, data: each.data.replaceAll(/\r\n|\r/g, "\n") };
      });
      const { events, retry } = parse(all.map(encodeEvent).join(""));
      expect(events).toEqual(expected);
      expect(retry).toBe(all.findLast((each) => each.retry !== undefined)?.retry);
    }),
    runs,
  );
});

// Planted: a stream that keeps one event ready (`highWaterMark: 1`).
test("A stream gives every event once and in order, and asks for none before it is read", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 8 }), fc.nat(10), async (all, wanted) => {
      let asked = 0;
      let isLeft = false;
      async function* source(): AsyncGenerator<SseEvent> {
        try {
          for (const each of all) {
            asked++;
            await Promise.resolve();
            yield each;
          }
        } finally {
          isLeft = true;
        }
      }
      const reader = sse(source(), { pingInterval: Infinity }).body?.getReader();
      const seen: string[] = [];
      for (let i = 0; i <= wanted; i++) {
        const result = await reader?.read();
        if (!result || result.done) break;
        seen.push(new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.value));
      }
      expect(seen).toEqual([": \n\n", ...all.map((each) => encodeEvent(each))].slice(0, wanted + 1));
      await turn();
      expect(asked).toBeLessThanOrEqual(Math.min(wanted, all.length));
      await reader?.cancel();
      expect(isLeft).toBe(wanted > 0);
    }),
    runs,
  );
});

// Planted: a pattern for line breaks without NUL.
test("An id or name with a line break or NUL is refused, wherever it stands", () => {
  fc.assert(
    fc.property(safe, safe, fc.constantFrom("\r", "\n", "\0"), fc.constantFrom("id", "event"), (a, b, bad, field) => {
      expect(() => encodeEvent({ [field]: a + bad + b })).toThrow(TypeError);
    }),
    runs,
  );
});
