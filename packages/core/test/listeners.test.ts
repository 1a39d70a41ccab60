import { describe, expect, it } from "vitest";
import { Listeners } from "../src/listeners.ts";

describe("Listeners.off()", () => {
  it("takes back one listener of an event, or all of it, and leaves the other events alone", () => {
    const listeners = new Listeners<{ a: []; b: [] }>();
    const [first, second] = [() => 1, () => 2];
    listeners.on("a", first);
    listeners.on("a", second);
    listeners.on("b", first);
    listeners.off("a", first);
    expect([...listeners.of("a")]).toEqual([second]);
    expect([...listeners.of("b")]).toEqual([first]);
    listeners.on("a", first);
    listeners.off("a");
    expect([...listeners.of("a")]).toEqual([]);
    expect(listeners.isEmpty).toBe(false);
    listeners.off("b", first);
    expect(listeners.isEmpty).toBe(true);
  });
});
