/**
 * Identifiers.
 *
 * @module
 */
import { nanoid } from "nanoid";

/**
 * Makes a random identifier of 21 URL-safe characters, 126 bits: never reused, not to be guessed.
 *
 * @example
 * const epoch = randomId();
 */
export function randomId(): string {
  return nanoid();
}
