import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { History, type HistoryPosition } from "@vel/rooms";

const filled = (limit: number, count: number): History<string> => {
  const history = new History<string>(limit);
  for (let i = 1; i <= count; i++) history.append(`e${String(i)}`);
  return history;
};

describe("History", () => {
  it("numbers entries from 1", () => {
    const history = new History<string>(2);
    expect(history.seq).toBe(0);
    expect(history.size).toBe(0);
    expect([history.append("a"), history.append("b"), history.append("c")]).toEqual([1, 2, 3]);
    expect(history.seq).toBe(3);
    expect(history.size).toBe(2);
  });

  it("refuses a limit that is not a positive integer", () => {
    for (const limit of [0, -1, 1.5, NaN, Infinity, "3" as never]) expect(() => new History(limit)).toThrow(RangeError);
  });

  it("has an epoch of its own", () => {
    expect(new History(1).epoch).not.toBe(new History(1).epoch);
  });
});

describe("History.last()", () => {
  it("lists the last entries, oldest first", () => {
    expect(filled(3, 5).last(2)).toEqual([
      { seq: 4, entry: "e4" },
      { seq: 5, entry: "e5" },
    ]);
  });

  it("lists all that are kept when more or no number is asked for", () => {
    expect(filled(3, 5).last(10).length).toBe(3);
    expect(filled(3, 5).last().length).toBe(3);
    expect(filled(3, 2).last(Infinity).length).toBe(2);
  });

  it("lists nothing for 0", () => {
    expect(filled(3, 5).last(0)).toEqual([]);
  });

  it("refuses a negative number and NaN", () => {
    expect(() => filled(3, 5).last(-1)).toThrow(RangeError);
    expect(() => filled(3, 5).last(NaN)).toThrow(RangeError);
  });
});

describe("History.since()", () => {
  it("gives everything after a position", () => {
    const history = filled(3, 4);
    const { position } = history;
    history.append("e5");
    expect(history.since(position)).toEqual({ entries: [{ seq: 5, entry: "e5" }], complete: true });
  });

  it("is complete and empty when nothing was missed", () => {
    const history = filled(3, 4);
    expect(history.since(history.position)).toEqual({ entries: [], complete: true });
    const empty = new History(3);
    expect(empty.since(empty.position)).toEqual({ entries: [], complete: true });
  });

  it("is complete back to the oldest entry that is kept, and not a step further", () => {
    const history = filled(3, 5); // 3, 4, 5 are kept
    expect(history.since({ epoch: history.epoch, seq: 2 })).toMatchObject({ complete: true });
    expect(history.since({ epoch: history.epoch, seq: 2 }).entries.map(({ seq }) => seq)).toEqual([3, 4, 5]);
    expect(history.since({ epoch: history.epoch, seq: 1 })).toEqual({ entries: [], complete: false });
  });

  it("is not complete for what a hostile client may send", () => {
    const history = filled(3, 2);
    const { epoch } = history;
    const positions: unknown[] = [
      undefined,
      null,
      0,
      "",
      "epoch",
      [],
      {},
      { epoch },
      { seq: 1 },
      { epoch: new History(3).epoch, seq: 1 },
      { epoch: [epoch], seq: 1 },
      { epoch, seq: 3 },
      { epoch, seq: -1 },
      { epoch, seq: 0.5 },
      { epoch, seq: NaN },
      { epoch, seq: Infinity },
      { epoch, seq: "1" },
      { epoch, seq: null },
      { epoch, seq: [1] },
    ];
    for (const position of positions) {
      expect(history.since(position as HistoryPosition), JSON.stringify(position)).toEqual({
        entries: [],
        complete: false,
      });
    }
  });

  it("never gives a part: complete, or nothing", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.nat({ max: 30 }),
        fc.integer({ min: -2, max: 32 }),
        (limit, count, seq) => {
          const history = filled(limit, count);
          const all = Array.from({ length: count }, (_, i) => ({ seq: i + 1, entry: `e${String(i + 1)}` }));
          const { entries, complete } = history.since({ epoch: history.epoch, seq });
          expect(complete).toBe(seq >= Math.max(0, count - limit) && seq <= count);
          expect(entries).toEqual(complete ? all.slice(seq) : []);
          expect(history.last()).toEqual(all.slice(-limit));
        },
      ),
    );
  });
});
