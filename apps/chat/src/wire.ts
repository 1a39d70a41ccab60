/**
 * What the chat's server and page say to each other. In here names are camelCase; on the wire they are snake_case.
 *
 * @module
 */
import type { Json } from "@vel/core";
import { limits } from "./settings.ts";

/** Something that a room keeps. */
export type Kept =
  | {
      readonly type: "chat_message";
      readonly userId: string;
      readonly name: string;
      readonly message: string;
      readonly room: string;
      readonly timestamp: string;
      readonly id: string | undefined;
    }
  | { readonly type: "system_message"; readonly message: string; readonly timestamp: string };

/** Something that a room keeps, with its number. */
export type Numbered = Kept & { readonly seq: number };

/** Somebody in a room. */
export interface Person {
  readonly userId: string;
  readonly name: string;
}

/** What the server says. */
export type FromServer =
  | Numbered
  | {
      readonly type: "room_info";
      readonly room: string;
      readonly connectionId: string;
      readonly userCount: number;
      readonly users: readonly Person[];
      readonly epoch: string;
      readonly seq: number;
      readonly messages: readonly Numbered[];
      readonly complete: boolean;
    }
  | (Person & { readonly type: "user_joined" | "user_left"; readonly userCount: number })
  | (Person & { readonly type: "user_typing"; readonly isTyping: boolean })
  | { readonly type: "pong" }
  | { readonly type: "auth_ok"; readonly expiresIn: number }
  | {
      readonly type: "error";
      readonly code: ErrorCode;
      readonly message: string;
      readonly id?: string | undefined;
      readonly retryAfter?: number | undefined;
    };

/** Why a client's message was not taken. */
type ErrorCode = "invalid_json" | "invalid_message" | "unknown_type" | "unauthorized" | "too_fast";

/** What the page says. */
type FromClient =
  | { readonly type: "chat_message"; readonly message: string; readonly id: string | undefined }
  | { readonly type: "typing"; readonly isTyping: boolean }
  | { readonly type: "ping" | "pong" }
  | { readonly type: "auth"; readonly token: string };

/** What the server reads: what the page says, or the answer to what is none of that. */
export type Read = FromClient | Extract<FromServer, { type: "error" }>;

/** Writes what the server says as it goes on the wire. */
export function toWire(message: FromServer): Json {
  return snakeCase(message) as Json;
}

/** Spells every key in snake_case, all the way down. */
export function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(inner),
    ]),
  );
}

/** Reads what a client sent; an error to answer with when it is nothing that the chat knows. */
export function fromWire(value: unknown): Read {
  const frame: Record<string, unknown> = typeof value === "object" && value !== null ? { ...value } : {};
  const id = typeof frame["id"] === "string" && frame["id"].length <= limits.messageId ? frame["id"] : undefined;
  switch (frame["type"]) {
    case "chat_message": {
      const message = typeof frame["message"] === "string" ? frame["message"].trim() : "";
      if (frame["id"] !== undefined && id === undefined) return invalid("A message's id is a short string");
      if (message === "") return invalid("A message has some text", id);
      if (message.length > limits.message) {
        return invalid(`A message has at most ${String(limits.message)} characters`, id);
      }
      return { type: "chat_message", message, id };
    }
    case "typing": {
      const { is_typing: isTyping = false } = frame;
      return typeof isTyping === "boolean" ? { type: "typing", isTyping } : invalid("Typing is true or false");
    }
    case "ping":
    case "pong":
      return { type: frame["type"] };
    case "auth": {
      const { token } = frame;
      return typeof token === "string" ? { type: "auth", token } : invalid("A token is a string");
    }
    default:
      return { type: "error", code: "unknown_type", message: "The chat knows no such message", id };
  }
}

function invalid(message: string, id?: string): Extract<FromServer, { type: "error" }> {
  return { type: "error", code: "invalid_message", message, id };
}
