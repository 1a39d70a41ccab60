/**
 * Messages told apart by their `type`, each checked by a schema before its handler gets it.
 *
 * @module
 */
import type { Connection, StandardSchemaV1 } from "@vel/core";
import type { RoomUser } from "./room-user.ts";

declare const table: unique symbol;

/** What {@link Room.handlers} makes, for {@link Room.messages}. Opaque. */
export interface HandlerTable {
  /** There for the compiler alone. */
  readonly [table]: true;
}

/** Schemas of a room's messages, by their `type`. */
export type MessageSchemas = Readonly<Record<string, StandardSchemaV1>>;

/** A handler for each schema, of what that schema yields. */
export type MessageHandlers<Schemas extends MessageSchemas, Data> = {
  readonly [Type in keyof Schemas]: (
    user: RoomUser<Data>,
    message: StandardSchemaV1.InferOutput<Schemas[Type]>,
    connection: Connection<Data>,
  ) => unknown;
};

/** One type of message. */
export interface TypedMessage {
  readonly schema: StandardSchemaV1;
  readonly handle: (user: RoomUser, message: unknown, connection: Connection) => unknown;
}

/** The table behind the {@link HandlerTable} interface. */
export class TypedMessages {
  /** A Map, in which "toString" and "__proto__" are names like others. */
  readonly #types = new Map<string, TypedMessage>();

  /** @throws {TypeError} When a schema has no handler, or a handler no schema. */
  constructor(schemas: MessageSchemas, handlers: Readonly<Record<string, unknown>>) {
    for (const [type, schema] of Object.entries(schemas)) {
      const handle = Object.hasOwn(handlers, type) ? handlers[type] : undefined;
      if (typeof handle !== "function") throw new TypeError(`Messages of type ${JSON.stringify(type)} have no handler`);
      this.#types.set(type, { schema, handle: handle as TypedMessage["handle"] });
    }
    for (const type of Object.keys(handlers)) {
      if (!this.#types.has(type)) throw new TypeError(`Messages of type ${JSON.stringify(type)} have no schema`);
    }
  }

  /** Finds what handles a message; undefined when its own `type` is none of these. */
  find(message: unknown): TypedMessage | undefined {
    if (typeof message !== "object" || message === null || !Object.hasOwn(message, "type")) return undefined;
    const { type } = message as { type: unknown };
    return typeof type === "string" ? this.#types.get(type) : undefined;
  }
}
