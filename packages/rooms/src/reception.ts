/**
 * What happens to a message of a member before the room's hook gets it.
 *
 * @module
 */
import {
  isPromise,
  DisconnectError,
  InvalidMessageError,
  validate,
  VelError,
  type Connection,
  type MaybePromise,
  type StandardSchemaV1,
} from "@vel/core";
import { closeInfoOf } from "./close-info.ts";
import type { RoomErrorCode } from "./errors.ts";
import type { Membership } from "./membership.ts";
import { markRefusal } from "./refusal-mark.ts";
import type { Member, RoomUser } from "./room-user.ts";
import type { TypedMessages } from "./typed-messages.ts";

/** The room that the messages are for. */
export interface ReceivingRoom {
  onMessage(user: RoomUser<never>, message: unknown, connection: Connection<never>): MaybePromise<void>;
}

/** Calls the handler of a message that was found to be fit. */
type Handle = (user: Member) => MaybePromise<void>;

/** Takes the messages of one room: synchronous wherever nothing is asynchronous. */
export class Reception {
  readonly #members: Membership;
  readonly #room: ReceivingRoom;
  /** Resolves when the handler of a connection's last message was called, while a schema thinks. */
  readonly #validating = new WeakMap<Connection, Promise<void>>();

  constructor(members: Membership, room: ReceivingRoom) {
    this.#members = members;
    this.#room = room;
  }

  /** Checks who speaks, then what is said, and calls the handler. See {@link Room.receive}. */
  receive(connection: Connection, message: unknown, types: TypedMessages | undefined): MaybePromise<void> {
    const user = this.#speaker(connection);
    this.#pace(user);
    if (!types) return this.#handOn(user, message, connection);
    const before = this.#validating.get(connection);
    const prepared = before
      ? before.then(() => this.#prepare(connection, message, types))
      : this.#prepare(connection, message, types);
    return isPromise(prepared) ? this.#later(connection, prepared, user.id) : prepared(user);
  }

  /**
   * Who a connection speaks for.
   *
   * @throws {VelError} `ERR_VEL_ROOM_NOT_MEMBER`, and what keeps a member from speaking
   * @throws {DisconnectError} When it is not open any more.
   */
  #speaker(connection: Connection, userId?: string): Member {
    const user = this.#members.speaker(connection);
    if (!user || (userId ?? user.id) !== user.id) {
      if (!connection.isOpen) throw new DisconnectError(closeInfoOf(connection));
      const room = JSON.stringify(this.#members.name);
      const text = `Cannot take a message in room ${room}: connection "${connection.id}" is not in it`;
      throw this.#refusal(new VelError<RoomErrorCode>("ERR_VEL_ROOM_NOT_MEMBER", text));
    }
    try {
      this.#members.moderation.assertMaySpeak(user);
    } catch (error) {
      throw this.#refusal(error);
    }
    return user;
  }

  #pace(user: Member): void {
    try {
      this.#members.moderation.pace(user);
    } catch (error) {
      throw this.#refusal(error);
    }
  }

  /** Checks a message and says what to call; at once when its schema answers at once. */
  #prepare(connection: Connection, message: unknown, types: TypedMessages): MaybePromise<Handle> {
    const typed = types.find(message);
    if (!typed) return (user) => this.#handOn(user, message, connection);
    const handle = (user: Member, value: unknown): MaybePromise<void> => {
      const result = typed.handle(user, value, connection);
      return isPromise(result) ? (result as Promise<void>) : undefined;
    };
    const checked = this.#check(typed.schema, message);
    return isPromise(checked)
      ? (checked as Promise<unknown>).then((value) => (user: Member) => handle(user, value))
      : (user) => handle(user, checked);
  }

  #check(schema: StandardSchemaV1, message: unknown): MaybePromise<unknown> {
    try {
      const checked = validate(schema, message);
      return isPromise(checked) ? this.#inTime(checked) : checked;
    } catch (error) {
      throw error instanceof InvalidMessageError ? this.#refusal(error) : error;
    }
  }

  /** Waits for a schema, for {@link RoomOptions.validateTimeout} at most. */
  #inTime(checked: PromiseLike<unknown>): Promise<unknown> {
    const { clock, settings } = this.#members;
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => {
        const text = `Message was not validated within ${String(settings.validateTimeout)} ms`;
        reject(this.#refusal(new VelError("ERR_VEL_TIMEOUT", text)));
      }, settings.validateTimeout);
      checked.then(
        (value) => {
          clock.clearTimeout(timer);
          resolve(value);
        },
        (error: unknown) => {
          clock.clearTimeout(timer);
          reject(error instanceof InvalidMessageError ? this.#refusal(error) : error);
        },
      );
    });
  }

  /** Handles a message whose check takes time; what comes after it waits until its handler was called. */
  #later(connection: Connection, prepared: Promise<Handle>, userId: string): Promise<void> {
    // Meanwhile he may have been put out or muted, or be somebody else.
    const handled = prepared.then((handle) => handle(this.#speaker(connection, userId)));
    const done = (): void => {
      if (this.#validating.get(connection) === begun) this.#validating.delete(connection);
    };
    const begun: Promise<void> = prepared.then(done, done);
    this.#validating.set(connection, begun);
    return handled;
  }

  #handOn(user: Member, message: unknown, connection: Connection): MaybePromise<void> {
    return this.#room.onMessage(user as RoomUser as RoomUser<never>, message, connection as Connection<never>);
  }

  #refusal(error: unknown): unknown {
    return markRefusal(error as object, this.#room);
  }
}
