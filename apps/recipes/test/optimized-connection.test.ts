import { connect, ManualClock } from "@vel/testing";
import { describe, expect, it } from "vitest";
import { optimizedConnection } from "../src/optimized-connection.ts";
import { largest, setUp } from "./kit.ts";

describe("Connection Optimization", () => {
  it("speaks the subprotocol, sends the header, and sends messages back as they came", async () => {
    const { vel } = setUp(optimizedConnection);
    const client = await connect(vel, "/ws/optimized", { protocols: ["other", "chat"] });
    expect(client.protocol).toBe("chat");
    expect(client.headers.get("x-custom")).toBe("value");
    for (const message of ["hello", new Uint8Array([0, 255])]) {
      client.send(message);
      expect(await client.receive()).toEqual(message);
    }
  });

  it("asks every 30 seconds whether the peer is there, and cuts one that is not", async () => {
    const clock = new ManualClock();
    const { vel } = setUp(optimizedConnection, { clock });
    const [ada, bob] = [await connect(vel, "/ws/optimized"), await connect(vel, "/ws/optimized")];
    bob.silence();
    await clock.advance(30_000);
    expect(bob.isOpen).toBe(true);
    await clock.advance(31_000);
    expect([ada.isOpen, bob.closeInfo]).toMatchObject([true, { code: 1006 }]);
    ada.close();
    await ada.closed;
    expect(clock.pending).toBe(0);
  });

  it("takes a client that offers no subprotocol", async () => {
    const { vel } = setUp(optimizedConnection);
    expect((await connect(vel, "/ws/optimized")).protocol).toBe("");
  });

  it("takes messages of 1 MiB and closes with 1009 at larger ones, whatever the server takes elsewhere", async () => {
    const { vel } = setUp(optimizedConnection, { maxPayload: 2 * largest });
    const client = await connect(vel, "/ws/optimized");
    client.send("x".repeat(largest));
    expect(await client.receiveText()).toHaveLength(largest);
    client.send("x".repeat(largest + 1));
    expect(await client.closed).toMatchObject({ code: 1009, by: "remote" });
  });
});
