import { describe, expect, it } from "vitest";
import { Outgoing } from "../src/outgoing.ts";
import { Turn, type Flushable } from "../src/turn.ts";

/** A turn whose end the test decides. */
function setup(): {
  turn: Turn;
  asked: (() => void)[];
  flushed: string[];
  add: (name: string, then?: () => void) => void;
} {
  const asked: (() => void)[] = [];
  const flushed: string[] = [];
  const turn = new Turn((flush) => asked.push(flush));
  const add = (name: string, then?: () => void): void => {
    const connection: Flushable = {
      flush() {
        flushed.push(name);
        then?.();
      },
    };
    turn.add(connection);
  };
  return { turn, asked, flushed, add };
}

describe("Turn.add()", () => {
  it("asks for the turn's end once, with the first", () => {
    const { asked, add } = setup();
    expect(asked).toHaveLength(0);
    for (const name of ["a", "b", "c"]) add(name);
    expect(asked).toHaveLength(1);
  });

  it("flushes in the order of adding, each once, and asks anew for the next turn", () => {
    const { asked, flushed, add } = setup();
    add("a");
    add("b");
    asked[0]?.();
    expect(flushed).toEqual(["a", "b"]);
    asked[0]?.();
    expect(flushed).toEqual(["a", "b"]);
    add("c");
    expect(asked).toHaveLength(2);
    asked[1]?.();
    expect(flushed).toEqual(["a", "b", "c"]);
  });

  it("leaves to the next turn who is added while this one is flushed", () => {
    const { asked, flushed, add } = setup();
    add("a", () => {
      add("again");
    });
    add("b");
    asked[0]?.();
    expect(flushed).toEqual(["a", "b"]);
    expect(asked).toHaveLength(2);
    asked[1]?.();
    expect(flushed).toEqual(["a", "b", "again"]);
  });
});

describe("Turn.root", () => {
  it("is a new one in each turn, before anybody is flushed, so that nothing of a turn is kept", () => {
    const { turn, asked, add } = setup();
    const first = turn.root;
    first.with(new Outgoing("a", 1, true));
    let within: unknown;
    add("a", () => {
      within = turn.root;
    });
    expect(turn.root).toBe(first);
    asked[0]?.();
    expect(within).toBe(turn.root);
    expect(turn.root).not.toBe(first);
    expect(turn.root).toMatchObject({ size: 0, length: 0 });
  });
});
