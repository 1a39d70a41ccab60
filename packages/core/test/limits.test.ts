import { describe, expect, it } from "vitest";
import { compressionOf, limitsOf } from "../src/limits.ts";

describe("limitsOf()", () => {
  it("lays what is given over what is around, value by value", () => {
    const server = limitsOf({ maxPayload: 5, sendBuffer: { onFull: "drop" }, json: { depth: 3 } });
    expect(server).toEqual({
      maxPayload: 5,
      json: { size: 65_536, depth: 3, keys: 1_000 },
      receiveBuffer: 1_048_576,
      sendBuffer: 1_048_576,
      onFull: "drop",
    });
    expect(limitsOf({ json: { keys: 7 }, receiveBuffer: { limit: 9 }, sendBuffer: { limit: 8 } }, server)).toEqual({
      maxPayload: 5,
      json: { size: 65_536, depth: 3, keys: 7 },
      receiveBuffer: 9,
      sendBuffer: 8,
      onFull: "drop",
    });
    expect(limitsOf({}, server)).toEqual(server);
  });

  it("throws for what is no positive number, naming the option, and for another policy", () => {
    for (const value of [0, -1, NaN, "5" as unknown as number]) {
      expect(() => limitsOf({ maxPayload: value })).toThrow(/"maxPayload" must be a positive number/);
      expect(() => limitsOf({ json: { size: value } })).toThrow(/"json.size"/);
      expect(() => limitsOf({ json: { depth: value } })).toThrow(/"json.depth"/);
      expect(() => limitsOf({ json: { keys: value } })).toThrow(/"json.keys"/);
      expect(() => limitsOf({ receiveBuffer: { limit: value } })).toThrow(/"receiveBuffer.limit"/);
      expect(() => limitsOf({ sendBuffer: { limit: value } })).toThrow(/"sendBuffer.limit"/);
    }
    expect(() => limitsOf({ sendBuffer: { onFull: "queue" as "drop" } })).toThrow(TypeError);
    expect(limitsOf({ maxPayload: Infinity }).maxPayload).toBe(Infinity);
  });
});

describe("compressionOf()", () => {
  it("is off unless asked for, and has every value decided then", () => {
    const defaults = { threshold: 1_024, windowBits: 13, memoryLimit: 67_108_864 };
    expect(compressionOf(undefined)).toBe(false);
    expect(compressionOf(false)).toBe(false);
    expect(compressionOf(true)).toEqual(defaults);
    expect(compressionOf("auto")).toEqual(defaults);
    expect(compressionOf({ threshold: 0, windowBits: 9 })).toEqual({ ...defaults, threshold: 0, windowBits: 9 });
  });

  it("throws for what is out of range", () => {
    for (const windowBits of [8, 16, 9.5, NaN]) expect(() => compressionOf({ windowBits })).toThrow(RangeError);
    for (const threshold of [-1, NaN]) expect(() => compressionOf({ threshold })).toThrow(RangeError);
    for (const memoryLimit of [0, -1, NaN]) expect(() => compressionOf({ memoryLimit })).toThrow(RangeError);
  });
});
