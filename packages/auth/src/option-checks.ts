/**
 * What several options must be: checked where they are given, told by their names.
 *
 * @module
 */
import { isObject } from "./compact-token.ts";

/** Checks an option that counts something. A text of digits is none: sums would go wrong. @throws {RangeError} */
export function positive(name: string, value: unknown): number {
  if (!(typeof value === "number" && value > 0)) {
    throw new RangeError(`Option "${name}" must be a positive number, got ${shown(value)}`);
  }
  return value;
}

/** Shows a value of an option, so that a text does not look like a number. */
export function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Makes sure that there are options. @throws {TypeError} */
export function assertOptions(of: string, options: unknown): void {
  if (!isObject(options)) throw new TypeError(`Options of ${of} must be an object, got ${kindOf(options)}`);
}

/** Tells whether a value can become part of a connection's data: an object, and not a promise of one. */
export function isData(value: unknown): value is object {
  return isObject(value) && typeof value["then"] !== "function";
}

/** Says that a function of the application has answered wrongly. A promise is not awaited, and must end no process. */
export function wrongAnswer(text: string, answer: unknown): TypeError {
  if (answer instanceof Promise) answer.catch(() => undefined);
  return new TypeError(`${text}, got ${kindOf(answer)}`);
}

/** Says of what kind a value is that may be a secret. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a list";
  return value instanceof Promise ? "a promise" : `a value of type ${typeof value}`;
}
