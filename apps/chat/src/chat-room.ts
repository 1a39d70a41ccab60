/**
 * The chat's room: what happens when somebody enters, speaks, types, leaves.
 *
 * @module
 */
import type { Clock, Connection, Json } from "@vel/core";
import {
  History,
  Room,
  type HistoryPosition,
  type Join,
  type Leave,
  type RoomContext,
  type RoomUser,
} from "@vel/rooms";
import { limits } from "./settings.ts";
import { toWire, type FromServer, type Kept, type Numbered, type Person, type Read } from "./wire.ts";

/** What the chat knows of a connection. */
export interface Visit extends Person {
  /** The room that it is for. */
  readonly roomName: string;
  /** What it has seen of the room before; undefined when it comes for the first time. */
  readonly since: HistoryPosition | undefined;
}

/** How many sent messages a room remembers by their senders' ids, so that one that comes twice is said once. */
const remembered = 1_000;

/** A chat room. Everything that is said has a number; whoever comes back gets what was said meanwhile. */
export class ChatRoom extends Room<Visit, Json> {
  readonly #clock: Clock;
  readonly #history = new History<Kept>(limits.history);
  readonly #sent = new Map<string, Numbered>();

  constructor(context: RoomContext, clock: Clock) {
    super(context);
    this.#clock = clock;
  }

  /** Who is here. */
  get people(): Person[] {
    return [...this.users.values()].map(personOf);
  }

  override onJoin(user: RoomUser<Visit>, { connection, first }: Join<Visit>): void {
    const { messages, complete } = this.#missedBy(connection);
    const { epoch, seq } = this.#history.position;
    const { name: room, userCount, people: users } = this;
    const connectionId = connection.id;
    connection.sendJson(
      toWire({ type: "room_info", room, connectionId, userCount, users, epoch, seq, messages, complete }),
    );
    if (first) this.#tell({ type: "user_joined", ...personOf(user), userCount }, user);
  }

  override onLeave(user: RoomUser<Visit>, { last }: Leave<Visit>): void {
    if (last) this.#tell({ type: "user_left", ...personOf(user), userCount: this.userCount });
  }

  override onMessage(user: RoomUser<Visit>, message: Read, connection: Connection<Visit>): void {
    switch (message.type) {
      case "chat_message":
        this.#say(personOf(user), message, connection);
        break;
      case "typing":
        this.#tell({ type: "user_typing", ...personOf(user), isTyping: message.isTyping }, user);
        break;
      case "ping":
        connection.sendJson(toWire({ type: "pong" }));
        break;
      case "pong":
        break; // a sign of life, counted by the connection
      case "error":
        connection.sendJson(toWire(message));
        break;
    }
  }

  /** Says something in nobody's name. */
  announce(message: string): void {
    this.#tell(this.#keep({ type: "system_message", message, timestamp: this.#now() }));
  }

  #say({ userId, name }: Person, { message, id }: { message: string; id: string | undefined }, by: Connection): void {
    const key = id === undefined ? undefined : `${userId} ${id}`;
    const earlier = key === undefined ? undefined : this.#sent.get(key);
    if (earlier) {
      // Sent again because its sender never saw it come: it was said already, and this is the receipt.
      by.sendJson(toWire(earlier));
      return;
    }
    const said = this.#keep({
      type: "chat_message",
      userId,
      name,
      message,
      room: this.name,
      timestamp: this.#now(),
      id,
    });
    if (key !== undefined) this.#remember(key, said);
    this.#tell(said);
  }

  #remember(key: string, said: Numbered): void {
    this.#sent.set(key, said);
    const [oldest] = this.#sent.keys();
    if (this.#sent.size > remembered && oldest !== undefined) this.#sent.delete(oldest);
  }

  #keep(entry: Kept): Numbered {
    return { ...entry, seq: this.#history.append(entry) };
  }

  /** What a connection has not seen: all that was said since it was here, or the last few for a start. */
  #missedBy({ data: { since } }: Connection<Visit>): { messages: Numbered[]; complete: boolean } {
    const fill = this.#history.since(since);
    const entries = fill.complete ? fill.entries : this.#history.last(limits.greeting);
    return {
      messages: entries.map(({ seq, entry }) => ({ ...entry, seq })),
      complete: since === undefined || fill.complete,
    };
  }

  #tell(message: FromServer, except?: RoomUser<Visit>): void {
    this.broadcast(toWire(message), { except });
  }

  #now(): string {
    return new Date(this.#clock.wall()).toISOString();
  }
}

function personOf({ id, meta }: RoomUser<Visit>): Person {
  return { userId: id, name: String(meta) };
}
