import { createChat } from "@vel/app-chat";
import { greeting, readOptions } from "@vel/app-chat/environment";
import { afterEach, describe, expect, it, vi } from "vitest";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("readOptions()", () => {
  it.each([
    [undefined, false],
    ["", false],
    [" ", false],
    ["1", 1],
    ["loopback", ["loopback"]],
    ["loopback, 10.0.0.0/8 ", ["loopback", "10.0.0.0/8"]],
  ])("reads TRUST_PROXY=%j as %j", (text, expected) => {
    vi.stubEnv("TRUST_PROXY", text);
    const options = readOptions();
    expect(options.trustProxy).toEqual(expected);
    createChat(options);
  });

  it("takes METRICS_TOKEN, and says which token it has chosen when that is not set or empty", () => {
    vi.stubEnv("METRICS_TOKEN", "a.token-for_the~tests");
    const chosen = readOptions();
    expect(chosen.metricsToken).toBe("a.token-for_the~tests");
    expect(greeting(3000, chosen)).toBe("Chat on http://localhost:3000");
    const random = [undefined, ""].map((text) => {
      vi.stubEnv("METRICS_TOKEN", text);
      const options = readOptions();
      createChat(options);
      expect(greeting(3000, options)).toBe(
        `Chat on http://localhost:3000\nMetrics on http://localhost:3000/vel/, token ${options.metricsToken ?? ""}`,
      );
      return options.metricsToken;
    });
    expect(new Set(random).size).toBe(2);
  });

  it("lets no chat start with a METRICS_TOKEN that is too short", () => {
    vi.stubEnv("METRICS_TOKEN", "short");
    expect(() => createChat(readOptions())).toThrow('Option "metricsToken"');
  });

  it.each(["0", "-1", "true", "10.0.0.0/33", "loopback,"])("lets no chat start with TRUST_PROXY=%j", (text) => {
    vi.stubEnv("TRUST_PROXY", text);
    expect(() => createChat(readOptions())).toThrow('Option "trustProxy"');
  });
});
