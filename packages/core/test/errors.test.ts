import { describe, expect, it } from "vitest";
import { DisconnectError, InvalidMessageError, VelError } from "../src/errors.ts";

describe("VelError", () => {
  it("keeps code, name and cause, and its subclasses are told apart", () => {
    const cause = new Error("why");
    expect(new VelError("ERR_VEL_STATE", "Text", { cause })).toMatchObject({
      name: "VelError",
      code: "ERR_VEL_STATE",
      message: "Text",
      cause,
    });
    const info = { code: 1001, reason: "bye", wasClean: true, by: "remote" } as const;
    const gone = new DisconnectError(info);
    expect(gone).toBeInstanceOf(VelError);
    expect(gone).toMatchObject({ name: "DisconnectError", code: "ERR_VEL_DISCONNECTED", info });
    const invalid = new InvalidMessageError("Text", { cause });
    expect(invalid).toMatchObject({ name: "InvalidMessageError", code: "ERR_VEL_INVALID_MESSAGE", issues: [], cause });
    expect(invalid).not.toBeInstanceOf(DisconnectError);
    expect("cause" in new InvalidMessageError("Text")).toBe(false);
  });
});
