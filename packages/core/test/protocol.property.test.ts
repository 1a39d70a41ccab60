/**
 * The envelope under whatever a client sends. Beside each property stands a fault that it finds: a change of the sources
 * with which it fails.
 */
import fc from "fast-check";
import { ManualClock } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { createVel, errorFrame, Protocol, VelError, type Frame, type FrameId } from "../src/index.ts";
import { open, settled, type Opened } from "./scripted-transport.ts";

const numRuns = 1_000;

const validIds = fc.oneof(
  fc.integer(),
  fc.string({ minLength: 1, maxLength: 64 }),
  fc.constantFrom("__proto__", "constructor", "toString", "\0"),
);
const invalidIds = fc.constantFrom(null, true, 1.5, "", "x".repeat(65), [], {}, [1], { toString: 1 }, 2 ** 53);

interface Setup extends Opened {
  readonly protocol: Protocol;
  readonly clock: ManualClock;
  readonly errors: unknown[];
  /** What was sent, parsed. */
  sent(): Frame[];
}

/** A protocol with a handler that answers, one that is silent, one that refuses and one that fails. */
async function setup(): Promise<Setup> {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  const protocol = new Protocol({ clock, onError: (error) => errors.push(error) }).add({
    double: (_, { value }) => ({ value: [value, value] }),
    silent: () => undefined,
    later: async () => {
      await Promise.resolve();
      return { isLate: true };
    },
    refuse: () => {
      throw new VelError("ERR_VEL_TIMEOUT", "a text that is nobody's business");
    },
    fail: () => {
      throw new Error("a text that is nobody's business");
    },
  });
  const vel = createVel({ clock });
  vel.websocket("/ws", protocol.hooks());
  const opened = await open(vel, "/ws");
  return {
    ...opened,
    protocol,
    clock,
    errors,
    sent: () => opened.socket.sent.map((text) => JSON.parse(text as string) as Frame),
  };
}

describe("Protocol", () => {
  // Fails when an answer forgets its question: `{ ...reply, type: "ok" }` without the id in receive().
  it("answers each frame that asks once, in the order of the questions, and others only to say what is wrong", async () => {
    const type = fc.constantFrom("double", "silent", "later", "refuse", "fail", "unknown", "toString", "__proto__");
    const asked = fc.record({ type, id: fc.option(validIds, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(fc.array(asked, { maxLength: 12 }), async (frames) => {
        const { host, connection, sent, errors } = await setup();
        for (const frame of frames) host.message(connection, JSON.stringify({ ...frame, value: 1 }));
        await settled();
        const codes = new Map(Object.entries({ refuse: "timeout", fail: "internal" }));
        const expected = frames.flatMap(({ type, id }): object[] => {
          const isGood = ["double", "silent", "later"].includes(type);
          const question = id === undefined ? {} : { id };
          if (!isGood) return [{ type: "error", ...question, code: codes.get(type) ?? "unknown_type" }];
          const reply = type === "double" ? { value: [1, 1] } : type === "later" ? { isLate: true } : {};
          return id === undefined ? [] : [{ ...reply, type: "ok", ...question }];
        });
        expect(sent()).toEqual(expected);
        expect(errors.length).toBe(frames.filter(({ type }) => type === "fail").length);
        expect(connection.isOpen).toBe(true);
      }),
      { numRuns },
    );
  });

  // Fails when the id is echoed unchecked: `id = asked` for whatever it is in receive().
  it("answers what is no frame with one error, whatever it is, and stays open", async () => {
    const payload = fc.oneof(
      fc.string(),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes)),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc
        .record({ type: fc.oneof(fc.jsonValue(), fc.constant("double")), id: fc.oneof(invalidIds, validIds) })
        .map((value) => JSON.stringify(value)),
      fc.constantFrom(
        "[".repeat(100),
        '{"type":"double","__proto__":{"x":1}}',
        '{"type":"double","id":{"length":1e9}}',
      ),
    );
    await fc.assert(
      fc.asyncProperty(payload, async (received) => {
        const { host, connection, sent } = await setup();
        host.message(connection, received);
        await settled();
        const answers = sent();
        expect(answers.length).toBeLessThanOrEqual(1);
        for (const { type, id, code } of answers) {
          expect(["ok", "error"]).toContain(type);
          if (type === "error") expect(["invalid_message", "unknown_type"]).toContain(code);
          if (id !== undefined) expect(typeof id === "string" ? id.length : Math.abs(id)).toBeLessThan(2 ** 53);
          if (id !== undefined) expect((JSON.parse(received as string) as Frame).id).toBe(id);
        }
        expect(connection.isOpen).toBe(true);
        expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
      }),
      { numRuns },
    );
  });

  // Fails when a question's timer is kept: without `clearTimeout(timer)` in request().
  it("settles each question once, as a model does, and keeps nothing of it", async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ ask: fc.integer({ min: 1, max: 50 }) }) },
      { weight: 3, arbitrary: fc.record({ answer: fc.nat(8), with: fc.constantFrom("ok", "error", "pong") }) },
      fc.record({ wait: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ abort: fc.nat(8) }),
      fc.constant({ close: true as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const { host, connection, protocol, clock } = await setup();
        const outcomes: string[] = [];
        const expected: { outcome: string; ends: number; abort: AbortController }[] = [];
        const isOpen = (each: { outcome: string } | undefined): boolean => each?.outcome === "open";
        let now = 0;
        for (const each of steps) {
          if ("ask" in each) {
            const at = expected.length;
            const abort = new AbortController();
            outcomes[at] = "open";
            protocol.request(connection, { type: "question" }, { timeout: each.ask, signal: abort.signal }).then(
              (reply) => (outcomes[at] = `${String(outcomes[at])} ${reply.type}`),
              (error: unknown) =>
                (outcomes[at] =
                  `${String(outcomes[at])} ${error instanceof VelError ? String(error.code) : "aborted"}`),
            );
            const outcome = connection.isOpen ? "open" : "ERR_VEL_DISCONNECTED";
            expected.push({ outcome, ends: now + each.ask, abort });
          } else if ("answer" in each) {
            const asked = expected[each.answer];
            if (!connection.isOpen) continue;
            // The ids count from 1, only of those that were sent.
            host.message(connection, JSON.stringify({ type: each.with, id: idOf(expected, each.answer) }));
            if (asked && isOpen(asked)) asked.outcome = each.with === "error" ? "ERR_VEL_REPLY" : each.with;
          } else if ("wait" in each) {
            now += each.wait;
            for (const asked of expected) if (isOpen(asked) && asked.ends <= now) asked.outcome = "ERR_VEL_TIMEOUT";
            await clock.advance(each.wait);
          } else if ("abort" in each) {
            const asked = expected[each.abort];
            asked?.abort.abort();
            if (asked && isOpen(asked)) asked.outcome = "aborted";
          } else {
            for (const asked of expected) if (isOpen(asked)) asked.outcome = "ERR_VEL_DISCONNECTED";
            host.close(connection, 1000, "", true);
          }
          await settled();
        }
        const wanted = expected.map(({ outcome }) => (outcome === "open" ? "open" : `open ${outcome}`));
        expect(outcomes).toEqual(wanted);
        // A timer for each that is open still, and no other.
        expect(clock.pending).toBe(expected.filter(isOpen).length);
      }),
      { numRuns },
    );
  });

  // Fails when the cap is off by one: `questions.size > this.#maxPending` in request(); and when a question is kept that
  // was answered: without `questions.delete(id)` there.
  it("is owed no more than maxPending answers by a connection", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 10 }), fc.nat(20), fc.nat(10), async (maxPending, count, answers) => {
        const { connection, socket } = await setup();
        const protocol = new Protocol({ maxPending, clock: new ManualClock() });
        let refused = 0;
        const ask = (): void => {
          protocol.request(connection, { type: "question" }).catch((error: unknown) => {
            if (error instanceof VelError && error.code === "ERR_VEL_LIMIT") refused++;
          });
        };
        for (let i = 0; i < count; i++) ask();
        await settled();
        const asked = Math.min(count, maxPending);
        expect([socket.sent.length, refused]).toEqual([asked, count - asked]);
        const answered = Math.min(answers, asked);
        for (let id = 1; id <= answered; id++) await protocol.receive(connection, JSON.stringify({ type: "ok", id }));
        for (let i = 0; i < maxPending; i++) ask();
        await settled();
        expect(socket.sent.length).toBe(maxPending + answered);
      }),
      { numRuns },
    );
  });
});

describe("errorFrame()", () => {
  // Fails when the text comes along: `{ ...error }` in the frame, or `code` that is not in lower case.
  it("says the code of what the client can do something about, and nothing else of any error", () => {
    const code = fc.stringMatching(/^ERR_(VEL_)?[A-Z]{1,10}(_[A-Z]{1,5})?$/);
    const secret = "a text that is nobody's business";
    const error = fc.oneof(
      fc.tuple(code, fc.option(fc.nat(), { nil: undefined })).map(([code, retryAfter]) => {
        return new VelError<string>(code, secret, { cause: secret, ...(retryAfter !== undefined && { retryAfter }) });
      }),
      fc.constantFrom(new Error(secret), new TypeError(secret), secret, undefined, null, { code: "ERR_VEL_X", secret }),
    );
    fc.assert(
      fc.property(error, fc.option(validIds, { nil: undefined }), (error, id) => {
        const frame = errorFrame(error, id);
        expect(JSON.stringify(frame)).not.toContain(secret);
        expect(frame.code).toMatch(/^[a-z_]+$/);
        expect(frame.id).toBe(id);
        expect(frame.code === "internal" || error instanceof VelError).toBe(true);
        const { retryAfter } = error instanceof VelError ? error : { retryAfter: undefined };
        if (frame.code !== "internal") expect(frame.retryAfter).toBe(retryAfter);
        else expect("retryAfter" in frame).toBe(false);
      }),
      { numRuns },
    );
  });
});

/** The id that the question of this number got: only those are numbered that were asked while the connection was open. */
function idOf(asked: readonly { outcome: string }[], at: number): FrameId {
  return at < asked.length ? at + 1 : 99;
}
