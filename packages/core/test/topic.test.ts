import { queryObjects } from "node:v8";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertTopic, matchesTopic, TopicTree } from "../src/index.ts";

/** Few segments, the special ones and the empty one among them, so that patterns and topics meet. */
const segment = fc.constantFrom("a", "b", "*", ">", "");
const topic = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join("."));

/** How many objects of a kind there are, after a garbage collection. Others in this process make some too. */
function countOf(kind: typeof Map | typeof Set | typeof Array): number {
  return queryObjects(kind, { format: "count" });
}

describe("assertTopic()", () => {
  it("takes names of 1 to 1,024 characters, whatever they are", () => {
    for (const name of ["a", ".", "*", ">", "__proto__", "\0", " ", "é", "💡", "x".repeat(1_024)]) {
      expect(() => assertTopic(name)).not.toThrow();
    }
  });

  it("throws TypeError at everything else, and says what it got", () => {
    expect(() => assertTopic("")).toThrow(
      new TypeError("Topic must be a string of 1 to 1024 characters, got 0 of them"),
    );
    expect(() => assertTopic("x".repeat(1_025))).toThrow("got 1025 of them");
    for (const value of [undefined, null, 1, {}, ["a"], Symbol("a")]) {
      expect(() => assertTopic(value as never)).toThrow(`got ${typeof value}`);
    }
  });
});

describe("matchesTopic()", () => {
  it.each([
    ["orders", "orders", true],
    ["orders", "order", false],
    ["orders", "orders.42", false],
    ["orders.*", "orders.42", true],
    ["orders.*", "orders", false],
    ["orders.*", "orders.", true],
    ["orders.*", "orders.42.items", false],
    ["*.42.*", "orders.42.items", true],
    ["*", "orders", true],
    ["*", "orders.42", false],
    ["orders.>", "orders.42", true],
    ["orders.>", "orders.42.items", true],
    ["orders.>", "orders", false],
    ["*.>", "orders", false],
    ["*.>", "orders.42.items", true],
    [">", "orders", true],
    [">", "orders.42.items", true],
    // Special characters are special alone in their segment, and `>` at the end only.
    ["order*", "orders", false],
    ["order>", "orders", false],
    [">.42", "orders.42", false],
    [">.42", ">.42", true],
    ["orders.*", "orders.*", true],
    ["orders.42", "orders.*", false],
    ["__proto__", "constructor", false],
    ["Orders", "orders", false],
  ])("%s and %s: %s", (pattern, name, expected) => {
    expect(matchesTopic(pattern, name)).toBe(expected);
  });

  // Fails when `>` is no topic: `segments.length > last + 1` in matchesTopic().
  it("finds every topic in itself, whatever its characters", () => {
    fc.assert(fc.property(fc.oneof(topic, fc.string({ minLength: 1 })), (name) => matchesTopic(name, name)));
  });
});

describe("TopicTree", () => {
  // Fails when `>` stands for nothing, too: `segments.length >= last` in matchesTopic().
  it("finds the patterns that matchesTopic() says match, each once, after any adds and deletes", () => {
    const steps = fc.array(fc.record({ pattern: topic, isAdded: fc.boolean() }), { maxLength: 30 });
    fc.assert(
      fc.property(steps, fc.array(topic, { maxLength: 10 }), (all, names) => {
        const tree = new TopicTree<string>();
        const patterns = new Set<string>();
        for (const { pattern, isAdded } of all) {
          tree[isAdded ? "add" : "delete"](pattern, pattern);
          patterns[isAdded ? "add" : "delete"](pattern);
        }
        for (const name of [...names, ...patterns]) {
          const expected = [...patterns].filter((pattern) => matchesTopic(pattern, name));
          expect(tree.find(name).sort()).toEqual(expected.sort());
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("keeps several values of a pattern, the same one once", () => {
    const tree = new TopicTree<number>();
    tree.add("a.*", 1);
    tree.add("a.*", 2);
    tree.add("a.*", 1);
    tree.add("a.b", 1);
    expect(tree.find("a.b").sort()).toEqual([1, 1, 2]);
    tree.delete("a.*", 1);
    expect(tree.find("a.b").sort()).toEqual([1, 2]);
  });

  it("takes back nothing for a pattern or value that is not in it", () => {
    const tree = new TopicTree<number>();
    tree.add("a.b", 1);
    tree.delete("a", 1);
    tree.delete("a.b", 2);
    tree.delete("a.b.c", 1);
    tree.delete("*.b", 1);
    expect(tree.find("a.b")).toEqual([1]);
    expect(tree.find("a")).toEqual([]);
  });

  it("has no names that objects have", () => {
    const tree = new TopicTree<number>();
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(tree.find(name)).toEqual([]);
      tree.add(`${name}.*`, 1);
      expect(tree.find(`${name}.${name}`)).toEqual([1]);
    }
  });

  it("finds a million values of one pattern", () => {
    const tree = new TopicTree<number>();
    for (let value = 0; value < 1_000_000; value++) tree.add(value % 2 ? "a.>" : "a.b", value);
    expect(tree.find("a.b").length).toBe(1_000_000);
  });

  it("is empty after what was added was taken back", () => {
    const tree = new TopicTree<number>();
    const before = countOf(Map);
    const patterns = Array.from({ length: 10_000 }, (_, i) => `a.${i % 100}.*.${i}.>`);
    patterns.forEach((pattern, i) => tree.add(pattern, i));
    expect(countOf(Map) - before).toBeGreaterThan(20_000); // one for each segment, at least
    patterns.forEach((pattern, i) => tree.delete(pattern, i));
    expect(countOf(Map) - before).toBeLessThan(1_000);
    expect(tree.find("a.1.x.1.y")).toEqual([]);
  });
});
