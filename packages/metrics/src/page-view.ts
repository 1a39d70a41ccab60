/**
 * What the page shows of a server, bounded however much there is of it.
 *
 * @module
 */
import type { Connection } from "@vel/core";
import { largest } from "./page-largest.ts";
import type { ChannelSource, RoomSource, RoundTripSource } from "./page-sources.ts";
import type {
  ChannelRow,
  ConnectionDetails,
  ConnectionRow,
  Groups,
  RoomRow,
  Sample,
  ServerMessage,
} from "./page-wire.ts";

/** How much of what there may be much of is sent. */
const most = { slow: 20, connections: 100, groups: 100, users: 200 };

/** The longest text that a client chose and that is only shown, in UTF-16 units. */
const longestText = 200;

/** What is looked at. */
export interface ViewParts {
  readonly connections: ReadonlySet<Connection>;
  readonly rooms: RoomSource | undefined;
  readonly channels: ChannelSource | undefined;
  readonly heartbeat: RoundTripSource | undefined;
  /** The time by which connections were opened. */
  now(): number;
  isViewer(connection: Connection): boolean;
}

/** How much the open connections are. */
export interface Load extends Pick<Sample, "connections" | "bufferedBytes" | "roundTrip"> {
  readonly slowest: readonly ConnectionRow[];
}

/** Reads a server when asked to, and keeps nothing. */
export class PageView {
  readonly #parts: ViewParts;

  constructor(parts: ViewParts) {
    this.#parts = parts;
  }

  /** What a sample says of the open connections, and those that most bytes wait for: one pass over all. */
  load(): Load {
    const { connections, heartbeat } = this.#parts;
    const roundTrips = new Float64Array(connections.size);
    const waiting: { readonly connection: Connection; readonly size: number }[] = [];
    let known = 0;
    let bufferedBytes = 0;
    for (const connection of connections) {
      const size = connection.bufferedAmount ?? 0;
      bufferedBytes += size;
      if (size > 0) waiting.push({ connection, size });
      const roundTrip = heartbeat?.roundTrip(connection);
      if (roundTrip !== undefined) roundTrips[known++] = roundTrip;
    }
    const sorted = roundTrips.subarray(0, known).sort();
    const at = (share: number): number => sorted[Math.min(Math.floor(share * known), known - 1)] ?? 0;
    return {
      connections: connections.size,
      bufferedBytes,
      roundTrip: known === 0 ? null : { median: at(0.5), p95: at(0.95) },
      slowest: largest(waiting, most.slow, ({ size }) => size).map(({ connection }) => this.#row(connection)),
    };
  }

  /** The rooms with the most connections. */
  rooms(): Groups<RoomRow> | null {
    const all = this.#parts.rooms?.list({ includePrivate: true, users: false });
    if (!all) return null;
    const rows = largest(all, most.groups, ({ connectionCount }) => connectionCount);
    return {
      count: all.length,
      largest: rows.map(({ name, userCount, connectionCount }) => ({ name, userCount, connectionCount })),
    };
  }

  /** The channels with the most subscribers. */
  channels(): Groups<ChannelRow> | null {
    const all = this.#parts.channels?.list();
    if (!all) return null;
    const rows = largest(all, most.groups, ({ subscriberCount }) => subscriberCount);
    return {
      count: all.length,
      largest: rows.map(({ name, subscriberCount, messageCount }) => ({
        name: name.slice(0, longestText),
        subscriberCount,
        messageCount,
      })),
    };
  }

  /** The oldest connections whose id, route or address has this text in it. */
  find(filter: string): ServerMessage & { readonly type: "connections" } {
    const { connections } = this.#parts;
    const text = filter.toLowerCase();
    const list: ConnectionRow[] = [];
    let matches = 0;
    for (const connection of connections) {
      if (text !== "" && !isMatch(connection, text)) continue;
      if (++matches <= most.connections) list.push(this.#row(connection));
      else if (text === "") break; // how many there are is known
    }
    return { type: "connections", filter, matches: text === "" ? connections.size : matches, list };
  }

  /** A connection's details. */
  connection(id: string): ServerMessage & { readonly type: "connection" } {
    const connection = this.byId(id);
    return { type: "connection", id, connection: connection ? this.#details(connection) : null };
  }

  /** A room's users. */
  room(name: string): ServerMessage & { readonly type: "room" } {
    const info = this.#parts.rooms?.info(name);
    if (!info) return { type: "room", name, room: null };
    const { userCount, connectionCount } = info;
    const users = info.users.slice(0, most.users).map(({ id }) => id);
    return { type: "room", name, room: { userCount, connectionCount, users } };
  }

  /** Finds a connection: looked for, since somebody asks once in a while. */
  byId(id: string): Connection | undefined {
    for (const connection of this.#parts.connections) if (connection.id === id) return connection;
    return undefined;
  }

  #row(connection: Connection): ConnectionRow {
    const { heartbeat, now, isViewer } = this.#parts;
    const { id, route, remote, openedAt, messagesReceived, messagesSent, bufferedAmount } = connection;
    return {
      id,
      route: route.slice(0, longestText),
      address: remote?.address.slice(0, longestText) ?? null,
      age: now() - openedAt,
      messagesReceived,
      messagesSent,
      bufferedBytes: bufferedAmount ?? null,
      roundTrip: heartbeat?.roundTrip(connection) ?? null,
      isViewer: isViewer(connection),
    };
  }

  #details(connection: Connection): ConnectionDetails {
    const { remote, protocol, isOpen, isPaused, bytesReceived, bytesSent, messagesDropped, framesReceived } =
      connection;
    return {
      ...this.#row(connection),
      port: remote?.port ?? null,
      protocol: protocol.slice(0, longestText),
      isOpen,
      isPaused,
      bytesReceived,
      bytesSent,
      messagesDropped,
      framesReceived,
    };
  }
}

function isMatch({ id, route, remote }: Connection, text: string): boolean {
  return [id, route, remote?.address ?? ""].some((each) => each.toLowerCase().includes(text));
}
