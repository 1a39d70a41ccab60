/**
 * Checks of options, with one wording.
 *
 * @module
 */

/** Checks what counts things. @throws {RangeError} When it is no positive integer. */
export function assertCount(name: string, value: number): void {
  assertRange(name, Number.isSafeInteger(value) && value > 0, "a positive integer", value);
}

/** Checks milliseconds. @throws {RangeError} When it is no positive number. */
export function assertTime(name: string, value: number): void {
  assertRange(name, Number.isFinite(value) && value > 0, "a positive number of milliseconds", value);
}

/** Checks a number. @throws {RangeError} When it is not what is wanted. */
export function assertRange(name: string, holds: boolean, wanted: string, value: unknown): void {
  if (!holds) throw new RangeError(`Option "${name}" must be ${wanted}, got ${shown(value)}`);
}

/** Checks options that belong together. @throws {TypeError} When it is no object. */
export function assertObject(what: string, value: unknown): void {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`${what} must be an object, got ${shown(value)}`);
}

/** Checks what has to be called. @throws {TypeError} When one of the functions is missing. */
export function assertFunctions(name: string, value: unknown, functions: readonly string[]): void {
  assertObject(`Option "${name}"`, value);
  const missing = functions.find((each) => typeof (value as Record<string, unknown>)[each] !== "function");
  if (missing === undefined) return;
  throw new TypeError(`Option "${name}" must have the functions ${functions.join(", ")}: it has no ${missing}`);
}

/** Checks a choice. @throws {TypeError} When it is none of those that there are. */
export function assertChoice(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  const names = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  throw new TypeError(`Option "${name}" must be ${names}, got ${shown(value)}`);
}

/** Checks that something is limited at all. @throws {TypeError} When none of the options is given. */
export function assertSome(options: Readonly<Record<string, unknown>>): void {
  if (Object.values(options).some((value) => value !== undefined)) return;
  const names = Object.keys(options).map((name) => `"${name}"`);
  throw new TypeError(`Option ${names.join(" or ")} must be given: nothing is limited`);
}

/** Checks that an option has the one that it belongs to. @throws {TypeError} When it has not. */
export function assertTogether(name: string, value: unknown, owner: string, owning: unknown): void {
  if (value === undefined || owning !== undefined) return;
  throw new TypeError(`Option "${name}" must come with "${owner}": it says nothing by itself`);
}

/** A value in an error's text; a text in quotes, or `"10"` would look like the number that was wanted. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
