import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { InvalidMessageError } from "../src/errors.ts";
import { validate, type StandardSchemaV1 } from "../src/standard-schema.ts";

describe("validate()", () => {
  it("answers at once when the schema does, with the schema's output", () => {
    const schema = z.object({ n: z.string().transform(Number) });
    const value = validate(schema, { n: "5", more: true });
    expect(value).toEqual({ n: 5 });
    expectTypeOf(value).toEqualTypeOf<{ n: number } | Promise<{ n: number }>>();
  });

  it("throws with the schema's issues", () => {
    try {
      void validate(z.object({ n: z.number() }), { n: "x" });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidMessageError);
      expect((error as InvalidMessageError).code).toBe("ERR_VEL_INVALID_MESSAGE");
      expect((error as InvalidMessageError).issues).toMatchObject([{ path: ["n"] }]);
    }
  });

  it("resolves or rejects when the schema is asynchronous", async () => {
    const schema: StandardSchemaV1<unknown, string> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value) =>
          Promise.resolve(value === "no" ? { issues: [{ message: "no" }] } : { value: `${String(value)}!` }),
      },
    };
    expect(await validate(schema, "yes")).toBe("yes!");
    await expect(validate(schema, "no")).rejects.toMatchObject({ issues: [{ message: "no" }] });
  });
});
