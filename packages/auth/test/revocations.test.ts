import { afterEach, describe, expect, it } from "vitest";
import { connectWith, endWorlds, goodToken, makeWorld, now } from "./kit.ts";

afterEach(endWorlds);

describe("100,000 revocations", () => {
  it("Limit 10: are kept, and one more closes its connections and says that it is not", async () => {
    const { vel, jwt, clock } = makeWorld();
    vel.with(jwt.guard()).websocket("/ws", {});
    jwt.revoke({ tokenId: "short" }, { keepFor: 1_000 });
    for (let index = 1; index < 100_000; index++) jwt.revoke({ subject: `user ${index}` });
    const token = goodToken("HS256", { exp: now + 3_600 });
    const client = await connectWith(vel, token);
    expect(() => jwt.revoke({ subject: "ada" })).toThrow(expect.objectContaining({ code: "ERR_VEL_LIMIT" }) as Error);
    expect(await client.closed).toMatchObject({ code: 4401 });
    await jwt.verify(token);
    // What is kept already can be revoked again.
    jwt.revoke({ subject: "user 1" });
    await expect(jwt.verify(goodToken("HS256", { sub: "user 99999" }))).rejects.toMatchObject({
      code: "ERR_VEL_TOKEN",
    });
    // One place is free as soon as one of them is over.
    await clock.advance(1_000);
    jwt.revoke({ subject: "ada" });
    await expect(jwt.verify(token)).rejects.toMatchObject({ code: "ERR_VEL_TOKEN" });
    expect(() => jwt.revoke({ subject: "bob" })).toThrow(expect.objectContaining({ code: "ERR_VEL_LIMIT" }) as Error);
  });
});
