/**
 * What can be set about the chat, and what it allows.
 *
 * @module
 */
import type { Clock, VelOptions } from "@vel/core";
import type { ConnectionLimitOptions, MemoryOptions } from "@vel/pool";
import type { Pace } from "./pace.ts";
import type { Page } from "./page.ts";

/** Settings of {@link createChat}. All durations are milliseconds. */
export interface ChatOptions extends Pick<VelOptions, "closeTimeout" | "origins" | "trustProxy"> {
  /** The page's files, read by the app that wires the chat to a runtime. */
  page: Page;
  /** Signs tokens; at least 32 bytes. Default: random, so that tokens end with the process. */
  secret?: Uint8Array;
  /** How long a token is valid, and with it a connection; the page renews it before. Default: 900,000. */
  tokenLifetime?: number;
  /** How often the page and the server ask each other whether they are there. Default: 20,000. */
  pingInterval?: number;
  /**
   * How long an answer may take. The page takes the server for gone after the first that does not come, the server a page after
   * the third. The server waits no longer than `pingInterval`. Default: 10,000.
   */
  pongTimeout?: number;
  /** How many connections there may be, and how many attempts. Default, one by one: `limits.connections`. */
  connections?: Partial<Required<Pick<ConnectionLimitOptions, "total" | "perIp" | "perUser" | "attempts">>>;
  /** How fast one connection may send, typing and pings included. Default: `limits.pace`. */
  pace?: Pace;
  /** When memory is short, so that nobody else is let in. Default: `limits.memory`. */
  memory?: MemoryOptions;
  /** Opens `/metrics` and the page at `/vel/`: 16 characters or more. Default: random, so that nobody sees them. */
  metricsToken?: string;
  /** Where time comes from. Default: core's. */
  clock?: Clock;
}

/** What the chat allows; lengths are UTF-16 units. */
export const limits = {
  /** A person's name. */
  name: 32,
  /** A room's name. */
  room: 64,
  /** One message. */
  message: 2_000,
  /** A client's own id of a message. */
  messageId: 64,
  /** Messages that a room keeps. */
  history: 100,
  /** Messages that somebody who enters is shown. */
  greeting: 10,
  /** People signed in at once. */
  people: 10_000,
  /** Bytes of a request's body, and of a message as it comes: the longest one is 12 KB in JSON. */
  body: 16_384,
  /**
   * Connections in all, from one address and of one user, and how often one address may try. Many people can be behind one
   * address, and each of them can have some tabs.
   */
  connections: { total: 5_000, perIp: 100, perUser: 20, attempts: { limit: 300, per: 60_000 } },
  /**
   * What comes on one connection: 10 messages in 5 s, 20 at once, each with its "typing" before it, and pings, pongs and
   * fresh tokens beside them.
   */
  pace: { messages: 25, per: 5_000, burst: 50 },
  /** Bytes that the process may use. */
  memory: { limit: 2 ** 31 },
  /**
   * Bytes that may wait for a slow reader. Somebody who comes back is sent the whole history at once, 1.2 MB when all
   * of it is as long as can be and six bytes a character in JSON; what is said meanwhile must fit behind that.
   */
  sendBuffer: 2 ** 21,
} as const;
