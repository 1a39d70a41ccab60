/**
 * Reads what the page says, by hand: it is little, and this package knows no schema library.
 *
 * @module
 */
import type { Received } from "@vel/core";
import type { Command } from "./page-wire.ts";

/** The longest filter, in UTF-16 units. */
const longestFilter = 200;

/** Reads a command; undefined when it is none. */
export function readCommand(message: Received): Command | undefined {
  const { type, ...fields } = readObject(message);
  const { text, id, name, room, user, code, reason = "" } = fields;
  switch (type) {
    case "filter":
      return isText(text) && text.length <= longestFilter ? { type, text } : undefined;
    case "connection":
      return isText(id) ? { type, id } : undefined;
    case "close":
      if (!isText(id) || !isText(reason)) return undefined;
      if (code === undefined) return { type, id, reason };
      return typeof code === "number" ? { type, id, code, reason } : undefined;
    case "room":
      return isText(name) ? { type, name } : undefined;
    case "kick":
      return isText(room) && isText(user) ? { type, room, user } : undefined;
    default:
      return undefined;
  }
}

/** Reads the token out of the page's first message; undefined when it is something else. */
export function readToken(message: Received): string | undefined {
  const { type, token } = readObject(message);
  return type === "auth" && isText(token) ? token : undefined;
}

function readObject(message: Received): Readonly<Record<string, unknown>> {
  if (typeof message !== "string") return {};
  try {
    const value: unknown = JSON.parse(message);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
