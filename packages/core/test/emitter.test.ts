import { describe, expect, it } from "vitest";
import { EventEmitter } from "../src/emitter.ts";

function setup() {
  const errors: unknown[] = [];
  const calls: string[] = [];
  const events = new EventEmitter<{ a: [text: string]; b: [] }>((error) => errors.push(error));
  return { errors, calls, events };
}

describe("EventEmitter.emit()", () => {
  it("calls listeners in the order of registration, those of that event only", () => {
    const { calls, events } = setup();
    events.on("a", (text) => calls.push(`1${text}`));
    events.on("b", () => calls.push("b"));
    events.on("a", (text) => calls.push(`2${text}`));
    events.emit("a", "x");
    expect(calls).toEqual(["1x", "2x"]);
  });

  it("counts each registration of the same function as its own", () => {
    const { calls, events } = setup();
    const listener = (text: string): void => void calls.push(text);
    const off = events.on("a", listener);
    events.on("a", listener);
    events.emit("a", "x");
    off();
    off();
    events.emit("a", "y");
    expect(calls).toEqual(["x", "x", "y"]);
  });

  it("gives what a listener throws or rejects with to the reporter, and calls the others", async () => {
    const { calls, errors, events } = setup();
    events.on("a", () => {
      throw new Error("sync");
    });
    events.on("a", async () => {
      await Promise.resolve();
      throw new Error("async");
    });
    events.on("a", (text) => calls.push(text));
    events.emit("a", "x");
    await new Promise(setImmediate);
    expect(calls).toEqual(["x"]);
    expect(errors.map(String)).toEqual(["Error: sync", "Error: async"]);
  });

  it("does not call a listener that was taken back by one before it, nor one that was added meanwhile", () => {
    const { calls, events } = setup();
    events.on("a", () => {
      off();
      events.on("a", () => calls.push("late"));
    });
    const off = events.on("a", () => calls.push("taken back"));
    events.emit("a", "x");
    expect(calls).toEqual([]);
    events.emit("a", "x");
    expect(calls).toEqual(["late"]);
  });
});
