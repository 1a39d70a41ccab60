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

/** What two names have in common that a reader would take for the same. */
export function foldName(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

function tidy(input: unknown, longest: number): string | undefined {
  if (typeof input !== "string" || input.length > longest * 4) return undefined;
  const name = input
    .normalize("NFC")
    .trim()
    .replace(/\p{Zs}+/gu, " ");
  return name.length > 0 && name.length <= longest && !forbidden.test(name) ? name : undefined;
}
