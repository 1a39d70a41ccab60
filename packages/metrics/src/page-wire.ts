/**
 * What the page and its server say to each other: JSON, one message each. Durations are milliseconds, sizes bytes, and what is
 * not known is null.
 *
 * @module
 */
import type { MetricsSnapshot } from "./snapshot.ts";

/** The server at one moment. Rates are those since the moment before. */
export interface Sample {
  /** By a clock of which only differences mean something. */
  readonly at: number;
  readonly connections: number;
  readonly receivedPerSecond: number;
  readonly sentPerSecond: number;
  readonly droppedPerSecond: number;
  readonly bufferedBytes: number;
  /** Of each open connection's last round trip. */
  readonly roundTrip: { readonly median: number; readonly p95: number } | null;
}

/** A connection as one line. */
export interface ConnectionRow {
  readonly id: string;
  readonly route: string;
  readonly address: string | null;
  readonly age: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly bufferedBytes: number | null;
  readonly roundTrip: number | null;
  /** Whether it is one of this page's own. */
  readonly isViewer: boolean;
}

/** A connection, looked at closely; what the application keeps with it is nobody's business here. */
export interface ConnectionDetails extends ConnectionRow {
  readonly port: number | null;
  readonly protocol: string;
  readonly isOpen: boolean;
  readonly isPaused: boolean;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly messagesDropped: number;
  readonly framesReceived: number;
}

/** A room as one line. */
export interface RoomRow {
  readonly name: string;
  readonly userCount: number;
  readonly connectionCount: number;
}

/** A channel as one line. */
export interface ChannelRow {
  /** Its beginning, if it is long. */
  readonly name: string;
  readonly subscriberCount: number;
  readonly messageCount: number;
}

/** Rooms or channels: how many there are, and the largest of them, the largest first. */
export interface Groups<Row> {
  readonly count: number;
  readonly largest: readonly Row[];
}

/** What the server says. */
export type ServerMessage =
  /** The first: the last minutes, oldest first. */
  | {
      readonly type: "welcome";
      readonly history: number;
      readonly interval: number;
      readonly samples: readonly Sample[];
    }
  /** Every interval, the same for all. */
  | {
      readonly type: "snapshot";
      readonly sample: Sample;
      readonly totals: MetricsSnapshot;
      readonly slowest: readonly ConnectionRow[];
      readonly rooms: Groups<RoomRow> | null;
      readonly channels: Groups<ChannelRow> | null;
    }
  /** Every interval, and after each `filter`: the oldest of those that fit. */
  | {
      readonly type: "connections";
      readonly filter: string;
      readonly matches: number;
      readonly list: readonly ConnectionRow[];
    }
  /** The answer to `connection`; null when there is none of that id. */
  | { readonly type: "connection"; readonly id: string; readonly connection: ConnectionDetails | null }
  /** The answer to `room`; null when there is none of that name. */
  | {
      readonly type: "room";
      readonly name: string;
      readonly room: {
        readonly userCount: number;
        readonly connectionCount: number;
        readonly users: readonly string[];
      } | null;
    }
  /** The answer to `close` and `kick`. */
  | { readonly type: "done"; readonly text: string }
  /** What was asked for was not done. */
  | { readonly type: "error"; readonly text: string }
  /** Said before a close: the token is wrong, or too many were. */
  | { readonly type: "refused"; readonly retryAfter: number | null };

/** What the page says, after `{ type: "auth", token }`. */
export type Command =
  | { readonly type: "filter"; readonly text: string }
  | { readonly type: "connection"; readonly id: string }
  | { readonly type: "close"; readonly id: string; readonly code?: number; readonly reason?: string }
  | { readonly type: "room"; readonly name: string }
  | { readonly type: "kick"; readonly room: string; readonly user: string };
