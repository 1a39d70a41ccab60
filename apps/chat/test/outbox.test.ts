/** The part of the page that must neither lose nor swap messages, against a server and a network as bad as can be. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

/** What the test uses of `page/chat-outbox.js`, which the page's own compiler settings check. */
interface Outbox {
  readonly size: number;
  readonly isHeld: boolean;
  add(id: string, message: string): boolean;
  settle(id: string): boolean;
  sendNext(): void;
  hold(delay: number, onResumed: () => void): void;
  interrupt(): void;
}
interface OutboxModule {
  OUTBOX_LIMIT: number;
  Outbox: new (options: {
    transmit(frame: { message: string; id: string }): boolean;
    onPace(isSlowed: boolean): void;
  }) => Outbox;
}

const file = new URL("../page/chat-outbox.js", import.meta.url).href;
const { Outbox, OUTBOX_LIMIT } = (await import(file)) as OutboxModule;

/** What can happen, one after the other. */
type Step = "write" | "arrive" | "arriveTooSoon" | "answer" | "wait" | "break";
const steps: readonly Step[] = ["write", "arrive", "arriveTooSoon", "answer", "wait", "break"];

/** An outbox, a server that says each id once, and what is on its way between them. */
function setUp() {
  const said: string[] = [];
  const paces: boolean[] = [];
  const written: string[] = [];
  let toServer: string[] = [];
  let toPage: (() => void)[] = [];
  const outbox = new Outbox({
    transmit({ id }) {
      toServer.push(id);
      return true;
    },
    onPace: (isSlowed) => paces.push(isSlowed),
  });
  const actions: Record<Step, () => void> = {
    write() {
      const id = String(written.length + 1);
      if (outbox.add(id, id)) written.push(id);
    },
    arrive() {
      const id = toServer.shift();
      if (id === undefined) return;
      if (!said.includes(id)) said.push(id);
      toPage.push(() => outbox.settle(id));
    },
    arriveTooSoon() {
      if (toServer.shift() === undefined) return;
      toPage.push(() => {
        outbox.hold(500, () => undefined);
      });
    },
    answer: () => toPage.shift()?.(),
    wait: () => vi.advanceTimersByTime(500),
    break() {
      toServer = [];
      toPage = [];
      paces.length = 0; // the page shows that the connection is lost
      outbox.interrupt();
      expect(vi.getTimerCount()).toBe(0);
      outbox.sendNext();
    },
  };
  return { outbox, said, written, paces, actions };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Outbox", () => {
  it("has everything said once and in order, whatever is dropped, lost or late", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...steps), { maxLength: 100 }), (history) => {
        const { outbox, said, written, paces, actions } = setUp();
        for (const step of history) actions[step]();
        for (let left = 200; outbox.size > 0 && left > 0; left--) {
          for (const step of ["wait", "arrive", "answer"] as const) actions[step]();
        }
        expect(said).toEqual(written);
        expect(paces.every((isSlowed, i) => isSlowed === (i % 2 === 0))).toBe(true);
        actions.break();
      }),
      { numRuns: 1_000 },
    );
  });

  it("tells when messages have to wait, and when none does any more", () => {
    const { outbox, paces, actions } = setUp();
    for (const step of ["write", "write", "arriveTooSoon", "answer"] as const) actions[step]();
    expect([paces, outbox.isHeld]).toEqual([[true], true]);
    for (const step of ["wait", "arrive", "answer", "arrive"] as const) actions[step]();
    expect([paces, outbox.isHeld, outbox.size]).toEqual([[true], false, 1]);
    actions.answer();
    expect(paces).toEqual([true, false]);
  });

  it("takes no more than it says", () => {
    const { outbox, written, actions } = setUp();
    for (let i = 0; i < OUTBOX_LIMIT + 5; i++) actions.write();
    expect([outbox.size, written.length]).toEqual([OUTBOX_LIMIT, OUTBOX_LIMIT]);
  });
});
