/**
 * Names of channels, and patterns that stand for many.
 *
 * @module
 */
import { assertTopic } from "@vel/core";

/** Tells whether a name stands for many channels: one of its segments is `*`, or its last is `>`. */
export function isPattern(name: string): boolean {
  const segments = name.split(".");
  return segments.includes("*") || segments.at(-1) === ">";
}

/**
 * Checks the name of one channel.
 *
 * @throws {TypeError} When it is not a string of 1 to 1,024 characters, or is a pattern.
 */
export function assertChannelName(name: string): void {
  assertTopic(name);
  if (isPattern(name)) throw new TypeError(`Channel cannot be called ${JSON.stringify(name)}: that is a pattern`);
}
