import { connect } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { keyed } from "../src/api-key.ts";
import { setUp } from "./kit.ts";

describe("API Key Authentication", () => {
  const keys = ["k3y-of-the-one", "k3y-of-the-other"];

  it.each(keys)("answers each text to who has one of the keys: %s", async (key) => {
    const { vel } = setUp((vel) => keyed(vel, { keys }));
    const client = await connect(vel, "/ws/api-key", { headers: { "X-API-Key": key } });
    for (const text of ["hello", "", "Grüße 👋"]) {
      client.send(text);
      expect(await client.receiveText()).toBe(`Echo: ${text}`);
    }
  });

  const [key = ""] = keys;
  it.each([
    ["no key", undefined],
    ["an empty key", ""],
    ["another key", "another"],
    ["a part of a key", key.slice(0, -1)],
    ["more than a key", `${key}x`],
    ["a key of another case", key.toUpperCase()],
    ["two keys", keys.join(", ")],
    ["what every object has", "__proto__"],
    ["its place in the list", "0"],
  ])("closes with 4003 at %s", async (_name, given) => {
    const { vel } = setUp((vel) => keyed(vel, { keys }));
    const headers: Record<string, string> = given === undefined ? {} : { "x-api-key": given };
    const client = await connect(vel, "/ws/api-key", { headers });
    client.send("hello");
    expect(await client.closed).toMatchObject({ code: 4003, reason: "Invalid API key", by: "remote" });
    expect(client.received).toEqual([]);
  });

  it("does not look for a key in the URL", async () => {
    const { vel } = setUp((vel) => keyed(vel, { keys }));
    const client = await connect(vel, `/ws/api-key?x-api-key=${key}`);
    expect(await client.closed).toMatchObject({ code: 4003 });
  });
});
