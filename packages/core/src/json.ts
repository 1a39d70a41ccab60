/**
 * JSON that came from outside.
 *
 * @module
 */
import { InvalidMessageError } from "./errors.ts";

/**
 * Parses a text message.
 *
 * @throws {InvalidMessageError} When it is not JSON.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new InvalidMessageError("Message is not JSON", { cause });
  }
}
