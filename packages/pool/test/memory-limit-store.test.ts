/** What the store of one process counts, and how large it can get. */
import { MemoryLimitStore } from "@vel/pool";
import { describe, expect, it } from "vitest";
import { measured, Sundial } from "./limit-kit.ts";

const size = 100_000;

function setup() {
  const clock = new Sundial();
  const store = new MemoryLimitStore({ clock });
  return { clock, store, keys: () => measured(store) };
}

/** An address of its own for each number; every other one of IPv6. */
function address(index: number): string {
  const bytes = [24, 16, 8, 0].map((bits) => (index >> bits) & 255);
  return index % 2 ? bytes.join(".") : `2001:db8:${(index >> 16).toString(16)}:${(index & 0xffff).toString(16)}::/64`;
}

describe("MemoryLimitStore.take()", () => {
  it("takes a place while fewer than the limit are in use, and tells how many were", () => {
    const { store } = setup();
    expect([store.take("ip:a", 2), store.take("ip:a", 2), store.take("ip:a", 2), store.take("ip:a", 2)]).toEqual([
      0, 1, 2, 2,
    ]);
    store.release("ip:a");
    expect([store.take("ip:a", 2), store.take("ip:a", 2)]).toEqual([1, 2]);
    expect(store.take("ip:b", 1)).toBe(0);
  });

  it("takes one in any case with Infinity", () => {
    const { store } = setup();
    for (let used = 0; used < 5; used++) expect(store.take("total", Infinity)).toBe(used);
    expect(store.take("total", 2)).toBe(5);
    store.release("total");
    expect(store.take("total", Infinity)).toBe(4);
  });

  it("knows keys of any characters", () => {
    const { store, keys } = setup();
    for (const key of ["__proto__", "constructor", "", "\0", "ip:", "x".repeat(100_000), "\ud800"]) {
      expect(store.take(key, 1), key).toBe(0);
      expect(store.take(key, 1), key).toBe(1);
    }
    expect(keys()["vel_limit_keys{places}"]).toBe(7);
  });

  it("Limit 26: table of places: holds 100,000 keys, throws ERR_VEL_LIMIT for more, and is empty after release", () => {
    const { store, keys } = setup();
    for (let index = 0; index < size; index++) store.take(address(index), 1);
    expect(keys()["vel_limit_keys{places}"]).toBe(size);
    expect(() => store.take("another", 1)).toThrow(expect.objectContaining({ code: "ERR_VEL_LIMIT" }));
    expect(keys()["vel_limit_keys{places}"]).toBe(size);
    expect(store.take(address(0), 2), "those that are in are counted still").toBe(1);
    store.release(address(1));
    expect(store.take("another", 1)).toBe(0);
    store.release("another");
    store.release(address(0));
    for (let index = 0; index < size; index++) store.release(address(index));
    expect(keys()["vel_limit_keys{places}"]).toBe(0);
  });
});

describe("MemoryLimitStore.release()", () => {
  it("does nothing for what nobody holds", () => {
    const { store, keys } = setup();
    store.release("ip:a");
    expect(store.take("ip:a", 1)).toBe(0);
    store.release("ip:a");
    store.release("ip:a");
    expect([store.take("ip:a", 2), store.take("ip:a", 2), store.take("ip:a", 2)]).toEqual([0, 1, 2]);
    store.release("ip:a");
    store.release("ip:a");
    expect(keys()["vel_limit_keys{places}"]).toBe(0);
  });
});

describe("MemoryLimitStore.attempt()", () => {
  const rate = { limit: 2, per: 1_000 };

  it("counts so many at once and then one in each part of the time, and tells when the next one is", () => {
    const { clock, store } = setup();
    const attempt = (): number => store.attempt("a", rate);
    expect([attempt(), attempt(), attempt(), attempt()]).toEqual([0, 0, 500, 500]);
    clock.advance(200);
    expect(attempt()).toBe(300);
    expect(store.attempt("b", rate)).toBe(0);
    clock.advance(300);
    expect([attempt(), attempt()]).toEqual([0, 500]);
    clock.advance(60_000);
    expect([attempt(), attempt(), attempt()]).toEqual([0, 0, 500]);
  });

  it("forgets who did not come for once to twice `per`, and nobody earlier", () => {
    const { clock, store, keys } = setup();
    const present = (): number | undefined => keys()["vel_limit_keys{attempts}"];
    store.attempt("first", rate);
    clock.advance(600);
    store.attempt("second", rate);
    clock.advance(399);
    expect(present()).toBe(2);
    clock.advance(1);
    store.attempt("second", rate);
    store.attempt("second", rate);
    expect(present()).toBe(2);
    clock.advance(1_000);
    store.attempt("third", rate);
    expect(present(), "the first is forgotten").toBe(2);
    clock.advance(2_000);
    expect(present()).toBe(0);
  });

  it("keeps who is refused until he would not be, whoever else comes and whenever he came", () => {
    const once = { limit: 1, per: 1_000 };
    for (const start of [0, 1, 500, 999, 1_000, 1_001, 1_500]) {
      const { clock, store } = setup();
      store.attempt("other", once);
      clock.advance(start);
      expect(store.attempt("a", once)).toBe(0);
      for (let time = 1; time < 1_000; time++) {
        clock.advance(1);
        store.attempt(`other ${String(time)}`, once);
      }
      expect([store.attempt("a", once), store.attempt("a", once)], `from ${String(start)}`).toEqual([1, 1]);
      clock.advance(1);
      expect(store.attempt("a", once)).toBe(0);
    }
  });

  it("remembers for the longest `per` that it was asked with", () => {
    const { clock, store } = setup();
    const [long, short] = [
      { limit: 1, per: 10_000 },
      { limit: 1, per: 10 },
    ];
    store.attempt("a", long);
    for (let count = 0; count < 9; count++) {
      clock.advance(1_000);
      expect(store.attempt("b", short)).toBe(0);
    }
    expect(store.attempt("a", long)).toBe(1_000);
  });

  it("Limit 27: table of attempts: holds 100,000 addresses, and does not count others while it is full", () => {
    const { clock, store, keys } = setup();
    const once = { limit: 1, per: 60_000 };
    const attempts = (count: number): Set<number> =>
      new Set(Array.from({ length: count }, (_, index) => store.attempt(address(index), once)));
    expect(attempts(size)).toEqual(new Set([0]));
    expect(keys()).toMatchObject({ "vel_limit_keys{attempts}": size, vel_limit_uncounted_total: 0 });
    clock.advance(1_000);
    // Whoever has so many addresses locks nobody out, and frees none of those that are refused.
    for (let count = 0; count < 3; count++) expect(store.attempt("192.0.2.1", once)).toBe(0);
    expect(keys()).toMatchObject({ "vel_limit_keys{attempts}": size, vel_limit_uncounted_total: 3 });
    expect(attempts(size)).toEqual(new Set([59_000]));
    clock.advance(59_000);
    // Half of them come again: they are known from before. Then there is room for nobody new.
    expect(attempts(size / 2)).toEqual(new Set([0]));
    expect(store.attempt("192.0.2.1", once)).toBe(0);
    expect(keys()).toMatchObject({ "vel_limit_keys{attempts}": size, vel_limit_uncounted_total: 4 });
    clock.advance(60_000);
    expect([store.attempt("192.0.2.1", once), store.attempt("192.0.2.1", once)]).toEqual([0, 60_000]);
    clock.advance(120_000);
    expect(keys()["vel_limit_keys{attempts}"]).toBe(0);
  });
});
