import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { json } from "../src/json.ts";
import { isoTime, setUp } from "./kit.ts";

describe("JSON Message Handling", () => {
  it("answers each message with what it said and when, and says when the client is gone", async () => {
    const { vel, said } = setUp(json);
    const client = await connect(vel, "/ws/json");
    client.sendJson({ message: "hello", more: 1 });
    client.sendJson({});
    for (const message of ["Received: hello", "Received: "])
      expect(await client.receiveJson()).toEqual({
        type: "response",
        message,
        timestamp: expect.stringMatching(isoTime),
      });
    expect(said).toEqual([]);
    client.close();
    await settle();
    expect(said).toEqual(["JSON WebSocket disconnected"]);
  });

  it.each([
    ["no JSON", "{"],
    ["an array", "[]"],
    ["null", "null"],
    ["a number", "7"],
    ["a message that is no text", '{"message":7}'],
    ["too much JSON", JSON.stringify({ message: "x".repeat(64 * 1024) })],
    ["bytes", new Uint8Array([0x7b, 0x7d])],
  ])("closes with 1007 at %s", async (_name, message) => {
    const { vel } = setUp(json);
    const client = await connect(vel, "/ws/json");
    client.send(message);
    expect(await client.closed).toMatchObject({ code: 1007, by: "remote" });
    expect(client.received).toEqual([]);
  });
});
