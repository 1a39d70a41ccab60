import { ManualClock } from "@vel/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DisconnectError, VelError } from "../src/errors.ts";
import { Inbox, type Consumer } from "../src/inbox.ts";
import { settled } from "./scripted-transport.ts";

const gone = new DisconnectError({ code: 1006, reason: "", wasClean: false, by: "remote" });

/** An inbox whose limit is no concern of the test. */
function unbounded(): Inbox {
  return new Inbox(Infinity, {
    onFull() {
      throw new Error("It cannot be full");
    },
  });
}

/** A consumer of which only some matters. */
const quiet: Consumer = { serial: true, begin: () => undefined, take: () => undefined, end: () => undefined };

describe("Inbox.receive()", () => {
  it("hands out what waits first, then what comes, each receiver one message in order", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    inbox.push("a", 1);
    const received = [inbox.receive({}, clock), inbox.receive({}, clock), inbox.receive({}, clock)];
    inbox.push("b", 1);
    inbox.push("c", 1);
    expect(await Promise.all(received)).toEqual(["a", "b", "c"]);
  });

  it("gives up at its timeout or signal without taking a message, and leaves no timer and no listener", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    const abort = new AbortController();
    const timed = inbox.receive({ timeout: 1000, signal: abort.signal }, clock);
    const aborted = inbox.receive({ signal: abort.signal }, clock);
    const patient = inbox.receive({ timeout: 5000 }, clock);
    const rejected = expect(timed).rejects.toMatchObject({ code: "ERR_VEL_TIMEOUT" });
    await clock.advance(1000);
    await rejected;
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    inbox.push("a", 1);
    expect(await patient).toBe("a");
    expect(clock.pending).toBe(0);
  });

  it("rejects at once with the reason of a signal that has aborted, and takes nothing", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    inbox.push("a", 1);
    await expect(inbox.receive({ signal: AbortSignal.abort(new Error("before")) }, clock)).rejects.toThrow("before");
    expect(await inbox.receive({}, clock)).toBe("a");
  });

  it("rejects with ERR_VEL_STATE from the moment that a consumer is there, its start included", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    let within: Promise<unknown> | undefined;
    inbox.consume({
      serial: true,
      begin() {
        within = inbox.receive({}, clock);
        within.catch(() => undefined);
      },
      take: () => undefined,
      end: () => undefined,
    });
    await expect(within).rejects.toMatchObject({ code: "ERR_VEL_STATE" });
    await expect(inbox.receive({}, clock)).rejects.toMatchObject({ code: "ERR_VEL_STATE" });
  });

  it("keeps handing out what came before the end, then rejects", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    inbox.push("a", 1);
    inbox.end(gone);
    expect(await inbox.receive({}, clock)).toBe("a");
    await expect(inbox.receive({}, clock)).rejects.toBe(gone);
  });

  it("loses nothing, keeps the order and settles each receiver once, whatever happens in which order", async () => {
    type Step = "push" | "receive" | "timed" | "abortable" | "abort" | "advance" | "discard" | "end";
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.constant<Step>("push") },
      { weight: 4, arbitrary: fc.constantFrom<Step>("receive", "timed", "abortable") },
      { weight: 3, arbitrary: fc.constantFrom<Step>("abort", "advance") },
      { weight: 1, arbitrary: fc.constantFrom<Step>("discard", "end") },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const inbox = unbounded();
        const clock = new ManualClock();
        // The model: what waits, and what each receiver must come to.
        let queue: string[] = [];
        let isDiscarding = false;
        let isEnded = false;
        let next = 0;
        const waiting: { expected: string; kind: Step; until: number; abort?: AbortController }[] = [];
        const receivers: {
          expected: string;
          kind: Step;
          until: number;
          abort?: AbortController;
          outcomes: string[];
        }[] = [];

        for (const step of steps) {
          if (step === "push" && !isEnded) {
            const message = `m${String(next++)}`;
            if (!isDiscarding) {
              const waiter = waiting.shift();
              if (waiter) waiter.expected = message;
              else queue.push(message);
            }
            inbox.push(message, 1);
          } else if (step === "receive" || step === "timed" || step === "abortable") {
            const abort = step === "abortable" ? new AbortController() : undefined;
            const receiver = {
              expected: queue.shift() ?? (isEnded ? "gone" : "pending"),
              kind: step,
              until: clock.now() + 100,
              outcomes: [] as string[],
              ...(abort && { abort }),
            };
            receivers.push(receiver);
            if (receiver.expected === "pending") waiting.push(receiver);
            const options = { ...(step === "timed" && { timeout: 100 }), ...(abort && { signal: abort.signal }) };
            inbox.receive(options, clock).then(
              (payload) => receiver.outcomes.push(payload as string),
              (error: unknown) =>
                receiver.outcomes.push(error === gone ? "gone" : error instanceof VelError ? error.code : "aborted"),
            );
          } else if (step === "abort") {
            const at = waiting.findIndex(({ kind }) => kind === "abortable");
            const [waiter] = at < 0 ? [] : waiting.splice(at, 1);
            if (waiter) waiter.expected = "aborted";
            for (const receiver of receivers)
              if (receiver === waiter || receiver.expected !== "pending") receiver.abort?.abort();
          } else if (step === "advance") {
            await clock.advance(60);
            for (const waiter of waiting.filter(({ kind, until }) => kind === "timed" && until <= clock.now())) {
              waiter.expected = "ERR_VEL_TIMEOUT";
              waiting.splice(waiting.indexOf(waiter), 1);
            }
          } else if (step === "discard") {
            isDiscarding = true;
            queue = [];
            inbox.discard();
          } else if (step === "end" && !isEnded) {
            isEnded = true;
            for (const waiter of waiting.splice(0)) waiter.expected = "gone";
            inbox.end(gone);
          }
        }
        await settled();
        for (const { expected, outcomes } of receivers)
          expect(outcomes).toEqual(expected === "pending" ? [] : [expected]);
        // What waits is still there, in order.
        for (const message of queue) expect(await inbox.receive({}, clock)).toBe(message);
        expect(clock.pending).toBe(waiting.filter(({ kind }) => kind === "timed").length);
      }),
      { numRuns: 300 },
    );
  });
});

describe("Inbox.consume()", () => {
  it("hands over what waited, then what comes, one at a time and in order when serial", async () => {
    const step = fc.constantFrom("push", "push", "within", "finish", "finish", "settle", "end");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constant("early"), { maxLength: 3 }),
        fc.array(step, { maxLength: 30 }),
        fc.boolean(),
        fc.boolean(),
        fc.infiniteStream(fc.boolean()),
        async (early, steps, serial, slowStart, isAsync) => {
          const inbox = unbounded();
          let next = 0;
          let isEnded = false;
          let ends = 0;
          let active = 0;
          let inCall = 0;
          let started = false;
          const seen: string[] = [];
          const running: (() => void)[] = [];
          let startUp: (() => void) | undefined;
          let pushWithin = 0;
          const push = (): void => {
            if (!isEnded) inbox.push(`m${String(next++)}`, 1);
          };
          for (const _ of early) push();
          inbox.consume({
            serial,
            take(payload) {
              expect(started, "nothing is handed over before the start has settled").toBe(true);
              expect(inCall, "no call within a call").toBe(0);
              if (serial) expect(active, "one at a time").toBe(0);
              expect(ends).toBe(0);
              inCall++;
              seen.push(payload as string);
              if (pushWithin > 0) {
                pushWithin--;
                push();
              }
              inCall--;
              if (isAsync.next().value !== true) return undefined;
              active++;
              return new Promise<void>((resolve) => {
                running.push(() => {
                  active--;
                  resolve();
                });
              });
            },
            begin() {
              if (!slowStart) {
                started = true;
                return undefined;
              }
              return new Promise<void>((resolve) => {
                startUp = () => {
                  started = true;
                  resolve();
                };
              });
            },
            end() {
              expect(active, "the end comes after everything has settled").toBe(0);
              ends++;
            },
          });
          for (const step of steps) {
            if (step === "push") push();
            else if (step === "within") pushWithin++;
            else if (step === "finish") (started ? running.shift() : startUp)?.();
            else if (step === "settle") await settled();
            else if (!isEnded) {
              isEnded = true;
              inbox.end(gone);
            }
          }
          startUp?.();
          while (seen.length < next || running.length > 0) {
            running.shift()?.();
            await settled();
          }
          await settled();
          expect(seen).toEqual(Array.from({ length: next }, (_, index) => `m${String(index)}`));
          expect(ends).toBe(isEnded ? 1 : 0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("throws away what waits when told to discard, and still tells of the end", () => {
    const inbox = unbounded();
    const seen: unknown[] = [];
    let ends = 0;
    inbox.push("a", 1);
    inbox.discard();
    inbox.push("b", 1);
    inbox.consume({ ...quiet, take: (payload) => seen.push(payload), end: () => ends++ });
    inbox.end(gone);
    inbox.end(gone);
    expect(seen).toEqual([]);
    expect(ends).toBe(1);
  });

  it("keeps the order of many thousand messages that never run out", async () => {
    const inbox = unbounded();
    const clock = new ManualClock();
    let pushed = 0;
    let taken = 0;
    for (let round = 0; round < 5000; round++) {
      inbox.push(String(pushed++), 1);
      if (round % 3 === 0) inbox.push(String(pushed++), 1);
      expect(await inbox.receive({}, clock)).toBe(String(taken++));
    }
    while (taken < pushed) expect(await inbox.receive({}, clock)).toBe(String(taken++));
  });
});

describe("Inbox.push()", () => {
  it("says when more waits than the limit, again when half of it is left, and keeps what comes all the same", async () => {
    const clock = new ManualClock();
    const said: boolean[] = [];
    const inbox = new Inbox(1_000, { onFull: (isFull) => said.push(isFull) });
    for (let i = 0; i < 10; i++) inbox.push(`m${String(i)}`, 100); // 164 each: full with the seventh
    expect(said).toEqual([true]);
    const taken: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      taken.push(await inbox.receive({}, clock));
      // Seven, six ... three are left: 492 is the first below half.
      expect(said, String(i)).toEqual(i < 6 ? [true] : [true, false]);
    }
    expect(taken).toEqual(Array.from({ length: 10 }, (_, i) => `m${String(i)}`));
  });

  it("keeps the order when a sender that is told to go on does so at once", () => {
    const seen: unknown[] = [];
    let more = 3;
    const inbox = new Inbox(200, {
      onFull(isFull) {
        if (!isFull && more > 0) for (let i = 0; i < 3; i++) inbox.push(`later ${String(more--)}`, 50);
      },
    });
    for (let i = 0; i < 3; i++) inbox.push(`m${String(i)}`, 50);
    inbox.consume({ ...quiet, take: (payload) => seen.push(payload) });
    expect(seen).toEqual(["m0", "m1", "m2", "later 3", "later 2", "later 1"]);
  });

  it("counts empty messages too", () => {
    const said: boolean[] = [];
    const inbox = new Inbox(1_000, { onFull: (isFull) => said.push(isFull) });
    for (let i = 0; i < 15; i++) inbox.push("", 0);
    expect(said).toEqual([]);
    inbox.push("", 0);
    expect(said).toEqual([true]);
    inbox.discard();
    expect(said).toEqual([true, false]);
  });
});
