/**
 * What can be set about the chat, and what it allows.
 *
 * @module
 */
import type { Clock, VelOptions } from "@vel/core";
import type { Page } from "./page.ts";

/** Settings of {@link createChat}. All durations are milliseconds. */
export interface ChatOptions {
  /** The page's files, read by the app that wires the chat to a runtime. */
  page: Page;
  /** Signs tokens; at least 32 bytes. Default: random, so that tokens end with the process. */
  secret?: Uint8Array;
  /** How long a token is valid; the page renews it before. Default: 900,000. */
  tokenLifetime?: number;
  /** How often the page sends a ping. Default: 20,000. */
  pingInterval?: number;
  /** How long after a ping was due the other side counts as gone. Default: 10,000. */
  pongTimeout?: number;
  /** How long a peer may take to answer a close. Default: core's. */
  closeTimeout?: number;
  /** Where time comes from. Default: core's. */
  clock?: Clock;
  /** Whose pages may connect. Default: core's, the server's own. */
  origins?: VelOptions["origins"];
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
  /** Bytes of a request's body. */
  body: 16_384,
  /**
   * Bytes that may wait for a slow reader. Somebody who comes back is sent the whole history at once, 1.2 MB when all
   * of it is as long as can be and six bytes a character in JSON; what is said meanwhile must fit behind that.
   */
  sendBuffer: 2 ** 21,
} as const;
