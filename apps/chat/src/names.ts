/**
 * Names of people and rooms.
 *
 * @module
 */
import { limits } from "./settings.ts";

/** Characters that a name must not hold: controls, invisible formatting (which can turn text around), lone surrogates. */
const forbidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Tidies a person's name; undefined when it cannot be one. */
export function personName(input: unknown): string | undefined {
  return tidy(input, limits.name);
}

/** Tidies a room's name; undefined when it cannot be one. */
export function roomName(input: unknown): string | undefined {
  const name = tidy(input, limits.room);
  // These two a browser resolves away in a path, so nobody could ever enter.
  return name === "." || name === ".." ? undefined : name;
}

/**
 * What two names have in common that a reader would take for the same: compatible forms and letters of either case are
 * one (by way of lower and upper case, which for `ß`, `ẞ` and `ss`, `σ` and `ς` is what Unicode calls case folding), and
 * what cannot be seen does not count.
 */
export function foldName(name: string): string {
  return name.normalize("NFKC").replace(invisible, "").toLowerCase().toUpperCase().normalize("NFKC");
}

/** Characters that leave no mark although they are letters or symbols to Unicode, such as the Hangul fillers. */
const invisible = /[\p{Default_Ignorable_Code_Point}\u2800]/gu;

function tidy(input: unknown, longest: number): string | undefined {
  if (typeof input !== "string" || input.length > longest * 4) return undefined;
  const name = input
    .normalize("NFC")
    .trim()
    .replace(/\p{Zs}+/gu, " ");
  const isSeen = name.replace(invisible, "").trim() !== "";
  return isSeen && name.length <= longest && !forbidden.test(name) ? name : undefined;
}
