import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { echo } from "../src/echo.ts";
import { largest, setUp } from "./kit.ts";

describe("Basic WebSocket Endpoint", () => {
  it("answers each text, in order, and says when the client is gone", async () => {
    const { vel, said } = setUp(echo);
    const client = await connect(vel, "/ws");
    const texts = ["hello", "", "Grüße 👋"];
    for (const text of texts) client.send(text);
    for (const text of texts) expect(await client.receiveText()).toBe(`Echo: ${text}`);
    expect(said).toEqual([]);
    client.close();
    await settle();
    expect(said).toEqual(["Client disconnected"]);
  });

  it("closes with 1007 at bytes", async () => {
    const { vel } = setUp(echo);
    const client = await connect(vel, "/ws");
    client.send(new Uint8Array([1]));
    expect(await client.closed).toMatchObject({ code: 1007, by: "remote" });
  });

  it("closes with 1009 at a text that is too large", async () => {
    const { vel, said } = setUp(echo);
    const client = await connect(vel, "/ws");
    client.send("x".repeat(largest + 1));
    expect(await client.closed).toMatchObject({ code: 1009, by: "remote" });
    await settle();
    expect(said).toEqual(["Client disconnected"]);
  });
});
