/**
 * The Standard Schema interface, version 1: what Zod, Valibot, ArkType and others implement. Written out here, as its
 * authors invite, so that core needs no dependency for a type. https://standardschema.dev
 *
 * @module
 */
import { InvalidMessageError } from "./errors.ts";
import type { MaybePromise } from "./maybe-promise.ts";

/** A schema of any library that follows the standard. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  /** What the standard defines. */
  readonly "~standard": StandardSchemaV1.Props<Input, Output>;
}

// eslint-disable-next-line @typescript-eslint/no-namespace -- the shape that the standard gives its types
export declare namespace StandardSchemaV1 {
  /** The properties of a schema. */
  export interface Props<Input = unknown, Output = Input> {
    /** The version of the standard. */
    readonly version: 1;
    /** The library's name. */
    readonly vendor: string;
    /** Checks a value of unknown type. */
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    /** The inferred types; not there at run time. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  }
  /** The outcome of a check. */
  export type Result<Output> =
    { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };
  /** One objection. */
  export interface Issue {
    readonly message: string;
    readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  }
  /** What a schema yields. */
  export type InferOutput<Schema extends StandardSchemaV1> = NonNullable<Schema["~standard"]["types"]>["output"];
}

/**
 * Checks a value and gives it back as the schema made it; at once when the schema answers at once.
 *
 * @throws {InvalidMessageError} With the schema's issues.
 * @example
 * const { text } = await validate(z.object({ text: z.string() }), JSON.parse(payload));
 */
export function validate<Output>(schema: StandardSchemaV1<unknown, Output>, value: unknown): MaybePromise<Output> {
  const result = schema["~standard"].validate(value);
  return "then" in result ? result.then(unwrap) : unwrap(result);
}

function unwrap<Output>(result: StandardSchemaV1.Result<Output>): Output {
  if (result.issues) throw new InvalidMessageError("Message does not fit its schema", { issues: result.issues });
  return result.value;
}
