import { connect, settle } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { binary } from "../src/binary.ts";
import { largest, setUp } from "./kit.ts";

describe("Binary Data Handling", () => {
  it("answers each image with its negative, and says when the client is gone", async () => {
    const { vel, said } = setUp(binary);
    const client = await connect(vel, "/ws/binary");
    client.send(new Uint8Array([0, 1, 128, 255]));
    client.send(new Uint8Array());
    expect(await client.receiveBytes()).toEqual(new Uint8Array([255, 254, 127, 0]));
    expect(await client.receiveBytes()).toEqual(new Uint8Array());
    expect(said).toEqual([]);
    client.close();
    await settle();
    expect(said).toEqual(["Binary WebSocket disconnected"]);
  });

  it("closes with 1007 at text", async () => {
    const { vel } = setUp(binary);
    const client = await connect(vel, "/ws/binary");
    client.send("no bytes");
    expect(await client.closed).toMatchObject({ code: 1007, by: "remote" });
  });

  it("closes with 1009 at an image that is too large", async () => {
    const { vel } = setUp(binary);
    const client = await connect(vel, "/ws/binary");
    client.send(new Uint8Array(largest + 1));
    expect(await client.closed).toMatchObject({ code: 1009, by: "remote" });
  });
});
