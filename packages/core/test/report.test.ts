import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from "vitest";
import { logError } from "../src/report.ts";

let log: MockInstance<typeof console.error>;
beforeEach(() => {
  log = vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  log.mockRestore();
});

/** What was written, one text a call. */
const written = (): string[] => log.mock.calls.map((values) => values.join(" "));

describe("logError()", () => {
  it("writes one line, whatever the error's text holds", () => {
    logError(new Error("first\r\nvel: forged\u2028line\u0085next\u001b[2J\u009b1m"), { stage: "message" });
    expect(written()).toHaveLength(1);
    expect(written()[0]).toMatch(/^vel: message: Error: first\\r\\nvel: forged/);

    expect(written()[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  });

  it("writes what is no Error too, and never throws", () => {
    const hostile = [
      "text\nmore",
      undefined,
      null,
      5,
      Symbol("s"),
      Object.create(null) as unknown,
      {
        toString: () => {
          throw new Error("from toString");
        },
      },
      Object.defineProperty(new Error("x"), "stack", {
        get: () => {
          throw new Error("from stack");
        },
      }),
      Object.defineProperty(new Error("x"), "stack", { value: 5 }),
    ];
    for (const error of hostile) logError(error, { stage: "handler" });
    expect(written()).toHaveLength(hostile.length);
    for (const line of written()) expect(line).toMatch(/^vel: handler: ./);
  });

  it("names the connection and its route", () => {
    logError("x", { stage: "open", connection: { id: "abc", route: "/ws" } as never });
    expect(written()).toEqual(["vel: open of connection abc on /ws: x"]);
  });
});
