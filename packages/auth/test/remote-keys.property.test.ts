/** What holds of fetched keys, whatever the issuer does and whenever tokens come. */
import type { Clock } from "@vel/core";
import fc from "fast-check";
import { afterEach, expect, it, vi } from "vitest";
import { tokenRules } from "../src/jwt-options.ts";
import { RemoteKeys } from "../src/remote-keys.ts";
import { makeKeyPair } from "./tokens.ts";

const [cacheFor, cooldown, timeout, staleFor] = [600_000, 30_000, 5_000, 3_600_000];
const kids = ["a", "b", "c"] as const;
const { publicJwk } = makeKeyPair("ES256");

type Action =
  | { readonly kind: "advance"; readonly by: number }
  | { readonly kind: "issuer"; readonly does: "answer" | "fail" | "hang"; readonly kids: readonly string[] }
  | { readonly kind: "find"; readonly kid: string };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      by: fc.oneof(fc.constantFrom(1, 999, 1_000, cooldown - 1, cooldown, cacheFor, staleFor), fc.nat(staleFor / 4)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("issuer" as const),
      does: fc.constantFrom("answer" as const, "answer" as const, "fail" as const, "hang" as const),
      kids: fc.subarray([...kids]),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("find" as const), kid: fc.constantFrom(...kids, "invented") }),
  },
);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that goes by at once: a `ManualClock` waits for turns of the event loop, too often for a thousand runs. */
class StepClock implements Clock {
  readonly timers = new Set<{ readonly due: number; readonly callback: () => void }>();
  #now = 0;

  now = (): number => this.#now;
  wall = (): number => 0;

  setTimeout(callback: () => void, delay: number): unknown {
    const timer = { due: this.#now + delay, callback };
    this.timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.timers.delete(timer as never);
  }

  async advance(by: number): Promise<void> {
    const end = this.#now + by;
    for (const timer of this.timers) {
      if (timer.due > end) continue;
      this.timers.delete(timer);
      this.#now = timer.due;
      timer.callback();
      await turn();
    }
    this.#now = end;
  }
}

/** The issuer, and what was seen of the fetches. */
class Model {
  readonly clock = new StepClock();
  does: "answer" | "fail" | "hang" = "answer";
  kids: readonly string[] = ["a"];
  /** What the last answer had, and when it came. */
  known: readonly string[] = [];
  loadedAt = -Infinity;
  running = 0;
  isHanging = false;
  /** When fetches ended, how, and how long none may begin after. */
  readonly ends: { readonly at: number; readonly isGood: boolean; readonly rest: number }[] = [];
  /** What was wrong with a fetch. */
  readonly faults: string[] = [];
  told = 0;
  readonly keys = new RemoteKeys(
    { url: "https://issuer.test/keys", cacheFor, cooldown, timeout, staleFor },
    tokenRules({ algorithms: ["ES256"], clock: this.clock, onError: () => this.told++ }),
  );

  /** Stands for the global `fetch`, so that a thousand runs take no thousand sockets. */
  async fetch(signal: AbortSignal): Promise<Response> {
    const last = this.ends.at(-1);
    if (++this.running > 1) this.faults.push("two at a time");
    if (last && this.clock.now() - last.at < last.rest) this.faults.push(`after less than ${last.rest} ms`);
    const { does, kids } = this;
    await Promise.resolve();
    if (does === "hang") {
      this.isHanging = true;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      this.isHanging = false;
    }
    this.running--;
    if (does === "answer") [this.known, this.loadedAt] = [kids, this.clock.now()];
    const rest = this.clock.now() - this.loadedAt < staleFor ? cooldown : 1_000;
    this.ends.push({ at: this.clock.now(), isGood: does === "answer", rest });
    if (does !== "answer") throw new TypeError("fetch failed");
    return new Response(JSON.stringify({ keys: kids.map((kid) => ({ ...publicJwk, kid })) }));
  }

  /** Lets a fetch come to its end, but one that hangs. */
  async settle(): Promise<void> {
    while (this.clock.timers.size > 0 && !this.isHanging) await turn();
    await turn();
  }

  async find(kid: string): Promise<void> {
    const { clock, known, loadedAt } = this;
    const age = clock.now() - loadedAt;
    const started = clock.now();
    const wasKnown = age < staleFor && known.includes(kid);
    let isDone = false;
    const outcome = this.keys
      .find({ alg: "ES256", kid })
      .then(
        (keys) => keys.length,
        (error: unknown) => error as { code: string; retryAfter: number },
      )
      .finally(() => (isDone = true));
    // Whose key is there waits for nobody, others for a fetch that is running.
    while (!wasKnown && !isDone) {
      await turn();
      if (this.isHanging) await clock.advance(1_000);
    }
    const found = await outcome;
    await this.settle();
    expect(clock.now() - started).toBeLessThanOrEqual(timeout); // nothing but a wait for a fetch moves it here
    if (typeof found === "object") {
      expect(found.code).toBe("ERR_VEL_KEYS");
      expect(found.retryAfter).toBeGreaterThan(0);
      expect(found.retryAfter).toBeLessThanOrEqual(cooldown);
      expect(clock.now() - this.loadedAt).toBeGreaterThanOrEqual(staleFor);
      return;
    }
    expect(found).toBe(wasKnown || this.known.includes(kid) ? 1 : 0);
    // A new key is in by the cooldown at the latest, where the issuer answers.
    if (found === 0 && this.does === "answer" && this.kids.includes(kid)) {
      expect(clock.now() - this.ends.at(-1)!.at).toBeLessThan(cooldown);
    }
  }
}

afterEach(() => vi.unstubAllGlobals());

it("RemoteKeys.find() asks no more than it may, waits no longer than it may and finds what there is", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 40 }), async (actions) => {
      const model = new Model();
      vi.stubGlobal("fetch", (_: URL, { signal }: { signal: AbortSignal }) => model.fetch(signal));
      for (const each of actions) {
        if (each.kind === "advance") await model.clock.advance(each.by);
        else if (each.kind === "issuer") Object.assign(model, { does: each.does, kids: each.kids });
        else await model.find(each.kid);
        await model.settle();
      }
      await model.clock.advance(timeout);
      await model.settle();
      expect([model.running, model.clock.timers.size, model.faults]).toEqual([0, 0, []]);
      expect(model.told).toBe(model.ends.filter(({ isGood }) => !isGood).length);
    }),
    { numRuns: 1_000 },
  );
});
