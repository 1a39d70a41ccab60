import { describe, expect, it } from "vitest";
import { VelError } from "../src/errors.ts";
import { Refusal, refuseByClose, reject } from "../src/refusal.ts";

describe("reject()", () => {
  it("makes an error that can be thrown, with what is to be answered", () => {
    const refusal = reject(429, { body: "slow down", retryAfter: 1500, headers: { "x-why": "rate" } });
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toBeInstanceOf(VelError);
    expect(refusal).toMatchObject({ code: "ERR_VEL_REFUSED", status: 429, body: "slow down", closeCode: undefined });
    expect(refusal.headers).toEqual([
      ["x-why", "rate"],
      ["Retry-After", "2"],
    ]);
  });

  it("throws a RangeError unless the status is 400 to 599", () => {
    expect(reject(400).status).toBe(400);
    expect(reject(599).status).toBe(599);
    for (const status of [0, 101, 200, 302, 399, 600, 400.5, NaN, "404"]) {
      expect(() => reject(status as number), String(status)).toThrow(RangeError);
    }
  });

  it("throws a RangeError for a negative retryAfter, a TypeError for unfit headers", () => {
    expect(reject(503, { retryAfter: 0 }).headers).toEqual([["Retry-After", "0"]]);
    for (const retryAfter of [-1, NaN]) expect(() => reject(503, { retryAfter })).toThrow(RangeError);
    expect(() => reject(401, { headers: { "x-a": "a\r\nset-cookie: b" } })).toThrow(TypeError);
    expect(() => reject(401, { headers: { upgrade: "h2c" } })).toThrow(TypeError);
  });
});

describe("refuseByClose()", () => {
  it("keeps the code and a reason that fits a close frame", () => {
    expect(refuseByClose(4001, "Missing token")).toMatchObject({
      status: 101,
      closeCode: 4001,
      closeReason: "Missing token",
    });
    expect(refuseByClose(4001, "é".repeat(100)).closeReason).toBe("é".repeat(61));
  });

  it("throws a RangeError for a code that may not be sent", () => {
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 2000, 5000])
      expect(() => refuseByClose(code)).toThrow(RangeError);
  });
});
